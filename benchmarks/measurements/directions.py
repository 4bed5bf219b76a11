"""Unit vectors: von Mises-Fisher mixtures, hard and soft, next to scikit-learn's k-means of the same rows."""

import gc
from functools import partial

from benchmarks.measurements.run import in_turn
from benchmarks.workloads import make_directions

# Iterations between which is timed: later ones have few rows left to move.
EARLY = (1, 7)


def directions(run, workload):
    """An iteration of spherical k-means, one of EM, and one of Lloyd's, in float32 from one start."""
    X, centers = make_directions(workload)
    ours = run.peers["skem"]
    fits = {
        "hard": partial(ours.fit_directions, X, centers, "hard"),
        "soft": partial(ours.fit_directions, X, centers, "soft"),
        "KMeans": partial(run.peers["scikit-learn"].fit_kmeans, X, centers),
    }
    for fit in fits.values():
        fit(1)
    turn = 0
    while True:
        pair = {}
        for name in in_turn(fits, turn):
            gc.collect()
            first, last = (fits[name](n_iter).seconds for n_iter in EARLY)
            pair[name] = {"iteration": (last - first) / (EARLY[1] - EARLY[0])}
        yield pair
        turn += 1
