"""BayesianGaussianMixture against scikit-learn's, the general estimator and what scikit-learn's tests ask of it."""

import warnings

import numpy as np
import pytest
import sklearn.mixture
from scipy.special import gammaln, multigammaln
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score
from sklearn.utils.estimator_checks import check_estimator

from skem import BayesianGaussianMixture, VariationalMixture
from skem.families import Gaussian

TYPES = ("full", "tied", "diag", "spherical")
PRIORS = ("dirichlet_process", "dirichlet_distribution")
READ = ("weight_concentration_", "means_", "precisions_cholesky_", "mean_precision_", "degrees_of_freedom_")
SHARED = (*READ, "weights_", "covariances_", "precisions_", "mean_prior_", "covariance_prior_", "lower_bounds_")
unconverged = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def clouds(seed=0, n=80, d=3, K=3, spread=3.0):
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(K), n)
    roots = np.eye(d) + 0.4 * rng.normal(size=(K, d, d))
    return np.einsum("nij,nj->ni", roots[y], rng.normal(size=(K * n, d))) + spread * rng.normal(size=(K, d))[y], y


def near(a, b, tol=1e-6):
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=tol, atol=tol)


def pair(labels, K, **settings):
    """scikit-learn's mixture and ours, both starting from given labels."""
    resp = np.eye(K)[labels]

    class Theirs(sklearn.mixture.BayesianGaussianMixture):
        def _initialize_parameters(self, X, random_state, xp=None):
            self._initialize(X, resp)

    class Own(BayesianGaussianMixture):
        def _given(self, source, rng):
            return source.assign_given(K, codes=labels)

    return Theirs(n_components=K, reg_covar=0.0, **settings), Own(n_components=K, reg_covar=0.0, **settings)


def rough_labels(y, seed=0):
    """Labels with a fifth of them wrong, so that there is a way to go."""
    rng = np.random.default_rng(seed)
    return np.where(rng.random(len(y)) < 0.2, rng.integers(0, y.max() + 1, size=len(y)), y).astype(np.int32)


# -- agreement ---------------------------------------------------------------------------------------


@unconverged
@pytest.mark.parametrize("given", [False, True], ids=["default priors", "given priors"])
@pytest.mark.parametrize("weight_prior", PRIORS)
@pytest.mark.parametrize("kind", ["full", "tied"])
def test_agrees_with_scikit_learn(kind, weight_prior, given):
    X, y = clouds()
    settings = {"covariance_type": kind, "weight_concentration_prior_type": weight_prior, "max_iter": 60, "tol": 1e-4}
    if given:
        settings |= {"weight_concentration_prior": 0.3, "mean_precision_prior": 0.2, "mean_prior": [1.0, 0.0, 2.0]}
        settings |= {"degrees_of_freedom_prior": 5.5, "covariance_prior": np.eye(3) + 0.5}
    theirs, own = (mixture.fit(X) for mixture in pair(rough_labels(y), 3, **settings))
    assert own.n_iter_ == theirs.n_iter_ > 3
    for name in SHARED[:-1]:
        near(getattr(own, name), getattr(theirs, name))
    near(own.predict_proba(X), theirs.predict_proba(X))
    gap = np.ravel(theirs.lower_bounds_) - own.lower_bounds_
    # scikit-learn's bound leaves constants out
    near(gap - gap[0], 0.0)
    if kind == "full":
        # for "tied" scikit-learn adds to every component's density one and the same wrong constant
        near(own.score_samples(X), theirs.score_samples(X))


@unconverged
@pytest.mark.parametrize("kind", ["diag", "spherical"])
def test_one_step_of_other_types_agrees(kind):
    X, y = clouds()
    theirs, own = (m.fit(X) for m in pair(y.astype(np.int32), 3, covariance_type=kind, max_iter=1))
    # the step's responsibilities come from the start, whose digammas differ; of its own posterior all else agrees
    for name in ("degrees_of_freedom_prior_", "mean_precision_prior_", "covariance_prior_", "mean_prior_"):
        near(getattr(own, name), getattr(theirs, name))
    near(own.covariances_, theirs.covariances_, 0.05)
    near(own.degrees_of_freedom_.sum(), theirs.degrees_of_freedom_.sum())


