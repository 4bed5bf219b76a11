"""Data that cannot bear their model: a finite model and one named warning, never an exception.

What counts as flat depends on the covariance structure. "full" and "tied" need rows that span all
directions (no constant, repeated or dependent column, more rows than columns); "diag" and "EEI" need
spread in each column on its own; "spherical" and "EII" only rows that are not all one. Maximum likelihood looks at each
component's rows; where a prior holds components up, only the data as a whole can be flat. Fewer
distinct rows than components are named by every estimator.
"""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score

import skem
from skem import (
    BayesianKMeans,
    EMMixture,
    GibbsMixture,
    ICMMixture,
    MAPMixture,
    MixtureSelection,
    VariationalMixture,
)
from skem._kernels.gaussian import moments
from skem.exceptions import DegenerateComponentWarning
from skem.families import Gaussian, Poisson, Product
from skem.families.covariance.full import Full
from skem.starts import INITS
from skem.summary import summarize

GENERAL = [EMMixture, MAPMixture, VariationalMixture, BayesianKMeans, ICMMixture]
DROPINS = [skem.GaussianMixture, skem.BayesianGaussianMixture]
CLASSIC = ["full", "tied", "diag", "spherical"]
COVARIANCE_TYPES = [*CLASSIC, "EEI", "EII"]
SHARED = ("tied", "EEI", "EII")
NEEDS_ALL_DIRECTIONS = ("full", "tied")
NEEDS_ALL_COLUMNS = ("full", "tied", "diag", "EEI")


def healthy():
    rng = np.random.default_rng(0)
    return rng.standard_normal((120, 3)) + 6 * rng.integers(0, 3, (120, 1))


def with_column(j, offset=0.0, coefficients=(0.0, 0.0, 0.0)):
    X = healthy()
    X[:, j] = X @ coefficients + offset
    return X


# name: rows, number of components, structures for which the data as a whole are flat
DATA = {
    "constant column": (with_column(1, offset=7.0), 3, NEEDS_ALL_COLUMNS),
    "column of zeros": (with_column(1), 3, NEEDS_ALL_COLUMNS),
    "duplicate column": (with_column(2, coefficients=(1, 0, 0)), 3, NEEDS_ALL_DIRECTIONS),
    "collinear columns": (with_column(2, coefficients=(1, 2, 0)), 3, NEEDS_ALL_DIRECTIONS),
    "identical rows": (np.full((50, 3), 2.5), 3, COVARIANCE_TYPES),
    "rows of zeros": (np.zeros((50, 3)), 3, COVARIANCE_TYPES),
    "two distinct rows": (np.repeat([[0.0, 1, 2], [3, 5, 9]], 20, axis=0), 5, COVARIANCE_TYPES),
    "fewer rows than columns": (
        np.random.default_rng(1).standard_normal((8, 20)),
        3,
        NEEDS_ALL_DIRECTIONS,
    ),
}


