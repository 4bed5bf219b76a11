"""A soft pass over CSR counts next to the two sparse-dense products that it cannot do without."""

from time import perf_counter

import numpy as np

from benchmarks.measurements.run import in_turn
from benchmarks.workloads import make_documents


def counts(run, workload):
    """A pass of multinomial EM through the engine, and SciPy's products for its scores and for its statistics."""
    from skem.engine import Source
    from skem.families import Multinomial
    from skem.summary import summarize

    X, shares = make_documents(workload)
    family = Multinomial().bind(summarize(X, None, None))
    source, theta = Source(X, None, family), family.parameters(shares)
    log_weights = np.full(len(shares), -np.log(len(shares)))
    turned, by_column = X.T, np.ascontiguousarray(theta.log_probability.T)
    resp = np.empty((X.shape[0], len(shares)))
    source.run(log_weights, theta, collect=False, resp=resp)
    work = {"pass": lambda: source.run(log_weights, theta), "products": lambda: (X @ by_column, turned @ resp)}
    turn = 0
    while True:
        pair = {}
        for name in in_turn(work, turn):
            begin = perf_counter()
            work[name]()
            pair[name] = {"iteration": perf_counter() - begin}
        yield pair
        turn += 1