@unconverged
@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("weight_prior", PRIORS)
def test_agrees_with_the_general_estimator(kind, weight_prior):
    """Exact for every type: the same steps as VariationalMixture under the prior that the notes give."""
    X, y = clouds(1)
    K, d = 3, 3
    labels = rough_labels(y)
    # the general estimator puts sticks in the order of their masses
    labels = np.argsort(np.argsort(-np.bincount(labels), kind="stable"))[labels].astype(np.int32)
    settings = {"covariance_type": kind, "weight_concentration_prior_type": weight_prior, "tol": 0.0, "max_iter": 30}
    own = pair(labels, K, **settings)[1].fit(X)
    share = {"full": 1, "tied": K, "diag": 1, "spherical": d}[kind]
    family = Gaussian(
        kind,
        mean_prior=own.mean_prior_,
        mean_precision_prior=1.0,
        degrees_of_freedom_prior=share * d,
        covariance_prior=share * own.covariance_prior_,
    )
    general = VariationalMixture(
        K,
        family=family,
        init=labels,
        weight_prior=weight_prior.removesuffix("_distribution"),
        weight_concentration_prior=1 / K,
        tol=0.0,
        max_iter=30,
    ).fit(X)
    assert general.n_iter_ == own.n_iter_ == 30
    near(own.weights_, general.weights_, 1e-9)
    near(own.means_, general.means_, 1e-9)
    near(own.covariances_, general.covariances_, 1e-9)
    # its bound is taken after a pass, this one after an update: they take turns in rising
    bounds, between = len(X) * general.lower_bounds_, np.array(own.lower_bounds_)
    assert (bounds[:-1] <= between + 1e-9).all()
    assert (between <= bounds[1:] + 1e-9).all()


@pytest.mark.parametrize("kind", TYPES)
def test_bound_of_one_component_is_the_log_evidence(kind):
    X, _ = clouds(2, n=20)
    n, d = X.shape
    settings = {"weight_concentration_prior_type": "dirichlet_distribution", "reg_covar": 0.0}
    own = BayesianGaussianMixture(covariance_type=kind, **settings).fit(X)
    m0, S0 = X.mean(axis=0), own.covariance_prior_
    scatter = (X - m0).T @ (X - m0)
    if kind in ("full", "tied"):
        nu, S = d + n, S0 + scatter
        covariances = multigammaln(nu / 2, d) - multigammaln(d / 2, d)
        covariances += d / 2 * np.linalg.slogdet(S0)[1] - nu / 2 * np.linalg.slogdet(S)[1]
    elif kind == "diag":
        a0, b0, a, b = d / 2, S0 / 2, (d + n) / 2, (S0 + np.diag(scatter)) / 2
        covariances = (gammaln(a) - gammaln(a0) + a0 * np.log(b0) - a * np.log(b)).sum()
    else:
        a0, b0, a, b = d * d / 2, d * S0 / 2, d * (d + n) / 2, (d * S0 + np.trace(scatter)) / 2
        covariances = gammaln(a) - gammaln(a0) + a0 * np.log(b0) - a * np.log(b)
    constant = {"diag": 2 * np.pi, "spherical": 2 * np.pi}.get(kind, np.pi)
    evidence = covariances - d / 2 * np.log(1 + n) - n * d / 2 * np.log(constant)
    near(own.lower_bound_, evidence, 1e-10)


def test_signature_and_defaults_are_scikit_learns():
    theirs = sklearn.mixture.BayesianGaussianMixture
    assert BayesianGaussianMixture().get_params() == theirs().get_params()
    assert {name for name in dir(theirs) if name[0] != "_"} <= set(dir(BayesianGaussianMixture))
    fitted = [vars(c(n_components=2, max_iter=500).fit(clouds()[0])) for c in (theirs, BayesianGaussianMixture)]
    names = [{name for name in attributes if name[0] != "_"} for attributes in fitted]
    assert names[0] == names[1]


# -- what scikit-learn's tests ask -------------------------------------------------------------------


@unconverged
@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("weight_prior", PRIORS)
def test_bound_never_falls_without_the_regulariser(kind, weight_prior):
    X, _ = clouds(3, spread=1.0)
    settings = {"covariance_type": kind, "weight_concentration_prior_type": weight_prior, "tol": 0.0, "max_iter": 60}
    settings |= {"n_components": 4, "reg_covar": 0.0, "init_params": "random", "random_state": 0}
    own = BayesianGaussianMixture(**settings).fit(X)
    bounds = np.array(own.lower_bounds_)
    assert len(bounds) == 60
    assert (np.diff(bounds) >= -1e-11 * np.abs(bounds[:-1])).all()