def fit(estimator, X, sample_weight=None):
    """Fit and return the categories of the warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        estimator.fit(X) if sample_weight is None else estimator.fit(X, sample_weight=sample_weight)
    return [warning.category for warning in caught]


def assert_finite(estimator, X):
    for name, value in vars(estimator).items():
        if name.endswith("_") and isinstance(value, float | np.ndarray):
            assert np.isfinite(value).all(), name
    resp = estimator.predict_proba(X)
    assert np.abs(resp.sum(axis=1) - 1.0).max() < 1e-12
    assert np.isfinite(estimator.score_samples(X)).all()


def make(cls, covariance_type, n_components, **parameters):
    if cls in DROPINS:
        return cls(n_components=n_components, covariance_type=covariance_type, random_state=0)
    return cls(n_components, family=Gaussian(covariance_type), random_state=0, **parameters)


@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
@pytest.mark.parametrize("cls", GENERAL)
@pytest.mark.parametrize("name", DATA)
def test_flat_data_give_a_finite_model_and_one_warning(name, cls, covariance_type):
    X, n_components, flat = DATA[name]
    for init in INITS:
        estimator = make(cls, covariance_type, n_components, init=init)
        found = fit(estimator, X)
        assert_finite(estimator, X)
        if covariance_type in flat:
            assert found == [DegenerateComponentWarning]
        else:
            # a single row is flat for maximum likelihood, and ICM may empty a component
            assert found in ([], [DegenerateComponentWarning])
            assert not found or cls in (EMMixture, ICMMixture)


@pytest.mark.parametrize("covariance_type", CLASSIC)
@pytest.mark.parametrize("cls", DROPINS)
@pytest.mark.parametrize("name", DATA)
def test_dropins_on_flat_data(name, cls, covariance_type):
    X, n_components, flat = DATA[name]
    estimator = make(cls, covariance_type, n_components)
    found = fit(estimator, X)
    # scikit-learn's rule of convergence is theirs to keep, and its warning with it
    found = [category for category in found if category is not ConvergenceWarning]
    assert_finite(estimator, X)
    if covariance_type in flat:
        assert found == [DegenerateComponentWarning]


@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
@pytest.mark.parametrize("name", DATA)
def test_gibbs_on_flat_data(name, covariance_type):
    X, n_components, flat = DATA[name]
    estimator = skem.GibbsMixture(
        n_components,
        family=Gaussian(covariance_type),
        n_chains=1,
        n_draws=20,
        n_burn_in=20,
        random_state=0,
    )
    found = fit(estimator, X)
    assert_finite(estimator, X)
    assert found.count(DegenerateComponentWarning) == (covariance_type in flat)


@pytest.mark.parametrize("cls", GENERAL)
def test_fewer_distinct_counts_than_components(cls):
    X = np.repeat([[0, 3], [5, 1]], 10, axis=0)
    estimator = cls(4, family=Poisson(), random_state=0)
    assert fit(estimator, X) == [DegenerateComponentWarning]
    assert_finite(estimator, X)


def test_rows_without_weight_are_not_distinct_rows():
    X = healthy()
    weight = np.zeros(len(X))
    weight[:2] = 30.0
    assert summarize(X, weight, "affine").n_distinct == 2
    estimator = make(VariationalMixture, "spherical", 3)
    assert fit(estimator, X, np.where(np.arange(len(X)) < 2, 30.0, 0.0)) == [DegenerateComponentWarning]
    # a column is constant where its rows with weight say so
    X[:2, 1] = 4.0
    assert summarize(X, weight, "affine").constant.tolist() == [False, True, False]


@pytest.mark.parametrize("cls", GENERAL)
def test_constant_columns_do_not_set_the_unit_of_spherical_components(cls):
    X = np.column_stack([healthy(), np.full(120, 5.0)])
    near = make(cls, "spherical", 3)
    assert fit(near, X) == []
    X[:, 3] += 1e9
    far = make(cls, "spherical", 3)
    assert fit(far, X) == []
    np.testing.assert_array_equal(far.labels_, near.labels_)
    assert far.lower_bound_ == pytest.approx(near.lower_bound_, rel=1e-9)


@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_one_wild_value_among_mostly_equal_ones_does_not_set_the_unit(covariance_type):
    rng = np.random.default_rng(0)
    column = np.where(rng.random(300) < 0.6, 0.0, rng.standard_normal(300) + 5.0)
    column[0] = 1e12
    summary = summarize(column[:, None], None, "columns")
    assert 1.0 <= summary.scale[0] <= 16.0
    X = np.column_stack([column, rng.standard_normal(300) + 8 * (np.arange(300) % 2)])
    estimator = make(VariationalMixture, covariance_type, 3)
    fit(estimator, X)
    assert_finite(estimator, X)


def test_icm_by_maximum_likelihood_flags_single_components():
    X = np.vstack([healthy(), np.full((30, 3), 40.0)])
    labels = np.r_[np.zeros(120, dtype=int), np.ones(30, dtype=int)]
    estimator = ICMMixture(2, update="mle", init=labels)
    assert fit(estimator, X) == [DegenerateComponentWarning]
    assert estimator.degenerate_
    assert fit(ICMMixture(2, init=labels), X) == []


@pytest.mark.parametrize(
    "cell",
    [EMMixture(), BayesianKMeans(), GibbsMixture(n_draws=5), EMMixture(family=Product()), skem.GaussianMixture(2)],
    ids=repr,
)
def test_constant_columns_are_called_by_name(cell):
    X = pd.DataFrame(healthy()).assign(unit=2.5).rename(columns=str)
    with pytest.warns(DegenerateComponentWarning, match=r"\(constant: unit\)"):
        cell.fit(X[["0", "unit", "1"]])
    with pytest.warns(DegenerateComponentWarning, match=r"\(constant: feature 1\)"):
        cell.fit(X[["0", "unit", "1"]].to_numpy())


def test_levels_and_flags_that_never_change_are_no_constant_columns():
    X = pd.DataFrame({"flag": [1] * 20, "level": ["a"] * 20, "size": np.arange(20.0), "unit": [0.5] * 20})
    with pytest.warns(DegenerateComponentWarning, match=r"\(constant: unit\)"):
        EMMixture(family=Product()).fit(X)


def test_what_to_do_goes_with_what_was_found():
    with pytest.warns(DegenerateComponentWarning, match=r"have data.*determine$"):
        BayesianKMeans().fit(with_column(1, offset=7.0))
    with pytest.warns(DegenerateComponentWarning, match=r"1 of 2 components.*: lower n_components, or try more starts"):
        ICMMixture(2, init=np.zeros(120, dtype=int)).fit(healthy())


@pytest.mark.parametrize(("j", "why"), [(1, "constant: b"), (2, "few distinct rows, or columns")])
def test_a_selection_names_what_flat_data_leave_out(j, why):
    X = pd.DataFrame(with_column(j, coefficients=(1, 0, 0) if j == 2 else (0, 0, 0)), columns=["a", "b", "c"])
    families = [Gaussian("full"), Gaussian("spherical"), Gaussian("tied")]
    selection = MixtureSelection(n_components=[1, 2], families=families, random_state=0)
    with pytest.warns(DegenerateComponentWarning, match=rf"of full, tied are degenerate.*\({why}"):
        selection.fit(X)
    assert selection.best_params_["family"].covariance_type == "spherical"


def test_healthy_data_warn_of_nothing():
    for cls in [*GENERAL, *DROPINS]:
        for covariance_type in CLASSIC if cls in DROPINS else COVARIANCE_TYPES:
            assert fit(make(cls, covariance_type, 3), healthy()) == []


def outlier_cases():
    for cls in GENERAL:
        for covariance_type in COVARIANCE_TYPES:
            # Under a conjugate prior the outlier's distance to the prior mean goes into the scatter that
            # components share, and drowns it: maximum likelihood alone can keep one covariance for all.
            if covariance_type not in SHARED or cls is EMMixture:
                yield cls, covariance_type
    for cls in DROPINS[:1]:
        for covariance_type in CLASSIC:
            yield cls, covariance_type


@pytest.mark.parametrize(("cls", "covariance_type"), list(outlier_cases()))
@pytest.mark.parametrize("d", [1, 2, 3])
def test_one_row_very_far_out_leaves_the_others_alone(cls, covariance_type, d):
    rng = np.random.default_rng(0)
    group = np.repeat([0, 1, 2], 60)
    centers = np.array([[0, 0, 0], [8, 0, 3], [18, 9, -3]])[:, :d]
    X = rng.standard_normal((180, d)) + centers[group]
    for outlier in [np.full(d, 1e12), np.r_[-1e12, np.zeros(d - 1)]]:
        estimator = make(cls, covariance_type, 4).set_params(n_init=5)
        with warnings.catch_warnings():
            # the outlier's own component is flat
            warnings.simplefilter("ignore", DegenerateComponentWarning)
            labels = estimator.fit_predict(np.vstack([X, outlier]))
        assert adjusted_rand_score(group, labels[:-1]) == 1.0
        assert labels[-1] not in labels[:-1]
        assert_finite(estimator, X)


@pytest.mark.parametrize("covariance_type", ["full", "diag", "spherical"])
def test_one_row_very_far_out_in_a_sampler(covariance_type):
    rng = np.random.default_rng(0)
    group = np.repeat([0, 1, 2], 60)
    X = rng.standard_normal((180, 2)) + np.array([[0, 0], [8, 0], [18, 9]])[group]
    X = np.vstack([X, np.full(2, 1e12)])
    estimator = skem.GibbsMixture(
        4, family=Gaussian(covariance_type), n_chains=8, n_draws=20, n_burn_in=20, random_state=0
    )
    assert set(fit(estimator, X)) <= {DegenerateComponentWarning}
    assert adjusted_rand_score(group, estimator.labels_[:-1]) == 1.0
    assert estimator.labels_[-1] not in estimator.labels_[:-1]
    assert_finite(estimator, X)


@pytest.mark.parametrize("cls", [MAPMixture, VariationalMixture, BayesianKMeans, ICMMixture])
def test_tied_prior_with_one_row_very_far_out_is_finite(cls):
    X = np.vstack([healthy(), np.full((1, 3), 1e12)])
    estimator = make(cls, "tied", 4)
    fit(estimator, X)
    assert_finite(estimator, X)


@pytest.mark.parametrize("structure", ["full", "tied"])
def test_rows_that_are_all_one_scatter_by_nothing(structure):
    z = np.random.default_rng(0).standard_normal((200, 3))
    i, j = np.tril_indices(3)
    pairs = z[:, i] * z[:, j]
    sums = np.hstack([z + z + z, pairs + pairs + pairs])
    scatter = moments(structure, np.full(200, 3.0), sums, None, None, 3)[2]
    assert np.einsum("...ii->...i", scatter).min() == 0.0


def test_singular_scatters_are_held_up_together(monkeypatch):
    # of heavy rows every pair of clusters has one, and a search looks at thousands
    rows = np.random.default_rng(0).standard_normal((40, 2, 4))
    scatter = np.swapaxes(rows, 1, 2) @ rows
    alone = [Full().factorize(one[None]) for one in scatter]
    calls, eigh = [], np.linalg.eigh
    monkeypatch.setattr(np.linalg, "eigh", lambda matrices: calls.append(1) or eigh(matrices))
    factor, log_det = Full().factorize(scatter)
    assert len(calls) == 1
    np.testing.assert_array_equal(factor, [one[0][0] for one in alone])
    np.testing.assert_array_equal(log_det, [one[1][0] for one in alone])


def test_clusters_on_copies_are_warned_of():
    X = np.random.default_rng(0).standard_normal((30, 2))
    with pytest.warns(DegenerateComponentWarning, match=r"30 distinct rows among 600, and \d+ clusters.*sample_weight"):
        found = BayesianKMeans(random_state=0).fit(np.repeat(X, 20, axis=0))
    assert found.n_components_ > 10


def test_rows_that_are_all_one_are_one_cluster_and_no_copies():
    with pytest.warns(DegenerateComponentWarning) as warned:
        assert BayesianKMeans().fit(np.ones((50, 2))).n_components_ == 1
    assert len(warned) == 1


@pytest.mark.parametrize("family", [None, Poisson(), Gaussian("diag")], ids=["full", "counts", "diag"])
def test_rows_that_repeat_are_no_copies_where_clusters_are_few(family):
    # counts, and measurements in coarse steps, of two groups
    X = np.random.default_rng(0).poisson(4.0, (400, 1)) + np.repeat([[0.0], [30.0]], 200, axis=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert BayesianKMeans(family=family, random_state=0).fit(X).n_components_ <= 3
