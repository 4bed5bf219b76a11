"""Extrapolated iterations: SQUAREM and Anderson's method, held by the exact objective and to the path of plain steps.

A pass and an update map statistics to statistics. Where their steps grow small and slow, the last few tell where they
lead, and a leap goes there. What it costs is a pass that would have been made anyway: its score says whether the
objective has risen, and its step whether the run is on its course; if not, a shorter leap is made, or the plain step.
"""

from typing import Any

import numpy as np

from skem.inference.chart import Chart, filled
from skem.inference.extrapolation import METHODS

# Passes that a run must still need, by its gains so far, to be extrapolated; as many are spent to see it converge.
PATIENCE = 10
# Passes after which it may be extrapolated where the steps before have told its last one.
SOON = 3
# Multiply-adds in the time that Python takes around a pass, which a compiled loop does without.
PYTHON = 3e5
# A leap that gains less than this share of the tolerance is the last one.
ENOUGH = 0.01
# Idle leaps in a row after which plain steps show whether the run has converged, where the tolerance is zero.
RESTING = 4
# A leap that went astray by so little has not left the path of plain steps, unless by more than the step before it:
# in standard deviations of a row, roughly, which is a distance between mixtures whatever the number of rows.
NEAR = 0.004
# Gains of so many roundings have no ratio.
ROUNDINGS = 8.0
# Steps after which a run tries again to go to its family's limit, and a factor by which they grow with each try.
AGAIN = 4