@pytest.mark.parametrize("weight_prior", PRIORS)
def test_all_types_agree_in_one_dimension(weight_prior):
    X, y = clouds(4, d=1)
    settings = {"weight_concentration_prior_type": weight_prior, "tol": 1e-8, "max_iter": 2000}
    kinds = ("full", "diag", "spherical")
    fits = [pair(rough_labels(y), 3, covariance_type=kind, **settings)[1].fit(X) for kind in kinds]
    for other in fits[1:]:
        near(other.lower_bounds_, fits[0].lower_bounds_, 1e-9)
        near(np.ravel(other.covariances_), np.ravel(fits[0].covariances_), 1e-9)


@unconverged
@pytest.mark.parametrize("kind", TYPES)
def test_translation_moves_the_means_alone(kind):
    X, _ = clouds(5)
    X = np.ldexp(np.round(np.ldexp(X, 10)), -10)
    settings = {"n_components": 3, "covariance_type": kind, "random_state": 0}
    fits = [BayesianGaussianMixture(**settings).fit(X + offset) for offset in (0.0, 2.0**33)]
    near(fits[0].weights_, fits[1].weights_, 1e-9)
    near(fits[0].covariances_, fits[1].covariances_, 1e-9)
    near(fits[0].lower_bound_, fits[1].lower_bound_, 1e-9)
    near(fits[0].means_ + 2.0**33, fits[1].means_, 1e-12)


@pytest.mark.parametrize("weight_prior", PRIORS)
def test_weights_are_posterior_means(weight_prior):
    X, _ = clouds()
    m = BayesianGaussianMixture(n_components=3, weight_concentration_prior_type=weight_prior, max_iter=500).fit(X)
    near(m.weights_.sum(), 1.0, 1e-12)
    if weight_prior == "dirichlet_distribution":
        near(m.weights_, m.weight_concentration_ / m.weight_concentration_.sum(), 1e-12)
        near(m.weight_concentration_.sum(), len(X) + 1.0, 1e-9)
    else:
        a, b = m.weight_concentration_
        stick = a / (a + b)
        weights = stick * np.concatenate([[1.0], np.cumprod(1 - stick)[:-1]])
        near(m.weights_, weights / weights.sum(), 1e-12)
        near(b[-1], 1 / 3, 1e-12)


@unconverged
@pytest.mark.parametrize("kind", TYPES)
def test_surplus_components_stay_in_place(kind):
    X, y = clouds(6, spread=8.0)
    settings = {"covariance_type": kind, "max_iter": 500, "random_state": 0, "weight_concentration_prior": 1e-3}
    m = BayesianGaussianMixture(n_components=6, **settings)
    labels = m.fit_predict(X)
    assert m.means_.shape == (6, 3)
    assert (labels == m.predict(X)).all()
    assert adjusted_rand_score(y, labels) > 0.5


@unconverged
@pytest.mark.parametrize("kind", TYPES)
def test_warm_start_equals_one_long_run(kind):
    X, _ = clouds(7, spread=1.0)
    settings = {"n_components": 3, "covariance_type": kind, "tol": 0.0, "random_state": 0}
    long = BayesianGaussianMixture(**settings, max_iter=8).fit(X)
    short = BayesianGaussianMixture(**settings, max_iter=1, warm_start=True)
    bounds = []
    for _ in range(8):
        bounds += short.fit(X).lower_bounds_
    near(bounds, long.lower_bounds_, 1e-12)
    near(short.covariances_, long.covariances_, 1e-12)


@unconverged
@pytest.mark.parametrize("kind", TYPES)
def test_no_iterations_publish_the_start(kind):
    X, _ = clouds()
    settings = {"n_components": 3, "covariance_type": kind, "warm_start": True, "random_state": 0}
    m = BayesianGaussianMixture(**settings, max_iter=0).fit(X)
    assert m.n_iter_ == 0
    near(np.sum(m.mean_precision_), len(X) + 3, 1e-9)
    before = m.score_samples(X)
    near(m.fit(X).score_samples(X), before, 1e-12)


