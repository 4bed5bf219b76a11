"""The collapsed pass of families whose evidence is a sum of log Gamma functions; moves.pyx tells the rest.

Counts gain log Gamma(total + w x) - log Gamma(total) where x is not zero. Where x is 0 or 1 that is a number a column
and weight, kept like the terms: a row's score is a sum over its entries, and rows come sparse or whole.
"""

import numpy as np

from skem._kernels.moves import pack, positive, unpack

from libc.math cimport fmax, fmin, log, log1p
from libc.stdint cimport uint8_t

cimport skem._kernels._panels as pn
from skem._kernels._panels cimport LANES, Row, column_of
from skem._kernels.moves cimport Moves, N_SLOTS


cdef class PoissonMoves(Moves):
    """Posteriors of Poisson components.

    Parameters
    ----------
    kind : {"poisson"}
    posterior : dict of ndarray
        `n`, the Gamma rates, of shape (K, d), or (K,) where all columns share them, and `total` (K, d), the Gamma
        shapes.
    n_k : ndarray of shape (K,)
    alpha : ndarray of shape (K,) or float
    """

    cdef bint _one_rate              # whether all columns of `n` are one
    cdef double[::1] _total          # panels of d
    cdef double[::1] _rate           # panels of d
    cdef double[:, ::1] _slope       # (N_SLOTS, panels of d) of each count
    cdef double[:, ::1] _own_term    # (N_SLOTS, padded K) like _term, for a row of zeros that lies in the component
    cdef uint8_t[:, ::1] _own_fresh

    def __init__(self, str kind, posterior, n_k, alpha):
        rate, total = positive(posterior, ["n", "total"])
        cdef Py_ssize_t K = total.shape[0], d = total.shape[1]
        self._set_up(kind, K, d, n_k, alpha)
        self._one_rate = rate.ndim == 1
        self._total = pack(total, self._n_panels, 1.0)
        self._rate = pack(np.broadcast_to(rate.reshape(K, -1), (K, d)), self._n_panels, 1.0)
        self._slope = np.zeros((N_SLOTS, self._n_panels * LANES * d))
        self._takes_sparse = True
        self._own_term = np.zeros((N_SLOTS, self._n_panels * LANES))
        self._own_fresh = np.zeros((N_SLOTS, self._n_panels * LANES), np.uint8)

    @property
    def posterior(self):
        """The posterior as a dict of new arrays, in the names and shapes of the constructor."""
        rate = unpack(self._rate, self.n_components, self.n_features)
        total = unpack(self._total, self.n_components, self.n_features)
        return {"n": rate[:, 0].copy() if self._one_rate else rate, "total": total}

    cdef Py_ssize_t _work_of_row(self):
        # forty operations for each column where the terms of a weight are new
        return 40 * self.n_features + 40

    cdef void _fill(self, Py_ssize_t slot, Py_ssize_t k, double w) noexcept nogil:
        cdef Py_ssize_t i, at
        cdef double term = 0
        for i in range(self.n_features):
            at = (k // LANES * self.n_features + i) * LANES + k % LANES
            term -= self._total[at] * log1p(w / self._rate[at])
            self._slope[slot, at] = -w * log(self._rate[at] + w)
        self._term[slot, k] = term
        self._own_fresh[slot, k] = False

    cdef double _own(self, Py_ssize_t slot, Py_ssize_t k, double w) noexcept nogil:
        """The score of a row of zeros at component k, which it lies in."""
        cdef Py_ssize_t i, at
        cdef double term
        if not self._own_fresh[slot, k]:
            self._own_fresh[slot, k] = True
            term = 0
            for i in range(self.n_features):
                at = (k // LANES * self.n_features + i) * LANES + k % LANES
                term -= self._total[at] * log1p(w / pn.left(self._rate[at], w))
            self._own_term[slot, k] = term
        return self._own_term[slot, k]

    cdef void _change(self, Py_ssize_t k, Row *row, double w, bint observe) noexcept nogil:
        cdef Py_ssize_t i, t, d = self.n_features, at = k // LANES * d * LANES + k % LANES
        cdef double *total = &self._total[at]
        cdef double *rate = &self._rate[at]
        for i in range(row.length):
            t = column_of(row, i) * LANES
            total[t] = total[t] + w * row.x[i] if observe else self._less(total[t], w * row.x[i])
        for i in range(d):
            t = i * LANES
            rate[t] = rate[t] + w if observe else self._less(rate[t], w)

    cdef void _score_all(self, Row *row, double w, Py_ssize_t own) noexcept nogil:
        cdef Py_ssize_t d = self.n_features, slot = self._prepare(w), panel, k, i, t
        cdef const double *total
        cdef const double *rate
        cdef double score, without, count
        for panel in range(self._n_panels):
            k = panel * LANES
            pn.rise_counts(row, w, &self._total[k * d], &self._slope[slot, k * d], &self._growth[k])
        for k in range(self.n_components):
            self._score[k] = self._term[slot, k] + self._growth[k]
        if own < 0:
            return
        total = &self._total[own // LANES * d * LANES + own % LANES]
        rate = &self._rate[own // LANES * d * LANES + own % LANES]
        score = self._own(slot, own, w)
        for i in range(row.length):
            count = w * row.x[i]
            if count != 0:
                t = column_of(row, i) * LANES
                without = pn.left(total[t], count)
                score += (total[t] - without) * log1p(w / pn.left(rate[t], w))
                score += pn.log_rising(without, count) - count * log(rate[t])
        self._score[own] = score


cdef class MultinomialMoves(Moves):
    """Posteriors of multinomial components.

    Parameters
    ----------
    kind : {"multinomial"}
    posterior : dict of ndarray
        `total` (K, d), the Dirichlet parameters.
    n_k : ndarray of shape (K,)
    alpha : ndarray of shape (K,) or float
    """

    cdef double[::1] _total          # panels of d
    cdef double[::1] _sum            # (K,) over the columns

    def __init__(self, str kind, posterior, n_k, alpha):
        total, = positive(posterior, ["total"])
        self._set_up(kind, total.shape[0], total.shape[1], n_k, alpha)
        self._takes_sparse = True
        self._total = pack(total, self._n_panels, 1.0)
        self._sum = total.sum(axis=1)

    @property
    def posterior(self):
        """The posterior as a dict of new arrays, in the names and shapes of the constructor."""
        return {"total": unpack(self._total, self.n_components, self.n_features)}

    cdef Py_ssize_t _work_of_row(self):
        return 4 * self.n_features + 80

    cdef void _change(self, Py_ssize_t k, Row *row, double w, bint observe) noexcept nogil:
        cdef Py_ssize_t t
        cdef double *total = &self._total[k // LANES * self.n_features * LANES + k % LANES]
        cdef double *at
        cdef double size = 0
        for t in range(row.length):
            if row.x[t] != 0:
                at = total + column_of(row, t) * LANES
                at[0] = at[0] + w * row.x[t] if observe else self._less(at[0], w * row.x[t])
                size += w * row.x[t]
        self._sum[k] = self._sum[k] + size if observe else self._less(self._sum[k], size)

    cdef void _score_all(self, Row *row, double w, Py_ssize_t own) noexcept nogil:
        cdef Py_ssize_t d = self.n_features, panel, k, t
        cdef const double *total
        cdef double score, count, size = 0
        for t in range(row.length):
            size += w * row.x[t]
        for panel in range(self._n_panels):
            k = panel * LANES
            pn.rise_counts(row, w, &self._total[k * d], NULL, &self._growth[k])
        for k in range(self.n_components):
            self._score[k] = self._growth[k] - pn.log_rising(self._sum[k], size)
        if own < 0:
            return
        total = &self._total[own // LANES * d * LANES + own % LANES]
        score = -pn.log_rising(pn.left(self._sum[own], size), size)
        for t in range(row.length):
            count = w * row.x[t]
            if count != 0:
                score += pn.log_rising(pn.left(total[column_of(row, t) * LANES], count), count)
        self._score[own] = score


cdef class BernoulliMoves(Moves):
    """Posteriors of components of independent Bernoulli columns.

    Parameters
    ----------
    kind : {"bernoulli"}
    posterior : dict of ndarray
        `total` (K, 2 d), the Beta parameters: those of ones, then those of zeros.
    n_k : ndarray of shape (K,)
    alpha : ndarray of shape (K,) or float
    """

    cdef double[::1] _ones           # panels of d
    cdef double[::1] _zeros          # panels of d
    cdef double[:, ::1] _slope       # (N_SLOTS, panels of d) what a one scores above a zero
    cdef double[:, ::1] _own_term    # (N_SLOTS, padded K) like _term, for a row of zeros that lies in the component
    cdef uint8_t[:, ::1] _own_fresh
    cdef double[::1] _kept           # scratch (d,)

    def __init__(self, str kind, posterior, n_k, alpha):
        total, = positive(posterior, ["total"])
        ones, zeros = np.split(total, 2, axis=1)
        self._set_up(kind, ones.shape[0], ones.shape[1], n_k, alpha)
        self._takes_sparse = True
        padded = self._n_panels * LANES
        self._ones = pack(ones, self._n_panels, 1.0)
        self._zeros = pack(zeros, self._n_panels, 1.0)
        self._slope = np.zeros((N_SLOTS, padded * ones.shape[1]))
        self._own_term = np.zeros((N_SLOTS, padded))
        self._own_fresh = np.zeros((N_SLOTS, padded), np.uint8)
        self._kept = np.zeros(ones.shape[1])

    @property
    def posterior(self):
        """The posterior as a dict of new arrays, in the names and shapes of the constructor."""
        ones = unpack(self._ones, self.n_components, self.n_features)
        zeros = unpack(self._zeros, self.n_components, self.n_features)
        return {"total": np.concatenate([ones, zeros], axis=1)}

    cdef Py_ssize_t _work_of_row(self):
        return 40 * self.n_features + 40

    cdef void _fill(self, Py_ssize_t slot, Py_ssize_t k, double w) noexcept nogil:
        cdef Py_ssize_t i, at
        cdef double zero, term = 0
        for i in range(self.n_features):
            at = (k // LANES * self.n_features + i) * LANES + k % LANES
            zero = pn.log_rising(self._zeros[at], w)
            term += zero - pn.log_rising(self._ones[at] + self._zeros[at], w)
            self._slope[slot, at] = pn.log_rising(self._ones[at], w) - zero
        self._term[slot, k] = term
        self._own_fresh[slot, k] = False

    cdef double _own(self, Py_ssize_t slot, Py_ssize_t k, double w) noexcept nogil:
        """The score of a row of zeros at component k, which it lies in."""
        cdef Py_ssize_t i, at
        cdef double term
        if not self._own_fresh[slot, k]:
            self._own_fresh[slot, k] = True
            term = 0
            for i in range(self.n_features):
                at = (k // LANES * self.n_features + i) * LANES + k % LANES
                term += pn.log_rising(pn.left(self._zeros[at], w), w)
                term -= pn.log_rising(pn.left(self._ones[at] + self._zeros[at], w), w)
            self._own_term[slot, k] = term
        return self._own_term[slot, k]

    cdef void _change(self, Py_ssize_t k, Row *row, double w, bint observe) noexcept nogil:
        cdef Py_ssize_t i, t, d = self.n_features, at = k // LANES * d * LANES + k % LANES
        cdef double *ones = &self._ones[at]
        cdef double *zeros = &self._zeros[at]
        # a zero everywhere, which is taken back bit for bit where the row has ones
        for t in range(row.length):
            i = column_of(row, t) * LANES
            self._kept[t] = zeros[i]
            if row.x[t] != 0:
                ones[i] = ones[i] + w if observe else self._less(ones[i], w)
        for i in range(d):
            zeros[i * LANES] = zeros[i * LANES] + w if observe else pn.left(zeros[i * LANES], w)
        for t in range(row.length):
            if row.x[t] != 0:
                zeros[column_of(row, t) * LANES] = self._kept[t]

    cdef void _score_all(self, Row *row, double w, Py_ssize_t own) noexcept nogil:
        cdef Py_ssize_t d = self.n_features, slot = self._prepare(w), panel, k, t
        cdef const double *ones
        cdef const double *zeros
        cdef double score
        for panel in range(self._n_panels):
            k = panel * LANES
            pn.sum_slopes(row, &self._slope[slot, k * d], &self._growth[k])
        for k in range(self.n_components):
            self._score[k] = self._term[slot, k] + self._growth[k]
        if own < 0:
            return
        score = self._own(slot, own, w)
        ones = &self._ones[own // LANES * d * LANES + own % LANES]
        zeros = &self._zeros[own // LANES * d * LANES + own % LANES]
        for t in range(row.length):
            if row.x[t] != 0:
                k = column_of(row, t) * LANES
                score += pn.log_rising(pn.left(ones[k], w), w) - pn.log_rising(pn.left(zeros[k], w), w)
        self._score[own] = score


cdef class CategoricalMoves(Moves):
    """Posteriors of components of independent categorical columns.

    Rows hold codes: where among all outcomes that of each column stands.

    Parameters
    ----------
    kind : {"categorical"}
    posterior : dict of ndarray
        `total` (K, m), the Dirichlet parameters of all columns' outcomes, and `n` (K, d), their sums a column.
    n_k : ndarray of shape (K,)
    alpha : ndarray of shape (K,) or float
    """

    cdef Py_ssize_t _m
    cdef double[::1] _total          # panels of m
    cdef double[::1] _n              # panels of d
    cdef double[:, ::1] _slope       # (N_SLOTS, panels of m) what an outcome scores

    def __init__(self, str kind, posterior, n_k, alpha):
        n, total = positive(posterior, ["n", "total"])
        self._set_up(kind, n.shape[0], n.shape[1], n_k, alpha)
        self._m = total.shape[1]
        self._total = pack(total, self._n_panels, 1.0)
        self._n = pack(n, self._n_panels, 1.0)
        self._slope = np.zeros((N_SLOTS, self._n_panels * LANES * self._m))

    @property
    def posterior(self):
        """The posterior as a dict of new arrays, in the names and shapes of the constructor."""
        n = unpack(self._n, self.n_components, self.n_features)
        return {"n": n, "total": unpack(self._total, self.n_components, self._m)}

    cdef Py_ssize_t _work_of_row(self):
        return 20 * (self._m + self.n_features) + 40

    cdef Py_ssize_t _code(self, double x) noexcept nogil:
        """The outcome that a code names, held within all there are, for it becomes an address."""
        return <Py_ssize_t> fmin(fmax(x, 0), self._m - 1)

    cdef void _fill(self, Py_ssize_t slot, Py_ssize_t k, double w) noexcept nogil:
        cdef Py_ssize_t i, at = k // LANES * self.n_features * LANES + k % LANES
        cdef double term = 0
        for i in range(self.n_features):
            term -= pn.log_rising(self._n[at + i * LANES], w)
        self._term[slot, k] = term
        at = k // LANES * self._m * LANES + k % LANES
        for i in range(self._m):
            self._slope[slot, at + i * LANES] = pn.log_rising(self._total[at + i * LANES], w)

    cdef void _change(self, Py_ssize_t k, Row *row, double w, bint observe) noexcept nogil:
        cdef Py_ssize_t i
        cdef double *n = &self._n[k // LANES * self.n_features * LANES + k % LANES]
        cdef double *total = &self._total[k // LANES * self._m * LANES + k % LANES]
        cdef double *at
        for i in range(self.n_features):
            at = total + self._code(row.x[i]) * LANES
            at[0] = at[0] + w if observe else self._less(at[0], w)
            n[i * LANES] = n[i * LANES] + w if observe else self._less(n[i * LANES], w)

    cdef void _score_all(self, Row *row, double w, Py_ssize_t own) noexcept nogil:
        cdef Py_ssize_t slot = self._prepare(w), panel, k, i, t
        cdef const double *slope
        cdef const double *n
        cdef const double *total
        cdef double score
        for panel in range(self._n_panels):
            k = panel * LANES
            for t in range(LANES):
                self._growth[k + t] = 0
            for i in range(self.n_features):
                slope = &self._slope[slot, (k * self._m + self._code(row.x[i]) * LANES)]
                for t in range(LANES):
                    self._growth[k + t] += slope[t]
        for k in range(self.n_components):
            self._score[k] = self._term[slot, k] + self._growth[k]
        if own < 0:
            return
        n = &self._n[own // LANES * self.n_features * LANES + own % LANES]
        total = &self._total[own // LANES * self._m * LANES + own % LANES]
        score = 0
        for i in range(self.n_features):
            score += pn.log_rising(pn.left(total[self._code(row.x[i]) * LANES], w), w)
            score -= pn.log_rising(pn.left(n[i * LANES], w), w)
        self._score[own] = score


KINDS = {
    "poisson": PoissonMoves, "multinomial": MultinomialMoves, "bernoulli": BernoulliMoves,
    "categorical": CategoricalMoves,
}
