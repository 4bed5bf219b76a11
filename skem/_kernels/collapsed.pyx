"""The collapsed pass: rows move between components one at a time, the parameters integrated out.

With G the log normaliser of a component's posterior, a row x of weight w scores at component k

    G(posterior_k + w x) - G(posterior_k) + log Gamma(n_k + alpha_k + w) - log Gamma(n_k + alpha_k),

its part of log p(x, z) given all other rows, without the base measure. For every Gaussian structure
the first difference is a term that depends on w alone, kept per component for the last few weights,
and -(nu + w dof) / 2 log(1 + growth), where 1 + growth is the factor by which the determinant of
the scatter would grow. So a row that stays where it is changes nothing: its own component's score
follows from the state with the row in it, by the same lemma with the sign turned.
"""

import numpy as np

from skem._kernels.linalg import cholesky

from cpython.exc cimport PyErr_CheckSignals
from libc.math cimport fabs, fmax, log, log1p, sqrt
from libc.stdint cimport int32_t, uint8_t

cimport skem._kernels._panels as pn
from skem._kernels._panels cimport LANES, LEAST_LEFT

cdef enum:
    N_SLOTS = 8                # weights whose terms are kept
    SLICE_WORK = 30_000_000    # a few operations on a lane each; some 10 ms

cdef enum Kind:
    FULL
    TIED
    DIAG
    SPHERICAL
    POISSON

cdef double LOG_2 = 0.6931471805599453
cdef double SAME_SCORE = 1e-12  # relative; below it the old label stays

KINDS = {"full": FULL, "tied": TIED, "diag": DIAG, "spherical": SPHERICAL, "poisson": POISSON}


def _pack(values, Py_ssize_t n_panels, double fill):
    """Components first (K, m) to panels (n_panels, m, LANES), flat; idle lanes take `fill`."""
    padded = np.full((n_panels * LANES, values.shape[1]), fill)
    padded[: len(values)] = values
    return padded.reshape(n_panels, LANES, -1).transpose(0, 2, 1).ravel()


def _unpack(panels, Py_ssize_t n_components, Py_ssize_t width):
    """The way back from `_pack`, as a new array."""
    rows = np.reshape(panels, (-1, width, LANES)).transpose(0, 2, 1).reshape(-1, width)
    return rows[:n_components].copy()


