"""Directions: the distribution's functions against mpmath and SciPy, and mixtures of unit vectors."""

import mpmath
import numpy as np
import pytest
from scipy import stats as sps
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import normalize

from skem import BayesianKMeans, EMMixture, ICMMixture, MAPMixture, MixtureSelection
from skem.engine import Source
from skem.exceptions import DegenerateComponentWarning
from skem.families import VonMisesFisher
from skem.families.sphere import concentration_of, log_mean_exp, log_partition, resultant_length, sample_directions
from skem.families.von_mises_fisher import MOST_CONCENTRATED
from skem.summary import summarize

DIMENSIONS = (1, 2, 3, 4, 10, 61, 62, 100, 768, 10_000)
CELLS = {
    "EMMixture": EMMixture(4, random_state=0),
    "MAPMixture": MAPMixture(4, random_state=0),
    "ICMMixture": ICMMixture(4, random_state=0),
    "ICMMixture-mle": ICMMixture(4, update="mle", random_state=0),
}
cells = pytest.mark.parametrize("cell", CELLS)
concentrations = pytest.mark.parametrize("concentration", ["free", "common", 40.0])


def planted(n=400, d=8, kappa=40.0, n_groups=4, seed=0):
    """Rows about directions that stand at right angles, and the groups."""
    group = np.arange(n) % n_groups
    means = np.eye(d)[group]
    return sample_directions(means, np.full(n, kappa), np.random.default_rng(seed)), group


# --- functions of the concentration ---------------------------------------------------------------


def bessel_terms(kappa, d):
    """K and A in many digits: by the hypergeometric series, or for large concentrations by Hankel's expansion."""
    nu, x = mpmath.mpf(d) / 2 - 1, mpmath.mpf(float(kappa))
    if x < 2000:
        value = mpmath.hyp0f1(nu + 1, x**2 / 4)
        return mpmath.log(value), x / d * mpmath.hyp0f1(nu + 2, x**2 / 4) / value
    values = []
    for order in (nu, nu + 1):
        total = term = mpmath.mpf(1)
        for k in range(1, 4000):
            term *= -(4 * order**2 - (2 * k - 1) ** 2) / (8 * k * x)
            total += term
            if abs(term) < mpmath.mpf(10) ** -35:
                break
        values.append(total)
    log_bessel = x - mpmath.log(2 * mpmath.pi * x) / 2 + mpmath.log(values[0])
    return mpmath.loggamma(nu + 1) + nu * mpmath.log(2 / x) + log_bessel, values[1] / values[0]


@pytest.mark.parametrize("d", DIMENSIONS)
def test_normalizer_and_mean_length_are_exact(d):
    kappa = np.array([1e-8, 1e-3, 0.3, np.sqrt(2 * d) * 0.999, np.sqrt(2 * d) * 1.001, 0.5 * d, 2.0 * d, 1e3, 1e8])
    if d == 10_000:
        # Hankel's expansion wants far more than the square of the order
        kappa = kappa[[0, 1, 2, 3, 4, 7, 8]]
    with mpmath.workdps(60):
        pairs = [bessel_terms(value, d) for value in kappa]
        expected = np.array([[float(value) for value in pair] for pair in pairs])
    np.testing.assert_allclose(log_mean_exp(kappa, d), expected[:, 0], rtol=5e-14, atol=0)
    np.testing.assert_allclose(resultant_length(kappa, d), expected[:, 1], rtol=5e-14, atol=0)


@pytest.mark.parametrize("d", [*DIMENSIONS, 5, 384])
def test_concentrations_are_found_from_mean_lengths(d):
    kappa = 10.0 ** np.linspace(-8, 7, 200)
    length = resultant_length(kappa, d)
    known = length < 1.0 - 1e-15
    found = concentration_of(length[known], d)
    np.testing.assert_allclose(resultant_length(found, d), length[known], rtol=1e-14, atol=0)
    # as far as the length tells the concentration
    assert (np.abs(found / kappa[known] - 1.0) * (1.0 - length[known])).max() < 1e-14
    assert concentration_of(0.0, d) == 0.0


@pytest.mark.parametrize("d", [2, 3, 4])
def test_prior_integrates_to_one_whatever_its_weight(d):
    for n in (1e-3, 0.7, 30.0):
        with mpmath.workdps(20):
            ends = [0, 0.1, 1, 10, 100, 1e3, 1e4, 1e5, 1e6, MOST_CONCENTRATED]
            total = mpmath.quad(lambda k, n=n: float(np.exp(-n * log_mean_exp(float(k), d))), ends)
        assert log_partition(n, d, MOST_CONCENTRATED) == pytest.approx(float(mpmath.log(total)), abs=1e-9)


