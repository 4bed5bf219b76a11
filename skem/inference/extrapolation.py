"""Where a few plain steps lead: SQUAREM and Anderson's method."""

from collections import deque
from typing import Any, NamedTuple

import numpy as np

from skem.inference.chart import filled

# Digits of a leap's coefficients.
BITS = 12
# Plain steps that a first leap stands for, a factor by which the number changes, and its limit.
FIRST, WIDEN, FARTHEST = 4, 4, 2**40
# Where a leap was told this well the next may go farther, and where it was told worse than that not so far.
WELL, POORLY = 0.2, 0.5
# A plain step is told by those before it where it is not farther from the expected one.
TOLD = 0.1
# Directions of smaller relative length among the moves say nothing, and would magnify rounding.
DEPENDENT = 1e-3


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


class Line(NamedTuple):
    """The linear map that steps follow, in the directions between points.

    Attributes
    ----------
    moves, changes : ndarray of shape (m, p)
        From point to point, and from step to step.
    lengths : ndarray of shape (p,)
        Of the moves.
    basis : ndarray of shape (p, r)
        Shares of the moves that a direction is made of.
    first : ndarray of shape (r,)
        The last step.
    once : ndarray of shape (r, r)
        What an iteration makes of a step.
    """

    moves: np.ndarray
    changes: np.ndarray
    lengths: np.ndarray
    basis: np.ndarray
    first: np.ndarray
    once: np.ndarray


class Squarem:
    """SQUAREM with the third step length, |r| / |v| (Varadhan & Roland 2008): two plain steps, then a leap."""

    #: a long leap to where the step is farther from the expected one, in steps before, has left the path of plain steps
    astray = 2.0
    #: the step where a leap leads
    expected = 0.0

    def __init__(self):
        self.first = None
        self.longest = 1.0
        self.wait = False

    def add(self, x, image, weight):
        """Take note of a plain step, from `x` to `image`; whether those before it have told it."""
        self.image, self.step, self.weight = image, filled(image - x), weight
        return False

    def goal(self):
        """Where to leap from the end of the last plain step; None for nowhere."""
        image, step, weight = self.image, self.step, self.weight
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

    def accepted(self, deviation):
        """Take note of a leap, and of how far from the expected one the step is where it has led."""

    def learn(self, x, image):
        """Take note of a step, from `x` to `image`, off the path of plain steps."""

    def refused(self):
        """Take note that a leap went astray."""
        self.longest = max(1.0, self.longest / 4.0)
        # two plain steps from where it began
        self.wait = True


class Anderson:
    """Anderson's method with five differences, held to so many plain steps at once.

    Differences of the last points, and of their steps, tell the linear map that steps follow in the directions between
    these points. A leap goes to where `horizon` plain steps would lead by it: infinitely many of them are Anderson's
    own leap (Walker & Ni 2011), to the point at which steps vanish. Near an optimum the map of EM has real eigenvalues
    in [0, 1), and is self-adjoint in lengths weighted by information, so that it is projected on its directions
    (Galerkin; Arnoldi's method in Walker & Ni) where theirs takes the least squares of the step that is left.

    The horizon opens as the steps that leaps end at are the expected ones, and narrows where they are not. So a run
    follows the path of plain steps, out of a saddle as well, where steps grow and the point at which they would vanish
    lies behind. A leap that went astray tells about the map, too, and a shorter one follows from where it began.
    """

    #: see `Squarem`
    astray = 0.35
    n_differences = 5

    def __init__(self):
        self.differences: deque[tuple[np.ndarray, np.ndarray]] = deque(maxlen=self.n_differences)
        self.last: Any = None
        self.horizon = float(FIRST)
        self.expected: Any = 0.0

    def add(self, x, image, weight):
        """Take note of a plain step, from `x` to `image`; whether those before it have told it."""
        step, self.weight, told = image - x, weight, False
        if self.differences:
            line, last = self._line(), self.last[1]
            missed = step - last - line.moves @ (line.basis @ (line.once @ line.first - line.first))
            told = np.linalg.norm(weight * filled(missed)) <= TOLD * np.linalg.norm(weight * filled(last))
        if self.last is not None:
            self.learn(x, image)
        self.last = x, step
        return bool(told)

    def goal(self):
        """Where to leap from the end of the last plain step; None for nowhere."""
        if not self.differences:
            return None
        if self.horizon < 1:
            # not even one step could be told: some more plain ones first
            self.horizon *= 2
            return None
        line, (x, step) = self._line(), self.last
        total, power, n_steps = np.eye(len(line.once)), line.once, 1
        while n_steps < self.horizon and np.isfinite(power).all():
            total, power, n_steps = total + power @ total, power @ power, 2 * n_steps
        # all steps within the horizon, and the step at their end
        share = _coarse(line.lengths * (line.basis @ (total @ line.first))) / line.lengths
        end = line.basis @ (line.once @ power @ line.first - line.first)
        if not np.isfinite([share, end]).all():
            self.refused()
            return None
        self.expected = step + line.moves @ end
        return x + step + (line.moves + line.changes) @ share

    def _line(self):
        """The map of steps in the directions between the last points."""
        weight = self.weight[:, None]
        # a coordinate that was held for one of the points does not leap
        moves, changes = (filled(np.array(column)).T for column in zip(*self.differences, strict=True))
        # powers of two, that a change of units changes no bit
        lengths = _power_of_two(weight * moves)
        directions, sizes, turned = np.linalg.svd(weight * moves / lengths, full_matrices=False)
        kept = sizes > DEPENDENT * sizes[0]
        directions, basis = directions[:, kept], turned[kept].T / sizes[kept] / lengths[:, None]
        once = np.eye(directions.shape[1]) + directions.T @ (weight * changes) @ basis
        return Line(moves, changes, lengths, basis, directions.T @ (self.weight * filled(self.last[1])), once)

    def accepted(self, deviation):
        """Take note of a leap, and of how far from the expected one the step is where it has led."""
        if deviation <= WELL:
            self.horizon = min(self.horizon * WIDEN, FARTHEST)
        elif deviation > POORLY:
            self.horizon /= WIDEN

    def learn(self, x, image):
        """Take note of a step, from `x` to `image`, off the path of plain steps."""
        self.differences.append((x - self.last[0], image - x - self.last[1]))

    def refused(self):
        """Take note that a leap went astray."""
        self.horizon /= WIDEN


METHODS: dict[str, Any] = {"squarem": Squarem, "anderson": Anderson}
