"""Soft algorithms as one compiled loop: pass, judge, update, and on.

On small data the Python between two passes costs many times the pass. The loop knows no family and no algorithm: a
`Step` turns the sums of a pass into the parameters of the next, and a `WeightStep` into their weights, by the formulas
of the verbs. Where a case is too rare to be worth compiled code, a step declines, and the caller goes on by the verbs.
"""

import numpy as np

from libc.math cimport INFINITY, fabs, log
from libc.stdint cimport int32_t
from libc.string cimport memcpy

from skem._kernels.passes cimport Prepared

# The logarithm of a weight of zero: finite, since 0 x inf is nan, and far below any other.
LOG_ZERO = -1e4
cdef double _LOG_ZERO = LOG_ZERO


# An objective gains by rounding alone below this, relative to its size.
cdef double ROUNDING = 4e-15
# Gains of so many roundings have no ratio where an extrapolation has brought the run close to its end.
cdef double FAINT = 8.0
# A run whose passes gain more than this, per unit of weight, is not slow whatever its ratio of gains.
cdef double STEEP = 1e-2
# What is left of a run may be so many times as much as it seems.
cdef double DOUBT = 10.0


cdef class Convergence:
    """Aitken's estimate of the gain that is left, per unit of weight.

    With consecutive gains d0, d1 and c = d1 / d0 in (0, 1) the gain left is about d1 c / (1 - c). The larger of the
    last two ratios counts, and the estimate must hold twice, since the first steps of a run shrink faster than those
    that follow. A gain of rounding size ends the run as well, one iteration later, since an objective at rounding
    level leaves the square root of that in the parameters; with `tol` = 0 it goes on for as many iterations again.

    Parameters
    ----------
    tol : float
    total_weight : float
    goal : float, default=-inf
        A run that seems to end at such an objective, or below, falls short.
    least : int, default=0
        Updates before anybody says so.
    """

    def __init__(self, double tol, double total_weight, double goal=-INFINITY, Py_ssize_t least=0):
        self.tol = tol * total_weight
        self.goal, self.least = goal, least
        self.steep = STEEP * total_weight
        self.n_updates = self.n_gains = 0
        self.last = -1
        self.near = self.started = self.eased = False

    cdef bint judge(self, double value) noexcept nogil:
        cdef bint was_near = self.near
        if not self.started:
            self.started, self.value = True, value
            return False
        self.gain_first, self.gain_before, self.gain = self.gain_before, self.gain, value - self.value
        self.value = value
        self.n_updates += 1
        self.n_gains += 1
        if self.last < 0 and not (self.eased and self.tol > 0) and self.gain <= ROUNDING * max(1.0, fabs(value)):
            self.last = 2 * self.n_updates if self.tol == 0 else self.n_updates + 1
        if 0 <= self.last <= self.n_updates:
            return True
        if self.n_gains < 3 or self.tol <= 0:
            return False
        self.near = self.left() <= self.tol
        return was_near and self.near

    cdef double ratio(self) noexcept nogil:
        """Larger of the last two ratios of gains; neither gain below is 0: that would have been of rounding size."""
        cdef double ratio = self.gain_before / self.gain_first
        return max(ratio, self.gain / self.gain_before)

    cdef double left(self) noexcept nogil:
        """Gain that is left."""
        cdef double ratio, faint
        if self.eased:
            faint = FAINT * ROUNDING * max(1.0, fabs(self.value))
            if max(self.gain, self.gain_before, self.gain_first) <= faint:
                return 0.0
        ratio = self.ratio()
        return self.gain * ratio / (1.0 - ratio) if ratio < 1.0 else INFINITY

    cdef bint is_short(self) noexcept nogil:
        if self.goal == -INFINITY or self.n_updates < self.least or self.n_gains < 3:
            return False
        return self.value + DOUBT * self.left() <= self.goal

    cdef bint crawls(self, double behind, double ahead) noexcept nogil:
        cdef double tol = max(self.tol, ROUNDING * max(1.0, fabs(self.value)))
        if self.n_updates < behind or self.n_gains < 3 or self.last >= 0 or self.gain > self.steep:
            return False
        return self.left() > tol and (self.ratio() >= 1.0 or log(tol / self.left()) < ahead * log(self.ratio()))

    def slow(self, double behind, double ahead):
        """Return whether `behind` iterations are made and more than `ahead`, of small gains each, seem to be left.

        Parameters
        ----------
        behind, ahead : float
        """
        return bool(self.crawls(behind, ahead))

    def falls_short(self):
        """Return whether the run would end below its goal even if much more were left than seems to be."""
        return bool(self.is_short())

    def contraction(self):
        """Return the larger of the last two ratios of gains, 0 where there are none yet."""
        return self.ratio() if self.n_gains >= 3 else 0.0

    def remaining(self):
        """Return the gain that seems to be left, 0 where nobody can tell."""
        cdef double left = self.left() if self.n_gains >= 3 and self.last < 0 else 0.0
        return left if left < INFINITY else 0.0

    def restart(self):
        """Forget the objectives so far: the next one has not come by a step from the last.

        From now on gains of rounding size count as none, whatever their ratios: what an extrapolation has brought
        close to the end gains by rounding, which has no ratio.
        """
        self.started = self.near = False
        self.eased = True
        self.n_gains = 0
        self.last = -1

    def update(self, double value):
        """Add an objective and return whether the run has converged."""
        return bool(self.judge(value))


