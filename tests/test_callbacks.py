"""Fits report to scikit-learn's callbacks, which may stop them."""

import pickle
import re
import warnings

import numpy as np
import pytest
from public_estimators import CLASSES, MIXTURES, blobs, each, each_mixture, fitted_state, make, run_python
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

import skem
from skem.families import Gaussian, StudentT

callback = pytest.importorskip("sklearn.callback", reason="scikit-learn < 1.9 has no callbacks")

# numbers that a fit reports of its objective
BOUNDS = ("lower_bound_", "lower_bounds_", "log_evidence_")


class Recorder:
    """Keeps the path of every task; asks to stop at the end of the tasks that `stop_at` names."""

    def __init__(self, stop_at=()):
        self.events = []
        self.stop_at = stop_at

    def setup(self, estimator, context):
        self.events.append(("setup", context.task_name))

    def teardown(self, estimator, context):
        self.events.append(("teardown", context.task_name))

    def on_fit_task_begin(self, estimator, context):
        self.events.append(("begin", context.task_name, context.task_id))

    def on_fit_task_end(self, estimator, context):
        self.events.append(("end", context.task_name, context.task_id))
        return (context.task_name, context.task_id) in self.stop_at

    def count(self, kind, task):
        return sum(event[:2] == (kind, task) for event in self.events)


class Predictor(Recorder):
    """Uses the estimator as fitted so far at the end of every task."""

    def __init__(self, X):
        super().__init__()
        self.X = X
        self.scores = []

    def on_fit_task_end(self, estimator, context, *, X=None, fitted_estimator=None, metadata=None):
        if fitted_estimator is not None:
            assert X is self.X
            before = vars(estimator).copy()
            self.scores.append((context.task_name, fitted_estimator.score(self.X)))
            assert fitted_estimator.predict(self.X).shape == (len(self.X),)
            assert vars(estimator).keys() == before.keys()


def supported(cls):
    return hasattr(cls, "set_callbacks")


ITERATIVE = [cls for cls in MIXTURES if "n_init" in cls().get_params()]
each_iterative = pytest.mark.parametrize("cls", ITERATIVE)


@each_iterative
def test_tasks_form_a_tree(cls):
    recorder = Recorder()
    mixture = cls(3, n_init=2, init="random", random_state=0).set_callbacks(recorder).fit(blobs())
    events = recorder.events
    assert events[:2] == [("setup", "fit"), ("begin", "fit", 0)]
    assert events[-2:] == [("end", "fit", 0), ("teardown", "fit")]
    assert recorder.count("begin", "start") == recorder.count("end", "start") == 2
    assert recorder.count("begin", "iteration") == recorder.count("end", "iteration") >= mixture.n_iter_
    assert not any(name.startswith("_callback") for name in vars(mixture))


@each_mixture
def test_callbacks_do_not_change_the_fit(estimator):
    X = blobs()
    plain = clone(estimator).set_params(random_state=0).fit(X)
    watched = clone(plain).set_callbacks(Recorder()).fit(X)
    del watched._skl_callbacks
    for name in BOUNDS if isinstance(estimator, skem.VariationalMixture) else ():
        # a run that nobody watches is compiled, and sums this bound in another order
        np.testing.assert_allclose(vars(watched)[name], vars(plain).pop(name), rtol=1e-14)
        del vars(watched)[name]
    assert fitted_state(watched) == fitted_state(plain)


@each_iterative
def test_a_callback_ends_a_start_with_a_usable_model(cls):
    X = blobs()
    recorder = Recorder(stop_at=[("iteration", 1)])
    mixture = cls(3, n_init=2, init="random", random_state=0, tol=0.0).set_callbacks(recorder)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mixture.fit(X)
    assert recorder.count("end", "iteration") <= 4
    assert recorder.count("end", "start") == 2
    assert not mixture.converged_
    assert np.isfinite(mixture.score(X))
    if mixture._algorithm_class.assign == "soft":
        np.testing.assert_array_equal(mixture.predict(X), mixture.labels_)
    assert np.isfinite(mixture.lower_bound_)


