"""Extrapolated iterations: SQUAREM and Anderson's method, held by the exact objective and to the path of plain steps.

A pass and an update map statistics to statistics. Where their steps grow small and slow, the last few tell where they
lead, and a leap goes there. What it costs is a pass that would have been made anyway: its score says whether the
objective has risen, and its step whether the run is on its course; if not the plain step is taken that was left.
"""

import math
from collections import deque
from typing import Any

import numpy as np

from skem.suffstats import NamedArrays

# Passes that a run must still need, by its gains so far, to be extrapolated; as many are spent to see it converge.
PATIENCE = 10
# Multiply-adds in the time that Python takes around a pass, which a compiled loop does without.
PYTHON = 3e5
# A leap that gains less than this share of the tolerance is the last one.
ENOUGH = 0.01
# Idle leaps in a row after which plain steps show whether the run has converged, where the tolerance is zero.
RESTING = 4
# Gains of so many roundings have no ratio.
ROUNDINGS = 8.0
# A component of a smaller share of the mean mass stays where the plain steps put it.
SMALL = 1e-6
# Digits of a leap's coefficients.
BITS = 12
# Plain steps that a first leap stands for, a factor by which the number changes, and its limit.
FIRST, WIDEN, FARTHEST = 4, 4, 2**40
# A leap to where steps are so many times as long has left the course of plain steps.
ASTRAY = 2.0
# Where they are no longer than this, the next leap may go farther.
STEADY = 1.1
# Directions of smaller relative length among the differences of steps say nothing, and would magnify rounding.
DEPENDENT = 1e-2


def _filled(x):
    """Zeros in place of nan."""
    return np.where(np.isnan(x), 0.0, x)


def _coarse(x):
    """Numbers with few digits, so that rounding in what they were worked out from changes none of them.

    A leap serves as well with coefficients a little off. Exact ones would magnify rounding, from leap to leap, until
    rows in another order, or in other units, came to another fit.
    """
    largest = np.abs(x).max()
    grid = np.exp2(np.ceil(np.log2(largest)) - BITS) if 0.0 < largest < np.inf else 1.0
    return np.round(x / grid) * grid


def _power_of_two(columns):
    """The powers of two next to the lengths of columns, 1 for a column of zeros."""
    lengths = np.linalg.norm(columns, axis=0)
    return np.exp2(np.round(np.log2(np.where(lengths > 0, lengths, 1.0))))


def _directions(columns):
    """Combinations of columns, as columns, whose sums are orthogonal and not next to nothing."""
    _, sizes, turned = np.linalg.svd(columns, full_matrices=False)
    return turned[sizes > DEPENDENT * sizes[0]].T


class Chart:
    """The statistics behind a state as one vector without constraints, nan where it has no place in the interior."""

    def __init__(self):
        self.layout: list[tuple[str, tuple[int, ...]]] = []
        self.shared: tuple[str, ...] = ()

    def read(self, state):
        """Coordinates of a state, and their weights in a length, about the square roots of information.

        Parameters
        ----------
        state : State

        Returns
        -------
        x, weight : ndarray of shape (m,)
        """
        n_k = state.n_k
        with np.errstate(all="ignore"):
            # a noise component, last of the masses, has no statistics
            return self._read(n_k, *state.stats.to_chart(n_k[: state.stats.n_components]))

    def _read(self, n_k, chart, unit):
        log_mass = np.where(n_k > SMALL * n_k.mean(), np.log(n_k), np.nan)
        arrays, self.shared = chart.to_dict()["arrays"], chart.shared
        self.layout = [(name, value.shape) for name, value in arrays.items()]
        xs, weights = [log_mass], [np.sqrt(n_k)]
        for name, value in arrays.items():
            if name in self.shared:
                xs.append(value.ravel())
                weights.append(np.sqrt(n_k.sum()) / getattr(unit, name).ravel())
            else:
                K = len(value)
                rows = value.reshape(K, -1)
                # without mass a component has no place at all
                xs.append((rows + 0.0 * log_mass[:K, None]).ravel())
                weights.append((weights[0][:K, None] / getattr(unit, name).reshape(rows.shape)).ravel())
        x, weight = np.concatenate(xs), np.concatenate(weights)
        inside = np.isfinite(x) & np.isfinite(weight)
        return np.where(inside, x, np.nan), np.where(inside, weight, 0.0)

    def write(self, x, state):
        """Statistics and masses at coordinates `x`; what is nan there is as in `state`, the plain step's.

        Returns
        -------
        stats : SuffStats
        n_k : ndarray of shape (n_components,)
        """
        n_k, end = state.n_k, len(state.n_k)
        held = np.isnan(x[:end])
        arrays: dict[str, np.ndarray] = {}
        with np.errstate(all="ignore"):
            mass = np.where(held, 0.0, np.exp(x[:end]))
            mass = np.where(held, n_k, mass * (n_k[~held].sum() / mass.sum()))
            for name, shape in self.layout:
                start, end = end, end + math.prod(shape)
                arrays[name] = x[start:end].reshape(shape)
            stats = state.stats.from_chart(NamedArrays(arrays, self.shared), mass[: state.stats.n_components])
        return stats.where_known(state.stats), mass


