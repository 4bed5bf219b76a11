"""Whole fits of small data: 100 iterations, and one."""

from functools import partial

from benchmarks.measurements.run import in_turn
from benchmarks.timing import median_time
from benchmarks.workloads import make_rows, make_start

ITERATIONS = 100


def small(run, workload, structure):
    """Seconds of a fit, start given, everything included, as the median of many."""
    X = make_rows(workload)
    start = make_start(X, workload.n_components)
    able = {name: peer for name, peer in run.peers.items() if structure in peer.mixtures}
    turn = 0
    while able:
        pair = {}
        for name in in_turn(able, turn):
            fit = partial(able[name].fit_mixture, X, start, structure)
            pair[name] = {
                kind: median_time(partial(lambda fit, n_iter: fit(n_iter).seconds, fit, n_iter))
                for kind, n_iter in (("whole", ITERATIONS), ("one", 1))
            }
        if "skem" in able and "n_iter" not in run.facts:
            # tol=0 still ends a run that has come to rest at rounding level: fewer iterations would be no speed
            run.facts["n_iter"] = able["skem"].mixture(start, structure, ITERATIONS).fit(X).n_iter_ + 1
        yield pair
        turn += 1