@each_iterative
def test_a_callback_ends_the_starts(cls):
    recorder = Recorder(stop_at=[("start", 0)])
    mixture = cls(3, n_init=5, random_state=0).set_callbacks(recorder).fit(blobs())
    assert recorder.count("begin", "start") == 1
    assert mixture.converged_


@each_iterative
def test_the_estimator_fitted_so_far_is_built_where_a_callback_asks(cls):
    X = blobs()
    predictor = Predictor(X)
    mixture = cls(3, init="random", random_state=0).set_callbacks(predictor)
    mixture.fit(X)
    iterations = [score for task, score in predictor.scores if task == "iteration"]
    assert len(iterations) >= mixture.n_iter_
    assert predictor.scores[-1] == ("fit", mixture.score(X))
    # the last start's last state is what the fit publishes
    assert predictor.scores[-2][0] == "start"
    assert predictor.scores[-2][1] == pytest.approx(mixture.score(X))
    if cls is skem.EMMixture:
        assert iterations[-1] == pytest.approx(mixture.score(X))
        assert (np.diff(iterations) > -1e-9).all()


@each_mixture
def test_scoring_monitor_logs_every_iteration(estimator):
    X, y = blobs(), np.zeros(300)
    monitor = callback.ScoringMonitor(scoring="adjusted_rand_score")
    estimator = clone(estimator).set_callbacks(monitor).fit(X, y)
    log = monitor.get_logs()
    tasks = {row["task_name"] for row in log.data}
    assert "fit" in tasks
    if type(estimator) in ITERATIVE:
        assert {"start", "iteration"} <= tasks
    assert all(np.isfinite(row["adjusted_rand_score"]) for row in log.data)


@each(*MIXTURES, skem.MixtureSelection)
def test_progress_bar(estimator, capsys):
    pytest.importorskip("rich")
    clone(estimator).set_callbacks(callback.ProgressBar()).fit(blobs())
    assert f"{type(estimator).__name__} - fit" in capsys.readouterr().out


def test_progress_bar_over_a_grid_search(capsys):
    pytest.importorskip("rich")
    search = GridSearchCV(skem.EMMixture(random_state=0), {"n_components": [2, 3]}, cv=2)
    search.set_callbacks(callback.ProgressBar(max_propagation_depth=None)).fit(blobs())
    assert "EMMixture" in capsys.readouterr().out


@pytest.mark.parametrize("cls", [cls for cls in CLASSES if supported(cls)])
def test_registered_callbacks_survive_clone_and_pickle(cls):
    estimator = make(cls).set_callbacks(Recorder())
    assert isinstance(clone(estimator)._skl_callbacks[0], Recorder)
    copy = pickle.loads(pickle.dumps(estimator.fit(blobs())))
    assert copy._skl_callbacks[0].events == estimator._skl_callbacks[0].events


@each(*MIXTURES, skem.MixtureSelection)
def test_a_failing_callback_leaves_the_estimator_as_it_was(estimator):
    class Failing(Recorder):
        def on_fit_task_end(self, estimator, context):
            raise RuntimeError("the callback failed")

    X = blobs()
    estimator = clone(estimator).set_params(random_state=0).fit(X)
    estimator.set_callbacks(Failing())
    before = fitted_state(estimator)
    with pytest.raises(RuntimeError, match="the callback failed"):
        estimator.fit(X[:100] + 1.0)
    assert fitted_state(estimator).keys() == before.keys()
    after = fitted_state(estimator)
    assert {name for name in before if before[name] != after[name]} <= {"_skl_callbacks"}


