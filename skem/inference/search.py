"""Bayesian k-means that finds the number of clusters."""

from typing import Any

import numpy as np

from skem.canonical import CanonicalRows
from skem.inference.attempts import Attempts
from skem.inference.base import Fit
from skem.inference.hard import ROUNDING, MaximizationExpectation, settle
from skem.inference.moves import Doubts, Move, losing, split
from skem.inference.partition import Evidence, Merges, Neighbourhood
from skem.inference.priors import PriorChoice
from skem.inference.restarts import fresh_starts
from skem.inference.updates import UPDATES
from skem.starts import seed_labels

# Rows that a search begins with where there are many, more in many columns.
SAMPLE, SAMPLE_COLUMNS = 1 << 14, 1 << 11
# Rows that k-means finds many clusters in, and as many for each at least.
SEED_ROWS, EACH = 1 << 13, 1 << 6
# Batch updates of all rows after a round of splits; the last round goes on until labels rest.
ROUND_UPDATES = 4
# Fresh starts from many clusters, in turn: what multiplies the number that was found, and what is added.
SURPLUS = ((2, 8), (2, 2), (1, 2), (4, 12))
# Fresh starts in vain after which there are no more, and nats by which climbs that have come to the same may differ.
IN_VAIN, ALIKE = 2, 1.0
# Rows a cluster has on average, at least, where there are many; but a few clusters may have one row each.
LEAST_ROWS, FEWEST = 5, 10
# Temperatures at which labels are drawn, in turn with the shifts below and round again, until all were in vain.
TEMPERATURES = (1.0, 2.0, 4.0)
# Nats by which rows prefer another cluster that one takes in, and, negative, those by which rows that it gives away
# prefer it.
BORDERS = (1.0, 3.0, -1.0, -3.0)
# Moves that lose which are followed up, and most sweeps after each.
N_LOSING, MAX_SWEEPS = 2, 20
# Share of rows beyond which a cluster counts as one whose split has failed, or as one of the best.
SAME = 0.95