@pytest.mark.parametrize("kind", TYPES)
def test_predicts_from_public_attributes(kind):
    X, _ = clouds()
    fitted = BayesianGaussianMixture(n_components=3, covariance_type=kind, max_iter=500, random_state=0).fit(X)
    by_hand = BayesianGaussianMixture(n_components=3, covariance_type=kind)
    for name in (*READ, "weights_", "covariances_"):
        setattr(by_hand, name, getattr(fitted, name))
    near(by_hand.score_samples(X), fitted.score_samples(X), 1e-10)
    near(by_hand.predict_proba(X), fitted.predict_proba(X), 1e-10)
    by_hand.weight_concentration_ = np.ones((3, 3))
    with pytest.raises(ValueError, match="weight_concentration_"):
        by_hand.predict(X)


@unconverged
def test_more_starts_are_never_worse():
    X, _ = clouds(8, spread=1.0)
    settings = {"n_components": 4, "init_params": "random_from_data", "random_state": 0}
    bounds = [BayesianGaussianMixture(n_init=n, **settings).fit(X).lower_bound_ for n in (1, 4)]
    assert bounds[0] <= bounds[1]


def test_unconverged_fit_warns():
    with pytest.warns(ConvergenceWarning, match="did not converge"):
        BayesianGaussianMixture(n_components=3, max_iter=1).fit(clouds()[0])


@pytest.mark.parametrize(
    ("kind", "name", "value", "match"),
    [
        ("full", "degrees_of_freedom_prior", 2.0, "greater than 2"),
        ("full", "mean_prior", [0.0], "shape"),
        ("full", "covariance_prior", np.eye(2), "shape"),
        ("tied", "covariance_prior", -np.eye(3), "positive-definite"),
        ("diag", "covariance_prior", [1.0, 1.0, -1.0], "positive"),
        ("spherical", "covariance_prior", [1.0], "shape"),
        ("full", "mean_precision_prior", 0.0, "mean_precision_prior"),
        ("full", "weight_concentration_prior", -1.0, "weight_concentration_prior"),
        ("full", "weight_concentration_prior_type", "bad", "weight_concentration_prior_type"),
    ],
)
def test_bad_priors_are_refused(kind, name, value, match):
    with pytest.raises(ValueError, match=match):
        BayesianGaussianMixture(covariance_type=kind, **{name: value}).fit(clouds()[0])


# -- beyond scikit-learn -----------------------------------------------------------------------------


@unconverged
@pytest.mark.parametrize("kind", TYPES)
def test_weights_are_repetition(kind):
    X, _ = clouds(9, n=40)
    weight = np.random.default_rng(0).integers(0, 3, size=len(X))
    settings = {"n_components": 3, "covariance_type": kind, "random_state": 0}
    own = BayesianGaussianMixture(**settings).fit(X, sample_weight=weight)
    repeated = BayesianGaussianMixture(**settings).fit(np.repeat(X, weight, axis=0)[::-1])
    near(own.covariance_prior_, repeated.covariance_prior_, 1e-9)
    near(own.means_, repeated.means_, 1e-9)
    near(own.lower_bound_, repeated.lower_bound_, 1e-9)


@unconverged
@pytest.mark.filterwarnings("ignore::skem.exceptions.DegenerateComponentWarning")  # flat data are the case in hand
@pytest.mark.parametrize("case", ["constant column", "equal columns", "two points", "far row"])
@pytest.mark.parametrize("kind", TYPES)
def test_hard_data_give_a_finite_model(kind, case):
    X, _ = clouds()
    X = {
        "constant column": np.column_stack([X, np.ones(len(X))]),
        "equal columns": X[:, [0, 1, 0]],
        "two points": np.repeat([[0.0, 0.0], [1.0, 1.0]], 20, axis=0),
        "far row": np.vstack([X, np.full((1, 3), 1e12)]),
    }[case]
    m = BayesianGaussianMixture(n_components=3, covariance_type=kind, random_state=0).fit(X)
    assert np.isfinite(m.score(X))
    assert np.isfinite(m.covariances_).all()
    assert np.isfinite(m.lower_bound_)


@pytest.mark.parametrize("kind", TYPES)
def test_scikit_learns_checks(kind):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(BayesianGaussianMixture(n_components=2, covariance_type=kind), on_fail=None)
    assert not [r["check_name"] for r in results if r["status"] not in ("passed", "skipped")]
    assert [r["check_name"] for r in results if r["status"] == "skipped"] in ([], ["check_array_api_input"])
