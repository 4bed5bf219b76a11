"""Many components: the truncated E-step next to the full one."""

import gc
import inspect
from time import perf_counter

from benchmarks.workloads import make_rows, make_start

ITERATIONS = 30
STRUCTURE = "diag"
# Components that each row looks at.
ACTIVE = 16


def many(run, workload):
    """Whole fits from one start; log-likelihoods are exact ones, of all components."""
    import skem

    if "n_active" not in inspect.signature(skem.EMMixture).parameters:
        run.fail("skem", "EMMixture has no n_active")
        return
    ours = run.peers["skem"]
    run.facts["n_active"] = ACTIVE
    X = make_rows(workload)
    start = make_start(X, workload.n_components)

    def fit(**options):
        mixture = ours.mixture(start, STRUCTURE, ITERATIONS, **options)
        gc.collect()
        begin = perf_counter()
        mixture.fit(X)
        return perf_counter() - begin, mixture.score(X)

    while True:
        truncated, below = fit(n_active=ACTIVE)
        full, above = fit()
        run.facts["log_likelihood"] = {"truncated": below, "full": above}
        yield {"truncated": {"whole": truncated}, "full": {"whole": full}}
