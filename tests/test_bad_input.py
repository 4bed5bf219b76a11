"""Bad input is refused with the right error, and neither it nor an interrupt leaves a trace on a fitted object."""

import gc
import inspect
import signal
import time
import warnings
from typing import NamedTuple

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from public_estimators import CLASSES, MIXTURES, blobs, fitted_state, make
from sklearn.base import clone

import skem
from skem import EMMixture, MixtureSelection
from skem.families import Gaussian, Poisson


class Bad(NamedTuple):
    """One bad call of fit."""

    name: str
    error: type | tuple
    match: str
    params: dict = {}
    X: object = None
    sample_weight: object = None
    #: whether it is bad for estimators whose n_components is an upper bound, too
    upper_bound: bool = True


N, D, K = 60, 3, 3


def rows(at=None, value=None):
    X = blobs(N, D)
    if at is not None:
        X[at] = value
    return X


def weights(at=None, value=None):
    weight = np.ones(N)
    if at is not None:
        weight[at] = value
    return weight


def resp(at, value):
    table = np.full((N, K), 1.0 / K)
    table[at] = value
    return table


def covariances(value=1.0, shape=(K, D, D)):
    return np.broadcast_to(value * np.eye(D), shape).copy()


def given(**parameters):
    return {"init": {"means": rows()[:K], "covariances": covariances(), **parameters}}


def skewed():
    matrices = covariances()
    matrices[1, 0, 1] = 0.5
    return matrices


COUNTS = np.random.default_rng(0).poisson(3.0, size=(N, D)).astype(float)