cdef class Change(Convergence):
    """Ends a run where the objective per unit of weight changes by less than `tol`, as scikit-learn does.

    Parameters
    ----------
    tol : float
    total_weight : float
    value : float
        Objective, per unit of weight, before the first.
    """

    def __init__(self, double tol, double total_weight, double value):
        super().__init__(tol, total_weight)
        self.tol, self.total_weight, self.value = tol, total_weight, value

    cdef bint judge(self, double value) noexcept nogil:
        value /= self.total_weight
        self.gain, self.value = fabs(value - self.value), value
        return self.gain < self.tol


cdef class Step:
    """An update between two passes, of one family; it makes one in each of its verbs `mle_step`, `mode_step`, ...

    Its `penalty`, and that of a `WeightStep`, is their part of what the objective adds to the score of the next pass.
    """

    def begin(self, theta, const double[:, ::1] second, factor):
        """Begin at theta, whose scores are whole or leave out a term of all components, -|F x|^2 / 2.

        Parameters
        ----------
        theta : Parameters
        second : ndarray of shape (d, d) or None
            Second moments of all rows about the origin; None where scores are whole.
        factor : ndarray of shape (1, d, d) or None
            F of the first pass.
        """
        self.second = second
        self.shared = 0.0 if second is None else -0.5 * spread(factor, second)

    def before(self, theta):
        """What `mle` needs to make the parameters of the last pass again, where that was not its first.

        Parameters
        ----------
        theta : Parameters
            Of the first pass.

        Returns
        -------
        before : Parameters
            The old theta of the last update.
        """
        return theta

    cdef double expected(self, Prepared done) noexcept nogil:
        """Expected log-likelihood of a pass's sums at the parameters that it scored; of whole posteriors only."""
        return 0.0

    cdef bint update(self, Prepared done, const double *log_weights) noexcept nogil:
        """Work out the parameters of the next pass; false, with nothing changed, leaves that to the verbs."""
        return False

    cdef void load(self, Prepared next) noexcept nogil:
        """Hand the parameters of the last update to the next pass."""
        return

    def during(self, theta):
        """What `mle` needs to go on from the sums of the last pass; None where they are enough.

        Parameters
        ----------
        theta : Parameters
            Any of the same components.

        Returns
        -------
        during : Parameters or None
        """
        return None

    cdef size_t memory(self) noexcept nogil:
        """Numbers that a run is to keep for its next update, besides the sums of its last pass."""
        return 0

    cdef void leave(self, double *memory) noexcept nogil:
        """Write them, for another run is to go on."""
        return

    cdef void enter(self, const double *memory) noexcept nogil:
        """Read them; NaN where a run is to begin with no parameters before it."""
        return


cdef class WeightStep:
    """An update of the weights between two passes: their maximum-likelihood values, or what a subclass wants."""

    cdef bint update(self, int K, const double *n_k, double *log_weights) noexcept nogil:
        """Work out the weights of the next pass; false leaves the update to the verbs."""
        return share_out(K, n_k, log_weights)


cdef bint share_out(
    int K,
    const double *n_k,             # IN  (K)
    double *log_share,             # OUT (K)
) noexcept nogil:
    """Whether all components have mass."""
    cdef double total = 0.0
    cdef bint ok = True
    cdef int k
    for k in range(K):
        total += n_k[k]
    for k in range(K):
        ok = ok and n_k[k] > 0
        log_share[k] = log(n_k[k] / total) if n_k[k] / total > 0 else _LOG_ZERO
    return ok


cdef double second_term(int d, const double *factor, const double *second, double *scratch) noexcept nogil:
    cdef int i, j, l
    cdef double total = 0.0
    cdef const double *f
    for i in range(d):
        f = factor + <size_t> i * d
        for j in range(i + 1):
            scratch[j] = 0.0
        for l in range(i + 1):
            for j in range(i + 1):
                scratch[j] += f[l] * second[<size_t> l * d + j]
        for j in range(i + 1):
            total += f[j] * scratch[j]
    return total


