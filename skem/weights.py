"""Mixing weights: a distribution over components with the same verbs as a family."""

import numpy as np
from scipy.special import betaln, digamma, gammaln, logsumexp, xlogy

from skem._kernels.ascent import LOG_ZERO, WeightStep, log_share
from skem._kernels.weight_steps import ExpectedShares, ExpectedSticks, ModeOfShares
from skem.suffstats import SuffStats

# A concentration that is none: what the counts of rows do not notice, and whose logarithm is still a number.
NO_CONCENTRATION = 1e-100
# Nats that a cluster beyond an upper bound costs, and what it costs a row where rows are very many, or heavy: more than
# any data give for it.
SURPLUS_COST = 1e12
SURPLUS_COST_PER_ROW = 1e6


def safe_log(weights):
    """Logarithm with LOG_ZERO in place of -inf."""
    weights = np.asarray(weights, dtype=np.float64)
    return np.where(weights > 0, np.log(np.where(weights > 0, weights, 1.0)), LOG_ZERO)


def _share(n_k):
    return n_k / n_k.sum()


def label_free_term(n_components, n_occupied):
    """Log of the number of labellings of one partition: log K! / (K - K_occupied)!.

    Parameters
    ----------
    n_components, n_occupied : int

    Returns
    -------
    term : float
    """
    return float(gammaln(n_components + 1.0) - gammaln(n_components - n_occupied + 1.0))


class DirichletWeights:
    """Weights pi ~ Dirichlet(concentration, ..., concentration).

    log p(z) = lnG(K a) - lnG(n + K a) + sum_k [lnG(n_k + a) - lnG(a)].

    Parameters
    ----------
    concentration : float or array-like of shape (n_components,), default=1.0
        a > 0 of each component.
    """

    #: whether a permutation of the components leaves all values as they are
    exchangeable = True

    def __init__(self, concentration=1.0):
        self.concentration = concentration

    def prior(self, n_components):
        """Prior of `n_components` weights."""
        return SuffStats({"alpha": np.broadcast_to(np.asarray(self.concentration, float), (n_components,))})

    def statistics(self, n_k):
        """Component masses as statistics that a prior can be merged with."""
        return SuffStats({"alpha": n_k})

    def mle(self, n_k):
        """Log of the maximum-likelihood weights."""
        return log_share(n_k)

    def mode(self, posterior):
        """Log of the posterior mode; where alpha < 1 would leave the interior, the weight is zero."""
        mass = np.maximum(posterior.alpha - 1.0, 0.0)
        return safe_log(_share(mass) if mass.sum() > 0 else self.mean(posterior))

    def expect(self, posterior):
        """Posterior expectation of the log weights."""
        return digamma(posterior.alpha) - digamma(posterior.alpha.sum())

    def mle_step(self, n_components):
        """`mle` as a compiled step."""
        return WeightStep()

    def mode_step(self, prior):
        """`mode` and `log_density` as a compiled step."""
        return ModeOfShares(prior.alpha)

    def expect_step(self, prior):
        """`expect`, and evidence less `log_likelihood`, as a compiled step."""
        return ExpectedShares(prior.alpha)

    def draw(self, posterior, rng):
        """Log of weights drawn from the posterior."""
        return safe_log(rng.dirichlet(posterior.alpha))

    def mean(self, posterior):
        """Posterior mean of the weights."""
        return _share(posterior.alpha)

    def log_normalizer(self, posterior):
        """Log of the Dirichlet's normalising constant."""
        return float(gammaln(posterior.alpha).sum() - gammaln(posterior.alpha.sum()))

    def log_density(self, prior, log_weights):
        """Log density of the weights under the prior."""
        return float(xlogy(prior.alpha - 1.0, np.exp(log_weights)).sum() - self.log_normalizer(prior))

    def log_likelihood(self, log_weights, n_k):
        """Sum of n_k log weight."""
        return float((n_k * log_weights).sum())

    def opening(self, prior):
        """What a component's first row adds to log p(z) beyond the Dirichlet's share of it, or None for nothing."""


