"""Negative binomial counts whose dispersion is fitted."""

import mpmath
import numpy as np
import pytest
from scipy import optimize, sparse
from scipy import stats as sps
from sklearn.base import clone
from sklearn.metrics import adjusted_rand_score

from skem import EMMixture, GibbsMixture, ICMMixture, MAPMixture, MixtureSelection
from skem.families import NegativeBinomial, Poisson
from skem.families.dispersion import MOST_COUNT, PLACES, excess, find_root, histograms, slope_of_excess

MEANS, DISPERSIONS = np.array([[2.0, 8.0], [60.0, 400.0]]), np.array([[0.2, 1.0], [0.5, 0.1]])
options = pytest.mark.parametrize("dispersion", ["free", "columns", "common"])


def drawn(dispersions=DISPERSIONS, n=3000, seed=0):
    """Rows of two groups, and the groups."""
    rng = np.random.default_rng(seed)
    group = np.arange(n) % 2
    rate = rng.gamma(1.0 / dispersions[group], (MEANS * dispersions)[group])
    return rng.poisson(rate).astype(float), group


# --- what is summed over rows ---------------------------------------------------------------------


@pytest.mark.parametrize("dispersion", [0.0, 1e-8, 1e-4, 0.02, 0.7, 100.0])
def test_histograms_tell_log_gamma_functions(dispersion):
    x = np.concatenate([np.arange(300), np.geomspace(300, MOST_COUNT - 1, 200).round(), 2.0 ** np.arange(7, 31)])
    found = histograms(x[:, None]) @ excess(np.array([dispersion]), PLACES)
    expected = np.zeros(len(x))
    if dispersion:
        with mpmath.workdps(40):
            r = 1 / mpmath.mpf(dispersion)
            expected[:] = [mpmath.loggamma(v + r) - mpmath.loggamma(r) - v * mpmath.log(r) for v in x.tolist()]
    # where the dispersion is small, terms of the size of x cancel
    assert (np.abs(found - expected) <= 1e-13 * np.maximum(np.abs(expected), 1.0) + 4e-15 * x).all()


def test_slopes_are_those_of_the_excess():
    x, step = np.array([2.0, 30.0, 5e3, 1e6]), 1e-4
    for dispersion in (1e-6, 1e-3, 0.3, 40.0):
        ends = [excess(np.array([dispersion * (1.0 + sign * step)]), x) for sign in (1, -1)]
        numeric = (ends[0] - ends[1]) / (2.0 * step * dispersion)
        np.testing.assert_allclose(slope_of_excess(np.array([dispersion]), x), numeric, rtol=1e-5)
        assert slope_of_excess(np.array([dispersion]), np.ones(1)) == pytest.approx(0.0, abs=1e-9)


def test_roots_are_found_or_rest_at_the_ends():
    at = np.array([1e-12, 1e-8, 0.3, 7.0, 1e4])
    found = find_root(lambda v: 1.0 - v / at, 1e-6, 1e3, np.full(5, 0.5))
    np.testing.assert_allclose(found, np.clip(at, 1e-6, 1e3), rtol=1e-12)


def test_sums_are_additive_and_rows_of_csr_alike():
    X = drawn(n=50)[0]
    T = histograms(X)
    np.testing.assert_allclose((T @ np.tile(PLACES, 2)), X.sum(axis=1), rtol=1e-13)
    np.testing.assert_array_equal(T.toarray(), histograms(sparse.csr_array(X)).toarray())


# --- optima ---------------------------------------------------------------------------------------


@options
def test_one_component_is_scipys_optimum(dispersion):
    X, _ = drawn()
    weight = np.random.default_rng(1).uniform(0.1, 3.0, size=len(X))
    mixture = EMMixture(1, family=NegativeBinomial(dispersion)).fit(X, sample_weight=weight)
    mean = np.average(X, axis=0, weights=weight)
    np.testing.assert_allclose(mixture.means_[0], mean, rtol=1e-12)

    def loss(log_r, columns):
        r = np.exp(log_r)
        return -sum(weight @ sps.nbinom.logpmf(X[:, j], r, r / (r + mean[j])) for j in columns)

    groups = [[0, 1]] if dispersion == "common" else [[0], [1]]
    for columns in groups:
        best = optimize.minimize_scalar(loss, bracket=(-1.0, 1.0), args=(columns,), options={"xtol": 1e-10})
        np.testing.assert_allclose(mixture.dispersions_[0, columns], np.exp(-best.x), rtol=1e-6)
    r = 1.0 / mixture.dispersions_[0]
    expected = sps.nbinom.logpmf(X, r, r / (r + mean)).sum(axis=1)
    np.testing.assert_allclose(mixture.score_samples(X), expected, rtol=1e-11)