def spread(const double[:, :, ::1] factor, const double[:, ::1] second):
    """Return the sum of |F x|^2 over rows x with these second moments: tr(F S F').

    Parameters
    ----------
    factor : ndarray of shape (1, d, d)
        Lower triangular.
    second : ndarray of shape (d, d)
        Symmetric.

    Returns
    -------
    spread : float
    """
    cdef int d = <int> second.shape[0]
    cdef double[::1] scratch = np.empty(d)
    return second_term(d, &factor[0, 0, 0], &second[0, 0], &scratch[0])


def log_share(const double[::1] n_k):
    """Log of n_k / sum(n_k), LOG_ZERO where there is none.

    Parameters
    ----------
    n_k : ndarray of shape (n_components,)

    Returns
    -------
    log_share : ndarray of shape (n_components,)
    """
    out = np.empty(n_k.shape[0])
    cdef double[::1] view = out
    share_out(<int> n_k.shape[0], &n_k[0], &view[0])
    return out


cdef double _closed(Prepared done, Step step, const double *log_weights) noexcept nogil:
    """Entropy of a pass's responsibilities: what it scored beyond the expected log-likelihood."""
    cdef int k
    cdef double score = done.job.total[0] + step.shared - step.expected(done)
    for k in range(done.job.K):
        score -= done.job.total[2 + k] * log_weights[k]
    return score


def ascend(
    Prepared p, Step step, WeightStep weights, Convergence convergence, const double[::1] begin, double penalty,
    double constant, Py_ssize_t max_updates, double patience, int32_t[::1] labels, bint late=False,
):
    """Alternate passes and updates until the run ends, a step declines, or too many more seem to be needed.

    Parameters
    ----------
    p : Prepared
        A soft pass of one scorer and one collector at the state to start from.
    step : Step
    weights : WeightStep
    convergence : Convergence
    begin : ndarray of shape (n_components,)
        Log weights of the first pass.
    penalty : float
        What the objective adds to the score of the first pass.
    constant : float
        What it adds to that of every pass.
    max_updates : int
    patience : float
        The loop leaves off where more updates are behind and, by their gains, seem to be left.
    labels : int32 ndarray of shape (n,)
        Written where the run ends at `max_updates`, in its last pass.
    late : bool, default=False
        Whether a pass is judged after the update that follows it, by the bound that this reaches: the evidence of
        its sums and the entropy of its responsibilities. There is no pass after `max_updates` then, and no labels.

    Returns
    -------
    objectives : list of float
        One a pass; none of a late one whose update a step declined.
    converged : bool
    ended : bool
        Whether the run is over; otherwise the sums of the last pass wait for an update.
    before : results of a pass, or None
        What the parameters of the last pass were made of; None where it still had those of the start.
    """
    cdef int K = p.job.K
    cdef size_t size = p.job.sums_size * sizeof(double)
    cdef double[::1] log_weights = np.array(begin)
    cdef double[::1] kept = np.empty(p.job.sums_size)
    cdef Py_ssize_t n_updates = 0
    cdef bint converged = False, over
    cdef double value
    objectives = []
    means, dofs = ([None if point is None else point.copy() for point in points] for points in (p.means, p.dofs))
    while True:
        over = n_updates + late >= max_updates
        if over and not late:
            # nobody reads the sums of the last pass, but its labels
            p.job.n_collectors = 0
            p.job.labels = &labels[0]
        p.run()
        if late:
            value = _closed(p, step, &log_weights[0])
        else:
            value = p.job.total[0] + step.shared + penalty + constant
            objectives.append(value)
            converged = convergence.judge(value)
            over = over or converged or convergence.is_short()
            if over or convergence.crawls(patience, patience):
                break
        if not weights.update(K, &p.job.total[2], &log_weights[0]) or not step.update(p, &log_weights[0]):
            over = False
            break
        if late:
            value += step.evidence + weights.evidence + constant
            objectives.append(value)
            converged = convergence.judge(value)
            over = over or converged or convergence.is_short()
            if over:
                break
        penalty = step.penalty + weights.penalty
        memcpy(&kept[0], p.job.total, size)
        if p.means[0] is not None:
            means[0][...] = p.means[0]
        if p.dofs[0] is not None:
            dofs[0][...] = p.dofs[0]
        step.load(p)
        n_updates += 1
    before = p.results(np.asarray(kept), means, dofs) if n_updates else None
    return objectives, bool(converged), bool(over), before
