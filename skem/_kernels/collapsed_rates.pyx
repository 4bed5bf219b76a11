"""The collapsed pass of waiting times and of counts of known dispersion; moves.pyx tells the rest."""

import numpy as np

from skem._kernels.moves import pack, positive, unpack

from libc.math cimport log, log1p
from libc.stdint cimport uint8_t

cimport skem._kernels._panels as pn
from skem._kernels._panels cimport LANES, Row, column_of
from skem._kernels.moves cimport Moves, N_SLOTS


cdef class ExponentialMoves(Moves):
    """Posteriors of exponential components.

    Parameters
    ----------
    kind : {"exponential"}
    posterior : dict of ndarray
        `n` and `total`, the Gamma shapes and rates, of shape (K, d).
    n_k : ndarray of shape (K,)
    alpha : ndarray of shape (K,) or float
    """

    cdef double[::1] _shape          # panels of d
    cdef double[::1] _rate           # panels of d

    def __init__(self, str kind, posterior, n_k, alpha):
        shape, rate = positive(posterior, ["n", "total"])
        self._set_up(kind, rate.shape[0], rate.shape[1], n_k, alpha)
        self._shape = pack(shape, self._n_panels, 1.0)
        self._rate = pack(rate, self._n_panels, 1.0)

    @property
    def posterior(self):
        """The posterior as a dict of new arrays, in the names and shapes of the constructor."""
        shape = unpack(self._shape, self.n_components, self.n_features)
        return {"n": shape, "total": unpack(self._rate, self.n_components, self.n_features)}

    cdef Py_ssize_t _work_of_row(self):
        return 60 * self.n_features + 40

    cdef void _fill(self, Py_ssize_t slot, Py_ssize_t k, double w) noexcept nogil:
        cdef Py_ssize_t i, at
        cdef double term = 0
        for i in range(self.n_features):
            at = (k // LANES * self.n_features + i) * LANES + k % LANES
            term += pn.log_rising(self._shape[at], w) - w * log(self._rate[at])
        self._term[slot, k] = term

    cdef void _change(self, Py_ssize_t k, Row *row, double w, bint observe) noexcept nogil:
        cdef Py_ssize_t i, at
        for i in range(self.n_features):
            at = (k // LANES * self.n_features + i) * LANES + k % LANES
            self._shape[at] = self._shape[at] + w if observe else self._less(self._shape[at], w)
            if row.x[i] != 0:
                self._rate[at] = self._rate[at] + w * row.x[i] if observe else self._less(self._rate[at], w * row.x[i])

    cdef void _score_all(self, Row *row, double w, Py_ssize_t own) noexcept nogil:
        cdef Py_ssize_t slot = self._prepare(w), k, i, at
        cdef double score, without
        for k in range(self.n_components):
            score = 0 if k == own else self._term[slot, k]
            for i in range(self.n_features):
                at = (k // LANES * self.n_features + i) * LANES + k % LANES
                if k == own:
                    without = pn.left(self._rate[at], w * row.x[i])
                    score += pn.log_rising(pn.left(self._shape[at], w), w) - w * log(without)
                    score -= self._shape[at] * log1p(w * row.x[i] / without)
                else:
                    score -= (self._shape[at] + w) * log1p(w * row.x[i] / self._rate[at])
            self._score[k] = score


cdef class NegativeBinomialMoves(Moves):
    """Posteriors of negative binomial components of known dispersions.

    Parameters
    ----------
    kind : {"negative_binomial"}
    posterior : dict of ndarray
        `total` (K, d), the second parameters of the Beta distributions of p, `size` (d,), the inverse dispersions, and
        `n` (K, d), of which the first parameters are 1 + size n.
    n_k : ndarray of shape (K,)
    alpha : ndarray of shape (K,) or float
    """

    cdef double[::1] _size           # (d,)
    cdef double[::1] _first          # panels of d
    cdef double[::1] _second         # panels of d
    cdef double[:, ::1] _whole       # (N_SLOTS, panels of d) both and what a weight adds to the first
    cdef double[:, ::1] _own_term    # (N_SLOTS, padded K) like _term, for a row of zeros that lies in the component
    cdef uint8_t[:, ::1] _own_fresh
    cdef double[::1] _fall           # scratch, padded K

    def __init__(self, str kind, posterior, n_k, alpha):
        n, total, size = positive(posterior, ["n", "total", "size"])
        self._set_up(kind, total.shape[0], total.shape[1], n_k, alpha)
        padded = self._n_panels * LANES
        self._takes_sparse = True
        self._size = np.array(size)
        self._first = pack(1.0 + size * n, self._n_panels, 1.0)
        self._second = pack(total, self._n_panels, 1.0)
        self._whole = np.ones((N_SLOTS, padded * total.shape[1]))
        self._own_term = np.zeros((N_SLOTS, padded))
        self._own_fresh = np.zeros((N_SLOTS, padded), np.uint8)
        self._fall = np.zeros(padded)

    @property
    def posterior(self):
        """The posterior as a dict of new arrays, in the names and shapes of the constructor."""
        first = unpack(self._first, self.n_components, self.n_features)
        second, size = unpack(self._second, self.n_components, self.n_features), np.array(self._size)
        return {"n": (first - 1.0) / size, "total": second, "size": size}

    cdef Py_ssize_t _work_of_row(self):
        return 80 * self.n_features + 40

    cdef void _fill(self, Py_ssize_t slot, Py_ssize_t k, double w) noexcept nogil:
        cdef Py_ssize_t i, at
        cdef double whole, grown, term = 0
        for i in range(self.n_features):
            at = (k // LANES * self.n_features + i) * LANES + k % LANES
            grown = w * self._size[i]
            whole = self._first[at] + self._second[at]
            term += pn.log_rising(self._first[at], grown) - pn.log_rising(whole, grown)
            self._whole[slot, at] = whole + grown
        self._term[slot, k] = term
        self._own_fresh[slot, k] = False

    cdef double _own(self, Py_ssize_t slot, Py_ssize_t k, double w) noexcept nogil:
        """The score of a row of zeros at component k, which it lies in."""
        cdef Py_ssize_t i, at
        cdef double grown, term
        if not self._own_fresh[slot, k]:
            self._own_fresh[slot, k] = True
            term = 0
            for i in range(self.n_features):
                at = (k // LANES * self.n_features + i) * LANES + k % LANES
                grown = w * self._size[i]
                term += pn.log_rising(pn.left(self._first[at], grown), grown)
                term -= pn.log_rising(pn.left(self._first[at] + self._second[at], grown), grown)
            self._own_term[slot, k] = term
        return self._own_term[slot, k]

    cdef void _change(self, Py_ssize_t k, Row *row, double w, bint observe) noexcept nogil:
        cdef Py_ssize_t i, at, d = self.n_features, start = k // LANES * d * LANES + k % LANES
        cdef double part
        for i in range(row.length):
            at = start + column_of(row, i) * LANES
            part = w * row.x[i]
            if part != 0:
                self._second[at] = self._second[at] + part if observe else self._less(self._second[at], part)
        for i in range(d):
            at, part = start + i * LANES, w * self._size[i]
            self._first[at] = self._first[at] + part if observe else self._less(self._first[at], part)

    cdef void _score_all(self, Row *row, double w, Py_ssize_t own) noexcept nogil:
        cdef Py_ssize_t d = self.n_features, slot = self._prepare(w), panel, k, i, j, at
        cdef double score, count, grown, whole
        for panel in range(self._n_panels):
            k = panel * LANES
            pn.rise_counts(row, w, &self._second[k * d], NULL, &self._growth[k])
            pn.rise_counts(row, w, &self._whole[slot, k * d], NULL, &self._fall[k])
        for k in range(self.n_components):
            self._score[k] = self._term[slot, k] + self._growth[k] - self._fall[k]
        if own < 0:
            return
        score = self._own(slot, own, w)
        for i in range(row.length):
            count = w * row.x[i]
            if count != 0:
                j = column_of(row, i)
                at = (own // LANES * d + j) * LANES + own % LANES
                grown, whole = w * self._size[j], self._first[at] + self._second[at]
                score += pn.log_rising(pn.left(self._second[at], count), count)
                score += pn.log_rising(pn.left(whole, grown), grown)
                score -= pn.log_rising(pn.left(whole, grown + count), grown + count)
        self._score[own] = score


KINDS = {"exponential": ExponentialMoves, "negative_binomial": NegativeBinomialMoves}
