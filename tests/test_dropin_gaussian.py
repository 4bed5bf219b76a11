"""GaussianMixture against scikit-learn's, and against what scikit-learn's own tests ask of it."""

import pickle
import warnings

import numpy as np
import pytest
import sklearn.mixture
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import adjusted_rand_score
from sklearn.utils.estimator_checks import check_estimator

from skem import GaussianMixture
from skem.exceptions import DegenerateComponentWarning

TYPES = ("full", "tied", "diag", "spherical")
INITS = ("kmeans", "k-means++", "random", "random_from_data")
ATTRIBUTES = ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_")
unconverged = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def blobs(seed=0, n=120, d=3, K=3, spread=5.0):
    rng = np.random.default_rng(seed)
    centers = spread * rng.normal(size=(K, d))
    roots = np.eye(d) + 0.4 * rng.normal(size=(K, d, d))
    y = np.repeat(np.arange(K), n)
    return np.einsum("nij,nj->ni", roots[y], rng.normal(size=(K * n, d))) + centers[y], y


def precisions(kind, K, d):
    if kind == "full":
        return np.tile(np.eye(d), (K, 1, 1))
    return {"tied": np.eye(d), "diag": np.ones((K, d)), "spherical": np.ones(K)}[kind]


def given(X, kind, K=3):
    start = {"weights_init": np.full(K, 1 / K), "means_init": X[:: len(X) // K][:K]}
    return start | {"precisions_init": precisions(kind, K, X.shape[1])}


def near(a, b, tol=1e-6):
    np.testing.assert_allclose(a, b, rtol=tol, atol=tol)


# -- agreement ---------------------------------------------------------------------------------------


@unconverged
@pytest.mark.parametrize("data", ["blobs", "iris", "one column", "float32"])
@pytest.mark.parametrize("kind", TYPES)
def test_agrees_with_scikit_learn(kind, data):
    X = load_iris().data if data == "iris" else blobs()[0]
    X = X[:, :1] if data == "one column" else X
    X = X.astype(np.float32).astype(np.float64) if data == "float32" else X
    settings = {"n_components": 3, "covariance_type": kind, "reg_covar": 0.0, "tol": 1e-5} | given(X, kind)
    own = GaussianMixture(**settings).fit(X.astype(np.float32) if data == "float32" else X)
    theirs = sklearn.mixture.GaussianMixture(**settings).fit(X)
    assert own.n_iter_ == theirs.n_iter_
    assert own.converged_ == theirs.converged_
    near(own.lower_bounds_, theirs.lower_bounds_)
    near(own.lower_bound_, theirs.lower_bound_)
    for name in ATTRIBUTES:
        near(getattr(own, name), getattr(theirs, name))
    near(own.score_samples(X), theirs.score_samples(X))
    near(own.predict_proba(X), theirs.predict_proba(X))
    assert (own.predict(X) == theirs.predict(X)).all()
    near([own.bic(X), own.aic(X), own.score(X)], [theirs.bic(X), theirs.aic(X), theirs.score(X)])


@pytest.mark.parametrize("kind", TYPES)
def test_agrees_at_its_relative_regulariser(kind):
    X, _ = blobs(1)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    settings = {"n_components": 3, "covariance_type": kind, "reg_covar": 0.1} | given(X, kind)
    own, theirs = GaussianMixture(**settings).fit(X), sklearn.mixture.GaussianMixture(**settings).fit(X)
    near(own.covariances_, theirs.covariances_)
    near(own.lower_bound_, theirs.lower_bound_)


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("what", ["weights_init", "means_init", "precisions_init"])
def test_one_given_part_replaces_that_of_the_start(kind, what):
    X, _ = blobs(2)
    part = {what: given(X, kind)[what]}
    mixture = GaussianMixture(3, covariance_type=kind, max_iter=0, random_state=0, **part).fit(X)
    plain = GaussianMixture(3, covariance_type=kind, max_iter=0, random_state=0).fit(X)
    names = {"weights_init": "weights_", "means_init": "means_", "precisions_init": "precisions_"}
    for init, name in names.items():
        near(getattr(mixture, name), part[what] if init == what else getattr(plain, name), 1e-9)


def test_signature_and_defaults_are_scikit_learns():
    assert GaussianMixture().get_params() == sklearn.mixture.GaussianMixture().get_params()
    public = {name for name in dir(sklearn.mixture.GaussianMixture) if name[0] != "_"}
    assert public <= set(dir(GaussianMixture))
    fitted = [vars(c(2).fit(blobs()[0])) for c in (sklearn.mixture.GaussianMixture, GaussianMixture)]
    theirs, own = ({name for name in attributes if name[0] != "_"} for attributes in fitted)
    assert own == theirs


# -- what scikit-learn's tests ask -------------------------------------------------------------------


@pytest.mark.parametrize("init", INITS)
@pytest.mark.parametrize("kind", TYPES)
def test_recovers_parameters(kind, init):
    rng = np.random.default_rng(3)
    y = rng.choice(3, size=900, p=[0.5, 0.3, 0.2])
    centers = np.array([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0]])
    X = centers[y] + rng.normal(size=(900, 2))
    settings = {"n_init": 5, "tol": 1e-9, "max_iter": 5000, "random_state": 0}
    mixture = GaussianMixture(3, covariance_type=kind, init_params=init, **settings).fit(X)
    order = [mixture.predict(c[None])[0] for c in centers]
    assert sorted(order) == [0, 1, 2]
    near(mixture.weights_[order], np.bincount(y) / 900, 0.01)
    near(mixture.means_[order], centers, 0.2)
    covariances = mixture.covariances_ if kind == "tied" else mixture.covariances_[order]
    expected = np.broadcast_to(np.eye(2) if kind in ("full", "tied") else 1.0, covariances.shape)
    np.testing.assert_allclose(covariances, expected, atol=0.3)
    assert adjusted_rand_score(y, mixture.predict(X)) > 0.99


@unconverged
@pytest.mark.parametrize("kind", TYPES)
def test_warm_start_equals_one_long_run(kind):
    X, _ = blobs(4, spread=1.5)
    settings = {"n_components": 3, "covariance_type": kind, "tol": 0.0, "random_state": 0}
    long = GaussianMixture(**settings, max_iter=12).fit(X)
    short = GaussianMixture(**settings, max_iter=1, warm_start=True)
    bounds = []
    for _ in range(12):
        bounds += short.fit(X).lower_bounds_
    assert bounds == long.lower_bounds_
    for name in ATTRIBUTES:
        np.testing.assert_array_equal(getattr(short, name), getattr(long, name))


def test_warm_start_converges_where_it_left_off():
    X, _ = blobs(5, spread=1.0)
    mixture = GaussianMixture(3, warm_start=True, max_iter=2, tol=1e-6, random_state=0)
    steps = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        while not mixture.fit(X).converged_:
            steps += 1
            assert steps < 500
    assert steps > 0
    assert mixture.fit(X).n_iter_ == 1


@pytest.mark.parametrize("change", ["components", "features"])
def test_warm_start_refuses_another_shape(change):
    X, _ = blobs()
    mixture = GaussianMixture(2, warm_start=True).fit(X)
    before = mixture.means_.copy()
    if change == "components":
        mixture.n_components = 3
    with pytest.raises(ValueError, match="warm_start"):
        mixture.fit(X if change == "components" else X[:, :2])
    np.testing.assert_array_equal(mixture.means_, before)
    assert mixture.n_features_in_ == 3


@pytest.mark.parametrize("kind", TYPES)
def test_no_iterations_publish_the_start(kind):
    X, _ = blobs()
    mixture = GaussianMixture(3, covariance_type=kind, max_iter=0, **given(X, kind)).fit(X)
    near(mixture.means_, given(X, kind)["means_init"], 1e-12)
    near(mixture.precisions_, given(X, kind)["precisions_init"], 1e-12)
    assert (mixture.n_iter_, mixture.converged_, mixture.lower_bounds_) == (0, False, [])
    assert mixture.lower_bound_ == -np.inf


def test_no_iterations_with_a_named_start():
    X, y = blobs(spread=20.0)
    assert adjusted_rand_score(y, GaussianMixture(3, max_iter=0, random_state=0).fit_predict(X)) == 1.0


@pytest.mark.parametrize("kind", TYPES)
def test_one_component_is_the_sample_moments(kind):
    X, _ = blobs()
    mixture = GaussianMixture(covariance_type=kind, reg_covar=0.0).fit(X)
    S = np.cov(X.T, bias=True)
    expected = {"full": S[None], "tied": S, "diag": np.diag(S)[None], "spherical": [np.trace(S) / 3]}[kind]
    near(mixture.covariances_, expected, 1e-12)
    near(mixture.means_, X.mean(axis=0)[None], 1e-12)
    assert mixture.weights_ == [1.0]
    assert mixture.n_iter_ == 2


@pytest.mark.parametrize("kind", TYPES)
def test_precision_times_covariance_is_one(kind):
    X, _ = blobs()
    m = GaussianMixture(3, covariance_type=kind).fit(X)
    if kind in ("full", "tied"):
        near(m.covariances_ @ m.precisions_, np.broadcast_to(np.eye(3), m.covariances_.shape), 1e-10)
        near(m.precisions_cholesky_ @ np.swapaxes(m.precisions_cholesky_, -1, -2), m.precisions_, 1e-12)
        assert not np.tril(m.precisions_cholesky_, -1).any()
    else:
        near(m.covariances_ * m.precisions_, 1.0, 1e-12)


@unconverged
def test_more_starts_are_never_worse():
    X, _ = blobs(5, spread=1.0)
    bounds = [GaussianMixture(5, n_init=n, init_params="random", random_state=1).fit(X).lower_bound_ for n in (1, 3, 6)]
    assert bounds[0] <= bounds[1] <= bounds[2]
    assert bounds[0] < bounds[2]


@unconverged
@pytest.mark.parametrize("kind", TYPES)
def test_likelihood_never_falls_without_the_regulariser(kind):
    X, _ = blobs(6, spread=1.0)
    mixture = GaussianMixture(4, covariance_type=kind, reg_covar=0.0, tol=0.0, max_iter=40, random_state=0).fit(X)
    bounds = np.array(mixture.lower_bounds_)
    assert (np.diff(bounds) >= -1e-12 * np.abs(bounds[:-1])).all()
    assert len(bounds) == mixture.n_iter_ == 40


def test_unconverged_fit_warns():
    X, _ = blobs(5, spread=1.0)
    with pytest.warns(ConvergenceWarning, match="did not converge"):
        mixture = GaussianMixture(3, max_iter=1, tol=0.0, random_state=0).fit(X)
    assert not mixture.converged_


@unconverged
@pytest.mark.parametrize("seed", range(5))
def test_labels_of_fit_predict_and_predict_agree(seed):
    X, _ = blobs(seed, spread=1.0)
    mixture = GaussianMixture(3, max_iter=2, n_init=3, random_state=seed, tol=0.0)
    labels = mixture.fit_predict(X)
    assert (labels == mixture.predict(X)).all()
    assert (labels == mixture.predict_proba(X).argmax(axis=1)).all()
    near(mixture.score(X), mixture.score_samples(X).mean(), 1e-12)


@pytest.mark.parametrize("kind", TYPES)
def test_samples_have_the_mixtures_moments(kind):
    X, _ = blobs(7)
    mixture = GaussianMixture(3, covariance_type=kind, random_state=0).fit(X)
    Z, y = mixture.sample(60_000)
    assert (np.diff(y) >= 0).all()
    np.testing.assert_allclose(np.bincount(y) / len(y), mixture.weights_, atol=0.01)
    matrix = {
        "full": lambda k: mixture.covariances_[k],
        "tied": lambda _: mixture.covariances_,
        "diag": lambda k: np.diag(mixture.covariances_[k]),
        "spherical": lambda k: mixture.covariances_[k] * np.eye(3),
    }[kind]
    for k in range(3):
        S = matrix(k)
        np.testing.assert_allclose(Z[y == k].mean(axis=0), mixture.means_[k], atol=0.1)
        np.testing.assert_allclose(np.cov(Z[y == k].T), S, atol=0.05 * np.trace(S))
    np.testing.assert_array_equal(mixture.sample(9)[0], mixture.sample(9)[0])
    assert not np.array_equal(mixture.sample(9)[0], mixture.sample(9, random_state=1)[0])


@pytest.mark.parametrize("n_samples", [0, -1, 1.5])
def test_sample_refuses_a_bad_count(n_samples):
    with pytest.raises(ValueError, match="n_samples"):
        GaussianMixture().fit(blobs()[0]).sample(n_samples)


@pytest.mark.parametrize("init", INITS)
def test_starts_are_distinct(init):
    X, _ = blobs()
    means = GaussianMixture(3, init_params=init, max_iter=0, random_state=0).fit(X).means_
    assert len(np.unique(means.round(9), axis=0)) == 3


@pytest.mark.parametrize(("verbose", "said"), [(1, "Iteration 1"), (2, "bound change")])
def test_verbose_tells(capsys, verbose, said):
    GaussianMixture(2, verbose=verbose, verbose_interval=1, n_init=2, random_state=0).fit(blobs()[0])
    out = capsys.readouterr().out
    assert said in out
    assert "Initialization 1" in out
    assert "converged" in out


@pytest.mark.parametrize(
    ("name", "value", "match"),
    [
        ("weights_init", [0.5, 0.5, 0.5], "shape"),
        ("weights_init", [0.5, 0.6], "normalized"),
        ("weights_init", [1.5, -0.5], "range"),
        ("means_init", np.zeros((3, 3)), "shape"),
        ("means_init", np.full((2, 3), np.nan), "NaN"),
        ("precisions_init", np.zeros((2, 3, 3)), "positive-definite"),
        ("precisions_init", np.tile(np.triu(np.ones((3, 3))), (2, 1, 1)), "symmetric"),
        ("precisions_init", np.ones((2, 3)), "shape"),
        ("n_components", 1000, "n_samples >= n_components"),
        ("reg_covar", -1.0, "reg_covar"),
        ("init_params", "bad", "init_params"),
        ("covariance_type", "bad", "covariance_type"),
    ],
)
def test_bad_parameters_are_refused(name, value, match):
    mixture = GaussianMixture(2).fit(blobs()[0])
    before = dict(vars(mixture))
    with pytest.raises(ValueError, match=match):
        mixture.set_params(**{name: value}).fit(blobs()[0])
    mixture.set_params(**{name: before[name]})
    assert all(vars(mixture)[key] is value for key, value in before.items())


# -- attributes set by hand --------------------------------------------------------------------------


@pytest.mark.parametrize("fitted", [False, True])
@pytest.mark.parametrize("kind", TYPES)
def test_predicts_from_attributes_set_by_hand(kind, fitted):
    X, _ = blobs(8)
    theirs = sklearn.mixture.GaussianMixture(3, covariance_type=kind, random_state=0).fit(X)
    own = GaussianMixture(3, covariance_type=kind, random_state=0)
    if fitted:
        own.fit(X[::2] + 3.0)
    for name in ATTRIBUTES:
        setattr(own, name, getattr(theirs, name))
    near(own.predict_proba(X), theirs.predict_proba(X), 1e-9)
    near(own.score_samples(X), theirs.score_samples(X), 1e-9)
    assert own.bic(X) == pytest.approx(theirs.bic(X))
    assert own.sample(5)[0].shape == (5, 3)


def test_attributes_changed_in_place_are_seen():
    X, _ = blobs()
    mixture = GaussianMixture(3, random_state=0).fit(X)
    before = mixture.score_samples(X)
    mixture.means_[0] += 1.0
    assert not np.allclose(before, mixture.score_samples(X))


def test_any_root_of_the_precision_will_do():
    X, _ = blobs()
    mixture = GaussianMixture(3, random_state=0).fit(X)
    before = mixture.score_samples(X)
    mixture.precisions_cholesky_ = np.linalg.cholesky(mixture.precisions_)
    near(mixture.score_samples(X), before, 1e-9)


def test_missing_attributes_are_named():
    mixture = GaussianMixture(2)
    with pytest.raises(NotFittedError):
        mixture.predict(np.ones((2, 2)))
    mixture.means_ = np.zeros((2, 2))
    with pytest.raises(NotFittedError, match="weights_, precisions_cholesky_"):
        mixture.predict(np.ones((2, 2)))
    mixture.weights_ = np.ones(3) / 3
    mixture.precisions_cholesky_ = np.tile(np.eye(2), (2, 1, 1))
    with pytest.raises(ValueError, match="weights_"):
        mixture.predict(np.ones((2, 2)))
    mixture.weights_ = np.ones(2) / 2
    with pytest.raises(ValueError, match="features"):
        mixture.predict(np.ones((2, 3)))


def test_pickled_and_cloned():
    X, _ = blobs()
    mixture = GaussianMixture(3, random_state=0).fit(X)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(mixture)).score_samples(X), mixture.score_samples(X))
    assert not hasattr(clone(mixture), "means_")