@pytest.mark.parametrize("estimator", [EMMixture(2), MAPMixture(2), ICMMixture(2), ICMMixture(2, update="mle")])
def test_planted_dispersions_are_recovered(estimator):
    X, group = drawn()
    mixture = clone(estimator).set_params(family=NegativeBinomial("free"), random_state=0).fit(X)
    order = np.argsort(mixture.means_[:, 0])
    assert adjusted_rand_score(group, mixture.labels_) > 0.95
    np.testing.assert_allclose(mixture.means_[order], MEANS, rtol=0.08)
    np.testing.assert_allclose(mixture.dispersions_[order], DISPERSIONS, rtol=0.25)
    assert (np.diff(mixture.lower_bounds_) >= -1e-12 * abs(mixture.lower_bound_)).all()


def test_shared_dispersions_are_shared():
    X, _ = drawn(np.full((2, 2), 0.3))
    make = EMMixture(2, init="k-means", random_state=0)
    found = {name: clone(make).set_params(family=NegativeBinomial(name)).fit(X) for name in ("columns", "common")}
    for mixture in found.values():
        assert (np.ptp(mixture.dispersions_, axis=0) == 0).all()
        np.testing.assert_allclose(mixture.dispersions_, 0.3, rtol=0.15)
    assert np.ptp(found["common"].dispersions_) == 0
    assert found["columns"].lower_bound_ > found["common"].lower_bound_
    n_free = [
        EMMixture(2, family=NegativeBinomial(name)).family.n_parameters(2, 2) for name in ("free", "columns", "common")
    ]
    assert n_free == [8, 6, 5]


@options
def test_never_below_the_poisson_fit_which_is_the_limit(dispersion):
    rng = np.random.default_rng(2)
    X = np.vstack([rng.binomial(20, 0.3, size=(200, 2)), rng.binomial(60, 0.6, size=(200, 2))]).astype(float)
    poisson = EMMixture(2, family=Poisson(), random_state=0).fit(X)
    mixture = EMMixture(2, family=NegativeBinomial(dispersion), random_state=0).fit(X)
    # less spread than Poisson's
    np.testing.assert_array_equal(mixture.dispersions_, 0.0)
    assert mixture.lower_bound_ == pytest.approx(poisson.lower_bound_, abs=1e-9)
    np.testing.assert_allclose(mixture.score_samples(X), poisson.score_samples(X), rtol=1e-6)
    assert mixture.sample(50, random_state=0)[0].shape == (50, 2)
    X = rng.poisson(np.exp(rng.normal(2.0, 1.0, size=(100, 2)))).astype(float)
    poisson = EMMixture(2, family=Poisson(), random_state=0, init="k-means").fit(X)
    mixture = EMMixture(2, family=NegativeBinomial(dispersion), random_state=0, init="k-means").fit(X)
    assert mixture.lower_bound_ > poisson.lower_bound_ + 0.1


def test_bounds_hold():
    X, _ = drawn()
    family = NegativeBinomial("free", bounds=(0.3, 0.6))
    found = EMMixture(2, family=family, random_state=0).fit(X).dispersions_
    assert (found.min(), found.max()) == (pytest.approx(0.3), pytest.approx(0.6))
    with pytest.raises(ValueError, match="bounds="):
        EMMixture(2, family=NegativeBinomial("free", bounds=(1.0, 0.5))).fit(X)


# --- as any family --------------------------------------------------------------------------------


def test_weights_are_repetitions_and_csr_is_dense():
    X, _ = drawn(n=200)
    weight = np.random.default_rng(0).integers(0, 4, size=len(X))
    mixture = EMMixture(2, family=NegativeBinomial("free"), random_state=0)
    whole = clone(mixture).fit(np.repeat(X, weight, axis=0))
    for rows in (X, sparse.csr_array(X)):
        other = clone(mixture).fit(rows, sample_weight=weight)
        np.testing.assert_allclose(other.dispersions_, whole.dispersions_, rtol=1e-8)
        np.testing.assert_allclose(other.means_, whole.means_, rtol=1e-9)
        np.testing.assert_allclose(other.score_samples(rows), whole.score_samples(X), rtol=1e-9)


