"""Progress of a fit: scikit-learn's callbacks where they exist, and a line of text where verbose asks for it."""

from contextlib import contextmanager

from skem._compat import with_callbacks


def with_monitor(fit):
    """Tear registered callbacks down after `fit`, whatever happens in it."""
    return fit if with_callbacks is None else with_callbacks(fit)


class Monitor:
    """Reports iterations of a fit; contexts are opened only where callbacks are registered.

    Parameters
    ----------
    estimator : BaseMixture
    X : ndarray of shape (n, d)
    n_starts : int
    """

    def __init__(self, estimator, X, n_starts):
        self.estimator = estimator
        self.X = X
        self.n_starts = n_starts
        self.root = None
        if getattr(estimator, "_skl_callbacks", None):
            self.root = estimator._init_callback_context(max_subtasks=n_starts)
            self.root.call_on_fit_task_begin(estimator=estimator, X=X)

    @contextmanager
    def start(self, run):
        """Report of one start, to be called as report(n_iter, objective, state); None where nobody listens."""
        verbose = self.estimator.verbose
        if self.root is None and not verbose:
            yield None
            return
        if verbose:
            print(f"start {run + 1} of {self.n_starts}")

        def report(n_iter, objective, state):
            if verbose and n_iter % 10 == 0 or verbose > 1:
                print(f"  iteration {n_iter}: objective {objective:.8g}")
            return False

        yield report
