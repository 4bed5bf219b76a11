"""Terms that fall off by a power of the distance, for the maxima of their sum."""

import numpy as np

from skem.log_sum_exp import QuadraticTerms


class TailedTerms(QuadraticTerms):
    """Terms f_i(x) = c_i - p_i / 2 log(1 + q_i / p_i), q_i = (x - m_i)'A_i(x - m_i): Student-t log densities.

    Each is the largest of quadratics: with u_i = 1 / (1 + q_i(x) / p_i), f_i(y) >= f_i(x) + u_i (q_i(x) - q_i(y)) / 2.
    So where quadratic terms have weights, these have weights times u_i, and steps to the maximum of the sum of the
    quadratics lead up.

    Parameters
    ----------
    A : array-like of shape (n, d, d)
        Curvature of each term at its peak, symmetric and positive definite.
    c : array-like of shape (n,)
        Values at the peaks.
    centers : array-like of shape (n, d)
        Peaks m_i.
    power : array-like of shape (n,)
        Powers p_i > 0 of the distance by which exp f_i falls; inf gives quadratic terms.
    """

    def __init__(self, A, c, centers, power):
        super().__init__(A, c=c, centers=centers)
        self.power = np.asarray(power, dtype=np.float64)

    def _scaled(self, x):
        """Deviations' pull A_i (x - m_i), and q_i / p_i."""
        deviation, pulled = self._slopes(x)
        return pulled, (pulled * deviation).sum(axis=-1) / self.power

    def _values(self, rows):
        deviation, pulled = self._slopes(rows)
        squared = (pulled * deviation).sum(axis=-1)
        finite = np.isfinite(self.power)
        power = np.where(finite, self.power, 1.0)
        return self.c - 0.5 * np.where(finite, power * np.log1p(squared / power), squared)

    def step(self, x, weights):
        """A point at which a weighted sum of the terms is no lower than at x.

        Parameters
        ----------
        x : ndarray of shape (..., d)
        weights : ndarray of shape (..., n)

        Returns
        -------
        step : ndarray of shape (..., d)
        """
        scaled = 1.0 + self._scaled(x)[1]
        # only ratios count: far out all scales are small
        return self.maximize(weights * (scaled.min(axis=-1, keepdims=True) / scaled))

    def _derivatives(self, rows):
        pulled, scaled = self._scaled(rows)
        u = 1.0 / (1.0 + scaled)
        return -u[..., None] * pulled, u, (2.0 / self.power)[:, None]


__all__ = ["TailedTerms"]
