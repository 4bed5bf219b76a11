"""Moves of soft components: births, merges and deletions, or a merge and a split at once."""

from typing import NamedTuple

import numpy as np

from skem.distinct import DistinctSource
from skem.inference.base import Algorithm
from skem.inference.cuts import best_cuts, sample_to_cut
from skem.inference.shares import Division, Shares, divide, whole
from skem.inference.updates import UPDATES, starved
from skem.weights import label_free_term

# Cuts of a component that are followed up.
N_CUTS = 2
# Iterations of the two parts alone.
LOCAL_ITERATIONS = 20
# Pairs of components that are looked at, in multiples of their number, those with the largest overlap first.
PAIRS = 2
# Candidates of a round that are run to convergence.
MAX_TRIES = 5
# A gain below this share of the objective is rounding.
ROUNDING = 1e-11


class Candidate(NamedTuple):
    """A division of all rows that may be a better start.

    Attributes
    ----------
    kind : {"birth", "merge", "delete", "exchange"}
    gain : float
        Of the free energy; the objective gains at least as much.
    division : Division
    """

    kind: str
    gain: float
    division: Division


class SplitMerge(Algorithm):
    """A soft cell that goes on from its optima by moves, each accepted where the run that it starts ends higher.

    Where n_components is an upper bound, components are born (one is divided in two, and an empty one takes a part),
    merged and deleted; a move must raise the objective and, if components are exchangeable, the objective with its
    labels dropped, log K! / (K - K_occupied)! more. Where it is a number that stays, two are merged and a third is
    divided at once (SMEM, Ueda et al. 2000), and maximum likelihood accepts no further flat or starved component.

    Parameters
    ----------
    inner : Algorithm
        EM, MAPEM or VariationalBayes.
    upper_bound : bool
        Whether components may be empty.
    on_move : callable, default=None
        Called as on_move(kind, fit) after each move that was accepted.
    """

    #: a run reports each move that it accepts
    max_reports = None

    def __init__(self, inner, upper_bound, on_move=None):
        super().__init__(inner.tol, inner.max_iter)
        self.assign, self.update = inner.assign, inner.update
        self.inner = inner
        self.upper_bound = upper_bound
        self.on_move = on_move

    @property
    def plain(self):
        """The cell without moves."""
        return self.inner

    def run(self, model, source, state, monitor=None, labels=None, n_iter=0):
        """Iterate from `state` to an optimum, and on by moves; see `Algorithm.run`.

        `objectives` has one value a pass of the first run, and one a move.
        """
        fit = self.inner.run(model, source, state, monitor, labels, n_iter)
        if not fit.converged:
            return fit
        distinct = DistinctSource.of(source)[0]
        while fit.n_iter < self.max_iter:
            found = self._move(model, source, distinct, fit)
            if found is None:
                return fit
            kind, better = found
            n_iter = fit.n_iter + 1
            fit = better._replace(objectives=[*fit.objectives, better.objective], n_iter=n_iter, converged=True)
            if self.on_move is not None:
                self.on_move(kind, fit)
            if monitor is not None and monitor(fit.n_iter, fit.objective, fit.state):
                return fit
        return fit._replace(converged=False)

    def _move(self, model, source, distinct, fit):
        """The first of the best candidates whose run ends higher, and its kind; None if there is none."""
        shares = Shares(model, distinct, self.update, fit)
        owning = np.bincount(fit.labels[source.weight > 0] if source.weight is not None else fit.labels,
                             minlength=model.n_components) > 0  # fmt: skip
        find = self._free if self.upper_bound else self._exchanges
        candidates = sorted(find(shares, owning), key=lambda candidate: -candidate.gain)
        for candidate in candidates[:MAX_TRIES]:
            state = self._start(model, candidate.division, fit.state.theta)
            better = self.inner.run(model, source, state)
            if self._accepts(model, source, fit, better):
                return candidate.kind, better
        return None

    def _start(self, model, division, theta):
        """State of a division, with the largest components in front where the order counts."""
        stats, n_k = division.stats, division.n_k
        if not model.weights.exchangeable:
            order = np.argsort(-n_k, kind="stable")
            stats, n_k, theta = stats.take(order), n_k[order], theta.take(order)
        return UPDATES[self.update](model, stats, n_k, theta)

    # -- acceptance ------------------------------------------------------------------------------

    def _accepts(self, model, source, old, new):
        """Whether a run has ended higher, beyond what two runs to one optimum may differ by."""
        least = max(2.0 * self.tol * model.total_weight, ROUNDING * abs(old.objective))
        gain = new.objective - old.objective
        if not gain > least:
            return False
        if self.upper_bound and model.weights.exchangeable:
            return gain + _labellings(model, source, new) - _labellings(model, source, old) > least
        return self.update != "mle" or starved(model, new.state).sum() <= starved(model, old.state).sum()

    # -- candidates ------------------------------------------------------------------------------

    def _free(self, shares, owning):
        """Births, merges and deletions that gain."""
        occupied, empty = np.flatnonzero(owning), np.flatnonzero(~owning)
        found = []
        if len(empty):
            pairs = [[int(k), int(empty[0])] for k in occupied]
            halves = [self._halves(shares, pair, shares.part(pair)) for pair in pairs]
            found += [
                ("birth", shares.split(shares.merge(*pair), pair, *parts))
                for pair, parts in zip(pairs, halves, strict=True)
                if parts is not None
            ]
        found += [("merge", shares.merge(i, j)) for i, j in _pairs(shares, occupied)]
        if len(occupied) > 1:
            found += [("delete", shares.delete(k)) for k in map(int, occupied)]
        rated = (Candidate(kind, shares.value(division) - shares.free_energy, division) for kind, division in found)
        return [candidate for candidate in rated if candidate.gain > 0.0]

    def _exchanges(self, shares, owning):
        """A merge of two components and a split of a third, those of the largest gain."""
        occupied = np.flatnonzero(owning)
        merges = sorted(
            ((shares.value(division := shares.merge(i, j)), i, j, division) for i, j in _pairs(shares, occupied)),
            key=lambda merge: -merge[0],
        )[:MAX_TRIES]
        found = []
        for k in map(int, occupied):
            others = [merge for merge in merges if k not in merge[1:3]]
            if not others or (parts := self._halves(shares, [k, others[0][2]], shares.part([k]))) is None:
                continue
            for _, _, j, base in others:
                division = shares.split(base, [k, j], *parts)
                found.append(Candidate("exchange", shares.value(division) - shares.free_energy, division))
        return found

    def _halves(self, shares, clusters, part):
        """Rows as one component's and as two, by the best of a few cuts; None where they are all alike.

        Parameters
        ----------
        shares : Shares
        clusters : list of int
            Two, for their priors.
        part : DistinctSource

        Returns
        -------
        before, after : Division
        """
        model, update = shares.model_of(clusters, part), UPDATES[self.update]
        local = type(self.inner)(tol=self.tol, max_iter=LOCAL_ITERATIONS)
        sample = sample_to_cut(part)
        best = None
        for cut in best_cuts(sample, N_CUTS):
            given = sample.assign_given(2, codes=cut)
            fit = local.run(model, sample, update(model, given.stats, given.n_k))
            if best is None or fit.objective > best.objective:
                best = fit
        if best is None:
            return None
        if sample is not part:
            best = local.run(model, part, best.state)
        return whole(part), divide(model, part, best.state)


def _pairs(shares, occupied):
    """Pairs of components with the largest cosine between their shares."""
    size = np.sqrt(np.diag(shares.overlap))
    first, second = np.triu_indices(len(occupied), 1)
    first, second = occupied[first], occupied[second]
    cosine = shares.overlap[first, second] / np.maximum(size[first] * size[second], np.finfo(float).tiny)
    chosen = np.argsort(-cosine, kind="stable")[: PAIRS * len(occupied)]
    return [(int(i), int(j)) for i, j in zip(first[chosen], second[chosen], strict=True)]


def _labellings(model, source, fit):
    """Log of the number of labellings of the components that own a row with weight."""
    labels = fit.labels if source.weight is None else fit.labels[source.weight > 0]
    return label_free_term(model.n_components, np.count_nonzero(np.bincount(labels, minlength=model.n_components)))