PARAMETERS = [
    Bad("n_components zero", ValueError, "'n_components'", {"n_components": 0}),
    Bad("n_components text", ValueError, "'n_components'", {"n_components": "3"}),
    Bad("n_components float", ValueError, "'n_components'", {"n_components": 2.5}),
    Bad(
        "n_components beyond rows", ValueError, "n_components=61.*n_samples=60", {"n_components": 61}, upper_bound=False
    ),
    Bad("n_init zero", ValueError, "'n_init'", {"n_init": 0}),
    Bad("n_init text", ValueError, "'n_init'", {"n_init": "many"}),
    Bad("tol negative", ValueError, "'tol'", {"tol": -1e-3}),
    Bad("tol text", ValueError, "'tol'", {"tol": "small"}),
    Bad("tol nan", ValueError, "'tol'", {"tol": np.nan}),
    Bad("max_iter negative", ValueError, "'max_iter'", {"max_iter": -1}),
    Bad("max_iter float", ValueError, "'max_iter'", {"max_iter": 1.5}),
    Bad("warm_start text", ValueError, "'warm_start'", {"warm_start": "yes"}),
    Bad("random_state text", ValueError, "'random_state'", {"random_state": "seed"}),
    Bad("verbose text", ValueError, "'verbose'", {"verbose": "loud"}),
    Bad("family text", ValueError, "'family'", {"family": "Gaussian"}),
    Bad("family class", ValueError, "'family'", {"family": Gaussian}),
    Bad("family foreign", ValueError, "'family'", {"family": np.random.default_rng()}),
    Bad("covariance_type", ValueError, "'covariance_type'", {"family": Gaussian("round")}),
    Bad(
        "weight_concentration_prior zero",
        ValueError,
        "'weight_concentration_prior'",
        {"weight_concentration_prior": 0.0},
    ),
    Bad(
        "weight_concentration_prior text",
        ValueError,
        "'weight_concentration_prior'",
        {"weight_concentration_prior": "a"},
    ),
    Bad("weight_prior", ValueError, "'weight_prior'", {"weight_prior": "process"}),
    Bad("update", ValueError, "'update'", {"update": "max"}),
    Bad("n_chains", ValueError, "'n_chains'", {"n_chains": 0}),
    Bad("n_draws", ValueError, "'n_draws'", {"n_draws": 0}),
    Bad("n_burn_in", ValueError, "'n_burn_in'", {"n_burn_in": -1}),
]
INITS = [
    Bad("init unknown", ValueError, "'init'", {"init": "kmeans"}),
    Bad("init number", ValueError, "'init'", {"init": 3}),
    Bad("init three-dimensional", ValueError, "init", {"init": np.zeros((N, K, 1))}),
    Bad("labels beyond", ValueError, r"init\[5\] = 3", {"init": np.where(np.arange(N) == 5, 3, 0)}),
    Bad("labels below", ValueError, r"init\[7\] = -2", {"init": np.where(np.arange(N) == 7, -2, 0)}),
    Bad("labels too few", ValueError, "init has shape", {"init": np.zeros(N - 1, dtype=int)}),
    Bad("labels fractional", ValueError, "init", {"init": np.full(N, 0.5)}),
    Bad("labels nan", ValueError, "init", {"init": np.full(N, np.nan)}),
    Bad("labels text", ValueError, "init", {"init": np.full(N, "a")}),
    Bad("resp shape", ValueError, "init has shape", {"init": np.ones((N, K + 1))}),
    Bad("resp negative", ValueError, "row 4 of init", {"init": resp((4, 1), -0.1)}),
    Bad("resp nan", ValueError, "row 4 of init", {"init": resp((4, 1), np.nan)}),
    Bad("resp infinite", ValueError, "row 4 of init", {"init": resp((4, 1), np.inf)}),
    Bad("resp zero row", ValueError, "row 9 of init", {"init": resp(9, 0.0)}),
    Bad("dict empty", ValueError, "means", {"init": {}}),
    Bad("dict without covariances", ValueError, "covariances", {"init": {"means": rows()[:K]}}),
    Bad("dict unknown name", ValueError, "means_", given(means_=1.0)),
    Bad("dict weights sum", ValueError, "weights", given(weights=[0.5, 0.5, 0.5])),
    Bad("dict weights negative", ValueError, "weights", given(weights=[1.5, -0.5, 0.0])),
    Bad("dict weights length", ValueError, "weights", given(weights=[0.5, 0.5])),
    Bad("dict weights nan", ValueError, "weights", given(weights=[0.5, 0.5, np.nan])),
    Bad("dict weights text", ValueError, "weights", given(weights=["a", "b", "c"])),
    Bad(
        "dict means components",
        ValueError,
        "components",
        given(means=rows()[:2], covariances=covariances(shape=(2, D, D))),
    ),
    Bad(
        "dict means columns",
        ValueError,
        "means",
        given(means=rows()[:K, :2], covariances=np.tile(np.eye(2), (K, 1, 1))),
    ),
    Bad("dict means nan", ValueError, "means", given(means=np.full((K, D), np.nan))),
    Bad("dict means text", ValueError, "means", given(means=[["a"] * D] * K)),
    Bad("dict covariances shape", ValueError, "covariances", given(covariances=np.ones((K, D)))),
    Bad("dict covariances not positive", ValueError, "covariances", given(covariances=covariances(-1.0))),
    Bad("dict covariances asymmetric", ValueError, "covariances", given(covariances=skewed())),
    Bad("dict covariances nan", ValueError, "covariances", given(covariances=covariances(np.nan))),
]
PRIORS = [
    Bad("mean_prior shape", ValueError, "mean_prior", {"family": Gaussian(mean_prior=[0.0])}),
    Bad("mean_prior nan", ValueError, "mean_prior", {"family": Gaussian(mean_prior=[0.0, np.nan, 0.0])}),
    Bad("mean_prior text", ValueError, "mean_prior", {"family": Gaussian(mean_prior=["a", "b", "c"])}),
    Bad("mean_precision_prior", ValueError, "'mean_precision_prior'", {"family": Gaussian(mean_precision_prior=0.0)}),
    Bad(
        "degrees_of_freedom_prior",
        ValueError,
        "degrees_of_freedom_prior",
        {"family": Gaussian(degrees_of_freedom_prior=1.0)},
    ),
    Bad("covariance_prior name", ValueError, "'covariance_prior'", {"family": Gaussian(covariance_prior="mine")}),
    Bad("covariance_prior shape", ValueError, "covariance_prior", {"family": Gaussian(covariance_prior=np.eye(2))}),
    Bad(
        "covariance_prior not positive",
        ValueError,
        "covariance_prior",
        {"family": Gaussian(covariance_prior=-np.eye(D))},
    ),
    Bad(
        "covariance_prior nan",
        ValueError,
        "covariance_prior",
        {"family": Gaussian(covariance_prior=np.full((D, D), np.nan))},
    ),
    Bad(
        "covariance_prior diag",
        ValueError,
        "covariance_prior",
        {"family": Gaussian("diag", covariance_prior=[1.0, -1.0, 1.0])},
    ),
    Bad("shape_prior", ValueError, "'shape_prior'", {"family": Poisson(shape_prior=-1.0)}, COUNTS),
    Bad("rate_prior", ValueError, "'rate_prior'", {"family": Poisson(rate_prior="b")}, COUNTS),
]
DATA = [
    Bad("nan", ValueError, "NaN", X=rows((3, 1), np.nan)),
    Bad("infinity", ValueError, "infinity", X=rows((3, 1), np.inf)),
    Bad("text", ValueError, "(could not convert|strings)", X=[["a", "b", "c"]] * N),
    Bad("numbers as text", ValueError, "(numeric|string)", X=rows().astype(str)),
    Bad("one-dimensional", ValueError, "(1D|2D|1-d)", X=rows()[:, 0]),
    Bad("three-dimensional", ValueError, "dim 3", X=rows()[None]),
    Bad("scalar", ValueError, "scalar", X=np.float64(3.0)),
    Bad("complex", ValueError, "[Cc]omplex", X=rows() + 1j),
    Bad("no rows", ValueError, "0 sample", X=np.empty((0, D))),
    Bad("no columns", ValueError, "0 feature", X=np.empty((N, 0))),
    Bad("none", ValueError, "2D", X=[None]),
    Bad("ragged", ValueError, "inhomogeneous", X=[[1.0, 2.0], [3.0]] * 30),
    Bad("too few rows", ValueError, "n_components=3|n_samples=2", X=rows()[:2], upper_bound=False),
    Bad("overflow apart", ValueError, "column 1 of X runs from", X=rows((2, 1), 1e301)),
    Bad("far apart", ValueError, r"X\[2, 1\].*standard deviations", X=rows((2, 1), 1e140)),
    Bad(
        "weights negative",
        ValueError,
        "[Nn]egative.*sample_weight|sample_weight.*negative",
        sample_weight=weights(2, -1.0),
    ),
    Bad("weights nan", ValueError, "sample_weight", sample_weight=weights(2, np.nan)),
    Bad("weights infinite", ValueError, "sample_weight", sample_weight=weights(2, np.inf)),
    Bad("weights all zero", ValueError, "(sample_weight|[Ss]ample weights).*zero", sample_weight=np.zeros(N)),
    Bad("weights overflow", ValueError, "sample_weight", sample_weight=np.full(N, 1e308)),
    Bad("weights length", ValueError, "sample_weight", sample_weight=np.ones(N - 1)),
    Bad("weights two-dimensional", ValueError, "[Ss]ample.weight", sample_weight=np.ones((N, 2))),
    Bad("weights text", ValueError, "sample_weight", sample_weight=["a"] * N),
    Bad(
        "weights on too few rows",
        ValueError,
        "n_components=3.*n_samples=2",
        sample_weight=np.r_[1.0, 1.0, np.zeros(N - 2)],
        upper_bound=False,
    ),
]
SPARSE = [
    Bad("sparse matrix", TypeError, "[Ss]parse", X=sp.csr_matrix(rows())),
    Bad("sparse array", TypeError, "[Ss]parse", X=sp.coo_array(rows())),
]
NO_COUNTS = [
    Bad("fractions for counts", ValueError, r"X\[0, 0\] = .*counts", {"family": Poisson()}, np.abs(rows())),
    Bad(
        "negative counts",
        ValueError,
        r"X\[4, 2\] = -1.*counts",
        {"family": Poisson()},
        np.where(np.arange(N * D).reshape(N, D) == 14, -1.0, 3.0),
    ),
]


