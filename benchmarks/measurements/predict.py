"""predict for one row and for a million."""

from functools import partial

from benchmarks.measurements.memory import MEBI, peak_of
from benchmarks.measurements.run import in_turn
from benchmarks.timing import find_pace, median_time, seconds_of, time_pace
from benchmarks.workloads import Workload, make_rows, make_start


def one_row(run):
    """Microseconds matter here: the median of thousands of calls, in turn."""
    import sklearn.mixture

    import skem

    X = make_rows(Workload(1_000, 4, 3))
    row = X[:1].copy()
    fitted = {
        "skem": skem.EMMixture(3, random_state=0).fit(X),
        "skem drop-in": skem.GaussianMixture(3, random_state=0).fit(X),
        "scikit-learn": sklearn.mixture.GaussianMixture(3, random_state=0).fit(X),
    }
    turn = 0
    while True:
        yield {
            name: {
                method: median_time(partial(seconds_of, partial(getattr(fitted[name], method), row)), at_least=0.3)
                for method in ("predict", "predict_proba", "score_samples")
            }
            for name in in_turn(fitted, turn)
        }
        turn += 1


def predict(run, workload):
    """Prediction of all rows next to an iteration, and its memory above that of its output."""
    ours = run.peers["skem"]
    X = make_rows(workload)
    start = make_start(X, workload.n_components)

    def fit(n_iter):
        return ours.fit_mixture(X, start, "full", n_iter)

    fitted = ours.mixture(start, "full", 3).fit(X)
    pace = find_pace(fit)
    output = []
    peak = peak_of(lambda: output.append(fitted.predict(X)))
    run.facts["peak_mib"] = (peak - output[0].nbytes) / MEBI
    while True:
        times = {
            method: median_time(partial(seconds_of, partial(getattr(fitted, method), X)), at_least=0.3)
            for method in ("predict", "predict_proba", "score_samples", "score")
        }
        yield {"skem": {**times, "iteration": time_pace(fit, pace)[0]["iteration"]}}
