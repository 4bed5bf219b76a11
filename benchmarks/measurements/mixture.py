"""An iteration of EM (of latent classes, too) or of variational Bayes, and the whole fit of 50, library by library."""

from functools import partial

from benchmarks.measurements.run import in_turn
from benchmarks.referee import log_likelihood
from benchmarks.timing import find_pace, time_pace
from benchmarks.workloads import make_answers, make_rows, make_start


def compare(run, fits, judge=None):
    """Time functions `fit(n_iter)` by library in turn, and judge once what they found after equal iterations."""
    paces = {}
    for name, fit in list(fits.items()):
        try:
            paces[name] = find_pace(fit)
        except Exception as error:
            # a library that cannot do this work is no reason to stop measuring the others
            run.fail(name, error)
    run.facts["pace"] = paces
    turn = 0
    while paces:
        pair, held = {}, {}
        for name in in_turn(paces, turn):
            pair[name], held[name] = time_pace(fits[name], paces[name])
        if judge is not None and "log_likelihood" not in run.facts:
            common = min(pace.high for pace in paces.values())
            found = {
                name: held[name] if pace.high == common else fits[name](common).result for name, pace in paces.items()
            }
            run.facts["log_likelihood"] = {name: judge(result) for name, result in found.items() if result is not None}
            run.facts["judged_after"] = common
        yield pair
        turn += 1


def mixture(run, workload, structure, dtype="float64"):
    """EM from one start; the referee judges parameters after the same number of iterations."""
    X = make_rows(workload, dtype)
    start = make_start(X, workload.n_components)
    able = [peer for peer in run.peers.values() if structure in peer.mixtures and dtype in peer.mixture_dtypes]
    fits = {peer.name: partial(peer.fit_mixture, X, start, structure) for peer in able}
    yield from compare(run, fits, lambda found: log_likelihood(X, found, structure))


def classes(run, workload):
    """EM of latent classes from one start, each library's own log-likelihood after the same number of iterations."""
    X, probabilities = make_answers(workload)
    fits = {name: partial(peer.fit_classes, X, probabilities) for name, peer in run.peers.items()}
    yield from compare(run, fits, float)


def bayesian(run, workload, structure):
    """Variational Bayes; both libraries go on from one fitted mixture."""
    X = make_rows(workload)
    start = make_start(X, workload.n_components)
    able = [peer for peer in run.peers.values() if structure in peer.bayesian]
    prepared = able[0].prepare_bayesian(X, start, structure)
    fits = {peer.name: partial(peer.fit_bayesian, X, prepared, structure) for peer in able}
    yield from compare(run, fits, lambda found: log_likelihood(X, found, structure))
