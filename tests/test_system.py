"""Threads, processes, memory and global state."""

import multiprocessing
import os
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from public_estimators import (
    CLASSES,
    COVARIANCES,
    MIXTURES,
    blobs,
    fit_and_predict_in_child,
    fitted_state,
    make,
    quietly,
    run_python,
)
from sklearn.base import clone
from sklearn.utils.parallel import Parallel, delayed
from threadpoolctl import threadpool_info, threadpool_limits

import skem
from skem._compat import single_blas_thread
from skem._kernels.passes import has_openmp, max_threads
from skem.families import Gaussian, Poisson

# Rows and columns enough for several chunks and for more than the work below which one thread runs.
N_ROWS, N_COLUMNS, N_COMPONENTS = 12_000, 6, 5


def heavy(cls, **params):
    """An estimator whose passes use threads, its fit some tenths of a second."""
    size = {"max_iter": 8, "n_init": 1, "n_draws": 10, "n_burn_in": 5, "n_chains": 2, "tol": 0.0}
    return make(cls, n_components=N_COMPONENTS, n_clusters=N_COMPONENTS, random_state=0, **{**size, **params})


def heavy_rows():
    return blobs(N_ROWS, N_COLUMNS, N_COMPONENTS)


# -- the same bits -----------------------------------------------------------------------------------


@pytest.mark.skipif(not has_openmp, reason="built without OpenMP")
@pytest.mark.parametrize("cls", CLASSES)
def test_same_bits_for_any_number_of_threads(cls):
    X, fits = heavy_rows(), []
    for n_threads in (1, 2, 3, 4, 2):
        with threadpool_limits(n_threads, user_api="openmp"):
            estimator = quietly(heavy(cls).fit, X)
            fits.append((fitted_state(estimator), estimator.predict(X).tobytes(), _density(estimator, X)))
    assert all(fit == fits[0] for fit in fits[1:])


def _density(estimator, X):
    return estimator.score_samples(X).tobytes() if hasattr(estimator, "score_samples") else estimator.score(X)


@pytest.mark.parametrize("cls", MIXTURES)
@pytest.mark.parametrize("family", [*map(Gaussian, COVARIANCES[1:]), Poisson()], ids=[*COVARIANCES[1:], "poisson"])
def test_same_bits_for_other_families(cls, family):
    X = heavy_rows() if family.domain == "real" else np.floor(np.abs(heavy_rows()))
    states = []
    for n_threads in (1, 3):
        with threadpool_limits(n_threads, user_api="openmp"):
            states.append(fitted_state(quietly(heavy(cls, family=family, max_iter=4).fit, X)))
    assert states[0] == states[1]


@pytest.mark.parametrize("cls", MIXTURES)
def test_batches_predict_the_same_bits(cls):
    X = heavy_rows()
    estimator = quietly(heavy(cls).fit, X)
    X[0], X[5000] = 1e250, -1e180
    for method in ("predict", "predict_proba", "predict_log_proba", "score_samples"):
        whole = getattr(estimator, method)(X)
        parts = [getattr(estimator, method)(X[rows]) for rows in np.split(np.arange(N_ROWS), [1, 700, 4999, 5003])]
        np.testing.assert_array_equal(np.concatenate(parts), whole)


# -- threads and processes ---------------------------------------------------------------------------


@pytest.mark.parametrize("cls", CLASSES)
def test_concurrent_predictions_equal_serial_ones(cls):
    X = blobs(400)
    estimator = make(cls, n_components=3, n_clusters=3, random_state=0).fit(X)
    names = ("predict", "predict_proba", "transform", "score_samples", "score")
    methods = [name for name in names if hasattr(estimator, name)]
    before = fitted_state(estimator)
    serial = [np.asarray(getattr(estimator, name)(X)).tobytes() for name in methods]

    def work(_):
        return [np.asarray(getattr(estimator, name)(X)).tobytes() for name in methods]

    with ThreadPoolExecutor(8) as pool:
        assert all(result == serial for result in pool.map(work, range(80)))
    assert fitted_state(estimator) == before


@pytest.mark.parametrize("cls", CLASSES)
def test_concurrent_fits_equal_serial_ones_and_restore_the_limits(cls):
    X = blobs(400)
    serial = fitted_state(make(cls, n_components=3, n_clusters=3, random_state=0).fit(X))
    with threadpool_limits(2, user_api="blas"):
        before = _thread_counts()
        barrier = threading.Barrier(8)

        def work(_):
            barrier.wait()
            return fitted_state(make(cls, n_components=3, n_clusters=3, random_state=0).fit(X))

        with ThreadPoolExecutor(8) as pool:
            assert all(state == serial for state in pool.map(work, range(8)))
        assert _thread_counts() == before