def cases():
    general = [*PARAMETERS, *INITS, *PRIORS, *DATA, *SPARSE, *NO_COUNTS]
    for cls in MIXTURES:
        own = cls().get_params()
        for bad in general:
            if set(bad.params) <= set(own) and (bad.upper_bound or not cls._upper_bound):
                yield pytest.param(cls, bad, id=f"{cls.__name__}-{bad.name}")
    for cls in (cls for cls in CLASSES if cls not in MIXTURES):
        for bad in DATA:
            # by scikit-learn's words for their own parameters; weights only where they take them
            takes_weights = "sample_weight" in inspect.signature(cls.fit).parameters
            if bad.upper_bound and not bad.name.endswith("apart") and (bad.sample_weight is None or takes_weights):
                yield pytest.param(cls, bad, id=f"{cls.__name__}-{bad.name}")


def refit(estimator, X, sample_weight=None):
    return estimator.fit(X) if sample_weight is None else estimator.fit(X, sample_weight=sample_weight)


FITTED = {}


def fitted(cls):
    """A copy of a fitted estimator, each made once."""
    if cls not in FITTED:
        FITTED[cls] = make(cls, n_components=K, random_state=0).fit(rows())
    twin = clone(FITTED[cls])
    vars(twin).update(vars(FITTED[cls]))
    return twin