class Search:
    """Split, merge and move on until nothing raises log p(x, partition).

    A round tries every cluster in two, accepts the gainful splits together, lets all rows move, and merges while a
    merge gains. Where neither splits nor merges are left, the prior is chosen that the clusters like best, and rows
    move one by one. Every step is judged by the exact objective, which never falls. Then the rows are divided into too
    many clusters by k-means, and climb from there: what a plane cannot cut shows, and a poor optimum is left. At the
    end labels are drawn at random where rows are in doubt, and the borders of clusters are shifted, and rows settle;
    moves that lose little are followed up; one cluster for all is tried as two about seeds; and few rows that repeat
    much begin many times over. Where rows are many, all this is done with a sample of them, and what was found there is
    where all rows go on.

    Parameters
    ----------
    evidence : Evidence
    source : DistinctSource
    rng : numpy.random.Generator
        For the seeds of k-means, and for draws of labels.
    max_iter : int, default=1000
        Most steps.
    on_step : callable, default=None
        Called as on_step(kind, partition) after each step that was accepted.

    Attributes
    ----------
    now : Partition
        Where the climb stands.
    best : Partition or None
        The best so far.
    objectives : list of float
        One a step that was better than all before, the start included.
    """

    def __init__(self, evidence, source, rng, max_iter=1000, on_step=None):
        self.evidence = evidence
        self.source = source
        self.rng = rng
        self.max_iter = max_iter
        self.on_step = on_step
        self.best: Any = None
        self.objectives: list[float] = []
        self._monitor = None
        self._stopped = False
        self._rested: Any = None
        # where no merge gains
        self._apart: Any = None
        # where draws and shifts, and where fresh starts lead nowhere
        self._shaken: Any = None
        self._begun_again: Any = None
        # what there is beside the prior that all is judged by
        self._choice: PriorChoice | None = None
        # a best partition whose prior its clusters like best
        self._content: Any = None
        self._divided_by: Any = None  # family under whose prior clusters were split or merged last
        self._failed = Attempts(len(source), SAME)

    def run(self, labels, n_clusters, monitor=None, thorough=True):
        """Search from a partition.

        Parameters
        ----------
        labels : int32 ndarray of shape (n,)
        n_clusters : int
        monitor : callable, default=None
            See `Algorithm.run`.
        thorough : bool, default=True
            Whether to begin anew from many clusters, too; otherwise moves lead uphill and that is all.

        Returns
        -------
        fit : Fit
            The best of all runs of this object. Its objective is log p(x, partition); labels are the source's rows'.
        """
        self._monitor = monitor
        size = max(SAMPLE, SAMPLE_COLUMNS * self.source.n_coordinates)
        if not thorough:
            self._climb(labels, n_clusters)
        elif len(self.source) > 2 * size:
            self._climb(*self._found_in_sample(labels, n_clusters, size))
        else:
            family = self.evidence.model.family
            self._climb(labels, n_clusters)
            if self._divided_by is not None and self._divided_by is not family:
                # another prior splits or merges otherwise: its way up may be another from the beginning
                self._climb(labels, n_clusters)
            n_clusters = None
            # another number of clusters asks for other starts
            while not self.done and self.best.n_clusters != n_clusters:
                self._climb_anew()
                self.now, n_clusters = self.best, self.best.n_clusters
                while not self.done and (self._shake() or self._follow_up() or self._begin_again()):
                    pass
        best = self.best
        # that no move gained is known after a round of them, too
        objectives = self.objectives if len(self.objectives) > 1 else 2 * self.objectives
        model = self.evidence.at(best.n_clusters)
        return Fit(
            self._state(best), best.objective, objectives, len(objectives) - 1, not self.done, best.labels, model=model
        )

    def _likes_another_prior(self):
        """Take the prior that the clusters of the best like best; whether that is another."""
        if self.now is not self.best or self.now is self._content:
            return False
        if not self.prefer(self.best.stats):
            self._content = self.now
            return False
        self.now = self.evidence.occupied(self.best.labels, self.best.stats, self.best.n_k)
        self._note("prior")
        return True

    def prefer(self, stats):
        """Judge by the prior that statistics of clusters like best from now on; whether that is another."""
        model = self.evidence.at(stats.n_components)
        self._choice = self._choice or PriorChoice(model)
        likelier = self._choice.likeliest(model, stats)
        if likelier is not model:
            self._take_prior(likelier)
        return likelier is not model

    def _take_prior(self, model):
        """Judge by another prior from now on: what has failed under the last may succeed, but where all were one."""
        old = self.evidence.model
        model = model._replace(log_base=old.log_base, total_weight=old.total_weight)
        self.evidence = Evidence(model, self.evidence.partitions)
        self.source = self.source.seen_by(model.family)
        self._failed.forget()
        self._choice = None

    def _found_in_sample(self, labels, n_clusters, size):
        """Labels of all rows from a search in some of them, and the number of clusters."""
        chosen = self.source.evenly(size)
        sample = self.source.part(chosen)
        evidence = Evidence(self.evidence.model._replace(total_weight=sample.total_weight), self.evidence.partitions)
        search = Search(evidence, sample, self.rng, self.max_iter)
        state = search.run(labels[chosen], n_clusters).state
        self._take_prior(search.evidence.model)
        labels = np.zeros(len(self.source), dtype=np.int32)
        self.source.run(state.log_weights, state.theta, collect=False, assign="hard", labels=labels)
        return labels, len(state.n_k)

    def _climb_anew(self):
        """Climb from many clusters, again and again, until a climb comes to where the best one has been."""
        turn = n_vain = 0
        while not self.done and n_vain < IN_VAIN:
            before = self.best
            factor, surplus = SURPLUS[turn % len(SURPLUS)]
            self._climb(*self.small_clusters(factor * before.n_clusters + surplus))
            if self._found_again(before):
                return
            n_vain = n_vain + 1 if self.best is before else 0
            # clusters found anew ask for as many more: what was too many before may have been too few
            if self.best.n_clusters <= before.n_clusters:
                turn += 1

    def _found_again(self, before):
        """Whether the last climb has come to a partition as good as, or much like, the best one before it."""
        if self.best is not before:
            return self.best.objective - before.objective <= ALIKE
        return self.now.objective >= before.objective - ALIKE or self.now.resembles(before, self.source.weight, SAME)

    def small_clusters(self, n_clusters, init="k-means"):
        """Labels of many clusters by k-means, or about seeds of another kind, and how many there are."""
        source = self.source
        n_clusters = min(n_clusters, max(min(len(source), FEWEST), len(source) // LEAST_ROWS))
        chosen = source.evenly(max(SEED_ROWS, EACH * n_clusters))
        rows = CanonicalRows(source.index[chosen], source.canonical().weight[chosen], None)
        labels = seed_labels(source, n_clusters, init, self.rng, rows)
        return labels[source.index], n_clusters

    def _begin_again(self):
        """Climb from fresh starts with about as many clusters, where there may be better; whether that led higher."""
        before = self.best
        if before is not self._begun_again:
            self._begun_again = before
            for partition in fresh_starts(self.source, before.n_clusters, self._begun):
                self.now = partition
                self._note("start")
                self._go_on()
                if self.best is not before or self.done:
                    break
            self.now = self.best
        return self.best is not before

    def _begun(self, n_clusters, init):
        """Where updates lead from so many clusters by k-means, or about seeds of another kind."""
        labels, n_clusters = self.small_clusters(n_clusters, init)
        return self._moved(self.evidence.partition(self.source, labels, n_clusters), self.max_iter, sweeps=True)

    def _climb(self, labels, n_clusters):
        """Go uphill from a partition as far as moves lead."""
        self.now = self.evidence.partition(self.source, labels, n_clusters)
        self._note("start")
        if n_clusters > 1:
            # many clusters are merged before they are split
            self._accept("batch", self._moved(self.now, ROUND_UPDATES))
            self._merge_all()
        self._go_on()

    def _go_on(self):
        """Split and merge, and let rows move, until nothing gains."""
        while not self.done and (self._split_all() | self._merge_all() or self._likes_another_prior() or self._rest()):
            pass

    @property
    def done(self):
        """Whether somebody, or `max_iter`, has stopped the search."""
        return self._stopped or len(self.objectives) > self.max_iter

    def _state(self, partition):
        return UPDATES["evidence"](self.evidence.at(partition.n_clusters), partition.stats, partition.n_k)

    def _note(self, kind):
        """Note the present partition as a step."""
        if self.on_step is not None:
            self.on_step(kind, self.now)
        if self.best is not None and not self._is_better(self.now, self.best):
            return
        self.best = self.now
        self.objectives.append(self.now.objective)
        if self._monitor is not None:
            self._stopped |= bool(self._monitor(len(self.objectives) - 1, self.now.objective, self._state(self.now)))

    @staticmethod
    def _is_better(partition, other):
        return partition.objective - other.objective > ROUNDING * abs(other.objective)

    def _accept(self, kind, partition):
        """Go on from a partition if it is better."""
        better = self._is_better(partition, self.now)
        if better:
            if partition.n_clusters != self.now.n_clusters:
                self._divided_by = self.evidence.model.family
            self.now = partition
            self._note(kind)
        return better

    def _moved(self, partition, max_iter, sweeps=False):
        """Partition after updates of all rows."""
        algorithm = MaximizationExpectation(max_iter=max_iter, sweeps=sweeps)
        model = self.evidence.at(partition.n_clusters)
        fit = algorithm.run(model, self.source, self._state(partition), labels=partition.labels)
        return self.evidence.occupied(fit.labels, fit.state.stats, fit.state.n_k)

    def _relabelled(self, labels, origins=None):
        """Partition by labels of clusters that are near the present ones, or near those that they are parts of."""
        stats = self.now.stats if origins is None else self.now.stats.take(origins)
        return self.evidence.partition(self.source, labels, stats.n_components, about=stats)

    def _after(self, moves):
        """Partition after moves of clusters that no two of them share."""
        labels, origins = self.now.labels.copy(), list(range(self.now.n_clusters))
        for move in moves:
            n_clusters = move.apply(labels, len(origins))
            origins += [move.clusters[0]] * (n_clusters - len(origins))
        return self._relabelled(labels, origins)

    def _members(self):
        """Positions of each cluster's rows."""
        labels = self.now.labels
        return np.split(np.argsort(labels, kind="stable"), np.bincount(labels).cumsum()[:-1])

    def _place(self, clusters, members):
        positions = np.sort(np.concatenate([members[k] for k in clusters]))
        return Neighbourhood(self.evidence, self.source, self.now, clusters, positions)

    # -- splits ----------------------------------------------------------------------------------

    def _split_all(self):
        """Split every cluster that gains from it."""
        members = self._members()
        moves = []
        for k, positions in enumerate(members):
            if len(positions) < 2 or self._failed.of(positions) is not None:
                continue
            move = split(self._place([k], members))
            if move is not None and move.gain > 0:
                moves.append(move)
            else:
                self._failed.add(move or Move("split", [k], positions, np.zeros_like(positions), 1, -np.inf))
        moves.sort(key=lambda move: -move.gain)
        return self._accept_together("split", moves)

    def _accept_together(self, kind, moves):
        """Accept moves of clusters that no two of them share, all at once or else one by one."""
        if not moves:
            return False
        if self._accept(kind, self._after(moves)):
            self._accept("batch", self._moved(self.now, ROUND_UPDATES))
            return True
        return len(moves) > 1 and self._accept_together(kind, moves[: len(moves) // 2])

    # -- merges ----------------------------------------------------------------------------------

    def _merge_all(self):
        """Merge pairs of clusters, those that gain most from one another first, while that gains."""
        if self._apart is self.now:
            return False
        merges = Merges(self.evidence, self.now.stats, self.now.n_k)
        while len((pairs := merges.mutual())[0]):
            merges.merge(*pairs)
        if len(merges.n_k) == self.now.n_clusters:
            self._apart = self.now
            return False
        if not self._accept("merge", self.evidence.occupied(merges.labels(self.now.labels), merges.stats, merges.n_k)):
            return False
        self._accept("batch", self._moved(self.now, ROUND_UPDATES))
        return True

    # -- draws and shifts ------------------------------------------------------------------------

    def _shake(self):
        """Draw labels where rows are in doubt, and shift clusters' borders, and let rows settle, while that gains."""
        before = self.now
        while not self.done and self._shaken is not self.now:
            self._draw_and_shift()
            self._shaken = self.now
            if self.now is not before:
                self._go_on()
        return self.now is not before

    def _draw_and_shift(self):
        """Draws and shifts in turn, until all were in vain."""
        n_vain, turn, doubts, n_clusters = 0, 0, None, self.now.n_clusters
        # what one of two takes in the other gives away
        borders = [margin for margin in BORDERS if margin > 0 or n_clusters > 2]
        shifts = [(k, margin) for margin in borders for k in range(n_clusters)]
        if self.evidence.model.family.collapsed_kind is None:
            # all rows would have to be updated for each
            shifts = []
        n_turns = len(TEMPERATURES) + len(shifts) if n_clusters > 1 else 0
        while n_vain < n_turns and not self.done:
            doubts = doubts or Doubts(self.evidence, self.source, self.now)
            at = turn % n_turns
            if at < len(TEMPERATURES):
                kind, labels = "draw", doubts.drawn(TEMPERATURES[at], self.rng)
            else:
                kind, labels = "shift", doubts.shifted(*shifts[at - len(TEMPERATURES)])
            n_vain, turn = n_vain + 1, turn + 1
            if labels is None:
                continue
            after = self._relabelled(labels)
            if self._accept(kind, after):
                n_vain, doubts = 0, None
                if after.n_clusters < n_clusters:
                    # one has lost its last row
                    return

    # -- moves that lose -------------------------------------------------------------------------

    def _follow_up(self):
        """Let all rows settle after the moves that lose least, for they may then gain."""
        members = self._members()
        attempts = [self._failed.of(positions) for positions in members]
        moves = losing(self.evidence, self.now, attempts, lambda clusters: self._place(clusters, members))
        for move in moves[:N_LOSING]:
            after = self._moved(self._after([move]), ROUND_UPDATES)
            labels, _ = settle(self.evidence.at(after.n_clusters), self.source, after.labels, MAX_SWEEPS)
            if self._accept(move.kind, self.evidence.partition(self.source, labels, after.n_clusters)):
                self._go_on()
                return True
        return False

    # -- rows ------------------------------------------------------------------------------------

    def _rest(self):
        """Let rows move, at last one by one, until none does."""
        # a climb that has come to the best clusters by another way would end there
        if self._rested is self.now or self.now.resembles(self.best, self.source.weight, SAME):
            return False
        moved = self._accept("rows", self._moved(self.now, self.max_iter, sweeps=True))
        self._rested = self.now
        return moved