# -- beyond scikit-learn -----------------------------------------------------------------------------


@pytest.mark.parametrize("init", INITS)
def test_weights_are_repetition_in_any_order(init):
    X, _ = blobs(9, n=40)
    rng = np.random.default_rng(0)
    weight = rng.integers(0, 3, size=len(X))
    rows = rng.permutation(np.repeat(np.arange(len(X)), weight))
    settings = {"n_components": 3, "init_params": init, "random_state": 0, "max_iter": 500}
    own = GaussianMixture(**settings).fit(X, sample_weight=weight)
    repeated = GaussianMixture(**settings).fit(X[rows])
    near(own.means_, repeated.means_, 1e-9)
    near(own.lower_bound_, repeated.lower_bound_, 1e-9)
    near(own.score(X, sample_weight=weight), repeated.score(X[rows]), 1e-9)
    near(own.bic(X, sample_weight=weight), repeated.bic(X[rows]), 1e-9)


@pytest.mark.parametrize("kind", TYPES)
def test_offset_and_unit_change_nothing(kind):
    X, y = blobs(10)
    X = np.ldexp(np.round(np.ldexp(X, 10)), -10)
    plain = GaussianMixture(3, covariance_type=kind, random_state=0).fit(X)
    far = GaussianMixture(3, covariance_type=kind, random_state=0).fit(X + 2.0**33)
    assert far.score(X + 2.0**33) == pytest.approx(plain.score(X), abs=1e-9)
    small = GaussianMixture(3, covariance_type=kind, random_state=0).fit(X * 2.0**-300)
    assert small.score(X * 2.0**-300) == pytest.approx(plain.score(X) + 3 * 300 * np.log(2), rel=1e-12)
    assert adjusted_rand_score(y, small.predict(X * 2.0**-300)) == 1.0


