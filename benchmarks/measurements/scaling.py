"""How the cost of a pass grows with rows, columns and components."""

import numpy as np

from benchmarks.timing import find_pace, time_pace
from benchmarks.workloads import Workload, make_rows, make_start

AXES = {
    "n": [Workload(n, 8, 16) for n in (10_000, 31_623, 100_000, 316_228, 1_000_000, 3_162_278, 10_000_000)],
    "d": [Workload(50_000, d, 16) for d in (1, 2, 4, 8, 16, 32, 64, 128)],
    "K": [Workload(100_000, 8, K) for K in (1, 2, 4, 8, 16, 32, 64, 128, 256)],
}
# Rows of one matrix serve all sizes along "n": one allocation, and the same clusters.
ROWS = {"n": max(AXES["n"])}


def scaling(run, axis):
    """Seconds of an iteration at each size, and the slope of their logarithms."""
    ours = run.peers["skem"]
    whole = make_rows(ROWS[axis]) if axis in ROWS else None
    while True:
        sizes = {}
        for workload in AXES[axis]:
            X = make_rows(workload) if whole is None else whole[: workload.n]
            start = make_start(X, workload.n_components)

            def fit(n_iter, X=X, start=start):
                return ours.fit_mixture(X, start, "full", n_iter)

            sizes[workload] = time_pace(fit, find_pace(fit, span=0.5, whole_limit=0.5))[0]["iteration"]
        position = "ndK".index(axis)
        along = [workload[position] for workload in sizes]
        slope = np.polyfit(np.log(along), np.log(np.maximum(list(sizes.values()), 1e-9)), 1)[0]
        run.facts["along"] = along
        yield {"skem": {"slope": float(slope), **{str(x): y for x, y in zip(along, sizes.values(), strict=True)}}}