class Squarem:
    """SQUAREM with the third step length, |r| / |v| (Varadhan & Roland 2008): two plain steps, then a leap."""

    def __init__(self):
        self.first = None
        self.longest = 1.0
        self.wait = False

    def goal(self, x, image, weight):
        """Where to leap from `image`, the plain step from `x`; None for nowhere."""
        step = _filled(image - x)
        if self.wait or self.first is None:
            # the step from a leap only steadies it
            self.first = None if self.wait else step
            self.wait = False
            return None
        first, change, self.first = self.first, step - self.first, None
        length = float(np.linalg.norm(weight * first)) / max(float(np.linalg.norm(weight * change)), 1e-300)
        length = min(float(_coarse(length)), self.longest)
        if length == self.longest:
            self.longest *= 4.0
        if length <= 1.0:
            return None
        self.wait = True
        return image + 2.0 * (length - 1.0) * first + (length * length - 1.0) * change

    def accepted(self, growth):
        """Take note of a leap, and of how much longer steps are where it has led."""

    def refused(self):
        """Take note that a leap went astray."""
        self.longest = max(1.0, self.longest / 4.0)
        self.wait = False


class Anderson:
    """Anderson's method with five differences (Walker & Ni 2011), held to so many plain steps at once.

    Differences of the last points and of their steps tell, where they are, the linear map that steps follow. A leap
    goes to where `horizon` plain steps would lead by it: infinitely many of them are Anderson's own leap, to the point
    at which steps vanish. The horizon opens as leaps end where steps have grown no longer, and narrows where they go
    astray. So a run follows the path of plain steps, out of a saddle as well, where steps grow and the point at which
    they would vanish lies behind. A plain step follows every leap.
    """

    n_differences = 5

    def __init__(self):
        self.points: deque[tuple[np.ndarray, np.ndarray]] = deque(maxlen=self.n_differences + 1)
        self.horizon = FIRST
        self.rested = 0

    def goal(self, x, image, weight):
        """Where to leap from `image`, the plain step from `x`; None for nowhere."""
        step = image - x
        self.points.append((x, step))
        self.rested += 1
        if len(self.points) < 2 or self.rested < 2:
            return None
        self.rested = 0
        xs, steps = (np.array(column) for column in zip(*self.points, strict=True))
        # a coordinate that was held for one of the points does not leap
        moves, changes = (_filled(np.diff(column, axis=0)).T for column in (xs, steps))
        share = self._shares(weight[:, None] * moves, weight[:, None] * changes, weight * _filled(step))
        if share is None:
            self.horizon = max(1, self.horizon // WIDEN)
            return None
        return image + (moves + changes) @ share

    def _shares(self, moves, changes, step):
        """Coefficients of differences that add up to all plain steps within the horizon; None where they overflow."""
        # powers of two, that a change of units changes no bit
        lengths, scales = _power_of_two(moves), _power_of_two(changes)
        basis = _directions(changes / scales) / (scales / lengths)[:, None]
        moves, changes = moves / lengths @ basis, changes / lengths @ basis
        try:
            # as the changes see it, so that shares of infinitely many steps leave the least of the step
            across = np.linalg.solve(changes.T @ moves, changes.T @ np.column_stack([changes, step]))
        except np.linalg.LinAlgError:
            return None
        one = np.eye(len(across))
        total, power, n_steps = one, one + across[:, :-1], 1
        while n_steps < self.horizon and np.isfinite(power).all():
            total, power, n_steps = total + power @ total, power @ power, 2 * n_steps
        share = _coarse(basis @ (total @ across[:, -1])) / lengths
        return share if np.isfinite(share).all() else None

    def accepted(self, growth):
        """Take note of a leap, and of how much longer steps are where it has led."""
        if growth <= STEADY:
            self.horizon = min(self.horizon * WIDEN, FARTHEST)

    def refused(self):
        """Take note that a leap went astray."""
        self.horizon = max(1, self.horizon // WIDEN)
        self.rested = 0


METHODS: dict[str, Any] = {"squarem": Squarem, "anderson": Anderson}


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
    """

    def __init__(self, method, update, convergence, tol, total_weight, work=None):
        self.method = METHODS[method]()
        self.update = update
        self.convergence = convergence
        self.tol = tol
        self.total_weight = total_weight
        self.chart = Chart()
        self.patience = PATIENCE if work is None else PATIENCE * (1.0 + PYTHON / work)
        self.active = self.leapt = False
        self.n_idle = 0
        self.slowest = 0.0
        self.kept: Any = None
        self.instead: Any = None
        self.last: Any = (None, None)
        self.value, self.gain, self.length = -np.inf, np.inf, 0.0

    def refuses(self, value, state, following):
        """Judge a pass: whether it was made at a leap that went astray.

        That is where the objective is lower than before, or steps are much longer: the run has left the path of plain
        steps then, and may end at another optimum. It goes back to the state `kept`, and on to the state `instead`,
        its plain step.

        Parameters
        ----------
        value : float
            Objective at `state`.
        state : State
        following : State or None
            The plain step from there; None where no leap was made, or to where nothing is finite.
        """
        before, leapt, self.leapt = self.value, self.leapt, False
        growth = np.inf if following is None else self._growth(state, following)
        if leapt and not (value >= before - self._rounding() and growth <= ASTRAY):
            self.method.refused()
            self.n_idle = RESTING if self.gain <= self._enough() else 0
            return True
        self.gain, self.value = value - before, value
        if leapt:
            self.method.accepted(growth)
            self.convergence.restart()
            # to rounding level parameters have a way to go that the objective no longer shows
            idle = RESTING if self.tol > 0 else 1
            self.n_idle = self.n_idle + idle if self.gain <= self._enough() else 0
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

    def _growth(self, state, following):
        """Length of the step from a leap, in steps that were taken before it."""
        image, weight = self.chart.read(following)
        length = np.linalg.norm(weight * _filled(image - self.chart.read(state)[0]))
        return float(length) / max(self.length, 1e-300)

    def _rounding(self):
        """How far apart two objectives may be that are alike."""
        return 4e-15 * max(1.0, abs(self.value))

    def _enough(self):
        """Gain at which leaps end."""
        return max(ENOUGH * self.tol * self.total_weight, self._rounding())

    def take(self, before, state, value):
        """State of the next pass: `state`, the plain step from `before` of objective `value`, or a leap beyond it."""
        if not self.active:
            self.value = value
            self.active = self.convergence.slow(self.patience)
            if not self.active:
                return state
        x = self.last[1] if self.last[0] is before else self.chart.read(before)[0]
        image, weight = self.chart.read(state)
        self.last = state, image
        if self.convergence.slow(PATIENCE):
            self.n_idle = 0
            ratio = self.convergence.contraction()
            self.slowest = max(self.slowest, ratio if ratio < 1.0 else 0.0)
        with np.errstate(all="ignore"):
            # what overflows is no goal
            goal = self.method.goal(x, image, weight)
        self.length = float(np.linalg.norm(weight * _filled(image - x)))
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
        self.kept, self.instead, self.leapt = before, state, True
        return leap
