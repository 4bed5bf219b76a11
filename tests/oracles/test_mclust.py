"""Maximum likelihood and MAP against mclust 6.0.0, from the same hard partitions, run to rounding level."""

import csv
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_iris

from skem import EMMixture, MAPMixture, MixtureSelection
from skem._kernels.linalg import precision_factor
from skem._kernels.shapes import estimate
from skem.exceptions import DegenerateComponentWarning
from skem.families import Gaussian, Poisson
from skem.families.covariance import FOURTEEN

DATA = Path(__file__).parents[1] / "data"
# mclust writes V and E for all models of one dimension.
MODELS = {
    "full": ("VVV", "V"), "tied": ("EEE", "E"), "diag": ("VVI", "V"), "spherical": ("VII", "V"), "E": ("", "E"),
    "V": ("", "V"), **{code: (code, code[0]) for code in FOURTEEN if code not in ("VVV", "EEE", "VVI", "VII")},
}  # fmt: skip
TIGHT = {"tol": 0.0, "max_iter": 200_000}


def read(name):
    return np.genfromtxt(DATA / f"{name}.csv", delimiter=",", skip_header=1, ndmin=2)


def load(name):
    if name == "iris":
        return load_iris().data
    return read(name) / (1000.0 if name == "galaxies" else 1.0)


def reference():
    with (DATA / "mclust_tight.csv").open() as file:
        return {
            (row["data"], row["model"], int(row["G"])): (float(row["loglik"]), int(row["df"]))
            for row in csv.DictReader(file)
            if row["loglik"] != "NA"
        }


REFERENCE = reference()
CELLS = [
    (name, covariance_type, n_components)
    for name, d in [("faithful", 2), ("iris", 4), ("acidity", 1), ("galaxies", 1)]
    for covariance_type in MODELS
    for n_components in range(1, 6)
    if (name, MODELS[covariance_type][d == 1], n_components) in REFERENCE
]


def fit_partition(name, covariance_type, n_components):
    labels = read(f"init_partition_{name}")[:, n_components - 1].astype(int) - 1
    mixture = EMMixture(n_components, family=Gaussian(covariance_type), init=labels, **TIGHT)
    return mixture.fit(load(name))


@pytest.mark.parametrize(("name", "covariance_type", "n_components"), CELLS)
def test_converged_em_equals_mclust(name, covariance_type, n_components):
    mixture = fit_partition(name, covariance_type, n_components)
    expected, df = REFERENCE[name, MODELS[covariance_type][mixture.n_features_in_ == 1], n_components]
    assert mixture.converged_
    assert not mixture.degenerate_
    assert mixture.family_.n_parameters(mixture.n_features_in_, n_components) + n_components - 1 == df
    found = mixture.lower_bound_ * len(mixture.labels_)
    if covariance_type == "VVE" and mixture.n_features_in_ > 1 and n_components > 1:
        # mclust's numbers of this model are no optima (on iris,2 its default run ends above its tight one); on iris,5
        # it leaves for another optimum by steps that are not the best: see the test below
        assert found > expected + 0.05 or (name, n_components) == ("iris", 5)
    else:
        assert found == pytest.approx(expected, abs=1e-6)


def most_likely(X, labels, n_components):
    """sum_k n_k log |Sigma_k|, VVE, of the labels' own groups: by an M-step, and the least from random axes."""
    n_k = np.bincount(labels, minlength=n_components).astype(float)
    groups = [X[labels == k] for k in range(n_components)]
    scatter = np.stack([len(rows) * np.cov(rows.T, bias=True) for rows in groups])

    def log_det(covariance):
        return n_k @ np.linalg.slogdet(covariance)[1]

    rng, d = np.random.default_rng(0), X.shape[1]
    others = []
    for _ in range(10):
        covariance = np.stack([rotated(rng, np.arange(1.0, d + 1.0))] * n_components)
        for _ in range(8):
            factor, log_det_before, _ = precision_factor(covariance)
            covariance = estimate("VVE", n_k, scatter, factor, -0.5 * log_det_before)
        others.append(log_det(covariance))
    return log_det(estimate("VVE", n_k, scatter)), min(others)


def rotated(rng, variances):
    axes = np.linalg.qr(rng.normal(size=(len(variances), len(variances))))[0]
    return axes @ np.diag(variances) @ axes.T


@pytest.mark.parametrize("n_components", [2, 3, 4, 5])
def test_no_random_axes_are_better_than_those_of_an_m_step(n_components):
    labels = read("init_partition_iris")[:, n_components - 1].astype(int) - 1
    found, best_other = most_likely(load("iris"), labels, n_components)
    assert found <= best_other + 1e-6
    # the comparison is one of runs to the end: some of them arrive
    assert best_other == pytest.approx(found, abs=1e-3)


def bic_table(name):
    """mclust's BIC by number of components and model, its sign turned; nan where it gives none."""
    with (DATA / f"mclust_BIC_{name}.csv").open() as file:
        rows = list(csv.reader(file))
    return {(code, int(row[0])): float(v) if v != "NA" else np.nan
            for row in rows[1:] for code, v in zip(rows[0][1:], row[1:], strict=True)}  # fmt: skip