@pytest.mark.parametrize(("cls", "bad"), list(cases()))
def test_bad_input_is_named_and_leaves_no_trace(cls, bad):
    estimator = fitted(cls)
    vars(estimator).update(bad.params)
    before, labels, density = fitted_state(estimator), estimator.predict(rows()), None
    if hasattr(estimator, "score_samples"):
        density = estimator.score_samples(rows())
    began = time.process_time()
    with pytest.raises(bad.error, match=bad.match):
        refit(estimator, rows() if bad.X is None else bad.X, bad.sample_weight)
    assert time.process_time() - began < 1.0
    assert fitted_state(estimator) == before
    np.testing.assert_array_equal(estimator.predict(rows()), labels)
    if density is not None:
        np.testing.assert_array_equal(estimator.score_samples(rows()), density)


@pytest.mark.parametrize(("as_frame", "column"), [
    (pd.DataFrame, np.array(["red", "blue"] * 6, dtype=object)),
    (pd.DataFrame, pd.Categorical(["red", "blue"] * 6)),
    (pl.DataFrame, ["red", "blue"] * 6),
    (pl.DataFrame, ["1", "2"] * 6),
    (pd.DataFrame, pd.Categorical(["1", "2"] * 6)),
    (pd.DataFrame, pd.date_range("2020", periods=12)),
    (pd.DataFrame, pd.date_range("2020", periods=12).date),
    (pl.DataFrame, pl.Series(pd.date_range("2020", periods=12).date)),
    (pl.DataFrame, pd.date_range("2020", periods=12).to_numpy()),
    (pl.DataFrame, pd.timedelta_range("0h", periods=12, freq="h").to_numpy()),
], ids=[
    "objects", "categorical", "strings", "digits", "categorical digits", "datetimes", "dates",
    "polars dates", "polars datetimes", "durations",
])  # fmt: skip
@pytest.mark.parametrize("cls", [EMMixture, MixtureSelection, skem.KMeans, skem.GaussianMixture])
def test_a_column_of_no_numbers_is_named(cls, as_frame, column):
    X = as_frame({"size": np.arange(12.0), "shade": column})
    with pytest.raises(
        ValueError, match=r"column 'shade' of X holds (text|values of (dtype|type) (date|Date|Duration))"
    ):
        make(cls, n_components=2).fit(X)


@pytest.mark.parametrize("cls", [EMMixture, skem.KMeans, skem.GaussianMixture])
def test_times_alone_are_no_numbers_either(cls):
    days = pd.date_range("2020", periods=12)
    with pytest.raises(ValueError, match=r"^X holds values of dtype datetime"):
        make(cls, n_components=2).fit(days.to_numpy()[:, None])
    with pytest.raises(ValueError, match=r"column 'day' of X holds values of dtype datetime"):
        make(cls, n_components=2).fit(pd.DataFrame({"day": days}))


