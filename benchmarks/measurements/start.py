"""What init="k-means++" costs, in passes of EM."""

import gc
from time import perf_counter

from benchmarks.timing import find_pace, time_pace
from benchmarks.workloads import make_rows, make_start


def start(run, workload):
    """Seconds of a pass, and of a fit that ends at its start beyond one that is given it.

    A given start costs a pass itself, which is added back.
    """
    import skem

    ours = run.peers["skem"]
    X = make_rows(workload)
    given = make_start(X, workload.n_components)

    def fit(n_iter):
        return ours.fit_mixture(X, given, "full", n_iter)

    pace = find_pace(fit, whole_limit=0.5)
    while True:
        gc.collect()
        mixture = skem.EMMixture(workload.n_components, init="k-means++", max_iter=0, random_state=0)
        begin = perf_counter()
        mixture.fit(X)
        seconds = perf_counter() - begin
        iteration = time_pace(fit, pace)[0]["iteration"]
        yield {"skem": {"iteration": iteration, "start": seconds - fit(1).seconds + iteration}}
