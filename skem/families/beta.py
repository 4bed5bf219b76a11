"""Independent Beta columns: shares between zero and one."""

import numpy as np

from skem._kernels.digammas import beta_shapes
from skem.families.base import Parameters
from skem.families.counts import check_rows
from skem.families.gamma import LARGEST_SHAPE
from skem.families.independent import LogarithmFamily, positive_parameters
from skem.families.stirling import log_beta


class Beta(LogarithmFamily):
    """Shares within (0, 1) with p(x | a, b) = prod_j x_j^(a_j - 1) (1 - x_j)^(b_j - 1) / B(a_j, b_j).

    Both parameters are free in every component and column. There is no prior of which posterior and normaliser are
    known: the family offers maximum likelihood (`EMMixture`, ``ICMMixture(update="mle")``).

    Notes
    -----
    The parameters of a component's column solve digamma(a) - digamma(a + b) = mean of log x and digamma(b) -
    digamma(a + b) = mean of log(1 - x), by Newton's method. The smaller of the two is held at or below 1e7: a column
    that is constant within a component keeps a little spread, and a warning tells. Zeros and ones have no finite
    logarithms and are refused.

    References
    ----------
    Minka (2000), Estimating a Dirichlet distribution. Johnson, Kotz & Balakrishnan (1995), Continuous univariate
    distributions 2, chapter 25: the start.

    Examples
    --------
    >>> import numpy as np
    >>> from skem import EMMixture
    >>> from skem.families import Beta
    >>> rng = np.random.default_rng(0)
    >>> X = rng.beta([[2.0]] * 300 + [[30.0]] * 300, [[8.0]] * 300 + [[5.0]] * 300)
    >>> mixture = EMMixture(n_components=2, family=Beta(), random_state=0).fit(X)
    >>> np.sort((mixture.alphas_ / (mixture.alphas_ + mixture.betas_)).ravel()).round(2)
    array([0.2 , 0.86])
    """

    feature_map = "log_both"
    domain = "numbers between 0 and 1"
    positive_only = True
    location = "alphas"
    spike = 8.1

    def validate(self, X):
        check_rows(
            X,
            lambda block: (block > 0) & (block < 1),
            "Beta() takes numbers between 0 and 1, without either; drop the row, or draw the ends in, by "
            "(x (n - 1) + 0.5) / n say",
        )

    def coordinates(self, X):
        """Return logits in units that make the columns alike."""
        mean, variance = self.summary_.mean, self.summary_.variance
        # how far a logit moves with x at the mean, rounded as in `skem.starts`
        unit = (np.sqrt(variance) / (mean * (1.0 - mean))).astype(np.float32).astype(np.float64)
        return (np.log(X) - np.log1p(-X)) / unit

    def natural(self, theta):
        offset = -log_beta(theta.alpha, theta.beta).sum(axis=1)
        return np.hstack([theta.alpha - 1.0, theta.beta - 1.0]), offset

    def _point(self, alpha, beta):
        return Parameters({"alpha": alpha, "beta": beta})

    def _solve(self, first, second):
        return self._point(*beta_shapes(first, second, LARGEST_SHAPE))

    def _whole(self):
        mean, variance = self.summary_.mean, self.summary_.variance
        size = np.maximum(mean * (1.0 - mean) / variance - 1.0, 1.0)
        return self._point((size * mean)[None], (size * (1.0 - mean))[None])

    def _flat(self, first, second):
        return np.minimum(*beta_shapes(first, second, LARGEST_SHAPE)) >= LARGEST_SHAPE

    def sample(self, theta, counts, rng):
        alpha, beta = (np.repeat(value, counts, axis=0) for value in (theta.alpha, theta.beta))
        # the ends themselves, where rounding leads to them, are no rows of the family
        return np.clip(rng.beta(alpha, beta), np.finfo(np.float64).tiny, 1.0 - 2.0**-53)

    def attributes(self, theta):
        return {"alphas_": theta.alpha, "betas_": theta.beta}

    def parameters(self, alphas, betas):  # type: ignore[override] # public names of this family
        return self._point(*positive_parameters(alphas=alphas, betas=betas))