@pytest.mark.parametrize("name", ["faithful", "iris"])
def test_default_runs_of_few_components_agree_with_mclust_or_beat_it(name):
    X = load(name)
    for (code, n_components), expected in bic_table(name).items():
        if n_components <= 3:
            mixture = EMMixture(n_components, family=Gaussian(code), random_state=0).fit(X)
            assert not mixture.degenerate_
            assert -mixture.bic(X) > expected - 1e-3, (code, n_components)


@pytest.mark.parametrize(
    ("name", "code", "n_components"),
    [
        ("faithful", "EEI", 4), ("faithful", "EVV", 4), ("faithful", "EEV", 6), ("iris", "VII", 7), ("iris", "EVV", 8),
        ("iris", "VVV", 8),
    ],
)  # fmt: skip
def test_more_starts_reach_mclust_where_one_race_does_not(name, code, n_components):
    X = load(name)
    mixture = EMMixture(n_components, family=Gaussian(code), n_init=10, random_state=0).fit(X)
    assert not mixture.degenerate_
    assert -mixture.bic(X) > bic_table(name)[code, n_components] - 1e-3


@pytest.mark.parametrize(("name", "most"), [("faithful", 6), ("iris", 6)])
def test_a_default_selection_seldom_ends_below_mclust(name, most):
    families = [Gaussian(code) for code in FOURTEEN]
    selection = MixtureSelection(n_components=range(1, 10), families=families, random_state=0).fit(load(name))
    expected = bic_table(name)
    table = selection.results_
    cells = [(params["family"].covariance_type, params["n_components"]) for params in table["params"]]
    short = np.array([expected[cell] for cell in cells]) - table["score"]
    assert (short > 1e-3).sum() <= most
    assert (short < -1e-3).sum() > 80


@pytest.mark.parametrize("code", ["VEE", "EVV"])
def test_where_mclust_gives_no_number_its_start_ends_degenerate(code):
    assert np.isnan(bic_table("iris")[code, 5])
    with pytest.warns(DegenerateComponentWarning):
        assert fit_partition("iris", code, 5).degenerate_


def test_mclust_cells_are_all_but_few():
    # mclust gives NA for iris VEE,5 and EVV,5, and for acidity V,5, where one component collapses
    V = [covariance_type for covariance_type, codes in MODELS.items() if codes[1] == "V"]
    assert len(CELLS) == 14 * 5 * 2 - 2 + len(MODELS) * 5 * 2 - len(V)


@pytest.mark.parametrize("covariance_type", ["full", "diag", "spherical"])
def test_collapse_that_mclust_refuses_is_flagged(covariance_type):
    with pytest.warns(DegenerateComponentWarning):
        mixture = fit_partition("acidity", covariance_type, 5)
    assert mixture.degenerate_
    assert np.isfinite(mixture.lower_bound_)


def test_weights_equal_mclust_on_repeated_rows():
    X = load("faithful")
    weight = np.resize([1.0, 2.0, 3.0], len(X))
    labels = read("init_partition_faithful")[:, 1].astype(int) - 1
    mixture = EMMixture(2, init=labels, **TIGHT).fit(X, sample_weight=weight)
    assert mixture.lower_bound_ * weight.sum() == pytest.approx(-2253.35916963, abs=1e-8)
    weights = np.sort(mixture.weights_)[::-1]
    # mclust stops before its parameters rest; scikit-learn on the repeated rows ends at ours
    assert weights == pytest.approx([0.6511925512, 0.3488074488], abs=2e-8)
    assert weights == pytest.approx([0.6511925637, 0.3488074363], abs=2e-10)


def test_map_equals_mclust_prior():
    X = load("faithful")
    labels = read("init_partition_faithful")[:, 1].astype(int) - 1
    family = Gaussian(covariance_prior="mclust")
    mixture = MAPMixture(2, family=family, init=labels, **TIGHT).fit(X)
    assert mixture.score(X) * len(X) == pytest.approx(-1130.50926367, abs=1e-8)
    weights = np.sort(mixture.weights_)[::-1]
    assert weights == pytest.approx([0.643924271, 0.356075729], abs=1e-9)


@pytest.mark.parametrize(
    ("n_components", "expected"),
    [(1, -1544.99639), (2, -1188.83283), (3, -1132.04298), (4, -1130.07059)],
)
def test_poisson_mixture_of_candy_purchases(n_components, expected):
    packages, frequency = read("candy").T
    mixture = EMMixture(n_components, family=Poisson(), n_init=5, tol=1e-12, max_iter=100_000, random_state=0).fit(
        packages[:, None], sample_weight=frequency
    )
    assert mixture.lower_bound_ * frequency.sum() == pytest.approx(expected, abs=2e-5)
    if n_components == 4:
        order = np.argsort(mixture.rates_[:, 0])
        support = [0.2047, 3.0019, 7.4178, 12.8723]
        assert mixture.rates_[order, 0] == pytest.approx(support, abs=2e-3)
        weights = [0.2442, 0.5027, 0.1514, 0.1017]
        assert mixture.weights_[order] == pytest.approx(weights, abs=2e-4)