@pytest.mark.parametrize("cls", MIXTURES)
def test_unfitted_estimator_stays_unfitted(cls):
    estimator = make(cls, n_components=K)
    before = set(vars(estimator))
    with pytest.raises(ValueError, match="NaN"):
        estimator.fit(rows((0, 0), np.nan))
    assert set(vars(estimator)) == before


@pytest.mark.parametrize("cls", MIXTURES)
@pytest.mark.parametrize(
    "method", ["predict", "predict_proba", "predict_log_proba", "transform", "score_samples", "score", "bic"]
)
@pytest.mark.parametrize(
    ("X", "match"),
    [(rows()[:, :2], "2 features"), (rows((1, 1), np.nan), "NaN"), (rows()[0], "1D"), (np.empty((0, D)), "0 sample")],
    ids=["columns", "nan", "one-dimensional", "empty"],
)
def test_bad_query(cls, method, X, match):
    estimator = fitted(cls)
    before = fitted_state(estimator)
    with pytest.raises(ValueError, match=match):
        getattr(estimator, method)(X)
    assert fitted_state(estimator) == before


@pytest.mark.parametrize("cls", [cls for cls in MIXTURES if hasattr(cls, "partial_fit")])
@pytest.mark.parametrize(
    ("X", "sample_weight", "params", "match"),
    [
        (rows()[:, :2], None, {}, "2 features"),
        (rows((1, 1), np.nan), None, {}, "NaN"),
        (rows(), weights(2, -1.0), {}, "sample_weight"),
        (rows(), np.zeros(N), {}, "zero"),
        (rows(), None, {"tol": -1.0}, "'tol'"),
    ],
    ids=["columns", "nan", "negative weight", "zero weights", "parameter"],
)
def test_bad_batch_is_named_and_leaves_no_trace(cls, X, sample_weight, params, match):
    estimator = fitted(cls)
    vars(estimator).update(params)
    before, density = fitted_state(estimator), estimator.score_samples(rows())
    with pytest.raises(ValueError, match=match):
        estimator.partial_fit(X, sample_weight=sample_weight)
    assert fitted_state(estimator) == before
    np.testing.assert_array_equal(estimator.score_samples(rows()), density)


@pytest.mark.parametrize("n_samples", [0, -1, 2.5, "3"])
def test_bad_number_of_samples(n_samples):
    with pytest.raises(ValueError, match="n_samples"):
        fitted(skem.EMMixture).sample(n_samples)


@pytest.mark.parametrize(
    ("family", "parameters", "match"),
    [
        (None, {}, "means"),
        (None, {"weights": [0.5, 0.5]}, "means"),
        (None, {"covariances": np.eye(2)[None]}, "means"),
        (None, {"means": [0.0, 1.0], "covariances": np.eye(2)[None]}, "means must have shape"),
        (None, {"means": [[0.0, 1.0]]}, "covariances"),
        (None, {"means": [[0.0, 1.0]], "covariances": np.eye(3)[None]}, "covariances"),
        (None, {"means": [[0.0, np.inf]], "covariances": np.eye(2)[None]}, "means"),
        (None, {"means": [[0.0, 1.0]], "covariances": -np.eye(2)[None]}, "covariances must be"),
        (None, {"means": [[0.0, 1.0]], "covariances": np.eye(2)[None], "rates": [[1.0]]}, "rates"),
        (None, {"means": [[0.0, 1.0]], "covariances": np.eye(2)[None], "weights": [2.0]}, "weights"),
        ("Gaussian", {"means": [[0.0]], "covariances": [[[1.0]]]}, "'family'"),
        (Gaussian("round"), {"means": [[0.0]], "covariances": [[[1.0]]]}, "'covariance_type'"),
        (Poisson(), {"rates": [[1.0, -1.0]]}, "rates"),
        (Poisson(), {"rates": [[1.0, np.nan]]}, "rates"),
    ],
)
def test_bad_parameters_of_a_mixture_without_data(family, parameters, match):
    with pytest.raises(ValueError, match=match):
        skem.EMMixture.from_parameters(family=family, **parameters)


