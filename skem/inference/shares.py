"""Rows that soft components share, and what they gain from being shared out anew."""

from typing import NamedTuple

import numpy as np
from scipy.special import xlogy

from skem.engine import BLOCK
from skem.inference.updates import UPDATES
from skem.suffstats import SuffStats
from skem.weights import LOG_ZERO

# A share of a row below this counts as none.
NEGLIGIBLE = 1e-9


class Division(NamedTuple):
    """Rows shared out among components.

    Attributes
    ----------
    stats : SuffStats
    n_k : ndarray of shape (n_components,)
    entropy : float
        Of the shares, in nats times weight.
    """

    stats: SuffStats
    n_k: np.ndarray
    entropy: float


def divide(model, source, state):
    """Share the rows of a source out as the scores at a state want it."""
    result = source.run(state.log_weights, state.theta)
    scores = np.sum(model.family.log_likelihood(state.theta, result.stats))
    scores += model.weights.log_likelihood(state.log_weights, result.n_k)
    return Division(result.stats, result.n_k, result.score - float(scores))


class Shares:
    """Responsibilities where they are not negligible, and the free energy of rows so shared.

    The free energy is what a division's statistics have of the best theta for them, penalty included, plus the entropy
    of the shares (Neal & Hinton 1998). A pass and an update raise nothing else, so that a run from a division ends at
    or above its free energy, whatever becomes of theta.

    Parameters
    ----------
    model : Model
    source : DistinctSource
    update : {"mle", "mode", "expect"}
    fit : Fit
        A run that has ended; the shares are those at its state.

    Attributes
    ----------
    now : Division
    free_energy : float
        Of `now`, base measure left out.
    overlap : ndarray of shape (n_components, n_components)
        Weighted sums of products of two shares.
    """

    def __init__(self, model, source, update, fit):
        self.model, self.source = model, source
        self._update = UPDATES[update]
        self.state = fit.state
        self.weight = np.ones(len(source)) if source.weight is None else source.weight
        self.now = divide(model, source, fit.state)
        self.free_energy = self.value(self.now)
        self._share_out()

    def _share_out(self):
        """Find each component's rows and its shares of them, block by block."""
        n_components = self.model.n_components
        self.overlap = np.zeros((n_components, n_components))
        rows: list[list[np.ndarray]] = [[] for _ in range(n_components)]
        shares: list[list[np.ndarray]] = [[] for _ in range(n_components)]
        for start in range(0, len(self.source), BLOCK):
            block = np.arange(start, min(start + BLOCK, len(self.source)))
            resp = np.empty((len(block), n_components))
            self.source.part(block).run(
                self.state.log_weights, self.state.theta, collect=False, weighted=False, resp=resp
            )
            self.overlap += (resp * self.weight[block, None]).T @ resp
            for k in range(n_components):
                kept = np.flatnonzero(resp[:, k] > NEGLIGIBLE)
                rows[k].append(block[kept])
                shares[k].append(resp[kept, k])
        self.rows = [np.concatenate(parts) for parts in rows]
        self.shares = [np.concatenate(parts) for parts in shares]

    def best(self, division):
        """State with the best theta for a division."""
        model = self.model._replace(n_components=len(division.n_k))
        return self._update(model, division.stats, division.n_k, self.state.theta)

    def value(self, division):
        """Free energy of a division of all rows, base measure left out."""
        state = self.best(division)
        expected = np.sum(self.model.family.log_likelihood(state.theta, state.stats))
        expected += self.model.weights.log_likelihood(state.log_weights, state.n_k)
        return float(expected) + state.penalty + division.entropy

    def part(self, clusters):
        """What the rows of a few components are, each with the share of its weight that these have.

        Parameters
        ----------
        clusters : list of int

        Returns
        -------
        source : DistinctSource
        """
        share = np.zeros(len(self.source))
        for k in clusters:
            share[self.rows[k]] += self.shares[k]
        positions = np.flatnonzero(share)
        part = self.source.part(positions)
        part.weight = self.weight[positions] * share[positions]
        return part

    def model_of(self, clusters, part):
        """Model of a few components alone; what all share keeps the statistics of the others."""
        prior = self.model.prior
        if prior is not None:
            prior = prior.take(clusters)
            if prior.shared:
                prior = prior.condition(self.now.stats).condition(whole(part).stats.scale(-1.0))
        return self.model._replace(
            n_components=len(clusters), prior=prior, weight_prior=self.model.weight_prior.take(clusters),
            log_base=0.0, total_weight=part.total_weight,
        )  # fmt: skip

    # -- divisions -------------------------------------------------------------------------------

    def merge(self, first, second):
        """Division with two components in the place of the first; the second keeps no row."""
        own = self.now.stats.take([first, second])
        rows, i, j = np.intersect1d(self.rows[first], self.rows[second], assume_unique=True, return_indices=True)
        a, b = self.shares[first][i], self.shares[second][j]
        lost = self.weight[rows] @ (xlogy(a + b, a + b) - xlogy(a, a) - xlogy(b, b))
        stats = self.now.stats.put([second], own.take([1]).scale(0.0)).put([first], own.pool())
        n_k = self.now.n_k.copy()
        n_k[[first, second]] = n_k[first] + n_k[second], 0.0
        return Division(stats, n_k, self.now.entropy - float(lost))

    def split(self, base, clusters, before, after):
        """Division with rows of `base` that are one component's, `before`, as two, `after`.

        Parameters
        ----------
        base : Division
        clusters : list of int
            The component, and one without a row.
        before, after : Division

        Returns
        -------
        division : Division
        """
        own = after.stats.condition(base.stats).condition(before.stats.scale(-1.0))
        n_k = base.n_k.copy()
        n_k[clusters] = after.n_k
        return Division(base.stats.put(clusters, own), n_k, base.entropy + after.entropy)

    def delete(self, k):
        """Division with a component's rows left to the others, in proportion to their shares."""
        log_weights = self.state.log_weights.copy()
        log_weights[k] = LOG_ZERO
        without = self.state._replace(log_weights=log_weights)
        positions = self.rows[k]
        here = self.source.part(positions)
        entropy = self.now.entropy - divide(self.model, here, self.state).entropy
        entropy += divide(self.model, here, without).entropy
        part = self.part([k])
        own = whole(part).stats
        rest = own.scale(0.0).condition(self.now.stats).condition(own.scale(-1.0))
        moved = divide(self.model, part, without)
        n_k = self.now.n_k + moved.n_k
        n_k[k] = 0.0
        return Division(self.now.stats.put([k], rest).merge(moved.stats), n_k, entropy)


def whole(part):
    """Division of rows that are all one component's."""
    given = part.assign_given(1, codes=np.zeros(len(part), dtype=np.int32))
    return Division(given.stats, given.n_k, 0.0)
