"""The collapsed pass: rows move between components one at a time, the parameters integrated out.

With G the log normaliser of a component's posterior, a row x of weight w scores at component k

    G(posterior_k + w x) - G(posterior_k) + log Gamma(n_k + alpha_k + w) - log Gamma(n_k + alpha_k),

its part of log p(x, z) given all other rows, without the base measure. What of it does not depend on x is kept per
component for the last few weights. A row that stays where it is changes nothing: its own component's score follows
from the state with the row in it.

This file holds the visits of rows and the labels' part; collapsed_gaussian.pyx, collapsed_counts.pyx and
collapsed_rates.pyx hold the posteriors' part, and collapsed_product.pyx adds those of blocks of columns up.
"""

import numpy as np

from cpython.exc cimport PyErr_CheckSignals
from libc.math cimport INFINITY, fabs, fmax
from libc.stdint cimport int32_t

cimport skem._kernels._panels as pn
from skem._kernels._panels cimport LANES, LEAST_LEFT, Matrix, Row

cdef enum:
    SLICE_WORK = 30_000_000    # a few operations on a lane each; some 10 ms

cdef double SAME_SCORE = 1e-12  # relative; below it the old label stays


def pack(values, Py_ssize_t n_panels, double fill):
    """Components first (K, m) to panels (n_panels, m, LANES), flat; idle lanes take `fill`."""
    padded = np.full((n_panels * LANES, values.shape[1]), fill)
    padded[: len(values)] = values
    return padded.reshape(n_panels, LANES, -1).transpose(0, 2, 1).ravel()


def positive(posterior, names):
    """The named arrays as float64, of which every number must be positive."""
    arrays = [np.asarray(posterior[name], np.float64) for name in names]
    if not all((array > 0).all() for array in arrays):
        raise ValueError(f"every {' and every '.join(names)} must be positive")
    return arrays


def unpack(panels, Py_ssize_t n_components, Py_ssize_t width):
    """The way back from `pack`, as a new array."""
    rows = np.reshape(panels, (-1, width, LANES)).transpose(0, 2, 1).reshape(-1, width)
    return rows[:n_components].copy()