class Leaps:
    """Extrapolation of one run.

    Leaps begin once an iteration gains little and many more are foreseen, so that separated data never see one, and
    end with a leap that gains next to nothing: plain steps then show that the run has converged, or that it has not.
    Aitken's estimate never spans a leap.

    Parameters
    ----------
    method : {"squarem", "anderson"}
    update : callable
        Called as update(stats, n_k, theta) for the state that statistics make.
    convergence : Convergence
        Judges the objectives of the run; made to forget them at a leap.
    tol : float
        Per unit of weight.
    total_weight : float
    work : float or None
        Multiply-adds of a pass where plain iterations are compiled, None where they are not.
    early : bool, default=True
        Whether leaps may begin early where plain iterations are not compiled.
    limit : Limit, default=None
        Where the parameters of a run that crawls may be bound for.
    """

    def __init__(self, method, update, convergence, tol, total_weight, work=None, early=True, limit=None):
        self.name = method
        self.limit = limit
        self.update = update
        self.convergence = convergence
        self.tol = tol
        self.total_weight = total_weight
        self.chart = Chart()
        # passes that are made in Python anyway lose nothing by an early leap, and its steps are at hand
        self.soon = SOON if early and work is None else np.inf
        self.patience = PATIENCE if work is None else PATIENCE * (1.0 + PYTHON / work)
        self.leapt = self.at_limit = False
        self.n_waited, self.again = 0, AGAIN
        self.kept: Any = None
        self.instead: Any = None
        self._read_before: list[tuple[Any, Any]] = []
        self.length = 0.0
        self._begin(-np.inf)

    def _begin(self, value):
        """Begin with plain steps, at an objective, and nothing known of earlier ones."""
        self.method, self.active = METHODS[self.name](), False
        self.value, self.gain, self.slowest, self.n_idle = value, np.inf, 0.0, 0

    def refuses(self, value, state, following):
        """Judge a pass: whether it was made at a leap that went astray.

        That is where the objective is lower than before, or the step is far from the expected one: the run has left
        the path of plain steps then, and may end at another optimum. It goes back to the state `kept`, and on by a
        shorter leap, or to the state `instead`, its plain step.

        Parameters
        ----------
        value : float
            Objective at `state`.
        state : State
        following : State or None
            The plain step from there; None where no leap was made, or to where nothing is finite.
        """
        before, leapt, self.leapt = self.value, self.leapt, False
        if self.at_limit:
            return self._refuses_limit(value, state, following)
        deviation = np.inf if following is None else self._deviation(state, following)
        if leapt and not (value >= before - self._rounding() and self._on_path(deviation)):
            if following is not None:
                self.method.learn(self._read(state)[0], self._read(following)[0])
            self.method.refused()
            self.n_idle = RESTING if self.gain <= self._enough() else 0
            return True
        self.gain, self.value = value - before, value
        if leapt:
            self.method.accepted(deviation)
            self.convergence.restart()
            # to rounding level parameters have a way to go that the objective no longer shows
            idle = RESTING if self.tol > 0 else 1
            self.n_idle = self.n_idle + idle if self.gain <= self._enough() else 0
        return False

    def _refuses_limit(self, value, state, following):
        """Judge a pass at the limit: whether the objective is lower there, or some way leads back uphill."""
        self.at_limit = False
        if following is None or value < self.value - self._rounding() or self.limit.leads_back(state, following):
            self.n_waited, self.again = 0, AGAIN * self.again
            return True
        # what is left is another run, of fewer parameters
        self._begin(value)
        self.convergence.restart()
        return False

    def settled(self):
        """Whether a run that seems to have converged has, were the gains left those of its slowest steps so far.

        Those that a leap has stirred up shrink faster, and would hide them.
        """
        left = self.gain * self.slowest / (1.0 - self.slowest)
        settled = left <= self.tol * self.total_weight or self.gain <= ROUNDINGS * self._rounding()
        if not settled:
            self.n_idle = 0
        return settled

    def _on_path(self, deviation):
        """Whether a run is on the path of plain steps, where the step is so far from the expected one."""
        near = deviation * self.length <= NEAR * np.sqrt(self.total_weight)
        return deviation <= self.method.astray or (near and deviation <= 1.0)

    def _deviation(self, state, following):
        """How far the step from a leap is from the expected one, in lengths of the step before it."""
        image, weight = self._read(following)
        step = image - self._read(state)[0]
        length = np.linalg.norm(weight * filled(step - self.method.expected))
        return float(length) / max(self.length, 1e-300)

    def _read(self, state):
        """Chart's reading of a state, of which the last two are kept: a step's end is the beginning of the next one."""
        for seen, reading in self._read_before:
            if seen is state:
                return reading
        self._read_before = [*self._read_before[-1:], (state, self.chart.read(state))]
        return self._read_before[-1][1]

    def _rounding(self):
        """How far apart two objectives may be that are alike."""
        return 4e-15 * max(1.0, abs(self.value))

    def _enough(self):
        """Gain at which leaps end."""
        return max(ENOUGH * self.tol * self.total_weight, self._rounding())

    def take(self, before, state, value):
        """State of the next pass: `state`, the plain step from `before` of objective `value`, or a leap beyond it."""
        slow = self.convergence.slow
        self.value = value
        self.active = self.active or slow(self.patience, self.patience)
        if not self.active and self.soon == np.inf:
            return state
        x, (image, weight) = self._read(before)[0], self._read(state)
        with np.errstate(all="ignore"):
            # what overflows tells nothing, and is no goal
            told = self.method.add(x, image, weight)
            self.active = self.active or (told and slow(self.soon, PATIENCE))
            if not self.active:
                return state
        if slow(PATIENCE, PATIENCE):
            self.n_idle = 0
            ratio = self.convergence.contraction()
            self.slowest = max(self.slowest, ratio if ratio < 1.0 else 0.0)
        self.length = float(np.linalg.norm(weight * filled(image - x)))
        self.kept, self.instead = before, state
        return self._limit() or self.beyond()

    def _limit(self):
        """State of the next pass at the limit that the last step led to; None where there is none, or not yet again."""
        self.n_waited += 1
        if self.limit is None or self.n_waited < self.again:
            return None
        found = self.limit.of(self.kept, self.instead)
        self.leapt = self.at_limit = found is not None
        return found

    def beyond(self):
        """State of the next pass: a leap beyond the plain step `instead`, as far as leaps go by now, or that itself."""
        state = self.instead
        with np.errstate(all="ignore"):
            goal = self.method.goal()
        if goal is None or self.n_idle >= RESTING:
            return state
        stats, n_k = self.chart.write(goal, state)
        if not all(np.isfinite(array).all() for array in (n_k, *stats.to_dict()["arrays"].values())):
            return state
        try:
            with np.errstate(all="ignore"):
                leap = self.update(stats, n_k, state.theta)
        except np.linalg.LinAlgError:
            # so far out that squares of its numbers are none any more
            self.method.refused()
            return state
        self.leapt = True
        return leap