@pytest.mark.parametrize("kind", TYPES)
def test_far_queries_have_finite_answers(kind):
    mixture = GaussianMixture(3, covariance_type=kind, random_state=0).fit(blobs()[0])
    far = np.array([[1e200, 0.0, 0.0], [-1e300, 1e300, 1e300]])
    resp = mixture.predict_proba(far)
    near(resp.sum(axis=1), 1.0, 1e-12)
    assert np.isfinite(mixture.score_samples(far)).all()


@pytest.mark.parametrize("reg_covar", [0.0, 1e-6])
@pytest.mark.parametrize("kind", TYPES)
def test_flat_data_warn_and_stay_finite(kind, reg_covar):
    X = np.repeat([[0.0, 0.0], [1.0, 1.0]], 20, axis=0)
    with pytest.warns(DegenerateComponentWarning, match="without spread"):
        mixture = GaussianMixture(2, covariance_type=kind, reg_covar=reg_covar, random_state=0).fit(X)
    assert np.isfinite(mixture.covariances_).all()
    assert np.isfinite(mixture.score(X))


def test_variances_beyond_the_range_are_refused():
    with pytest.raises(ValueError, match="range of float64"):
        GaussianMixture(2).fit(blobs()[0] * 1e200)


@pytest.mark.parametrize("kind", TYPES)
def test_scikit_learns_checks(kind):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(GaussianMixture(2, covariance_type=kind), on_fail=None)
    assert not [r["check_name"] for r in results if r["status"] not in ("passed", "skipped")]
    skipped = [r["check_name"] for r in results if r["status"] == "skipped"]
    assert skipped in ([], ["check_array_api_input"])
