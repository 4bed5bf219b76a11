"""What families of independent columns with rates share: Gamma priors of the rates."""

import numbers

import numpy as np
from scipy.special import digamma, gammaln, xlogy

from skem._compat import Interval, check_numbers
from skem._kernels.rate_step import RateStep
from skem._kernels.shares import log_or_least
from skem.exceptions import DegenerateComponentWarning, warn
from skem.families.base import Parameters, SuffStats
from skem.families.independent import IndependentColumns

# The smallest rate, relative to that of all rows: a component that saw no count keeps a finite log rate. Of the largest
# rate it is the inverse.
RATE_FLOOR = 1e-12


class RateFamily(IndependentColumns):
    """Base of families with log p(x | rate) = sum_j [s_j log rate_j - rate_j e_j] + log h(x) and Gamma priors.

    Summed over rows, s and e are the two arrays of the statistics, named in `_events` and `_exposure`: what adds to the
    shape of a rate's Gamma posterior, and what adds to its rate. `n` carries the columns' axis like `total`, since the
    prior's pseudo-rows may differ from column to column. Modes are taken in the rates. A subclass sets `typical_rate_`,
    the rate of all rows taken as one, when it is bound.

    Parameters
    ----------
    shape_prior : float
    rate_prior : float or None
    """

    location = "rates"
    #: typical rate over the mean of the default prior
    prior_share = 1.0
    _events: str
    _exposure: str
    typical_rate_: np.ndarray

    _parameter_constraints = {
        "shape_prior": [Interval(numbers.Real, 0, None, closed="neither")],
        "rate_prior": [Interval(numbers.Real, 0, None, closed="neither"), None],
    }

    def __init__(self, shape_prior=1.0, rate_prior=None):
        self.shape_prior = shape_prior
        self.rate_prior = rate_prior

    def _gamma(self, posterior):
        """Shapes and rates of the rates' Gamma distributions."""
        return getattr(posterior, self._events), getattr(posterior, self._exposure)

    def statistics(self, n_k, sums):
        total = sums["features"]
        return SuffStats({"n": np.broadcast_to(n_k[:, None], total.shape), "total": total})

    def prior(self, n_components):
        """Gamma prior as pseudo-statistics."""
        summary, shape = self.summary_, float(self.shape_prior)
        rate = float(self.rate_prior or 0.0) / summary.scale
        if self.rate_prior is None:
            rate = self.prior_share * shape / self.typical_rate_
        arrays = {self._events: np.full(summary.n_features, shape), self._exposure: rate}
        return SuffStats({name: np.tile(value, (n_components, 1)) for name, value in arrays.items()})

    def log_likelihood(self, theta, stats):
        events, exposure = self._gamma(stats)
        return (theta.log_rate * events - theta.rate * exposure).sum(axis=1)

    def _point(self, rate):
        rate = np.maximum(rate, RATE_FLOOR * self.typical_rate_)
        return Parameters({"rate": rate, "log_rate": log_or_least(rate)})

    def mle(self, stats, theta=None):
        events, exposure = self._gamma(stats)
        exposure = np.maximum(exposure, RATE_FLOOR * events / self.typical_rate_)
        return self._point(np.where(stats.n > 0, events / np.where(exposure > 0, exposure, 1.0), self.typical_rate_))

    def _warn_of_prior(self, posterior):
        if (self._gamma(posterior)[0] < 1.0).any():
            warn(
                f"shape_prior={self.shape_prior:g} is below 1, so that the density of a rate that no data speak for is "
                "largest at zero: the rate rests on its floor; raise shape_prior to 1",
                DegenerateComponentWarning,
            )

    def mode(self, posterior):
        self._warn_of_prior(posterior)
        shape, rate = self._gamma(posterior)
        return self._point((shape - 1.0) / rate)

    def _step(self, n_components, *prior):
        return RateStep(n_components, self.typical_rate_, RATE_FLOOR, self._events == "total", *prior)

    def mle_step(self, n_components):
        return self._step(n_components)

    def mode_step(self, prior):
        K = prior.n_components
        constant = self.log_parameter_jacobian(K) - float(self.log_normalizer(prior).sum())
        return self._step(K, self._gamma(prior), constant)

    def expect(self, posterior):
        shape, rate = self._gamma(posterior)
        return Parameters({"rate": shape / rate, "log_rate": digamma(shape) - np.log(rate)})

    def draw(self, posterior, rng):
        shape, rate = self._gamma(posterior)
        return self._point(rng.gamma(shape) / rate)

    def log_normalizer(self, posterior):
        shape, rate = self._gamma(posterior)
        return (gammaln(shape) - shape * np.log(rate)).sum(axis=1)

    def log_density(self, prior, theta):
        shape, rate = self._gamma(prior)
        terms = xlogy(shape - 1.0, theta.rate) - rate * theta.rate
        return float(terms.sum() - self.log_normalizer(prior).sum())

    def log_parameter_jacobian(self, n_components):
        return n_components * self.summary_.log_jacobian

    def attributes(self, theta):
        return {"rates_": theta.rate / self.summary_.scale}

    def _checked_rates(self, rates):
        rates = check_numbers(rates, "rates")
        if not (rates >= 0).all():
            raise ValueError("rates must be >= 0")
        return rates

    def parameters(self, rates):  # type: ignore[override] # public names of this family
        return self._point(self._checked_rates(rates) * self.summary_.scale)
