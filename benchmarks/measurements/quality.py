"""Time to the log-likelihood at which scikit-learn stops."""

import gc
import inspect
from time import perf_counter

import numpy as np

from benchmarks.workloads import make_rows, make_start

TOL = 1e-5
LONGEST = 1_000


def quality(run, workload):
    """scikit-learn runs to its tolerance, ours until as good; with acceleration, too, where skem has it."""
    from sklearn.mixture import GaussianMixture

    import skem

    ours = run.peers["skem"]
    X = make_rows(workload)
    start = make_start(X, workload.n_components)
    accelerated = "accelerate" in inspect.signature(skem.EMMixture).parameters

    def seconds(mixture):
        gc.collect()
        begin = perf_counter()
        mixture.fit(X)
        return perf_counter() - begin

    while True:
        rival = GaussianMixture(
            workload.n_components, weights_init=start.weights, means_init=start.means,
            precisions_init=start.precisions("full"), tol=TOL, max_iter=LONGEST, reg_covar=0.0,
        )  # fmt: skip
        pair = {"scikit-learn": {"whole": seconds(rival)}}
        passes = {"scikit-learn": rival.n_iter_}
        for name, options in {
            "skem": {},
            **({"skem accelerated": {"accelerate": "anderson"}} if accelerated else {}),
        }.items():
            # its own history tells after how many iterations it was there
            bounds = ours.mixture(start, "full", 2 * rival.n_iter_, **options).fit(X).lower_bounds_
            there = np.flatnonzero(np.asarray(bounds) >= rival.lower_bound_)
            if not len(there):
                run.fail(name, f"not as good after {len(bounds)} passes")
                continue
            passes[name] = int(there[0]) + 1
            pair[name] = {"whole": seconds(ours.mixture(start, "full", passes[name], **options))}
        run.facts["passes"] = passes
        run.facts["log_likelihood"] = rival.lower_bound_
        yield pair
