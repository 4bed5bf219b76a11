"""Progress of a fit: scikit-learn's callbacks where they are registered, a line of text where verbose asks for it."""

from skem.inference.base import Fit


class Monitor:
    """Reports a fit as a tree of tasks, fit > start > iteration, and passes on a callback's wish to stop.

    A callback that returns true at the end of an iteration ends that start, at the end of a start all further ones.
    Contexts are opened only where callbacks are registered: otherwise an iteration costs nothing.

    Parameters
    ----------
    estimator : BaseMixture
    n_starts : int
        Most starts that the fit may have: a race drops those that lead to one end.
    max_reports : int or None
        Most iterations that a start may report; None where unknown.
    snapshot : callable or None
        Maps a `Fit`, whose labels may be None, to the attributes of the estimator as if fit had stopped there. Called
        only where a callback asks for the fitted estimator; None where there is none before the end.
    **data : dict
        X, y and metadata as the user gave them, for the callbacks.
    """

    def __init__(self, estimator, n_starts, max_reports, snapshot, **data):
        self.estimator = estimator
        self.verbose = estimator.verbose
        self.n_starts = n_starts
        self.max_reports = max_reports
        self.snapshot = snapshot
        self.data = {"estimator": estimator, **data}
        self.root = self.task = None
        self.n_begun = 0
        self.at_most = False
        self.objectives = []
        self.stopped = False
        if getattr(estimator, "_skl_callbacks", None):
            self.root = estimator._init_callback_context(max_subtasks=n_starts)
            self.root.call_on_fit_task_begin(**self.data)

    def expect(self, n_more, *, at_most):
        """Say how many starts are still to begin.

        Parameters
        ----------
        n_more : int
        at_most : bool
            Whether races to come may leave fewer.
        """
        self.n_starts = self.n_begun + n_more
        self.at_most = at_most

    def begin(self):
        """Begin a start.

        Returns
        -------
        report : callable or None
            To be called as report(n_iter, objective, state) after each iteration; true asks to stop. None where
            nobody listens.
        """
        if self.root is None and not self.verbose:
            return None
        self.n_begun += 1
        if self.verbose:
            print(f"start {self.n_begun} of {'at most ' * self.at_most}{self.n_starts}")  # noqa: T201
        self.objectives, self.stopped = [], False
        if self.root is not None:
            self.task = self.root.subcontext("start", max_subtasks=self.max_reports)
            self.task.call_on_fit_task_begin(**self.data)
        return self.report

    def report(self, n_iter, objective, state):
        """Report an iteration of the start that was begun last.

        Parameters
        ----------
        n_iter : int
        objective : float
        state : State

        Returns
        -------
        stop : bool
        """
        self.objectives.append(objective)
        if self.verbose > 1 or (self.verbose and n_iter % 10 == 0):
            print(f"  iteration {n_iter}: objective {objective:.8g}")  # noqa: T201
        if self.task is not None and not self.stopped:
            iteration = self.task.subcontext("iteration")
            iteration.call_on_fit_task_begin(**self.data)
            fit = Fit(state, objective, list(self.objectives), n_iter, False, None)
            self.stopped = iteration.call_on_fit_task_end(**self.data, **self._fitted(fit))
        return self.stopped

    def _fitted(self, fit):
        """Return what a context needs to build the estimator as fitted so far, should a callback ask for it."""
        return {} if self.snapshot is None else {"reconstruction_attributes": lambda: self.snapshot(fit)}

    def end(self, fit):
        """End a start.

        Parameters
        ----------
        fit : Fit

        Returns
        -------
        stop : bool
            Whether to leave out the starts that remain.
        """
        if self.task is None:
            return False
        return self.task.call_on_fit_task_end(**self.data, **self._fitted(fit))

    def finish(self):
        """End the fit; the estimator's attributes are published by now."""
        if self.root is not None:
            self.root.call_on_fit_task_end(**self.data, reconstruction_attributes=dict)
