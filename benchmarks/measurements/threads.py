"""Two threads against one, in one process."""

from threadpoolctl import threadpool_limits

from benchmarks.measurements.mixture import compare
from benchmarks.timing import others_busy
from benchmarks.workloads import make_rows, make_start


def threads(run, workload, work):
    """An iteration of EM of a structure, or of k-means, and how busy others kept the machine."""
    X = make_rows(workload)
    start = make_start(X, workload.n_components)
    ours = run.peers["skem"]

    def fit(n_iter, n_threads):
        with threadpool_limits(n_threads, user_api="openmp"):
            if work == "kmeans":
                return ours.fit_kmeans(X, start.means, n_iter)
            return ours.fit_mixture(X, start, work, n_iter)

    fits = {"one": lambda n_iter: fit(n_iter, 1), "more": lambda n_iter: fit(n_iter, run.n_threads)}
    for pair in compare(run, fits):
        pair["more"]["others_busy"] = others_busy()
        yield pair