def test_the_limit_of_blas_threads_is_shared():
    """The first fit to end must not lift the limit of another, nor the last one restore that limit."""
    with threadpool_limits(2, user_api="blas"):
        before = _thread_counts()
        first, second = single_blas_thread(), single_blas_thread()
        first.__enter__()
        limited = _thread_counts()
        assert limited != before
        second.__enter__()
        first.__exit__(None, None, None)
        assert _thread_counts() == limited
        second.__exit__(None, None, None)
        assert _thread_counts() == before


def _thread_counts():
    return sorted((library["filepath"], library["num_threads"]) for library in threadpool_info())


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.parametrize("cls", CLASSES)
def test_a_forked_child_fits_and_predicts(cls):
    X = heavy_rows()
    with threadpool_limits(2, user_api="openmp"):
        estimator = quietly(heavy(cls).fit, X)
        expected = estimator.predict(X).tobytes()
        context = multiprocessing.get_context("fork")
        for _ in range(3):
            child = context.Process(target=fit_and_predict_in_child, args=(estimator, X, expected))
            child.start()
            child.join(20)
            if child.is_alive():
                child.kill()
                child.join()
                pytest.fail("the child hangs")
            assert child.exitcode == 0
        # the parent's own threads are none the worse
        assert estimator.predict(X).tobytes() == expected


FRESH = """
import multiprocessing, sys
import skem
from public_estimators import blobs, fit_and_predict_in_child, make, quietly

X = blobs(12_000, 6, 5)
estimator = quietly(make(skem.EMMixture, n_components=5, random_state=0, max_iter=8, tol=0.0).fit, X)
arguments = (estimator, X, estimator.predict(X).tobytes())
child = multiprocessing.get_context(sys.argv[1]).Process(target=fit_and_predict_in_child, args=arguments)
child.start()
child.join(60)
print("hangs" if child.is_alive() else child.exitcode)
if child.is_alive():
    child.kill()
"""


@pytest.mark.slow
@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_fresh_child_fits_and_predicts(method):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} on this system")
    # in a process of its own: the children of a test run would have to import the runner as their main module
    assert run_python(FRESH, method).strip() == "0"


THREADS = """
import os
from public_estimators import CLASSES, blobs, make, quietly

count = lambda: len(os.listdir("/proc/self/task"))


def run(rows, columns):
    X = blobs(rows, columns, 5)
    for cls in CLASSES:
        quietly(make(cls, n_components=5, n_clusters=5, random_state=0, max_iter=3).fit, X).predict(X)
    return count()


before = count()
print(run(300, 3) - before, run(12_000, 6) - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs Linux's account of threads")
@pytest.mark.skipif(not has_openmp, reason="built without OpenMP")
def test_small_data_start_no_thread():
    small, large = map(int, run_python(THREADS, OMP_NUM_THREADS="4", OPENBLAS_NUM_THREADS="1").split())
    assert small == 0
    assert large > 0


@pytest.mark.slow
def test_workers_share_the_processors():
    """joblib leaves each worker its part of the processors, and passes keep to that."""
    limits = Parallel(n_jobs=2)(delayed(max_threads)() for _ in range(4))
    assert max(limits) <= max(1, (os.cpu_count() or 1) // 2)


@pytest.mark.slow
def test_workers_fit_the_same_bits():
    """Processes of joblib, started after passes with threads have run in the parent."""
    X = heavy_rows()
    estimators = [heavy(skem.EMMixture), heavy(skem.BayesianKMeans)]
    serial = [fitted_state(quietly(clone(estimator).fit, X)) for estimator in estimators]
    parallel = Parallel(n_jobs=2)(delayed(quietly)(estimator.fit, X) for estimator in estimators)
    assert [fitted_state(estimator) for estimator in parallel] == serial


def test_import_starts_no_openmp_and_changes_no_setting():
    script = """
    import os, threading
    import numpy, scipy.linalg, sklearn.cluster, warnings
    tasks = lambda: len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 0
    state = lambda: (tasks(), threading.active_count(), dict(os.environ), numpy.geterr(), list(warnings.filters))
    before = state()
    import skem
    assert state() == before, (state(), before)
    assert skem._compat._blas_limit.libraries is None
    """
    run_python(script)


# -- global state ------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", CLASSES)
def test_no_global_state_changes(cls):
    X = blobs(400)
    np.random.seed(7)  # noqa: NPY002
    make(cls).fit(X)

    def state():
        return (
            np.geterr(),
            np.random.get_state()[1].tobytes(),  # noqa: NPY002
            warnings.filters[:],
            dict(os.environ),
            np.get_printoptions(),
            _thread_counts(),
            threading.active_count(),
        )

    before = state()
    estimator = make(cls, random_state=0).fit(X)
    estimator.predict(X)
    if hasattr(estimator, "sample"):
        estimator.sample(3)
    with pytest.raises(ValueError, match="NaN"):
        estimator.fit(np.full((5, 3), np.nan))
    assert state() == before


LEAK = """
import resource, sys, warnings
import numpy as np
warnings.simplefilter("ignore")
import skem
from skem.families import Gaussian, Poisson
X = np.random.default_rng(0).poisson(3.0, size=(60, 3)).astype(float)
bad = np.where(np.arange(180).reshape(60, 3) == 7, np.nan, X)
estimators = [skem.EMMixture(), skem.VariationalMixture(family=Gaussian("tied")), skem.MAPMixture(family=Poisson()),
              skem.BayesianKMeans(), skem.ICMMixture(family=Gaussian("diag")), skem.KMeans(2)]