cdef class Collapsed:
    """Posteriors of K components, changed row by row.

    Parameters
    ----------
    kind : {"full", "tied", "diag", "spherical", "poisson"}
    posterior : dict of ndarray
        Prior merged with the statistics of the rows. Gaussian: `kappa` (K,), `mean` (K, d), `nu`
        (K,) (tied: one number) and `scatter`, of shape (K, d, d), (d, d), (K, d) or (K,). Poisson:
        `n`, the Gamma rates, of shape (K, d), or (K,) where all columns share them, and `total`
        (K, d), the Gamma shapes.
    n_k : ndarray of shape (K,)
        Weight of the rows of each component.
    alpha : ndarray of shape (K,) or float
        Dirichlet prior of the mixing weights.

    Attributes
    ----------
    n_repairs : int
        Number of times that a row was forgotten whose part was all but the whole of a positive
        number: the state has then lost digits, and the caller should compute it anew from the rows.

    Notes
    -----
    The arrays are copied. Rounding errors add up over the moves, so a caller starts each sweep, or
    every few, from a posterior computed from the rows.
    """

    cdef readonly Py_ssize_t n_components, n_features, n_repairs
    cdef readonly str kind
    cdef Kind _kind
    cdef Py_ssize_t _n_panels
    cdef Py_ssize_t _spread_width    # numbers in a component's scatter
    cdef Py_ssize_t _spread_stride   # from a panel's scatter to the next one's; 0 if it is shared
    cdef Py_ssize_t _inv_stride
    cdef double _dof                 # degrees of freedom that a unit of weight brings
    cdef bint _one_rate              # Poisson: whether all columns of `n` are one
    cdef double[::1] _kappa          # (K,); unused for Poisson
    cdef double[::1] _nu             # (K,), or (1,) if tied; unused for Poisson
    cdef double[::1] _log_det        # like nu: of the scatter as a (d, d) matrix
    cdef double[::1] _mean           # panels of d; Poisson: the totals
    cdef double[::1] _spread         # panels: Cholesky factor by rows, or the scatter itself
    cdef double[::1] _inv            # panels: inverse of its diagonal
    cdef double[::1] _rate           # Poisson: panels of d
    cdef double[::1] _n_k
    cdef double[::1] _alpha
    cdef double[::1] _slot_weight    # (N_SLOTS,), 0 for an unused slot
    cdef uint8_t[:, ::1] _fresh      # (N_SLOTS, padded K)
    cdef double[:, ::1] _term        # (N_SLOTS, padded K) all of the score but for the growth
    cdef double[:, ::1] _coef        # (N_SLOTS, padded K) of the growth
    cdef double[:, ::1] _slope       # Poisson: (N_SLOTS, panels of d) of each count
    cdef Py_ssize_t[::1] _n_rows     # (K,) rows of positive weight, within a sweep
    cdef double[::1] _score          # scratch, padded K
    cdef double[::1] _growth         # scratch, padded K
    cdef double[::1] _whitened       # scratch, panels of d
    cdef double[::1] _step           # scratch (d,)

    def __init__(self, str kind, posterior, n_k, alpha):
        if kind not in KINDS:
            raise ValueError(f"kind must be one of {sorted(KINDS)}, got {kind!r}")
        self.kind = kind
        self._kind = KINDS[kind]
        location = np.asarray(posterior["total" if self._kind == POISSON else "mean"], np.float64)
        self.n_components, self.n_features = location.shape
        cdef Py_ssize_t K = self.n_components, d = self.n_features
        self._n_panels = (K + LANES - 1) // LANES
        padded = self._n_panels * LANES
        self._mean = _pack(location, self._n_panels, 1.0 if self._kind == POISSON else 0.0)
        self._n_k = np.array(n_k, np.float64).reshape(K)
        self._alpha = np.array(np.broadcast_to(alpha, (K,)), np.float64)
        self._dof = d if self._kind == SPHERICAL else 1
        if self._kind == POISSON:
            rate = np.asarray(posterior["n"], np.float64)
            self._one_rate = rate.ndim == 1
            rate = np.broadcast_to(rate.reshape(K, -1), (K, d))
            if not (rate > 0).all() or not (location > 0).all():
                raise ValueError("every n and every total must be positive")
            self._rate = _pack(rate, self._n_panels, 1.0)
            self._slope = np.zeros((N_SLOTS, padded * d))
            self._kappa = self._nu = np.zeros(K)
        else:
            self._kappa = np.array(posterior["kappa"], np.float64).reshape(K)
            self._nu = np.array(posterior["nu"], np.float64).reshape(1 if self._kind == TIED else K)
            self._load_scatter(np.asarray(posterior["scatter"], np.float64))
        self._slot_weight = np.zeros(N_SLOTS)
        self._fresh = np.zeros((N_SLOTS, padded), np.uint8)
        self._term = np.zeros((N_SLOTS, padded))
        self._coef = np.zeros((N_SLOTS, padded))
        self._n_rows = np.zeros(K, np.intp)
        self._score = np.zeros(padded)
        self._growth = np.zeros(padded)
        self._whitened = np.zeros(padded * d)
        self._step = np.zeros(d)

    def _load_scatter(self, scatter):
        cdef Py_ssize_t K = self.n_components, d = self.n_features, k
        if self._kind == FULL or self._kind == TIED:
            factors, ok = cholesky(np.ascontiguousarray(scatter.reshape(-1, d, d)))
            if not ok.all():
                raise np.linalg.LinAlgError("every scatter matrix must be positive definite")
            if self._kind == TIED:
                # One panel whose lanes are all alike serves every panel of means.
                factors = np.broadcast_to(factors, (LANES, d, d))
            lower = np.tril_indices(d)
            spread = factors[:, lower[0], lower[1]]
            pivots = factors[:, np.arange(d), np.arange(d)]
        else:
            spread = scatter.reshape(K, -1)
            pivots = spread
            if not (spread > 0).all():
                raise ValueError("every scatter must be positive")
        n_panels = 1 if self._kind == TIED else self._n_panels
        self._spread_width = spread.shape[1]
        self._spread = _pack(spread, n_panels, 1.0)
        self._inv = _pack(1 / pivots, n_panels, 1.0)
        self._spread_stride = 0 if self._kind == TIED else self._spread_width * LANES
        self._inv_stride = 0 if self._kind == TIED else pivots.shape[1] * LANES
        self._log_det = np.zeros(self._nu.shape[0])
        for k in range(self._nu.shape[0]):
            self._note_log_det(k)

    @property
    def posterior(self):
        """The posterior as a dict of new arrays, in the names and shapes of the constructor."""
        cdef Py_ssize_t K = self.n_components, d = self.n_features
        location = _unpack(self._mean, K, d)
        if self._kind == POISSON:
            rate = _unpack(self._rate, K, d)
            return {"n": rate[:, 0].copy() if self._one_rate else rate, "total": location}
        spread = _unpack(self._spread, 1 if self._kind == TIED else K, self._spread_width)
        if self._kind == FULL or self._kind == TIED:
            factors = np.zeros((len(spread), d, d))
            lower = np.tril_indices(d)
            factors[:, lower[0], lower[1]] = spread
            spread = factors @ factors.transpose(0, 2, 1)
        nu = np.array(self._nu)
        return {
            "kappa": np.array(self._kappa),
            "mean": location,
            "nu": nu.reshape(()) if self._kind == TIED else nu,
            "scatter": spread if self._kind == FULL or self._kind == DIAG else (
                spread[0] if self._kind == TIED else spread[:, 0]
            ),
        }

    @property
    def n_k(self):
        """Weight of the rows of each component, a new array of shape (K,)."""
        return np.array(self._n_k)

    # ----------------------------------------------------------------------------------------------
    # Changes

    cdef void _note_log_det(self, Py_ssize_t k) noexcept nogil:
        cdef Py_ssize_t i, d = self.n_features
        cdef Py_ssize_t shared = 0 if self._kind == TIED else k
        cdef const double *inv = &self._inv[(shared // LANES) * self._inv_stride + shared % LANES]
        cdef double total = 0
        if self._kind == SPHERICAL:
            total = d * log(inv[0])
        else:
            for i in range(d):
                total += log(inv[i * LANES])
        # The pivots of a factor count twice.
        self._log_det[shared] = -2 * total if self._kind == FULL or self._kind == TIED else -total

    cdef void _change(self, Py_ssize_t k, const double *x, double w, bint observe) noexcept nogil:
        """Give the row to component k, or take it back."""
        cdef Py_ssize_t i, t, d = self.n_features, slot
        cdef Py_ssize_t panel = k // LANES, lane = k % LANES
        cdef double *mean = &self._mean[panel * d * LANES + lane]
        cdef double *rate
        cdef double after
        for slot in range(N_SLOTS):
            self._fresh[slot, k] = False
        self._n_k[k] = self._n_k[k] + w if observe else fmax(self._n_k[k] - w, 0)
        if self._kind == POISSON:
            rate = &self._rate[panel * d * LANES + lane]
            for i in range(d):
                t = i * LANES
                mean[t] = mean[t] + w * x[i] if observe else self._less(mean[t], w * x[i])
                rate[t] = rate[t] + w if observe else self._less(rate[t], w)
            return
        after = self._kappa[k] + w if observe else self._less(self._kappa[k], w)
        for i in range(d):
            self._step[i] = x[i] - mean[i * LANES]
            mean[i * LANES] += (w if observe else -w) / after * self._step[i]
        self._change_spread(k, self._kappa[k] / after * w, observe)
        self._kappa[k] = after
        self._nu[0 if self._kind == TIED else k] += (w if observe else -w) * self._dof
        self._note_log_det(k)

    cdef void _change_spread(self, Py_ssize_t k, double coef, bint observe) noexcept nogil:
        """Add coef step step^T to the scatter, or subtract it."""
        cdef Py_ssize_t i, t, d = self.n_features
        cdef Py_ssize_t panel = k // LANES, lane = 0 if self._kind == TIED else k % LANES
        cdef double *spread = &self._spread[panel * self._spread_stride + lane]
        cdef double *inv = &self._inv[panel * self._inv_stride + lane]
        cdef double squared = 0
        if self._kind == DIAG or self._kind == SPHERICAL:
            for i in range(d):
                squared += self._step[i] * self._step[i] * coef
                if self._kind == DIAG or i == d - 1:
                    spread[0] = spread[0] + squared if observe else self._less(spread[0], squared)
                    inv[0] = 1 / spread[0]
                    spread += LANES
                    inv += LANES
                    squared = 0
            return
        for i in range(d):
            self._step[i] *= sqrt(coef)
        if observe:
            pn.update_factor(spread, inv, &self._step[0], d)
        else:
            self.n_repairs += pn.downdate_factor(spread, inv, &self._step[0], d)
        if self._kind == TIED:
            for i in range(self._spread_width):
                for t in range(1, LANES):
                    spread[i * LANES + t] = spread[i * LANES]
            for i in range(d):
                for t in range(1, LANES):
                    inv[i * LANES + t] = inv[i * LANES]

    cdef double _less(self, double total, double part) noexcept nogil:
        if not total - part > LEAST_LEFT * total:
            self.n_repairs += 1
        return pn.left(total, part)

    # ----------------------------------------------------------------------------------------------
    # Scores

    cdef double _fixed_term(
        self, double kappa, double nu, double n_k, Py_ssize_t k, double w
    ) noexcept nogil:
        """All of a row's score but the growth, where the component without it has these three."""
        cdef Py_ssize_t d = self.n_features
        cdef double total = pn.log_rising(n_k + self._alpha[k], w) - 0.5 * d * log1p(w / kappa)
        if self._kind == TIED:
            return total
        return total + self._spread_term(nu, w, self._log_det[k])

    cdef double _spread_term(self, double nu, double w, double log_det) noexcept nogil:
        """The part of the scatter and its degrees of freedom; all components share it if tied."""
        cdef Py_ssize_t d = self.n_features
        cdef double total
        if self._kind == DIAG:
            total = d * pn.log_rising(0.5 * nu, 0.5 * w)
        elif self._kind == SPHERICAL:
            total = pn.log_rising(0.5 * nu, 0.5 * w * d)
        else:
            total = pn.log_rising_multivariate(nu, w, d)
        return total - 0.5 * w * (log_det - d * LOG_2)

    cdef Py_ssize_t _prepare(self, double w) noexcept nogil:
        """Slot that holds the terms of this weight for all components."""
        cdef Py_ssize_t k, i, at, slot = 0
        cdef double kappa
        if w < 1e9:
            slot = <Py_ssize_t> w % N_SLOTS
        if self._slot_weight[slot] != w:
            self._slot_weight[slot] = w
            for k in range(self.n_components):
                self._fresh[slot, k] = False
        for k in range(self.n_components):
            if self._fresh[slot, k]:
                continue
            self._fresh[slot, k] = True
            if self._kind == POISSON:
                self._term[slot, k] = pn.log_rising(self._n_k[k] + self._alpha[k], w)
                for i in range(self.n_features):
                    at = (k // LANES * self.n_features + i) * LANES + k % LANES
                    self._term[slot, k] -= self._mean[at] * log1p(w / self._rate[at])
                    self._slope[slot, at] = -w * log(self._rate[at] + w)
                continue
            kappa = self._kappa[k]
            self._term[slot, k] = self._fixed_term(
                kappa, self._nu[0 if self._kind == TIED else k], self._n_k[k], k, w
            )
            self._coef[slot, k] = kappa / (kappa + w) * w
        return slot

    cdef void _score_all(self, const double *x, double w, Py_ssize_t own) noexcept nogil:
        """Scores given all other rows; the row lies in component `own`, or in none if that is -1.

        Tied scores of a row that lies in a component leave out what all of them share.
        """
        cdef Py_ssize_t d = self.n_features, slot = self._prepare(w), panel, k
        cdef double *growth
        cdef const double *mean
        cdef const double *inv
        for panel in range(self._n_panels):
            k = panel * LANES
            mean = &self._mean[k * d]
            growth = &self._growth[k]
            if self._kind == POISSON:
                pn.rise_counts(x, w, mean, &self._slope[slot, k * d], d, growth)
                continue
            inv = &self._inv[panel * self._inv_stride]
            if self._kind == DIAG:
                pn.grow_diag(x, mean, inv, &self._coef[slot, k], d, growth)
            elif self._kind == SPHERICAL:
                pn.square(x, mean, inv, d, growth)
            else:
                pn.whiten(
                    x, mean, &self._spread[panel * self._spread_stride], inv, d,
                    &self._whitened[k * d], growth,
                )
        if self._kind == POISSON:
            self._finish_poisson(x, w, own, slot)
        elif self._kind == TIED and own >= 0:
            self._finish_tied(w, own, slot)
        else:
            self._finish_gaussian(x, w, own, slot)

    cdef void _finish_gaussian(
        self, const double *x, double w, Py_ssize_t own, Py_ssize_t slot
    ) noexcept nogil:
        cdef Py_ssize_t d = self.n_features, k, at
        cdef double nu, coef, grown, shared = 0
        if self._kind == TIED:
            shared = self._spread_term(self._nu[0], w, self._log_det[0])
        for k in range(self.n_components):
            nu = self._nu[0 if self._kind == TIED else k]
            coef = self._coef[slot, k]
            if k == own:
                nu = pn.left(nu, w * self._dof)
                coef = self._kappa[k] / pn.left(self._kappa[k], w) * -w
            if self._kind != DIAG:
                grown = log1p(fmax(coef * self._growth[k], LEAST_LEFT - 1))
            elif k != own and self._growth[k] < 1e300:
                grown = log1p(self._growth[k])
            else:
                # A shrinking product loses its digits, a huge one overflows.
                at = k // LANES * d * LANES + k % LANES
                grown = pn.log_grow_diag(x, &self._mean[at], &self._inv[at], coef, d)
            if k == own:
                self._score[k] = self._own_term(k, w) + 0.5 * nu * grown
            else:
                self._score[k] = self._term[slot, k] + shared - 0.5 * (nu + w * self._dof) * grown

    cdef void _finish_tied(self, double w, Py_ssize_t own, Py_ssize_t slot) noexcept nogil:
        # The one scatter loses the row at its own component and gains it at another: rank two.
        cdef Py_ssize_t d = self.n_features, panel, i, k, t
        cdef const double *whitened
        cdef const double *own_whitened = &self._whitened[own // LANES * d * LANES + own % LANES]
        cdef double dot[LANES]
        cdef double own_squared = self._growth[own], coef, grown
        cdef double own_coef = self._kappa[own] / pn.left(self._kappa[own], w) * w
        for panel in range(self._n_panels):
            whitened = &self._whitened[panel * d * LANES]
            for t in range(LANES):
                dot[t] = 0
            for i in range(d):
                for t in range(LANES):
                    dot[t] += own_whitened[i * LANES] * whitened[i * LANES + t]
            for t in range(min(LANES, self.n_components - panel * LANES)):
                k = panel * LANES + t
                coef = self._coef[slot, k]
                grown = (
                    coef * self._growth[k] - own_coef * own_squared
                    - own_coef * coef * (own_squared * self._growth[k] - dot[t] * dot[t])
                )
                self._score[k] = (
                    self._term[slot, k] - 0.5 * self._nu[0] * log1p(fmax(grown, LEAST_LEFT - 1))
                )
        self._score[own] = self._own_term(own, w)

    cdef void _finish_poisson(
        self, const double *x, double w, Py_ssize_t own, Py_ssize_t slot
    ) noexcept nogil:
        cdef Py_ssize_t d = self.n_features, k, i
        cdef const double *total
        cdef const double *rate
        cdef double score, without
        for k in range(self.n_components):
            self._score[k] = self._term[slot, k] + self._growth[k]
        if own < 0:
            return
        total = &self._mean[own // LANES * d * LANES + own % LANES]
        rate = &self._rate[own // LANES * d * LANES + own % LANES]
        score = pn.log_rising(fmax(self._n_k[own] - w, 0) + self._alpha[own], w)
        for i in range(d):
            without = pn.left(total[i * LANES], w * x[i])
            score -= without * log1p(w / pn.left(rate[i * LANES], w))
            if x[i] != 0:
                score += pn.log_rising(without, w * x[i]) - w * x[i] * log(rate[i * LANES])
        self._score[own] = score

    cdef double _own_term(self, Py_ssize_t k, double w) noexcept nogil:
        """The fixed term of a Gaussian component that the row lies in."""
        return self._fixed_term(
            pn.left(self._kappa[k], w),
            pn.left(self._nu[0 if self._kind == TIED else k], w * self._dof),
            fmax(self._n_k[k] - w, 0), k, w,
        )

    # ----------------------------------------------------------------------------------------------
    # Sweep

    cdef Py_ssize_t _sweep_rows(
        self,
        const double[:, ::1] X,      # IN
        const double[::1] w,         # IN
        int32_t[::1] labels,         # IN OUT
        const Py_ssize_t[::1] order,  # IN
        Py_ssize_t start,            # IN
        Py_ssize_t stop,             # IN
        bint refill,                 # IN
        double *gain,                # IN OUT
    ) noexcept nogil:
        cdef Py_ssize_t at, row, k, old, new, n_moved = 0
        cdef double margin
        for at in range(start, stop):
            row = order[at]
            if w[row] == 0:
                continue
            old = new = labels[row]
            self._score_all(&X[row, 0], w[row], old)
            margin = SAME_SCORE * fmax(1, fabs(self._score[old]))
            for k in range(self.n_components):
                if self._score[k] > self._score[new] + margin and (refill or self._n_rows[k] > 0):
                    new = k
            if new == old:
                continue
            gain[0] += self._score[new] - self._score[old]
            self._change(old, &X[row, 0], w[row], False)
            self._change(new, &X[row, 0], w[row], True)
            self._n_rows[old] -= 1
            self._n_rows[new] += 1
            if self._n_rows[old] == 0:
                self._n_k[old] = 0     # exactly, whatever the rounding of the weights
            labels[row] = <int32_t> new
            n_moved += 1
        return n_moved

    def sweep(
        self,
        const double[:, ::1] X,
        const double[::1] w,
        int32_t[::1] labels,
        const Py_ssize_t[::1] order,
        bint refill=True,
        Py_ssize_t[::1] n_rows=None,
    ):
        """Move each row, in the given order, to where it raises log p(x, z) the most.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features)
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
            place, for sweeps that see the rows in blocks. None means that X is all of them.

        Returns
        -------
        n_moved : int
        gain : float
            Increase of log p(x, z), summed over the moves.
        """
        cdef Py_ssize_t n = X.shape[0], d = self.n_features, n_visits = order.shape[0], row, at
        cdef Py_ssize_t start = 0, stop, n_moved = 0, step
        cdef double gain = 0
        if X.shape[1] != d or w.shape[0] != n or labels.shape[0] != n:
            raise ValueError(f"X of {d} columns, and w and labels with a value per row are needed")
        if n_rows is not None and n_rows.shape[0] != self.n_components:
            raise ValueError(f"n_rows must hold {self.n_components} counts, got {n_rows.shape[0]}")
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
        # Forty operations for each column where the terms of a weight are new.
        step = max(1, SLICE_WORK // (self._n_panels * LANES * (self._spread_width + 40 * d + 40)))
        while start < n_visits:
            stop = min(start + step, n_visits)
            with nogil:
                n_moved += self._sweep_rows(X, w, labels, order, start, stop, refill, &gain)
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
        self._check_row(k, row.shape[0], w)
        self._change(k, &row[0], w, True)

    def forget(self, Py_ssize_t k, const double[::1] row, double w=1.0):
        """Take a row of weight w back from component k, which holds it."""
        self._check_row(k, row.shape[0], w)
        if w > self._n_k[k] * (1 + 1e-9):
            raise ValueError(f"component {k} holds a weight of {self._n_k[k]} only, not {w}")
        self._change(k, &row[0], w, False)

    def log_predictive(self, const double[::1] row, double w=1.0):
        """Score of a row that lies in no component, of weight w, at each of them.

        Returns
        -------
        scores : ndarray of shape (K,)
            log p(row, z = k | all rows held) without the base measure and without the normaliser of
            the Dirichlet prior, which does not depend on k.
        """
        self._check_row(0, row.shape[0], w)
        self._score_all(&row[0], w, -1)
        return np.array(self._score[: self.n_components])
