"""Runs of EM in the same compiled passes."""

import copy
from typing import Any

import numpy as np

from skem._kernels.ascent import Convergence
from skem.engine import Pass
from skem.inference.base import LEAST, Fit
from skem.inference.updates import UPDATES, State
from skem.starts import assign_labels

# Gain of an iteration, in nats a row, up to which a short run rests.
AT_REST = 1e-7
# A run is near its end at so many times the tolerance.
NEAR = 100.0


class CompiledRuns:
    """Runs of EM, for maximum likelihood or the mode, compiled, in the same passes.

    One that needs other passes goes on by itself under a prior, and else stands still, for it may be bound for a spike.

    Parameters
    ----------
    algorithm : Algorithm
    model : Model
    source : Source
    steps : pair of skem._kernels.ascent.Step and WeightStep
    begin : callable
        Maps a model and the `Pass` of a start to the state that a run begins with.
    n_runs : int
        How many there will be at most.
    about : pair of ndarray and Parameters, default=None
        Log weights and parameters; passes are of the kind that these want. None means that which the first start wants.
    """

    #: whether iterations cost next to nothing
    swift = True

    def __init__(self, algorithm, model, source, steps, begin, n_runs, about=None):
        self.algorithm = algorithm
        self.model = model
        self.source = source
        self._steps = steps
        self._begin = begin
        self._most = n_runs
        self._about = about
        self._field: Any = None
        self._n_iter: list[int] = []
        self._objective: list[float] = []
        self._left: list[float] = []
        self._stands: list[bool] = []
        # of runs that have gone on where nothing is compiled
        self._fits: dict[int, Fit] = {}
        self._passes: dict[int, Pass] = {}
        self._states: dict[int, State] = {}

    @property
    def n_runs(self):
        """Runs that have begun."""
        return len(self._n_iter)

    def begin(self, codes, share=None):
        """Add a run that starts from labels; its number is that of the runs before it.

        Parameters
        ----------
        codes : int32 ndarray of shape (n,)
        share : float, default=None
            How much of each component's statistics is to be that of all rows; None means the family's `start_share`.
        """
        family, K = self.source.family, self.model.n_components
        if self._field is None:
            if self._about is None:
                state = self._begin(self.model, assign_labels(self.source, K, codes, "soft"))
                self._about = state.log_weights, state.theta
            self._field, self._to_pass = self.source.field(self._steps, *self._about, self._most)
        self._field.begin(self.n_runs, codes, family.start_share if share is None else share)
        self._n_iter.append(0)
        self._objective.append(-np.inf)
        self._left.append(0.0)
        self._stands.append(False)

    def go_on(self, runs, n_iter):
        """Bring runs to so many iterations; see `PlainRuns.go_on`."""
        for run in runs:
            if run not in self._fits:
                self._go_on(run, n_iter, rest=AT_REST * self.model.total_weight)
            if self._stands[run] and self.algorithm.update == "mode":
                # where it stands, an update has yet to be made
                self._go_beyond(run, n_iter - self._n_iter[run] - 1)
        return np.array([self._reached(run) for run in runs]), self._field.masses(runs)

    def _reached(self, run):
        return self._fits[run].objective if run in self._fits else self._objective[run]

    def _go_on(self, run, n_iter, **until):
        self._passes.pop(run, None)
        self._states.pop(run, None)
        score, n_done, self._stands[run] = self._field.go_on(run, n_iter - self._n_iter[run], **until)
        if n_done:
            self._objective[run] = score + self.model.log_base
        self._n_iter[run] = self._n_iter[run] + n_done if self._stands[run] else n_iter

    def _go_beyond(self, run, n_iter):
        """Bring a run to so many iterations by verbs, from where it stands."""
        state, done = self._state(run), 0
        if run in self._fits:
            done = self._fits[run].n_iter
            if done >= n_iter or self._fits[run].converged:
                return
        algorithm = copy.copy(self.algorithm)
        algorithm.max_iter = n_iter
        self._fits[run] = algorithm.run(self.model, self.source, state, n_iter=done)

    def given(self, run):
        """Return the last `Pass` of a run."""
        if run in self._fits:
            return self._fits[run].state
        if run not in self._passes:
            self._passes[run] = self._to_pass(run)
        return self._passes[run]

    def climb(self, run, goal=-np.inf, most=None):
        """Bring a run near its end; see `PlainRuns.climb`."""
        if run in self._fits:
            return
        if not self._stands[run]:
            convergence = Convergence(
                NEAR * self.algorithm.tol, self.model.total_weight, goal - self.model.log_base,
                least=LEAST - self._n_iter[run],
            )  # fmt: skip
            self._go_on(run, most or self.algorithm.max_iter, convergence=convergence)
            self._left[run] = convergence.remaining()
        if self._stands[run] and not self.model.family.degenerate(self.given(run).stats).any():
            self.insist(run)

    def insist(self, run):
        """Bring a run near its end, be it where likelihoods say nothing."""
        self._go_beyond(run, self.algorithm.max_iter)

    def _state(self, run):
        """State that the last pass of a run makes."""
        if run in self._fits:
            return self._fits[run].state
        if run not in self._states:
            given = self.given(run)
            self._field.enter(run)
            before = self._steps[0].during(self._about[1])
            self._states[run] = UPDATES[self.algorithm.update](self.model, given.stats, given.n_k, before)
        return self._states[run]

    def stands(self, run):
        """Whether a run has stopped where nothing is compiled, and nobody knows its end."""
        return run not in self._fits and self._stands[run]

    def end(self, run):
        """Objective at which a run seems to end."""
        return self._reached(run) + (0.0 if run in self._fits else self._left[run])

    def theta(self, run):
        """Parameters that the last pass of a run makes."""
        return self._state(run).theta

    def labels(self, run):
        """Labels of the rows, as far as a run has come."""
        if run in self._fits:
            return self._fits[run].labels
        state, labels = self._state(run), np.empty(len(self.source), dtype=np.int32)
        self.source.finish(state.log_weights, state.theta, labels)
        return labels

    def drop(self, run):
        """Forget a run."""
        for kept in (self._fits, self._passes, self._states):
            kept.pop(run, None)

    def finish(self, run):
        """Bring a run to its end; see `PlainRuns.finish`."""
        self.insist(run)
        return self._fits[run]
