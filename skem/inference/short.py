"""Many runs of one algorithm side by side, each of which may rest and go on: what a race between starts is made of."""

import copy

import numpy as np

from skem.engine import Pass
from skem.inference.base import Fit
from skem.inference.compiled_runs import CompiledRuns
from skem.starts import assign_labels


class PlainRuns:
    """Runs of any algorithm, one after the other.

    Parameters
    ----------
    algorithm : Algorithm
    model : Model
    source : Source
    begin : callable
        Maps a model and the `Pass` of a start to the state that a run begins with.
    """

    #: whether iterations cost next to nothing
    swift = False

    def __init__(self, algorithm, model, source, begin):
        self.algorithm = copy.copy(algorithm)
        self.model = model
        self.source = source
        self._max_iter = algorithm.max_iter
        self._begin = begin
        self._fits: list[Fit | None] = []

    @property
    def n_runs(self):
        """Runs that have begun."""
        return len(self._fits)

    def begin(self, codes):
        """Add a run that starts from labels; its number is that of the runs before it."""
        self.begin_at(assign_labels(self.source, self.model.n_components, codes, self.algorithm.assign))

    def begin_at(self, given):
        """Add a run that starts from the `Pass` of a start."""
        state = self._begin(self.model, given)
        self.adopt(Fit(state, -np.inf, [], 0, False, None))

    def adopt(self, fit):
        """Add a run as far as it has come elsewhere."""
        self._fits.append(fit)

    def go_on(self, runs, n_iter):
        """Bring runs to so many iterations.

        Parameters
        ----------
        runs : list of int
        n_iter : int

        Returns
        -------
        objectives : ndarray of shape (len(runs),)
        n_k : ndarray of shape (len(runs), n_components)
        """
        for run in runs:
            self._go_on(run, n_iter)
        fits = [self._fits[run] for run in runs]
        return np.array([fit.objective for fit in fits]), np.stack([fit.state.n_k for fit in fits])

    def _go_on(self, run, n_iter):
        fit = self._fits[run]
        if fit.n_iter < n_iter and not fit.converged:
            self.algorithm.max_iter = n_iter
            # hard labels belong to the state that they made
            labels = fit.labels if self.algorithm.assign == "hard" else None
            fit = self.algorithm.run(self.model, self.source, fit.state, labels=labels, n_iter=fit.n_iter)
            self._fits[run] = fit

    def given(self, run):
        """Return the `Pass` that the state of a run was made from, its score left out."""
        state = self._fits[run].state
        return Pass(-np.inf, 0, state.n_k, state.stats)

    def climb(self, run, goal=-np.inf, most=None):
        """Bring a run near its end.

        Parameters
        ----------
        run : int
        goal : float, default=-inf
            A run that seems to end at such an objective, or below, need not get there.
        most : int, default=None
            Iterations, at most, all before included; None means those of the algorithm.
        """
        self._go_on(run, most or self._max_iter)

    def insist(self, run):
        """Bring a run near its end, be it where likelihoods say nothing."""
        self.climb(run)

    def stands(self, run):
        """Whether a run has stopped short of its end, and cannot go on."""
        return False

    def end(self, run):
        """Objective at which a run seems to end."""
        return self._fits[run].objective

    def theta(self, run):
        """Parameters of the state of a run."""
        return self._fits[run].state.theta

    def labels(self, run):
        """Labels of the rows, as far as a run has come."""
        return self._fits[run].labels

    def drop(self, run):
        """Forget a run."""
        self._fits[run] = None

    def finish(self, run):
        """Bring a run to its end.

        Parameters
        ----------
        run : int

        Returns
        -------
        fit : Fit
        """
        self.climb(run)
        return self._fits[run]


def short_runs(algorithm, model, source, begin, n_runs, about=None):
    """Runs side by side, compiled where they can be.

    Parameters
    ----------
    algorithm : Algorithm
    model : Model
    source : Source
    begin : callable
        Maps a model and the `Pass` of a start to the state that a run begins with.
    n_runs : int
        How many there will be at most.
    about : pair of ndarray and Parameters, default=None
        Log weights and parameters; passes are of the kind that these want. None means that which the first start wants.

    Returns
    -------
    runs : PlainRuns or CompiledRuns
    """
    # where `mle` is but a step, the sums of given labels depend on a theta, which a field begins without
    able = algorithm.update in ("mle", "mode") and source.exact and model.family.closed_form
    steps = algorithm.steps(model) if able else None
    if steps is None:
        return PlainRuns(algorithm, model, source, begin)
    return CompiledRuns(algorithm, model, source, steps, begin, n_runs, about)
