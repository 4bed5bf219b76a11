"""What families of discrete outcomes share: probabilities in groups that sum to one, with Dirichlet priors."""

import numpy as np
from scipy.special import digamma, gammaln, xlogy

from skem._kernels.shares import ShareStep, log_or_least, shares
from skem.exceptions import DegenerateComponentWarning, warn
from skem.families.base import Family, Parameters, SuffStats

# Probabilities given by the user may miss their sum by this.
SUM_SLACK = 1e-5


class DirichletFamily(Family):
    """Base of families whose parameters are groups of probabilities p_v, each group with a Dirichlet prior.

    The statistics are `total` of shape (K, m), the weight of every outcome; `group_starts_`, set by `_bind` as is
    `concentration_` of shape (m,), tells where each group begins. Modes are taken in the probabilities. A probability
    of zero has the logarithm -1e4, so that densities stay finite.
    """

    location = "probabilities"
    # a group that lacks an outcome at the start would lack it at the end of maximum likelihood
    start_share = 0.5
    #: whether a pass sums the ones of binary columns alone
    of_pairs = False

    group_starts_: np.ndarray
    concentration_: np.ndarray

    def _groups(self, values):
        """Sums of values (K, m) over each group."""
        return np.add.reduceat(values, self.group_starts_, axis=1)

    def _sums(self, values):
        """The same at every outcome of a group, of shape (K, m)."""
        return np.repeat(self._groups(values), np.diff(self.group_starts_, append=values.shape[1]), axis=1)

    def _shares(self, mass, otherwise):
        """Mass (K, m) as a share of its group's, `otherwise` where the group has none."""
        whole = self._sums(mass)
        return np.where(whole > 0, mass / np.where(whole > 0, whole, 1.0), otherwise)

    def _point(self, probability):
        probability = np.ascontiguousarray(probability)
        return Parameters({"probability": probability, "log_probability": log_or_least(probability)})

    def natural(self, theta):
        return theta.log_probability, np.zeros(theta.n_components)

    def log_likelihood(self, theta, stats):
        return (theta.log_probability * stats.total).sum(axis=1)

    def statistics(self, n_k, sums):
        return SuffStats({"total": sums["features"]})

    def prior(self, n_components):
        return SuffStats({"total": np.tile(self.concentration_, (n_components, 1))})

    def mle(self, stats, theta=None):
        if theta is None:
            # a group without mass is spread evenly
            otherwise = np.tile(1.0 / self._sums(np.ones_like(stats.total[:1])), (stats.n_components, 1))
        else:
            otherwise = theta.probability.copy()
        return self._point(shares(np.ascontiguousarray(stats.total), self._group, otherwise))

    @property
    def _group(self):
        """Which group each outcome belongs to."""
        m = len(self.concentration_)
        return np.repeat(np.arange(len(self.group_starts_)), np.diff(self.group_starts_, append=m))

    def worth(self, stats):
        """Largest log-likelihoods of groups of rows, without the parameters that have them; see `Family.worth`."""
        whole = self._groups(stats.total)
        return xlogy(stats.total, stats.total).sum(axis=1) - xlogy(whole, whole).sum(axis=1)

    def mle_step(self, n_components):
        return ShareStep(n_components, self._group, self.of_pairs)

    def mode_step(self, prior):
        constant = -float(self.log_normalizer(prior).sum())
        return ShareStep(prior.n_components, self._group, self.of_pairs, prior.total, constant)

    def mode(self, posterior):
        if (posterior.total < 1.0).any():
            warn(
                f"concentration_prior={self.concentration_prior} is below 1, so that the density of an outcome's "
                "probability is largest at zero where it is not seen: it rests there; raise concentration_prior to 1",
                DegenerateComponentWarning,
            )
        return self._point(self._shares(np.maximum(posterior.total - 1.0, 0.0), self._mean(posterior)))

    def _mean(self, posterior):
        return posterior.total / self._sums(posterior.total)

    def expect(self, posterior):
        log_probability = digamma(posterior.total) - digamma(self._sums(posterior.total))
        return Parameters({"probability": self._mean(posterior), "log_probability": log_probability})

    def draw(self, posterior, rng):
        return self._point(self._shares(rng.gamma(posterior.total), self._mean(posterior)))

    def log_normalizer(self, posterior):
        return gammaln(posterior.total).sum(axis=1) - gammaln(self._groups(posterior.total)).sum(axis=1)

    def log_density(self, prior, theta):
        return float(((prior.total - 1.0) * theta.log_probability).sum() - self.log_normalizer(prior).sum())

    def n_parameters(self, n_features, n_components):
        return (len(self.concentration_) - len(self.group_starts_)) * n_components

    def _checked(self, probabilities):
        """Theta from probabilities (K, m) of which every group must sum to one."""
        if not (probabilities >= 0).all():
            raise ValueError("probabilities must be >= 0")
        whole = self._sums(probabilities)
        if not (np.abs(whole - 1.0) <= SUM_SLACK).all():
            k, v = np.argwhere(~(np.abs(whole - 1.0) <= SUM_SLACK))[0]
            raise ValueError(f"probabilities of component {k} sum to {whole[k, v]:.6g}; they must sum to one")
        return self._point(probabilities / whole)