@pytest.mark.parametrize("d", [1, 2, 3, 200])
@pytest.mark.parametrize("kappa", [0.0, 2.0, 1e6])
def test_samples_follow_the_density(d, kappa):
    n, rng = 20_000, np.random.default_rng(d)
    mean = normalize(rng.normal(size=(1, d)))
    rows = sample_directions(np.repeat(mean, n, axis=0), np.full(n, kappa), rng)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, rtol=1e-14)
    along = rows @ mean[0]
    assert abs(along.mean() - resultant_length(kappa, d)) <= 5.0 * along.std() / np.sqrt(n) + 1e-15
    # the directions across are even
    across = rows - along[:, None] * mean
    assert np.linalg.norm(across.mean(axis=0)) <= 5.0 * np.sqrt((across**2).sum(axis=1).mean() / n) + 1e-15
    if d == 3 and kappa == 2.0:
        # mu'x of three columns has an exponential density
        assert sps.kstest(along, lambda t: (np.exp(kappa * t) - np.exp(-kappa)) / (2 * np.sinh(kappa))).pvalue > 1e-3


# --- mixtures -------------------------------------------------------------------------------------


@cells
@concentrations
def test_planted_groups_are_found(cell, concentration):
    X, group = planted()
    mixture = CELLS[cell].__class__(**{**CELLS[cell].get_params(deep=False), "family": VonMisesFisher(concentration)})
    mixture.fit(X)
    assert adjusted_rand_score(group, mixture.labels_) > 0.95
    rows, labels = mixture.sample(1000, random_state=0)
    assert adjusted_rand_score(labels, mixture.predict(rows)) > 0.95
    assert mixture.means_.shape == (4, 8)
    assert mixture.concentrations_.shape == (4,)
    np.testing.assert_allclose(mixture.concentrations_, 40.0, rtol=0.15)
    assert np.ptp(mixture.concentrations_) == 0.0 or concentration == "free"
    n_free = {"free": 4, "common": 1}.get(concentration, 0)
    assert mixture.family_.n_parameters(8, 4) == 4 * 7 + n_free


def test_great_concentration_is_spherical_k_means():
    rng = np.random.default_rng(3)
    X = normalize(rng.normal(size=(300, 4)))
    start = np.arange(300) % 5
    mixture = ICMMixture(5, family=VonMisesFisher(1e6), update="mle", init=start).fit(X)
    centres = np.stack([X[start == k].sum(axis=0) for k in range(5)])
    for _ in range(200):
        labels = (X @ normalize(centres).T).argmax(axis=1)
        centres = np.stack([X[labels == k].sum(axis=0) for k in range(5)])
    # components are numbered by their first row
    assert adjusted_rand_score(labels, mixture.labels_) == 1.0


def test_float32_rows_are_taken_as_they_are():
    X, group = planted(d=100, kappa=300.0)
    mixture = EMMixture(4, family=VonMisesFisher(), random_state=0).fit(X.astype(np.float32))
    assert adjusted_rand_score(group, mixture.labels_) > 0.95
    np.testing.assert_allclose(np.linalg.norm(mixture.means_, axis=1), 1.0, rtol=1e-14)


def test_rows_of_another_norm_are_named():
    X = planted()[0]
    X[17] *= 1.01
    for estimator in CELLS.values():
        mixture = type(estimator)(4, family=VonMisesFisher())
        with pytest.raises(ValueError, match=r"row 17 of X has norm 1.01: .*sklearn.preprocessing.normalize"):
            mixture.fit(X)
    mixture = EMMixture(4, family=VonMisesFisher()).fit(normalize(X))
    with pytest.raises(ValueError, match=r"row 17 of X has norm 1\.01"):
        mixture.predict(X)
    X[17] = 0.0
    with pytest.raises(ValueError, match=r"row 17 of X has norm 0: .*rows of zeros"):
        EMMixture(4, family=VonMisesFisher()).fit(X)


def test_posteriors_are_refused():
    with pytest.raises(TypeError, match="offers no expect, log_normalizer"):
        BayesianKMeans(2, family=VonMisesFisher()).fit(planted()[0])


@pytest.mark.parametrize("concentration", ["free", "common"])
def test_equal_rows_rest_on_the_bound_with_a_warning(concentration):
    X = np.repeat(np.eye(3)[:2], 10, axis=0)
    with pytest.warns(DegenerateComponentWarning, match="without spread"):
        mixture = EMMixture(2, family=VonMisesFisher(concentration), random_state=0).fit(X)
    assert mixture.degenerate_
    np.testing.assert_array_equal(mixture.concentrations_, MOST_CONCENTRATED)
    assert not MAPMixture(2, family=VonMisesFisher(concentration), random_state=0).fit(X).degenerate_
    assert not EMMixture(2, family=VonMisesFisher(5.0), random_state=0).fit(X).degenerate_


