"""A whole family in pure Python: what the contract asks of an author, and nothing else."""

import numpy as np
from scipy.special import digamma, gammaln

from skem.families import Family
from skem.suffstats import Parameters, SuffStats


class Rayleigh(Family):
    """p(x | rate) = prod_d 2 rate_d x_d exp(-rate_d x_d^2), with rate_d ~ Gamma(2, rate b0_d)."""

    def features(self, X):
        return X**2

    def natural(self, theta):
        return -theta.rate, theta.log_rate.sum(axis=1)

    def log_base_measure(self, X):
        return np.log(2.0 * X).sum(axis=1)

    def prior(self, n_components):
        typical = self.summary_.variance + self.summary_.mean**2
        return SuffStats({"n": np.full(n_components, 2.0), "total": np.tile(typical, (n_components, 1))})

    def _point(self, rate):
        return Parameters({"rate": rate, "log_rate": np.log(rate)})

    def mle(self, stats, theta=None):
        rate = np.where(stats.n > 0, stats.n, 1.0)[:, None] / np.where(stats.total > 0, stats.total, 1.0)
        return self._point(rate)

    def mode(self, posterior):
        return self._point((posterior.n[:, None] - 1.0) / posterior.total)

    def expect(self, posterior):
        log_rate = digamma(posterior.n)[:, None] - np.log(posterior.total)
        return Parameters({"rate": posterior.n[:, None] / posterior.total, "log_rate": log_rate})

    def draw(self, posterior, rng):
        return self._point(rng.gamma(posterior.n[:, None], size=posterior.total.shape) / posterior.total)

    def log_normalizer(self, posterior):
        return (gammaln(posterior.n)[:, None] - posterior.n[:, None] * np.log(posterior.total)).sum(axis=1)

    def log_density(self, prior, theta):
        terms = (prior.n[:, None] - 1.0) * theta.log_rate - prior.total * theta.rate
        return float(terms.sum() - self.log_normalizer(prior).sum())

    def log_predictive(self, posterior, X):
        a, b = posterior.n[:, None], posterior.total
        return (np.log(a) + a * np.log(b) - (a + 1.0) * np.log(b + X[:, None] ** 2)).sum(axis=2)

    def sample(self, theta, counts, rng):
        return rng.rayleigh(np.repeat(np.sqrt(0.5 / theta.rate), counts, axis=0))

    def n_parameters(self, n_features, n_components):
        return n_features * n_components

    def attributes(self, theta):
        return {"rates_": theta.rate}

    def parameters(self, rates):
        return self._point(np.atleast_2d(np.asarray(rates, dtype=np.float64)))


class RayleighByDensity(Rayleigh):
    """The same family for an author who has a density but no natural parameters."""

    natural = None

    def log_prob(self, X, theta):
        return (theta.log_rate - theta.rate * X[:, None] ** 2).sum(axis=2)

    def log_likelihood(self, theta, stats):
        return theta.log_rate.sum(axis=1) * stats.n - (theta.rate * stats.total).sum(axis=1)