# -- interrupts --------------------------------------------------------------------------------------

MOMENTS = 30


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs an interval timer")
@pytest.mark.parametrize("cls", CLASSES)
def test_interrupted_refit_leaves_no_trace(cls):
    """Control-C at random moments answers at once, and the earlier fit is still whole."""
    size = {"max_iter": 20, "tol": 0.0, "n_init": 2, "init": "random", "n_draws": 30}
    if not issubclass(cls, tuple(MIXTURES)):
        size.pop("init")
    estimator = make(cls, n_components=8, n_clusters=8, random_state=0, **size)
    X, other = blobs(500, 4, 8, seed=1), blobs(6000, 5, 8, seed=2)
    rng = np.random.default_rng(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator.fit(X)
        before, labels = fitted_state(estimator), estimator.predict(X)
        durations = []
        for _ in range(3):
            began = time.perf_counter()
            fresh = clone(estimator).fit(other)
            durations.append(time.perf_counter() - began)
        duration = min(*durations, 0.3)
        latencies = []
        for _ in range(3 * MOMENTS):
            if len(latencies) == MOMENTS:
                break
            latency = _interrupt(estimator, other, rng.uniform(0.001, max(0.002, 0.9 * duration)))
            if latency is None:  # the fit was over first: the machine is quicker than it was
                estimator, duration = clone(estimator).fit(X), 0.9 * duration
                continue
            latencies.append(latency)
            assert fitted_state(estimator) == before
            np.testing.assert_array_equal(estimator.predict(X), labels)
        assert len(latencies) == MOMENTS
        # a wall clock on a shared machine: one stall that is not skem's is let pass
        assert sorted(latencies)[-2] < 0.25
        assert fitted_state(estimator.fit(other)) == fitted_state(fresh)


def _interrupt(estimator, X, moment):
    """Seconds from the signal to KeyboardInterrupt; None where fit ends before."""

    def handler(signum, frame):
        raise KeyboardInterrupt

    old = signal.signal(signal.SIGALRM, handler)
    gc.disable()  # Python swallows what is raised in a callback of its garbage collector, and hypothesis has one
    try:
        due = time.perf_counter() + moment
        signal.setitimer(signal.ITIMER_REAL, moment)
        try:
            estimator.fit(X)
            signal.setitimer(signal.ITIMER_REAL, 0.0)
        except KeyboardInterrupt:
            return time.perf_counter() - due
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, old)
        gc.enable()
    return None


def test_what_passed_once_does_not_let_its_equals_pass():
    # 1, 1.0 and True are equal, and hash alike; so does a name that another class may take
    X = blobs(N, D)
    skem.EMMixture(n_components=1, warm_start=True, max_iter=50).fit(X)
    for params in ({"n_components": 1.0}, {"n_components": True, "warm_start": 1.5}, {"max_iter": 50.0}):
        with pytest.raises(ValueError, match=r"must be"):
            skem.EMMixture(**({"n_components": 1} | params)).fit(X)
    skem.GaussianMixture(n_components=1, init_params="kmeans").fit(X)
    with pytest.raises(ValueError, match=r"init"):
        skem.EMMixture(n_components=1, init="kmeans").fit(X)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_plain_arrays_are_seen_at_a_glance_and_all_others_in_full(cls):
    X = blobs(N, D)
    estimator = make(cls).fit(X)
    assert estimator.n_features_in_ == D
    before = fitted_state(estimator)
    for bad in (X[:, :2], X[0], X[:0], np.full_like(X, np.nan), np.full_like(X, np.inf)):
        with pytest.raises(ValueError, match=r"features|dimension|sample|NaN|infinity"):
            estimator.predict(bad)
    for good in (X.tolist(), np.asfortranarray(X), X.astype(">f8"), X[::-1][::-1], X.astype(object)):
        np.testing.assert_array_equal(estimator.predict(good), estimator.predict(X))
    assert fitted_state(estimator) == before
