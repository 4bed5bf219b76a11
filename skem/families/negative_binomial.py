"""Independent negative binomial counts: counts more spread than Poisson's."""

import numbers

import numpy as np
from scipy.special import digamma, gammaln

from skem._compat import Interval, check_numbers
from skem.families.base import Parameters
from skem.families.counts import check_counts
from skem.families.rates import RATE_FLOOR, RateFamily
from skem.families.stirling import log_beta


class NegativeBinomial(RateFamily):
    """Counts with mean m and variance m + dispersion m^2, the dispersion of each column known.

    ``p(x | m) = prod_j C(x_j + r_j - 1, x_j) p_j^r_j (1 - p_j)^x_j`` with r = 1 / dispersion and p = r / (r + m): a
    Poisson count whose rate varies by a Gamma distribution of shape r. With the dispersion known this is an exponential
    family; compare several by BIC or evidence where it is not. As it tends to 0 the counts tend to `Poisson`'s.

    The conjugate prior is p_j ~ Beta(1 + r_j b0, a0), with a0 and b0 of the meaning that they have for `Poisson`. Modes
    are taken in p, where they give the means that Poisson's modes are: (a0 - 1 + sum of x) / (b0 + n).

    Parameters
    ----------
    dispersion : float or array-like of shape (n_features,), default=1.0
        Above 0; 1 is the geometric distribution.
    shape_prior : float, default=1.0
        Number a0 > 0, in pseudo-counts. Modes need a0 >= 1: below it the mean of a component without counts goes to its
        floor, 1e-12 of the column's mean, with a warning.
    rate_prior : float or None, default=None
        Number b0 > 0, in pseudo-rows. None means shape_prior / (mean of the column).

    References
    ----------
    Bernardo & Smith (1994), Bayesian Theory, appendix A: the negative binomial-Beta pair.

    Examples
    --------
    >>> import numpy as np
    >>> from skem import EMMixture
    >>> from skem.families import NegativeBinomial
    >>> rng = np.random.default_rng(0)
    >>> X = rng.poisson(rng.gamma(4.0, np.repeat([[1.0, 2.0], [10.0, 20.0]], 300, axis=0)))
    >>> mixture = EMMixture(n_components=2, family=NegativeBinomial(0.25), random_state=0).fit(X)
    >>> mixture.means_[np.argsort(mixture.means_[:, 0])].round()
    array([[ 4.,  8.],
           [43., 77.]])
    """

    feature_map = "x"
    domain = "counts"
    location = "means"
    _events, _exposure = "total", "n"

    _parameter_constraints = {
        "dispersion": [Interval(numbers.Real, 0, None, closed="neither"), "array-like"],
        **RateFamily._parameter_constraints,
    }

    def __init__(self, dispersion=1.0, shape_prior=1.0, rate_prior=None):
        self.dispersion = dispersion
        super().__init__(shape_prior, rate_prior)

    def validate(self, X):
        check_counts(X, self)

    def _bind(self):
        d, mean = self.summary_.n_features, np.maximum(self.summary_.mean, 0.0)
        # an all-zero column says nothing of its scale: one count in the whole data set stands in
        self.typical_rate_ = np.where(mean > 0, mean, 1.0 / max(self.summary_.total_weight, 1.0))
        dispersion = check_numbers(self.dispersion, "dispersion", (d,) if np.ndim(self.dispersion) else ())
        if not (dispersion > 0).all():
            raise ValueError("dispersion must be > 0; Poisson() is the family without")
        self.size_ = np.broadcast_to(1.0 / dispersion, (d,))

    def of_columns(self, columns):
        return type(self)(self.dispersion if np.ndim(self.dispersion) == 0 else np.take(self.dispersion, columns))

    def natural(self, theta):
        return theta.log_failure, theta.log_success @ self.size_

    def log_base_measure(self, X):
        X = np.asarray(X, dtype=np.float64)
        return (gammaln(X + self.size_) - gammaln(self.size_) - gammaln(X + 1.0)).sum(axis=1)

    def log_likelihood(self, theta, stats):
        return (theta.log_failure * stats.total + theta.log_success * (self.size_ * stats.n)).sum(axis=1)

    def _point(self, rate):
        mean = np.maximum(rate, RATE_FLOOR * self.typical_rate_)
        log_success = -np.log1p(mean / self.size_)
        return Parameters({"mean": mean, "log_success": log_success, "log_failure": -np.log1p(self.size_ / mean)})

    def _beta(self, posterior):
        """Parameters of the Beta distributions of p."""
        return 1.0 + self.size_ * posterior.n, posterior.total

    def expect(self, posterior):
        first, second = self._beta(posterior)
        whole = digamma(first + second)
        arrays = {"log_success": digamma(first) - whole, "log_failure": digamma(second) - whole}
        return Parameters({"mean": posterior.total / posterior.n, **arrays})

    def draw(self, posterior, rng):
        first, second = self._beta(posterior)
        return self._point(self.size_ * rng.gamma(second) / rng.gamma(first))

    def log_normalizer(self, posterior):
        return log_beta(*self._beta(posterior)).sum(axis=1)

    def log_density(self, prior, theta):
        first, second = self._beta(prior)
        terms = (first - 1.0) * theta.log_success + (second - 1.0) * theta.log_failure
        return float(terms.sum() - self.log_normalizer(prior).sum())

    def log_predictive(self, posterior, X):
        """Beta negative binomial log density of each row under each component, base measure left out."""
        first, second = self._beta(posterior)
        return (log_beta(first + self.size_, second + X[:, None]) - log_beta(first, second)).sum(axis=2)

    def sample(self, theta, counts, rng):
        mean = np.repeat(theta.mean, counts, axis=0)
        return rng.poisson(rng.gamma(self.size_, mean / self.size_)).astype(np.float64)

    def attributes(self, theta):
        return {"means_": theta.mean}

    def parameters(self, means):  # type: ignore[override] # public names of this family
        means = check_numbers(means, "means")
        if not (means >= 0).all():
            raise ValueError("means must be >= 0")
        return self._point(means)
