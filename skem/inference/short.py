"""Many runs of one algorithm side by side, each of which may rest and go on: what a race between starts is made of."""

import copy
from typing import Any

import numpy as np

from skem.engine import Pass
from skem.inference.base import Fit
from skem.starts import assign_labels

# Gain of an iteration, in nats a row, up to which a short run rests.
AT_REST = 1e-7


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

    def __init__(self, algorithm, model, source, begin):
        self.algorithm = copy.copy(algorithm)
        self.model = model
        self.source = source
        self._begin = begin
        self._fits = []

    def begin(self, codes):
        """Add a run that starts from labels; its number is that of the runs before it."""
        given = assign_labels(self.source, self.model.n_components, codes, self.algorithm.assign)
        state = self._begin(self.model, given)
        self._fits.append(Fit(state, -np.inf, [], 0, False, None))

    def go_on(self, run, n_iter):
        """Bring a run to so many iterations.

        Parameters
        ----------
        run : int
        n_iter : int

        Returns
        -------
        objective : float
        n_k : ndarray of shape (n_components,)
        """
        fit = self._fits[run]
        if fit.n_iter < n_iter and not fit.converged:
            self.algorithm.max_iter = n_iter
            # hard labels belong to the state that they made
            labels = fit.labels if self.algorithm.assign == "hard" else None
            fit = self.algorithm.run(self.model, self.source, fit.state, labels=labels, n_iter=fit.n_iter)
            self._fits[run] = fit
        return fit.objective, fit.state.n_k

    def given(self, run):
        """Return the `Pass` that the state of a run was made from, its score left out."""
        state = self._fits[run].state
        return Pass(-np.inf, 0, state.n_k, state.stats)


class CompiledRuns:
    """Runs of maximum-likelihood EM, compiled, in the same passes; one that needs other passes stands still.

    Parameters
    ----------
    model : Model
    source : Source
    step : skem._kernels.ascent.Step
    begin : callable
        Maps a model and the `Pass` of a start to the state that a run begins with.
    n_runs : int
        How many there will be.
    """

    def __init__(self, model, source, step, begin, n_runs):
        self.model = model
        self.source = source
        self._step = step
        self._begin = begin
        self._most = n_runs
        self._n_iter = []
        self._objective = []
        self._field: Any = None

    def begin(self, codes):
        """Add a run that starts from labels; its number is that of the runs before it."""
        if self._field is None:
            # the first start says which kind of pass the rows want
            given = assign_labels(self.source, self.model.n_components, codes, "soft")
            state = self._begin(self.model, given)
            self._field, self._to_pass = self.source.field(self._step, state.log_weights, state.theta, self._most)
        self._field.begin(len(self._n_iter), codes, self.source.family.start_share)
        self._n_iter.append(0)
        self._objective.append(-np.inf)

    def go_on(self, run, n_iter):
        """Bring a run to so many iterations; see `PlainRuns.go_on`."""
        score, n_done = self._field.go_on(run, n_iter - self._n_iter[run], AT_REST * self.model.total_weight)
        if n_done:
            self._objective[run] = score + self.model.log_base
        self._n_iter[run] = n_iter
        return self._objective[run], self._field.masses(run)

    def given(self, run):
        """Return the last `Pass` of a run."""
        return self._to_pass(run)


def short_runs(algorithm, model, source, begin, n_runs):
    """Runs side by side, compiled where they can be.

    Parameters
    ----------
    algorithm : Algorithm
    model : Model
    source : Source
    begin : callable
        Maps a model and the `Pass` of a start to the state that a run begins with.
    n_runs : int
        How many there will be.

    Returns
    -------
    runs : PlainRuns or CompiledRuns
    """
    # where `mle` is but a step, the sums of given labels depend on a theta, which a field begins without
    able = algorithm.update == "mle" and source.exact and model.family.closed_form
    steps = algorithm.steps(model) if able else None
    if steps is None:
        return PlainRuns(algorithm, model, source, begin)
    return CompiledRuns(model, source, steps[0], begin, n_runs)