def test_a_row_alone_is_no_cluster():
    X = np.vstack([planted(300)[0], -np.eye(8)[:1]])
    mixture = EMMixture(4, family=VonMisesFisher(), random_state=0).fit(X)
    assert not mixture.degenerate_
    assert np.bincount(mixture.labels_).min() > 50


def test_opposite_rows_are_uniform():
    X = np.vstack([np.eye(3), -np.eye(3)])
    mixture = EMMixture(1, family=VonMisesFisher()).fit(X)
    assert mixture.concentrations_[0] == pytest.approx(0.0, abs=1e-12)
    np.testing.assert_allclose(mixture.score_samples(X), -np.log(4.0 * np.pi), rtol=1e-12)


def test_prior_rows_draw_concentrations_down():
    X, _ = planted(40)
    found = [
        MAPMixture(4, family=VonMisesFisher(rows_prior=rows), random_state=0).fit(X).concentrations_.max()
        for rows in (1e-9, 1.0, 10.0)
    ]
    most_likely = EMMixture(4, family=VonMisesFisher(), random_state=0).fit(X).concentrations_.max()
    assert found[0] == pytest.approx(most_likely, rel=1e-6)
    assert found[0] > found[1] > found[2]


def test_known_parameters_make_a_mixture():
    means, kappa = np.eye(3)[:2], np.array([5.0, 0.5])
    mixture = EMMixture.from_parameters(family=VonMisesFisher(), means=means, concentrations=kappa, weights=[0.3, 0.7])
    X = normalize(np.random.default_rng(0).normal(size=(20, 3)))
    density = [sps.vonmises_fisher(*point).pdf(X) for point in zip(means, kappa, strict=True)]
    np.testing.assert_allclose(mixture.score_samples(X), np.log(0.3 * density[0] + 0.7 * density[1]), rtol=1e-10)
    with pytest.raises(ValueError, match="means must be unit vectors"):
        EMMixture.from_parameters(family=VonMisesFisher(), means=2.0 * means, concentrations=kappa)
    with pytest.raises(ValueError, match="concentrations must lie within"):
        EMMixture.from_parameters(family=VonMisesFisher(), means=means, concentrations=-kappa)


def test_model_choice_finds_the_number_of_groups():
    X, group = planted(400, kappa=30.0)
    family = VonMisesFisher("common")
    bic = [EMMixture(K, family=family, random_state=0).fit(X).bic(X) for K in range(1, 7)]
    assert np.argmin(bic) + 1 == 4
    search = GridSearchCV(
        EMMixture(family=VonMisesFisher(), random_state=0),
        {"n_components": [2, 4], "family__concentration": ["common", 30.0]}, cv=3,
    ).fit(X)  # fmt: skip
    assert search.best_params_["n_components"] == 4
    chosen = MixtureSelection(EMMixture(family=VonMisesFisher()), n_components=range(2, 6), random_state=0).fit(X)
    assert adjusted_rand_score(group, chosen.predict(X)) > 0.95
    assert chosen.best_estimator_.family.concentration == "common"


def test_starts_are_those_of_k_means_on_the_rows():
    X, _ = planted(200)
    labels = KMeans(4, n_init=1, random_state=0).fit(X).labels_
    given = EMMixture(4, family=VonMisesFisher(), init=labels).fit(X)
    for init in ("k-means", "k-means++", "random", "portfolio"):
        mixture = EMMixture(4, family=VonMisesFisher(), init=init, n_init=3, random_state=0).fit(X)
        assert mixture.lower_bound_ == pytest.approx(given.lower_bound_, rel=1e-6)


@pytest.mark.parametrize("concentration", ["free", "common"])
@pytest.mark.parametrize("d", [5, 60])
def test_groups_are_merged_by_what_their_likelihoods_lose(concentration, d, monkeypatch):
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(12), 10).astype(np.int32)
    X = normalize(np.repeat(rng.normal(size=(3, d)), 40, axis=0) + 0.6 * rng.normal(size=(120, d)))
    family = VonMisesFisher(concentration).bind(summarize(X, None, None))
    stats = Source(X, None, family).assign_given(12, codes=group).stats
    np.testing.assert_allclose(family.worth(stats), family.log_likelihood(family.mle(stats), stats), rtol=1e-12)
    # in no more columns than there are groups
    widths, worth = set(), VonMisesFisher.worth
    monkeypatch.setattr(VonMisesFisher, "worth", lambda self, own: widths.add(own.total.shape[1]) or worth(self, own))
    np.testing.assert_array_equal(family.agglomerate(stats, 3), np.repeat(np.arange(3), 4))
    assert widths == {min(d, 12)}
