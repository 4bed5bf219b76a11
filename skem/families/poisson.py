"""Independent Poisson counts."""

import numbers

import numpy as np
from scipy.special import digamma, gammaln, xlogy

from skem._compat import Interval, check_numbers
from skem.exceptions import DegenerateComponentWarning, warn
from skem.families.base import Family, Parameters, SuffStats
from skem.families.counts import check_counts
from skem.families.margins import take_columns

# The smallest rate, relative to the column's mean: a component that saw no count keeps a finite log rate.
RATE_FLOOR = 1e-12


class Poisson(Family):
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
    location = "rates"

    _parameter_constraints = {
        "shape_prior": [Interval(numbers.Real, 0, None, closed="neither")],
        "rate_prior": [Interval(numbers.Real, 0, None, closed="neither"), None],
    }

    def __init__(self, shape_prior=1.0, rate_prior=None):
        self.shape_prior = shape_prior
        self.rate_prior = rate_prior

    def validate(self, X):
        check_counts(X, self)

    def _bind(self):
        mean = np.maximum(self.summary_.mean, 0.0)
        # an all-zero column says nothing of its scale: one count in the whole data set stands in
        self.typical_rate_ = np.where(mean > 0, mean, 1.0 / max(self.summary_.total_weight, 1.0))

    def natural(self, theta):
        return theta.log_rate, -theta.rate.sum(axis=1)

    def log_base_measure(self, X):
        return -gammaln(np.asarray(X, dtype=np.float64) + 1.0).sum(axis=1)

    def prior(self, n_components):
        """Gamma prior as pseudo-statistics: n pseudo-rows with `total` counts."""
        d = self.summary_.n_features
        b = np.broadcast_to(
            self.shape_prior / self.typical_rate_ if self.rate_prior is None else float(self.rate_prior), (d,)
        )
        return SuffStats({"n": np.tile(b, (n_components, 1)), "total": np.full((n_components, d), self.shape_prior)})

    def statistics(self, n_k, sums):
        # the prior's pseudo-rows may differ from column to column, so the counts of rows carry that axis, too
        total = sums["features"]
        return SuffStats({"n": np.broadcast_to(n_k[:, None], total.shape), "total": total})

    def log_likelihood(self, theta, stats):
        return (theta.log_rate * stats.total - theta.rate * stats.n).sum(axis=1)

    def _point(self, rate):
        rate = np.maximum(rate, RATE_FLOOR * self.typical_rate_)
        return Parameters({"rate": rate, "log_rate": np.log(rate)})

    def mle(self, stats, theta=None):
        n = stats.n
        return self._point(np.where(n > 0, stats.total / np.where(n > 0, n, 1.0), self.typical_rate_))

    def mode(self, posterior):
        if (posterior.total < 1.0).any():
            warn(
                f"shape_prior={self.shape_prior:g} is below 1, so that the density of a rate without counts is "
                "largest at zero: the rate rests on its floor; raise shape_prior to 1",
                DegenerateComponentWarning,
            )
        return self._point((posterior.total - 1.0) / posterior.n)

    def expect(self, posterior):
        log_rate = digamma(posterior.total) - np.log(posterior.n)
        return Parameters({"rate": posterior.total / posterior.n, "log_rate": log_rate})

    def draw(self, posterior, rng):
        return self._point(rng.gamma(posterior.total) / posterior.n)

    def log_normalizer(self, posterior):
        return (gammaln(posterior.total) - posterior.total * np.log(posterior.n)).sum(axis=1)

    def log_density(self, prior, theta):
        terms = xlogy(prior.total - 1.0, theta.rate) - prior.n * theta.rate
        return float(terms.sum() - self.log_normalizer(prior).sum())

    def log_predictive(self, posterior, X):
        """Negative binomial log density of each row under each component, base measure left out."""
        a, b = posterior.total, posterior.n
        gain = gammaln(a + X[:, None]) - (a + X[:, None]) * np.log(b + 1.0)
        return (gain - gammaln(a) + a * np.log(b)).sum(axis=2)

    def sample(self, theta, counts, rng):
        return rng.poisson(np.repeat(theta.rate, counts, axis=0)).astype(np.float64)

    def marginal(self, theta, columns, rest):
        return take_columns(theta, columns)

    def conditional(self, theta, given, rest, values):
        return take_columns(theta, rest)

    def n_parameters(self, n_features, n_components):
        return n_features * n_components

    def attributes(self, theta):
        return {"rates_": theta.rate}

    def parameters(self, rates):  # type: ignore[override] # public names of this family
        rates = check_numbers(rates, "rates")
        if not (rates >= 0).all():
            raise ValueError("rates must be >= 0")
        return self._point(rates)

    def degenerate(self, stats):
        # a column of zeros has its rate at the boundary, where the likelihood is bounded: nothing to flag
        return np.zeros(stats.n_components, dtype=bool)