@pytest.mark.parametrize("n_jobs", [None, 2])
@pytest.mark.parametrize("criterion", ["bic", "held_out"])
def test_a_selection_reports_its_chains_of_candidates(criterion, n_jobs):
    families = [Gaussian(code) for code in ("EII", "VII", "EEE")]
    selection = skem.MixtureSelection(
        n_components=(1, 2), families=families, criterion=criterion, cv=2, n_jobs=n_jobs, random_state=0
    )
    X = blobs()
    plain = clone(selection).fit(X)
    recorder = Recorder()
    watched = clone(selection).set_callbacks(recorder).fit(X)
    assert recorder.events[:2] == [("setup", "fit"), ("begin", "fit", 0)]
    assert recorder.events[-2:] == [("end", "fit", 0), ("teardown", "fit")]
    tasks = [event for event in recorder.events if event[1] == "candidates"]
    assert tasks == [(kind, "candidates", i) for i in range(3) for kind in ("begin", "end")]
    np.testing.assert_array_equal(watched.results_["score"], plain.results_["score"])
    # one that has had enough gets the best of what there is
    recorder = Recorder(stop_at=[("candidates", 1)])
    stopped = clone(selection).set_callbacks(recorder).fit(X)
    assert recorder.count("begin", "candidates") == 2
    np.testing.assert_array_equal(stopped.results_["score"], plain.results_["score"][:4])
    assert stopped.best_score_ == plain.results_["score"][:4].max()
    assert stopped.predict(X).shape == (len(X),)


def test_candidates_with_heavier_tails_are_tasks_too():
    X = np.random.default_rng(0).standard_t(2.0, (300, 2))
    recorder = Recorder()
    selection = skem.MixtureSelection(n_components=(1,), random_state=0).set_callbacks(recorder).fit(X)
    assert recorder.count("end", "candidates") == len(selection.results_["score"]) == 14 + 4
    recorder = Recorder(stop_at=[("candidates", 13)])
    selection.set_callbacks(recorder).fit(X)
    assert recorder.count("end", "candidates") == 14


def test_contexts_are_opened_only_for_callbacks(monkeypatch):
    def fail(*args, **kwargs):
        raise AssertionError("no callback is registered")

    monkeypatch.setattr(skem.EMMixture, "_init_callback_context", fail)
    skem.EMMixture(2).fit(blobs())


def test_verbose_prints_iterations(capsys):
    skem.EMMixture(3, n_init=2, init="k-means", random_state=0, verbose=2).fit(blobs())
    out = capsys.readouterr().out
    assert "start 1 of 2" in out
    assert "start 2 of 2" in out
    assert "iteration 0: objective" in out


@pytest.mark.parametrize("n_init", [1, 3])
@pytest.mark.parametrize("params", [{}, {"family": StudentT("diag", "common")}, {"noise": 0.1}])
def test_verbose_counts_starts_truly(capsys, params, n_init):
    """Of one race each total is right, of several all but the last are bounds; no start goes uncounted."""
    skem.EMMixture(2, n_init=n_init, random_state=0, verbose=1, **params).fit(blobs())
    starts = re.findall(r"start (\d+) of (at most )?(\d+)", capsys.readouterr().out)
    assert [int(number) for number, *_ in starts] == list(range(1, len(starts) + 1))
    totals = [int(total) for *_, total in starts]
    assert totals == sorted(totals, reverse=True)
    assert totals[-1] == len(starts)
    assert not starts[-1][1]
    assert bool(starts[0][1]) == (n_init > 1)


def test_without_scikit_learns_callbacks():
    """scikit-learn 1.7 and 1.8 have no callbacks: skem fits all the same."""
    script = """
    import sys
    import sklearn.base, sklearn.cluster, sklearn.mixture, sklearn.model_selection, sklearn.pipeline
    sys.modules["sklearn.callback"] = None  # scikit-learn itself has it by now
    import numpy as np, skem
    assert not hasattr(skem.EMMixture, "set_callbacks")
    X = np.random.default_rng(0).normal(size=(50, 2))
    print(skem.EMMixture(2, random_state=0, verbose=1).fit(X).n_components_)
    """
    assert run_python(script).split()[-1] == "2"