def work(times):
    for _ in range(times):
        for estimator in estimators:
            estimator.set_params(random_state=0, max_iter=5).fit(X)
            estimator.predict(X)
            try:
                estimator.fit(bad)
            except ValueError:
                pass
work(20)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
work(100)
growth = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(growth / (1024 if sys.platform == "linux" else 1 << 20))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs the resource module")
def test_fits_leave_no_memory_behind():
    """600 fits, predictions and failed fits."""
    assert float(run_python(LEAK)) < 2.0


# -- memory ------------------------------------------------------------------------------------------

MEMORY = """
import sys, warnings
import numpy as np
warnings.simplefilter("ignore")
import skem
from skem.families import Gaussian, Poisson
from public_estimators import make
cls, name, init = getattr(skem, sys.argv[1]), sys.argv[2], sys.argv[3]
n, d, K = map(int, sys.argv[4:])
family = Poisson() if name == "poisson" else Gaussian(name)
params = dict(family=family, covariance_type=name, n_components=K, n_clusters=K, max_iter=3, n_init=1,
              n_draws=3, n_burn_in=1, n_chains=1, random_state=0)


def peak():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) / 1024


def estimator(labels):
    return make(cls, init=labels if init == "labels" else init, **params)


rng = np.random.default_rng(0)
centres = np.floor(rng.random((K, d)) * 20)
small, labels = np.floor(rng.random((3 * K, d)) * 20), np.arange(3 * K, dtype=np.int32) % K
estimator(labels).fit(small).predict(small)  # what is loaded once, at the first fit
X, labels = np.empty((n, d)), np.empty(n, dtype=np.int32)
for start in range(0, n, 1000):
    labels[start:start + 1000] = rng.integers(K, size=1000)
    X[start:start + 1000] = np.floor(rng.random((1000, d)) * 20) + centres[labels[start:start + 1000]]
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")  # the peak is that from here on
before = peak()
fitted = estimator(labels).fit(X)
after = peak()
fitted.predict(X)
print(after - before, peak() - before)
"""


def peaks(cls, family, init, n, d, n_components):
    """MiB above X that a fit, and a fit with a prediction, take at their worst."""
    if not os.access("/proc/self/clear_refs", os.W_OK):
        pytest.skip("needs Linux's account of memory")
    sizes = map(str, (n, d, n_components))
    return map(float, run_python(MEMORY, cls, family, init, *sizes, OMP_NUM_THREADS="2").split())


@pytest.mark.parametrize(
    ("init", "n", "d", "n_components"),
    [("labels", 1_000_000, 2, 8), ("k-means++", 100_000, 64, 16)],
)
def test_em_holds_eight_megabytes_and_a_double_a_row(init, n, d, n_components):
    fit, _ = peaks("EMMixture", "full", init, n, d, n_components)
    assert fit < 8.0 + 8 * n / 2**20


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "family", "ceiling"),
    [
        ("EMMixture", "full", 8.0),
        ("EMMixture", "poisson", 8.0),
        ("VariationalMixture", "tied", 8.0),
        ("GaussianMixture", "full", 8.0),
        ("BayesianGaussianMixture", "diag", 8.0),
        # these two know each row's place in canonical order
        ("BayesianKMeans", "diag", 30.0),
        ("GibbsMixture", "full", 30.0),
    ],
)
def test_a_fit_needs_little_memory_beyond_its_rows(name, family, ceiling):
    """200,000 x 20 rows are 32 MB themselves; responsibilities of 20 components would be as many again."""
    fit, both = peaks(name, family, "labels", 200_000, 20, 20)
    assert fit < ceiling + 1.6
    assert both < ceiling + 3.2