cdef class Moves:
    """Posteriors of K components, changed row by row; see `skem._kernels.collapsed.Collapsed`.

    Attributes
    ----------
    n_repairs : int
        Number of times that a row was forgotten whose part was all but the whole of a positive
        number: the state has then lost digits, and the caller should compute it anew from the rows.

    Notes
    -----
    Rounding errors add up over the moves, so a caller starts each sweep, or every few, from a posterior computed from
    the rows.
    """

    cdef int _set_up(self, str kind, Py_ssize_t K, Py_ssize_t d, n_k, alpha) except -1:
        self.kind = kind
        self.n_components, self.n_features = K, d
        self._n_panels = (K + LANES - 1) // LANES
        padded = self._n_panels * LANES
        self._n_k = np.array(n_k, np.float64).reshape(K)
        self._alpha = np.array(np.broadcast_to(alpha, (K,)), np.float64)
        self._slot_weight = np.zeros(N_SLOTS)
        self._fresh = np.zeros((N_SLOTS, padded), np.uint8)
        self._label = np.zeros((N_SLOTS, padded))
        self._term = np.zeros((N_SLOTS, padded))
        self._n_rows = np.zeros(K, np.intp)
        self._score = np.zeros(padded)
        self._growth = np.zeros(padded)
        return 0

    @property
    def n_k(self):
        """Weight of the rows of each component, a new array of shape (K,)."""
        return np.array(self._n_k)

    # ----------------------------------------------------------------------------------------------
    # What a kind brings

    cdef Py_ssize_t _work_of_row(self):
        """Operations on a lane that a row's scores cost at most, for each panel."""
        return 1

    cdef void _fill(self, Py_ssize_t slot, Py_ssize_t k, double w) noexcept nogil:
        """Compute the terms of a weight for one component."""

    cdef void _change(self, Py_ssize_t k, Row *row, double w, bint observe) noexcept nogil:
        """Give the row to the posterior of component k, or take it back."""

    cdef void _score_all(self, Row *row, double w, Py_ssize_t own) noexcept nogil:
        """Scores but for the label's part, given all other rows; the row lies in component `own`, or in none if -1."""

    # ----------------------------------------------------------------------------------------------
    # What the kinds share

    cdef Py_ssize_t _prepare(self, double w) noexcept nogil:
        """Slot that holds the terms of this weight for all components."""
        cdef Py_ssize_t k, slot = 0
        if w < 1e9:
            slot = <Py_ssize_t> w % N_SLOTS
        if self._slot_weight[slot] != w:
            self._slot_weight[slot] = w
            for k in range(self.n_components):
                self._fresh[slot, k] = False
        for k in range(self.n_components):
            if not self._fresh[slot, k]:
                self._fresh[slot, k] = True
                self._label[slot, k] = pn.log_rising(self._n_k[k] + self._alpha[k], w)
                self._fill(slot, k, w)
        return slot

    cdef void _score_labels(self, Row *row, double w, Py_ssize_t own) noexcept nogil:
        """Whole scores."""
        cdef Py_ssize_t slot = self._prepare(w), k
        self._score_all(row, w, own)
        for k in range(self.n_components):
            if k == own:
                self._score[k] += pn.log_rising(fmax(self._n_k[k] - w, 0) + self._alpha[k], w)
            else:
                self._score[k] += self._label[slot, k]

    cdef void _forget_terms(self, Py_ssize_t k) noexcept nogil:
        cdef Py_ssize_t slot
        for slot in range(N_SLOTS):
            self._fresh[slot, k] = False

    cdef double _less(self, double total, double part) noexcept nogil:
        if not total - part > LEAST_LEFT * total:
            self.n_repairs += 1
        return pn.left(total, part)

    cdef void _give_or_take(self, Py_ssize_t k, Row *row, double w, bint observe) noexcept nogil:
        self._forget_terms(k)
        self._n_k[k] = self._n_k[k] + w if observe else fmax(self._n_k[k] - w, 0)
        self._change(k, row, w, observe)

    # ----------------------------------------------------------------------------------------------
    # Sweep

    cdef Py_ssize_t _sweep_rows(
        self,
        const Matrix *X,             # IN
        const double[::1] w,         # IN
        int32_t[::1] labels,         # IN OUT
        const Py_ssize_t[::1] order,  # IN
        Py_ssize_t start,            # IN
        Py_ssize_t stop,             # IN
        bint refill,                 # IN
        const double[::1] opening,   # IN, empty for none
        const int32_t[::1] targets,  # IN, empty for none
        double[::1] lead,            # OUT, empty for none
        double *gain,                # IN OUT
    ) noexcept nogil:
        cdef Py_ssize_t at, row, k, old, new, n_moved = 0, n_others = 0
        cdef double margin, next_best
        cdef bint counts = opening.shape[0] > 0, alone
        cdef Row entries
        if counts:
            for k in range(self.n_components):
                n_others += self._n_rows[k] > 0
        for at in range(start, stop):
            row = order[at]
            if w[row] == 0:
                continue
            old = new = labels[row]
            if targets.shape[0] > 0 and targets[row] == old:
                continue
            entries = pn.row_of(X, row)
            alone = counts and self._n_rows[old] == 1
            if alone and self._n_k[old] != w[row]:
                # exactly, as where the last row has left
                self._n_k[old] = w[row]
                self._forget_terms(old)
            self._score_labels(&entries, w[row], old)
            if counts:
                n_others -= alone
                for k in range(self.n_components):
                    if self._n_rows[k] == 0 or (alone and k == old):
                        self._score[k] += opening[n_others]
                n_others += alone
            margin = SAME_SCORE * fmax(1, fabs(self._score[old]))
            if targets.shape[0] > 0:
                new = targets[row]
            for k in range(self.n_components if targets.shape[0] == 0 else 0):
                if self._score[k] > self._score[new] + margin and (refill or self._n_rows[k] > 0):
                    new = k
            if lead.shape[0] > 0:
                next_best = -INFINITY
                for k in range(self.n_components):
                    if k != new and self._score[k] > next_best and (refill or self._n_rows[k] > 0):
                        next_best = self._score[k]
                lead[row] = self._score[new] - next_best
            if new == old:
                continue
            gain[0] += self._score[new] - self._score[old]
            self._give_or_take(old, &entries, w[row], False)
            self._give_or_take(new, &entries, w[row], True)
            n_others += counts and self._n_rows[new] == 0
            n_others -= alone
            self._n_rows[old] -= 1
            self._n_rows[new] += 1
            if self._n_rows[old] == 0:
                self._n_k[old] = 0     # exactly, whatever the rounding of the weights
            labels[row] = <int32_t> new
            n_moved += 1
        return n_moved

    def sweep(
        self,
        X,
        const double[::1] w,
        int32_t[::1] labels,
        const Py_ssize_t[::1] order,
        bint refill=True,
        Py_ssize_t[::1] n_rows=None,
        double[::1] lead=None,
        const double[::1] opening=None,
        const int32_t[::1] targets=None,
    ):
        """Move each row, in the given order, to where it raises log p(x, z) the most.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features)
            Or, for kinds whose scores are sums over entries, a CSR matrix of float64 without duplicate entries.
        w : ndarray of shape (n_samples,)
            A row moves as a whole. Rows of weight zero keep their labels.
        labels : ndarray of shape (n_samples,), int32
            Changed in place. The state must hold these rows at these labels. Those of rows without
            weight are neither read nor changed.
        order : ndarray of shape (n_visits,), intp
            Rows to visit.
        refill : bool, default=True
            Whether a component without rows may receive one. Its score is exact; with a small kappa
            of the prior it seldom wins.
        n_rows : ndarray of shape (K,), intp, default=None
            Number of rows of positive weight that the state holds in each component, changed in
            place, for sweeps that see the rows in blocks, or some of them. None means that X is all of them.
        lead : ndarray of shape (n_samples,), default=None
            By how much each visited row's component is ahead of the next best, written.
        opening : ndarray of shape (K,), default=None
            What is added to the score of a component without other rows, where so many others have some: the rest of
            a partition's prior, in which the number of clusters counts. None means labels, which know no such thing.
        targets : ndarray of shape (n_samples,), int32, default=None
            Labels that the visited rows take, whatever that gains or loses. None means those that gain the most.

        Returns
        -------
        n_moved : int
        gain : float
            Increase of log p(x, z), or of log p(x, partition), summed over the moves.
        """
        cdef Py_ssize_t n = X.shape[0], d = self.n_features, n_visits = order.shape[0], row, at
        cdef Py_ssize_t start = 0, stop, n_moved = 0, step
        cdef double gain = 0
        cdef Matrix matrix
        cdef const double[:, ::1] whole
        cdef const double[::1] values
        cdef const Py_ssize_t[::1] columns, begin
        if X.shape[1] != d or w.shape[0] != n or labels.shape[0] != n:
            raise ValueError(f"X of {d} columns, and w and labels with a value per row are needed")
        if n_rows is not None and n_rows.shape[0] != self.n_components:
            raise ValueError(f"n_rows must hold {self.n_components} counts, got {n_rows.shape[0]}")
        if lead is None:
            lead = np.empty(0)
        elif lead.shape[0] != n:
            raise ValueError(f"lead must hold a value per row, {n}, got {lead.shape[0]}")
        if opening is None:
            opening = np.empty(0)
        elif opening.shape[0] != self.n_components:
            raise ValueError(f"opening must hold {self.n_components} values, got {opening.shape[0]}")
        if targets is None:
            targets = np.empty(0, np.int32)
        elif targets.shape[0] != n:
            raise ValueError(f"targets must hold a label per row, {n}, got {targets.shape[0]}")
        for at in range(n_visits if targets.shape[0] else 0):
            if 0 <= order[at] < n and not 0 <= targets[order[at]] < self.n_components:
                raise ValueError(
                    f"targets must be within 0 and {self.n_components - 1}, got {targets[order[at]]}"
                )
        self._n_rows[:] = 0
        for row in range(n):
            if not w[row] >= 0:
                raise ValueError(f"w must not be negative, got {w[row]}")
            if w[row] == 0:
                continue
            if not 0 <= labels[row] < self.n_components:
                raise ValueError(
                    f"labels must be within 0 and {self.n_components - 1}, got {labels[row]}"
                )
            self._n_rows[labels[row]] += 1
        if n_rows is not None:
            self._n_rows[:] = n_rows
        for at in range(n_visits):
            if not 0 <= order[at] < n:
                raise ValueError(f"order must name rows within 0 and {n - 1}, got {order[at]}")
        matrix.d, matrix.x, matrix.columns = d, NULL, NULL
        if hasattr(X, "indptr"):
            if not self._takes_sparse:
                raise TypeError(f"rows of kind {self.kind!r} come whole, not as CSR")
            values, begin = X.data, X.indptr.astype(np.intp, copy=False)
            columns = np.append(X.indices, 0).astype(np.intp, copy=False)   # never empty: no columns means whole rows
            matrix.columns, matrix.start = &columns[0], &begin[0]
            if X.nnz:
                matrix.x = &values[0]
        elif n:
            whole = X
            matrix.x = &whole[0, 0]
        step = max(1, SLICE_WORK // (self._n_panels * LANES * self._work_of_row()))
        while start < n_visits:
            stop = min(start + step, n_visits)
            with nogil:
                n_moved += self._sweep_rows(
                    &matrix, w, labels, order, start, stop, refill, opening, targets, lead, &gain
                )
            PyErr_CheckSignals()
            start = stop
        if n_rows is not None:
            n_rows[:] = self._n_rows
        return n_moved, gain

    def _check_row(self, Py_ssize_t k, Py_ssize_t width, double w):
        if not 0 <= k < self.n_components:
            raise IndexError(f"component {k} is out of range")
        if width != self.n_features:
            raise ValueError(f"a row of {self.n_features} values is needed, got {width}")
        if not w > 0:
            raise ValueError(f"w must be positive, got {w}")

    def observe(self, Py_ssize_t k, const double[::1] row, double w=1.0):
        """Give a row of weight w to component k."""
        cdef Row entries
        self._check_row(k, row.shape[0], w)
        entries = pn.whole_row(&row[0], row.shape[0])
        self._give_or_take(k, &entries, w, True)

    def forget(self, Py_ssize_t k, const double[::1] row, double w=1.0):
        """Take a row of weight w back from component k, which holds it."""
        cdef Row entries
        self._check_row(k, row.shape[0], w)
        if w > self._n_k[k] * (1 + 1e-9):
            raise ValueError(f"component {k} holds a weight of {self._n_k[k]} only, not {w}")
        entries = pn.whole_row(&row[0], row.shape[0])
        self._give_or_take(k, &entries, w, False)

    def log_predictive(self, const double[::1] row, double w=1.0):
        """Score of a row that lies in no component, of weight w, at each of them.

        Returns
        -------
        scores : ndarray of shape (K,)
            log p(row, z = k | all rows held) without the base measure and without the normaliser of
            the Dirichlet prior, which does not depend on k.
        """
        cdef Row entries
        self._check_row(0, row.shape[0], w)
        entries = pn.whole_row(&row[0], row.shape[0])
        self._score_labels(&entries, w, -1)
        return np.array(self._score[: self.n_components])