class StickBreakingWeights:
    """Weights of a truncated Dirichlet process: pi_k = v_k prod_{j<k} (1 - v_j), v_k ~ Beta(1, concentration).

    All components, the last included, have a Beta of their own (Blei & Jordan 2006 fix the last at one; with it
    free, empty components at the end add nothing to the bound). The value depends on the order of components.

    Parameters
    ----------
    concentration : float, default=1.0
        gamma > 0; larger values spread mass over more components.
    """

    exchangeable = False

    def __init__(self, concentration=1.0):
        self.concentration = concentration

    def prior(self, n_components):
        """Prior of `n_components` sticks."""
        return SuffStats({"a": np.ones(n_components), "b": np.full(n_components, float(self.concentration))})

    def statistics(self, n_k):
        """Mass on each stick and beyond it."""
        return SuffStats({"a": n_k, "b": n_k[::-1].cumsum()[::-1] - n_k})

    def mle(self, n_k):
        """Log of the maximum-likelihood weights."""
        return log_share(n_k)

    def mode(self, posterior):
        """Log of the weights at the mode of the sticks."""
        stick = np.maximum(posterior.a - 1.0, 0.0)
        rest = np.maximum(posterior.b - 1.0, 0.0)
        total = stick + rest
        v = np.where(total > 0, stick / np.where(total > 0, total, 1.0), posterior.a / (posterior.a + posterior.b))
        return safe_log(v) + np.concatenate([[0.0], np.cumsum(safe_log(1.0 - v))[:-1]])

    def expect(self, posterior):
        """Posterior expectation of the log weights."""
        total = digamma(posterior.a + posterior.b)
        rest = np.cumsum(digamma(posterior.b) - total)
        return digamma(posterior.a) - total + np.concatenate([[0.0], rest[:-1]])

    def mle_step(self, n_components):
        """`mle` as a compiled step."""
        return WeightStep()

    def mode_step(self, prior):
        """None: the mode of the sticks has no compiled step."""

    def expect_step(self, prior):
        """`expect`, and evidence less `log_likelihood`, as a compiled step."""
        return ExpectedSticks(prior.a, prior.b)

    def draw(self, posterior, rng):
        """Log of weights drawn from the posterior, the last stick taking what is left."""
        v = rng.beta(posterior.a, posterior.b)
        v[-1] = 1.0
        return safe_log(v * np.concatenate([[1.0], np.cumprod(1.0 - v[:-1])]))

    def mean(self, posterior):
        """Posterior mean of the weights, scaled to sum to one."""
        v = posterior.a / (posterior.a + posterior.b)
        return _share(v * np.concatenate([[1.0], np.cumprod(1.0 - v[:-1])]))

    def log_normalizer(self, posterior):
        """Log of the product of the Betas' normalising constants."""
        return float(betaln(posterior.a, posterior.b).sum())

    def log_density(self, prior, log_weights):
        """Log density of the weights' sticks under the prior."""
        weights = np.exp(log_weights)
        left = 1.0 - np.concatenate([[0.0], np.cumsum(weights)[:-1]])
        v = np.clip(weights / np.maximum(left, 1e-300), 0.0, 1.0 - 1e-16)
        terms = xlogy(prior.a - 1.0, v) + xlogy(prior.b - 1.0, 1.0 - v)
        return float(terms.sum() - self.log_normalizer(prior))

    def log_likelihood(self, log_weights, n_k):
        """Sum of n_k log weight."""
        return float((n_k * log_weights).sum())


class DirichletPartitions:
    """Prior of a partition into K clusters: weights ~ Dirichlet of K components, all of them occupied.

    log p(partition) = log K! + lnG(K a) - lnG(n + K a) + sum_k [lnG(n_k + a) - lnG(a)]; K! counts the labellings of
    one partition. The value is given K: there is no prior of K, or a flat one.

    Parameters
    ----------
    concentration : float, default=1.0
        a > 0.

    Notes
    -----
    The priors of partitions here differ in `log_count` and at most by a limit in `log_sizes`: all are of Gibbs type,
    a number for the clusters' count times a product over the clusters' sizes.
    """

    def __init__(self, concentration=1.0):
        self.concentration = float(concentration)

    @property
    def size_concentration(self):
        """Concentration of the Dirichlet whose log G(n_k + a) - log G(a) are `log_sizes`, but for `size_offset`."""
        return self.concentration

    #: what `log_sizes` adds to these, for each cluster
    size_offset = 0.0

    def weights(self, n_components):
        """Weights of labels at a number of components that stays."""
        return DirichletWeights(self.concentration)

    def log_sizes(self, n_k):
        """Terms of the clusters' sizes, one a cluster."""
        return gammaln(n_k + self.concentration) - gammaln(self.concentration)

    def log_count(self, n_clusters, total):
        """Term of the number of clusters of `total` weight."""
        mass = n_clusters * self.concentration
        return float(gammaln(n_clusters + 1.0) + gammaln(mass) - gammaln(total + mass))


class BoundedPartitions(DirichletPartitions):
    """Partitions by the labels of K components with Dirichlet(a) weights, of which some may have no row.

    log p(partition) = log K! / (K - K_occupied)! + lnG(K a) - lnG(n + K a) + sum_k [lnG(n_k + a) - lnG(a)].

    Parameters
    ----------
    n_components : int
        K, the most clusters that a partition may have.
    concentration : float, default=1.0
        a > 0.
    """

    def __init__(self, n_components, concentration=1.0):
        super().__init__(concentration)
        self.n_components = n_components

    def log_count(self, n_clusters, total):
        """Term of the number of clusters; beyond K no gain pays for one."""
        surplus = max(n_clusters - self.n_components, 0)
        cost = max(SURPLUS_COST, SURPLUS_COST_PER_ROW * total)
        mass = self.n_components * self.concentration
        labellings = label_free_term(self.n_components, n_clusters - surplus)
        # finite, for a search that begins with too many clusters to tell by how much one merge is better than another
        return float(labellings + gammaln(mass) - gammaln(total + mass)) - surplus * cost


