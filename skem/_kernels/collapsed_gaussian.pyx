"""The collapsed pass of Gaussians, whatever the structure of their scatter; moves.pyx tells the rest.

The difference of log normalisers is a term that depends on the row's weight alone and
-(nu + w dof) / 2 log(1 + growth), where 1 + growth is the factor by which the determinant of the scatter would grow.
The score of a row's own component follows from the state with the row in it by the same lemma with the sign turned.
"""

import functools

import numpy as np

from skem._kernels.linalg import cholesky
from skem._kernels.moves import pack, unpack

from libc.math cimport fmax, log, log1p, sqrt

cimport skem._kernels._panels as pn
from skem._kernels._panels cimport LANES, LEAST_LEFT, Row
from skem._kernels.moves cimport Moves, N_SLOTS

cdef enum Kind:
    FULL
    TIED
    DIAG
    SPHERICAL
    EII
    EEI

cdef double LOG_2 = 0.6931471805599453

KINDS = {"full": FULL, "tied": TIED, "diag": DIAG, "spherical": SPHERICAL, "EII": EII, "EEI": EEI}


@functools.cache
def _triangle(d):
    """Rows and columns of a lower triangle."""
    return np.tril_indices(d)


cdef class GaussianMoves(Moves):
    """Posteriors of Gaussian components, changed row by row.

    Parameters
    ----------
    kind : {"full", "tied", "diag", "spherical", "EII", "EEI"}
    posterior : dict of ndarray
        `kappa` (K,), `mean` (K, d), `nu` (K,) (one number where components share the scatter) and `scatter`, of shape
        (K, d, d), (d, d), (K, d), (K,), () or (d,).
    n_k : ndarray of shape (K,)
    alpha : ndarray of shape (K,) or float
    """

    cdef Kind _kind
    cdef bint _shared                # one scatter for all components
    cdef bint _round                 # one number for all columns
    cdef bint _by_column             # a number a column
    cdef Py_ssize_t _spread_width    # numbers in a component's scatter
    cdef Py_ssize_t _spread_stride   # from a panel's scatter to the next one's; 0 if it is shared
    cdef Py_ssize_t _inv_stride
    cdef double _dof                 # degrees of freedom that a unit of weight brings
    cdef double[::1] _kappa          # (K,)
    cdef double[::1] _nu             # (K,), or (1,) if shared
    cdef double[::1] _log_det        # like nu: of the scatter as a (d, d) matrix
    cdef double[::1] _mean           # panels of d
    cdef double[::1] _spread         # panels: Cholesky factor by rows, or the scatter itself
    cdef double[::1] _inv            # panels: inverse of its diagonal
    cdef double[:, ::1] _coef        # (N_SLOTS, padded K) of the growth
    cdef double[::1] _whitened       # scratch, panels of d
    cdef double[::1] _step           # scratch (d,)

    def __init__(self, str kind, posterior, n_k, alpha):
        self._kind = KINDS[kind]
        mean = np.asarray(posterior["mean"], np.float64)
        cdef Py_ssize_t K = mean.shape[0], d = mean.shape[1], padded
        self._set_up(kind, K, d, n_k, alpha)
        padded = self._n_panels * LANES
        self._mean = pack(mean, self._n_panels, 0.0)
        self._shared = self._kind == TIED or self._kind == EII or self._kind == EEI
        self._by_column = self._kind == DIAG or self._kind == EEI
        self._round = self._kind == SPHERICAL or self._kind == EII
        self._dof = d if self._round else 1
        self._kappa = np.array(posterior["kappa"], np.float64).reshape(K)
        self._nu = np.array(posterior["nu"], np.float64).reshape(1 if self._shared else K)
        self._load_scatter(np.asarray(posterior["scatter"], np.float64))
        self._coef = np.zeros((N_SLOTS, padded))
        self._whitened = np.zeros(padded * d)
        self._step = np.zeros(d)

    def _load_scatter(self, scatter):
        cdef Py_ssize_t d = self.n_features, k
        if self._kind == FULL or self._kind == TIED:
            factors, ok = cholesky(np.ascontiguousarray(scatter.reshape(-1, d, d)))
            if not ok.all():
                raise np.linalg.LinAlgError("every scatter matrix must be positive definite")
            lower = _triangle(d)
            spread = factors[:, lower[0], lower[1]]
            pivots = factors[:, np.arange(d), np.arange(d)]
        else:
            spread = scatter.reshape(len(self._nu), -1)
            pivots = spread
            if not (spread > 0).all():
                raise ValueError("every scatter must be positive")
        if self._shared:
            # One panel whose lanes are all alike serves every panel of means.
            spread, pivots = (np.repeat(value, LANES, axis=0) for value in (spread, pivots))
        n_panels = 1 if self._shared else self._n_panels
        self._spread_width = spread.shape[1]
        self._spread = pack(spread, n_panels, 1.0)
        self._inv = pack(1 / pivots, n_panels, 1.0)
        self._spread_stride = 0 if self._shared else self._spread_width * LANES
        self._inv_stride = 0 if self._shared else pivots.shape[1] * LANES
        self._log_det = np.zeros(self._nu.shape[0])
        for k in range(self._nu.shape[0]):
            self._note_log_det(k)

    @property
    def posterior(self):
        """The posterior as a dict of new arrays, in the names and shapes of the constructor."""
        cdef Py_ssize_t K = self.n_components, d = self.n_features
        spread = unpack(self._spread, 1 if self._shared else K, self._spread_width)
        if self._kind == FULL or self._kind == TIED:
            factors = np.zeros((len(spread), d, d))
            lower = _triangle(d)
            factors[:, lower[0], lower[1]] = spread
            spread = factors @ factors.transpose(0, 2, 1)
        if self._round:
            spread = spread[:, 0]
        nu = np.array(self._nu)
        return {
            "kappa": np.array(self._kappa),
            "mean": unpack(self._mean, K, d),
            "nu": nu.reshape(()) if self._shared else nu,
            "scatter": spread[0] if self._shared else spread,
        }

    # ----------------------------------------------------------------------------------------------
    # Changes

    cdef void _note_log_det(self, Py_ssize_t k) noexcept nogil:
        cdef Py_ssize_t i, d = self.n_features
        cdef Py_ssize_t own = 0 if self._shared else k
        cdef const double *inv = &self._inv[(own // LANES) * self._inv_stride + own % LANES]
        cdef double total = 0
        if self._round:
            total = d * log(inv[0])
        else:
            for i in range(d):
                total += log(inv[i * LANES])
        # The pivots of a factor count twice.
        self._log_det[own] = -2 * total if self._kind == FULL or self._kind == TIED else -total

    cdef void _change(self, Py_ssize_t k, Row *row, double w, bint observe) noexcept nogil:
        cdef Py_ssize_t i, d = self.n_features
        cdef double *mean = &self._mean[k // LANES * d * LANES + k % LANES]
        cdef double after = self._kappa[k] + w if observe else self._less(self._kappa[k], w)
        for i in range(d):
            self._step[i] = row.x[i] - mean[i * LANES]
            mean[i * LANES] += (w if observe else -w) / after * self._step[i]
        self._change_spread(k, self._kappa[k] / after * w, observe)
        self._kappa[k] = after
        self._nu[0 if self._shared else k] += (w if observe else -w) * self._dof
        self._note_log_det(k)

    cdef void _change_spread(self, Py_ssize_t k, double coef, bint observe) noexcept nogil:
        """Add coef step step^T to the scatter, or subtract it."""
        cdef Py_ssize_t i, t, d = self.n_features
        cdef Py_ssize_t panel = k // LANES, lane = 0 if self._shared else k % LANES
        cdef double *spread = &self._spread[panel * self._spread_stride + lane]
        cdef double *inv = &self._inv[panel * self._inv_stride + lane]
        cdef double squared = 0
        if self._by_column:
            for i in range(d):
                self._grow(spread + i * LANES, inv + i * LANES, self._step[i] * self._step[i] * coef, observe)
        elif self._round:
            for i in range(d):
                squared += self._step[i] * self._step[i] * coef
            self._grow(spread, inv, squared, observe)
        else:
            for i in range(d):
                self._step[i] *= sqrt(coef)
            if observe:
                pn.update_factor(spread, inv, &self._step[0], d)
            else:
                self.n_repairs += pn.downdate_factor(spread, inv, &self._step[0], d)
        if self._shared:
            for i in range(self._spread_width):
                for t in range(1, LANES):
                    spread[i * LANES + t] = spread[i * LANES]
            for i in range(1 if self._round else d):
                for t in range(1, LANES):
                    inv[i * LANES + t] = inv[i * LANES]

    cdef void _grow(self, double *spread, double *inv, double squared, bint observe) noexcept nogil:
        """Add to one number of a scatter, or subtract."""
        spread[0] = spread[0] + squared if observe else self._less(spread[0], squared)
        inv[0] = 1 / spread[0]

    # ----------------------------------------------------------------------------------------------
    # Scores

    cdef double _fixed_term(self, double kappa, double nu, Py_ssize_t k, double w) noexcept nogil:
        """All of a row's score but the growth, where the component without it has these two."""
        cdef double total = -0.5 * self.n_features * log1p(w / kappa)
        if self._shared:
            return total
        return total + self._spread_term(nu, w, self._log_det[k])

    cdef double _spread_term(self, double nu, double w, double log_det) noexcept nogil:
        """The part of the scatter and its degrees of freedom; all components may share it."""
        cdef Py_ssize_t d = self.n_features
        cdef double total
        if self._by_column:
            total = d * pn.log_rising(0.5 * nu, 0.5 * w)
        elif self._round:
            total = pn.log_rising(0.5 * nu, 0.5 * w * d)
        else:
            total = pn.log_rising_multivariate(nu, w, d)
        return total - 0.5 * w * (log_det - d * LOG_2)

    cdef Py_ssize_t _work_of_row(self):
        # forty operations for each column where the terms of a weight are new
        return self._spread_width + 40 * self.n_features + 40

    cdef void _fill(self, Py_ssize_t slot, Py_ssize_t k, double w) noexcept nogil:
        cdef double kappa = self._kappa[k]
        self._term[slot, k] = self._fixed_term(kappa, self._nu[0 if self._shared else k], k, w)
        self._coef[slot, k] = kappa / (kappa + w) * w

    cdef void _score_all(self, Row *row, double w, Py_ssize_t own) noexcept nogil:
        # with a shared scatter the scores of a row that lies in a component leave out what all of them share
        cdef Py_ssize_t d = self.n_features, slot = self._prepare(w), panel, k
        cdef double *growth
        cdef const double *mean
        cdef const double *inv
        for panel in range(self._n_panels):
            k = panel * LANES
            mean = &self._mean[k * d]
            growth = &self._growth[k]
            inv = &self._inv[panel * self._inv_stride]
            if self._by_column:
                pn.grow_diag(row.x, mean, inv, &self._coef[slot, k], d, growth)
            elif self._round:
                pn.square(row.x, mean, inv, d, growth)
            else:
                pn.whiten(
                    row.x, mean, &self._spread[panel * self._spread_stride], inv, d,
                    &self._whitened[k * d], growth,
                )
        if self._kind == EEI and own >= 0:
            self._finish_columns(row.x, w, own, slot)
        elif self._shared and own >= 0:
            self._finish_shared(w, own, slot)
        else:
            self._finish(row.x, w, own, slot)

    cdef void _finish(
        self, const double *x, double w, Py_ssize_t own, Py_ssize_t slot
    ) noexcept nogil:
        cdef Py_ssize_t d = self.n_features, k, at
        cdef const double *inv
        cdef double nu, coef, grown, shared = 0
        if self._shared:
            shared = self._spread_term(self._nu[0], w, self._log_det[0])
        for k in range(self.n_components):
            nu = self._nu[0 if self._shared else k]
            coef = self._coef[slot, k]
            if k == own:
                nu = pn.left(nu, w * self._dof)
                coef = self._kappa[k] / pn.left(self._kappa[k], w) * -w
            if not self._by_column:
                grown = log1p(fmax(coef * self._growth[k], LEAST_LEFT - 1))
            elif k != own and self._growth[k] < 1e300:
                grown = log1p(self._growth[k])
            else:
                # A shrinking product loses its digits, a huge one overflows.
                at = k // LANES * d * LANES + k % LANES
                inv = &self._inv[k // LANES * self._inv_stride + k % LANES]
                grown = pn.log_grow_diag(x, &self._mean[at], inv, coef, d)
            if k == own:
                self._score[k] = self._own_term(k, w) + 0.5 * nu * grown
            else:
                self._score[k] = self._term[slot, k] + shared - 0.5 * (nu + w * self._dof) * grown

    cdef void _finish_shared(self, double w, Py_ssize_t own, Py_ssize_t slot) noexcept nogil:
        # The one scatter loses the row at its own component and gains it at another.
        cdef Py_ssize_t d = self.n_features, panel, i, k, t
        cdef const double *whitened
        cdef const double *own_whitened = &self._whitened[own // LANES * d * LANES + own % LANES]
        cdef double twice[LANES]   # by what a determinant's change of rank two is not the sum of two changes
        cdef double own_squared = self._growth[own], coef, grown
        cdef double own_coef = self._kappa[own] / pn.left(self._kappa[own], w) * w
        for panel in range(self._n_panels):
            whitened = &self._whitened[panel * d * LANES]
            for t in range(LANES):
                twice[t] = 0
            if self._kind == TIED:
                for i in range(d):
                    for t in range(LANES):
                        twice[t] += own_whitened[i * LANES] * whitened[i * LANES + t]
                for t in range(LANES):
                    twice[t] = own_squared * self._growth[panel * LANES + t] - twice[t] * twice[t]
            for t in range(min(LANES, self.n_components - panel * LANES)):
                k = panel * LANES + t
                coef = self._coef[slot, k]
                grown = coef * self._growth[k] - own_coef * own_squared - own_coef * coef * twice[t]
                self._score[k] = (
                    self._term[slot, k] - 0.5 * self._nu[0] * log1p(fmax(grown, LEAST_LEFT - 1))
                )
        self._score[own] = self._own_term(own, w)

    cdef void _finish_columns(self, const double *x, double w, Py_ssize_t own, Py_ssize_t slot) noexcept nogil:
        # as `_finish_shared`, column by column
        cdef Py_ssize_t d = self.n_features, i, k
        cdef const double *mean
        cdef double step, grown
        cdef double own_coef = self._kappa[own] / pn.left(self._kappa[own], w) * w
        mean = &self._mean[own // LANES * d * LANES + own % LANES]
        for i in range(d):
            step = x[i] - mean[i * LANES]
            self._step[i] = own_coef * step * step
        for k in range(self.n_components):
            mean = &self._mean[k // LANES * d * LANES + k % LANES]
            grown = 0
            for i in range(d):
                step = x[i] - mean[i * LANES]
                step = self._coef[slot, k] * step * step - self._step[i]
                grown += log1p(fmax(step * self._inv[i * LANES], LEAST_LEFT - 1))
            self._score[k] = self._term[slot, k] - 0.5 * self._nu[0] * grown
        self._score[own] = self._own_term(own, w)

    cdef double _own_term(self, Py_ssize_t k, double w) noexcept nogil:
        """The fixed term of a component that the row lies in."""
        return self._fixed_term(
            pn.left(self._kappa[k], w), pn.left(self._nu[0 if self._shared else k], w * self._dof), k, w
        )
