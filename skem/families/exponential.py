"""Independent exponential columns: waiting times."""

import numpy as np

from skem._kernels.rate_step import row_sums
from skem.families.positive import check_positive, log_coordinates, summary_of_means
from skem.families.rates import RATE_FLOOR, RateFamily


class Exponential(RateFamily):
    """Numbers from 0 up with p(x | rate) = prod_j rate_j exp(-rate_j x_j), waiting times say.

    The conjugate prior is rate_j ~ Gamma(shape_prior, rate_prior). Modes are taken in the rates. Under maximum
    likelihood rates are held at or below 1e12 over the column's mean, where a component of zeros alone ends.

    Parameters
    ----------
    shape_prior : float, default=1.0
        Shape a0 > 0 of the Gamma prior, in pseudo-rows.
    rate_prior : float or None, default=None
        Rate b0 > 0 of the Gamma prior, the sum of the pseudo-rows in the data's units. None means 0.02 x shape_prior x
        (mean of the column): small, as the scatter of `Gaussian`'s prior is, for the density of a Gamma prior falls off
        steeply above its mean, and rates of groups lie above that of all rows.

    References
    ----------
    Bernardo & Smith (1994), Bayesian Theory, appendix A: the exponential-Gamma pair.

    Examples
    --------
    >>> import numpy as np
    >>> from skem import EMMixture
    >>> from skem.families import Exponential
    >>> rng = np.random.default_rng(0)
    >>> X = rng.exponential(np.repeat([[1.0] * 3, [100.0] * 3], 500, axis=0))
    >>> mixture = EMMixture(n_components=2, family=Exponential(), random_state=0).fit(X)
    >>> np.sort(1.0 / mixture.rates_.mean(axis=1)).round(1)
    array([  1. , 100.1])
    """

    feature_map = "x"
    collapsed_kind = "exponential"
    domain = "numbers from 0 up"
    positive_only = True
    equivariance = "scale"
    prior_share = 0.02
    # what the bound on the rates lets a row of zeros gain
    spike = -float(np.log(RATE_FLOOR))
    _events, _exposure = "n", "total"

    def validate(self, X):
        check_positive(X, self, zero=True)

    def _bind(self):
        mean = np.maximum(self.summary_.mean, 0.0)
        self.typical_rate_ = 1.0 / np.where(mean > 0, mean, 1.0)

    def coordinates(self, X):
        """Return logarithms, in which groups of unlike scale are alike."""
        return log_coordinates(X, self.summary_)

    def natural(self, theta):
        return -theta.rate, row_sums(theta.log_rate)

    def log_predictive(self, posterior, X):
        """Lomax log density of each row under each component."""
        shape, rate = posterior.n, posterior.total
        return (np.log(shape) + shape * np.log(rate) - (shape + 1.0) * np.log(rate + X[:, None])).sum(axis=2)

    def sample(self, theta, counts, rng):
        return self.summary_.to_user(rng.exponential(1.0 / np.repeat(theta.rate, counts, axis=0)))

    def summary_of_parameters(self, summary, attributes):
        rates = self._checked_rates(attributes["rates"])
        return summary_of_means(summary, 1.0 / np.where(rates > 0, rates, 1.0))

    def degenerate(self, stats):
        least = RATE_FLOOR / self.typical_rate_ * stats.n
        return ((stats.n > 0) & (stats.total <= least)).any(axis=1)