class ProcessPartitions(DirichletPartitions):
    """Partitions of a Dirichlet process: log p = K log a + lnG(a) - lnG(n + a) + sum_k lnG(n_k), Ewens' formula.

    Parameters
    ----------
    concentration : float, default=1.0
        a > 0.
    """

    #: sizes count from nothing
    size_concentration = NO_CONCENTRATION
    size_offset = float(gammaln(NO_CONCENTRATION))

    def weights(self, n_components):
        """Dirichlet(a / K) weights, which tend to the process."""
        return DirichletWeights(self.concentration / n_components)

    def log_sizes(self, n_k):
        """Terms of the clusters' sizes, one a cluster."""
        return gammaln(n_k)

    def log_count(self, n_clusters, total):
        """Term of the number of clusters of `total` weight."""
        a = self.concentration
        return float(n_clusters * np.log(a) + gammaln(a) - gammaln(total + a))


class FiniteMixturePartitions(DirichletPartitions):
    """Partitions of a mixture of finite mixtures: K' - 1 ~ Poisson(1) components with Dirichlet(a) weights.

    log p = log V_n(K) + sum_k [lnG(n_k + a) - lnG(a)], V_n(K) = sum_k' p(k') k'! / (k' - K)! G(a k') / G(a k' + n)
    (Miller & Harrison 2018).

    Parameters
    ----------
    concentration : float, default=1.0
        a > 0.
    """

    #: terms of the series, which falls faster than a Poisson density
    n_terms = 200

    def log_count(self, n_clusters, total):
        """Term of the number of clusters of `total` weight."""
        k = n_clusters + np.arange(self.n_terms, dtype=np.float64)
        mass = k * self.concentration
        terms = gammaln(k + 1.0) - gammaln(k - n_clusters + 1.0) + gammaln(mass) - gammaln(mass + total)
        # Poisson(1) of k - 1
        return float(logsumexp(terms - 1.0 - gammaln(k)))


class PartitionWeights:
    """Weights of a partition's clusters: labels count as the partition they make, whatever the clusters are called.

    The log evidence of a posterior is log p(partition) exactly, a cluster without rows being none, and the expected
    log weights are the slopes of `log_sizes`, which is convex: a batch update by them gains at least what it promises.

    Parameters
    ----------
    partitions : DirichletPartitions
    total : float
        Weight of all rows.
    n_outside : int, default=0
        Clusters that there are besides.
    """

    exchangeable = True

    def __init__(self, partitions, total, n_outside=0):
        self.partitions = partitions
        self.total = total
        self.n_outside = n_outside

    def prior(self, n_components):
        """Prior of `n_components` clusters without rows."""
        alpha = np.full(n_components, self.partitions.size_concentration)
        return SuffStats({"alpha": alpha, "mass": np.zeros(n_components)})

    def statistics(self, n_k):
        """Clusters' masses as statistics that a prior can be merged with."""
        return SuffStats({"alpha": n_k, "mass": n_k})

    def expect(self, posterior):
        """Slopes of `log_sizes`, scaled like log weights; a cluster without rows gets none by a batch."""
        mass, alpha = posterior.mass, posterior.alpha
        held = mass > 0
        return np.where(held, digamma(np.where(held, alpha, 1.0)), LOG_ZERO) - digamma(alpha.sum())

    def mean(self, posterior):
        """Posterior mean of the weights, given that there are no further clusters."""
        return _share(posterior.alpha)

    def log_normalizer(self, posterior):
        """Log p(partition) of the clusters that have rows; 0 where none has."""
        mass = posterior.mass[posterior.mass > 0]
        return float(self.partitions.log_sizes(mass).sum()) + self._log_count(len(mass))

    def _log_count(self, n_clusters):
        n_clusters += self.n_outside
        return self.partitions.log_count(n_clusters, self.total) if n_clusters else 0.0

    def opening(self, prior):
        """What a cluster's first row adds to log p(partition) beyond the Dirichlet's share of it.

        Returns
        -------
        opening : ndarray of shape (n_components,)
            By the number of the other components that have rows.
        """
        counts = np.array([self._log_count(n_clusters) for n_clusters in range(prior.n_components + 1)])
        return np.diff(counts) + self.partitions.size_offset


PARTITION_PRIORS = {
    "dirichlet": DirichletPartitions,
    "dirichlet_process": ProcessPartitions,
    "mixture_of_finite_mixtures": FiniteMixturePartitions,
}
WEIGHT_PRIORS = {"dirichlet": DirichletWeights, "dirichlet_process": StickBreakingWeights}

__all__ = [
    "LOG_ZERO",
    "PARTITION_PRIORS",
    "WEIGHT_PRIORS",
    "BoundedPartitions",
    "DirichletPartitions",
    "DirichletWeights",
    "FiniteMixturePartitions",
    "PartitionWeights",
    "ProcessPartitions",
    "StickBreakingWeights",
    "safe_log",
]
