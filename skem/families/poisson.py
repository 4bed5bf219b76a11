"""Independent Poisson counts."""

import numpy as np
from scipy.special import gammaln

from skem._kernels.rate_step import row_sums
from skem.families.counts import check_counts, entries
from skem.families.rates import RateFamily


class Poisson(RateFamily):
    """Counts with p(x | rate) = prod_d exp(-rate_d) rate_d^x_d / x_d!.

    The conjugate prior is rate_d ~ Gamma(shape_prior, rate_prior). Modes are taken in the rates.

    Parameters
    ----------
    shape_prior : float, default=1.0
        Shape a0 > 0 of the Gamma prior, in pseudo-counts. Modes need a0 >= 1: below it a rate without counts goes
        to its floor, 1e-12 of the column's mean, with a warning.
    rate_prior : float or None, default=None
        Rate b0 > 0 of the Gamma prior, in pseudo-rows. None means shape_prior / (mean of the column), so that the
        prior mean is the data's mean and the prior weighs `shape_prior` counts a column.

    References
    ----------
    Bernardo & Smith (1994), Bayesian Theory, appendix A: the Poisson-Gamma pair.

    Examples
    --------
    >>> import numpy as np
    >>> from skem import EMMixture
    >>> from skem.families import Poisson
    >>> X = np.array([[0], [1], [1], [2], [19], [20], [21], [22]])
    >>> mixture = EMMixture(n_components=2, family=Poisson(), random_state=0).fit(X)
    >>> np.sort(mixture.rates_.ravel()).round(2)
    array([ 1. , 20.5])
    """

    feature_map = "x"
    collapsed_kind = "poisson"
    domain = "counts"
    positive_only = True
    sparse = True
    _events, _exposure = "total", "n"

    def validate(self, X):
        check_counts(X, self)

    def _bind(self):
        mean = np.maximum(self.summary_.mean, 0.0)
        # an all-zero column says nothing of its scale: one count in the whole data set stands in
        self.typical_rate_ = np.where(mean > 0, mean, 1.0 / max(self.summary_.total_weight, 1.0))

    def natural(self, theta):
        return theta.log_rate, -row_sums(theta.rate)

    def log_base_measure(self, X):
        rows, _, counts = entries(X)
        return -np.bincount(rows, gammaln(counts + 1.0), minlength=X.shape[0])

    def log_predictive(self, posterior, X):
        """Negative binomial log density of each row under each component, base measure left out."""
        rows, columns, counts = entries(X)
        scores = np.empty((X.shape[0], posterior.n_components))
        for k, (a, b) in enumerate(zip(posterior.total, posterior.n, strict=True)):
            seen = a[columns]
            rise = gammaln(seen + counts) - gammaln(seen) - counts * np.log1p(b)[columns]
            # what a row of zeros scores, and what entries add
            scores[:, k] = np.bincount(rows, rise, minlength=len(scores)) - (a * np.log1p(1.0 / b)).sum()
        return scores

    def sample(self, theta, counts, rng):
        return rng.poisson(np.repeat(theta.rate, counts, axis=0)).astype(np.float64)