@pytest.mark.filterwarnings("error")
def test_the_unit_of_weights_does_not_matter():
    X = drawn(n=60)[0]
    fits = [
        EMMixture(2, family=NegativeBinomial("free"), init=X[:, 0] > 5).fit(X, sample_weight=np.full(len(X), w))
        for w in (1.0, 1e160)
    ]
    np.testing.assert_allclose(fits[0].dispersions_, fits[1].dispersions_, rtol=1e-6)


@pytest.mark.parametrize("accelerate", ["anderson", "squarem"])
def test_extrapolation_ends_where_plain_runs_do(accelerate):
    X, _ = drawn(n=400)
    plain = EMMixture(3, family=NegativeBinomial("columns"), random_state=0, init="k-means").fit(X)
    fast = clone(plain).set_params(accelerate=accelerate).fit(X)
    assert fast.lower_bound_ >= plain.lower_bound_ - 1e-6


def test_batches_and_new_rows():
    X, _ = drawn(n=900)
    mixture = EMMixture(2, family=NegativeBinomial("free"), random_state=0)
    for start in range(0, 900, 300):
        mixture.partial_fit(X[start : start + 300])
    np.testing.assert_allclose(np.sort(mixture.means_[:, 1]), MEANS[:, 1], rtol=0.2)
    assert np.isfinite(mixture.score_samples(1000.0 * X)).all()


def test_known_parameters_make_a_mixture():
    mixture = EMMixture.from_parameters(
        family=NegativeBinomial("free"), means=MEANS, dispersions=DISPERSIONS, weights=[0.3, 0.7]
    )
    X, r = drawn(n=40)[0], 1.0 / DISPERSIONS
    density = sps.nbinom.pmf(X[:, None], r, r / (r + MEANS)).prod(axis=2)
    np.testing.assert_allclose(mixture.score_samples(X), np.log(density @ [0.3, 0.7]), rtol=1e-11)
    np.testing.assert_allclose(mixture.marginal([1]).dispersions_, DISPERSIONS[:, 1:])
    assert mixture.conditional([0], [3.0]).means_.shape == (2, 1)
    with pytest.raises(ValueError, match="built from means and dispersions"):
        EMMixture.from_parameters(family=NegativeBinomial("free"), means=MEANS)
    with pytest.raises(ValueError, match="dispersions go with a fitted dispersion"):
        EMMixture.from_parameters(family=NegativeBinomial(0.5), means=MEANS, dispersions=DISPERSIONS)
    with pytest.raises(ValueError, match="dispersions must be >= 0"):
        EMMixture.from_parameters(family=NegativeBinomial("free"), means=MEANS, dispersions=-DISPERSIONS)


def test_bic_chooses_between_poisson_known_and_fitted():
    X, _ = drawn(n=300)
    families = [Poisson(), NegativeBinomial(0.02), NegativeBinomial("common"), NegativeBinomial("free")]
    chosen = MixtureSelection(n_components=[1, 2], families=families, random_state=0).fit(X)
    assert (chosen.best_estimator_.family.dispersion, chosen.n_components_) == ("free", 2)


def test_what_is_refused():
    X = drawn(n=40)[0]
    with pytest.raises(TypeError, match=r"NegativeBinomial\(dispersion='free'\) has no .*offers no draw"):
        GibbsMixture(2, family=NegativeBinomial("free")).fit(X)
    with pytest.raises(ValueError, match="n_active=1 needs a family whose features are compiled"):
        EMMixture(2, family=NegativeBinomial("free"), n_active=1).fit(X)
    X[3, 1] = MOST_COUNT
    with pytest.raises(ValueError, match=r"X\[3, 1\] = .*counts up to 2147483647; give NegativeBinomial\(\) the"):
        EMMixture(2, family=NegativeBinomial("free")).fit(X)
    assert np.isfinite(EMMixture(2, family=NegativeBinomial(0.5)).fit(X).lower_bound_)
