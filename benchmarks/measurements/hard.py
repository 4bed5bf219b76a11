"""K-means next to other libraries, and Bayesian k-means next to EM of our own."""

import gc

from benchmarks.measurements.mixture import compare
from benchmarks.measurements.run import in_turn
from benchmarks.referee import inertia
from benchmarks.workloads import make_rows, make_start

# Iterations between which early and late ones are timed.
EARLY = (1, 9)
LATE = (30, 38)


def kmeans(run, workload, dtype):
    """Lloyd's iterations from one start, early ones and late ones."""
    X = make_rows(workload, dtype)
    centers = make_start(X, workload.n_components).means.astype(dtype)
    able = {name: peer for name, peer in run.peers.items() if dtype in peer.kmeans_dtypes}
    for name, peer in list(able.items()):
        try:
            peer.fit_kmeans(X, centers, 1)
        except Exception as error:
            run.fail(name, error)
            del able[name]
    turn = 0
    while able:
        pair, found = {}, {}
        for name in in_turn(able, turn):
            gc.collect()
            seconds = {}
            for n_iter in (*EARLY, *LATE):
                fit = able[name].fit_kmeans(X, centers, n_iter)
                seconds[n_iter] = fit.seconds
            found[name] = fit.result
            pair[name] = {
                "early": (seconds[EARLY[1]] - seconds[EARLY[0]]) / (EARLY[1] - EARLY[0]),
                "late": (seconds[LATE[1]] - seconds[LATE[0]]) / (LATE[1] - LATE[0]),
                "whole": seconds[LATE[1]],
            }
        if "inertia" not in run.facts:
            run.facts["inertia"] = {name: inertia(X, centers) for name, centers in found.items()}
        yield pair
        turn += 1


def hard(run, workload):
    """An iteration of Bayesian k-means with full covariances, and one of EM."""
    X = make_rows(workload)
    start = make_start(X, workload.n_components)
    ours = run.peers["skem"]
    fits = {
        "BayesianKMeans": lambda n_iter: ours.fit_hard(X, start, n_iter),
        "EMMixture": lambda n_iter: ours.fit_mixture(X, start, "full", n_iter),
    }
    yield from compare(run, fits)
