"""A start that does not fail: many short runs from starts of several kinds, the best of which go on.

Starts are drawn and raced on canonical rows, or on a subsample that the rows' contents choose, so that neither their
order nor writing a row twice in place of weight 2 changes which of them wins.
"""

import copy
from typing import Any, NamedTuple

import numpy as np

from skem.canonical import subsample
from skem.distinct import DistinctSource
from skem.engine import Source
from skem.inference.compiled_runs import NEAR
from skem.inference.short import short_runs
from skem.inference.updates import starved
from skem.proposals import propose, propose_inner
from skem.starts import StandardRows

# A race: the iterations of a run at each stage, and how many runs there are left after it.
STAGES = ((6, 18), (15, 9), (30, 4))
# Most runs that a race ends with.
FINALISTS = STAGES[-1][1]
# A race is run on about one row in RACE_SHARE, but no fewer rows than these.
RACE_SHARE = 8
RACE_ROWS = 1024
# Most components that starts are raced for: with more no two starts come to one end, and a race costs many fits.
MOST_COMPONENTS = 100
# Runs whose objectives differ by less than so many nats a row are taken to have come to one end.
SAME = 1e-6
# Nats a row, whatever the units, and share of what runs owe to the constraint, by which they do not differ at all.
ROUNDING = 1e-10
HELD = 1e-3
# Where so many starts have come to the best end, runs that are more nats a row behind it leave the race: on groups that
# are far apart they would climb for long, and in vain.
AGREED, BEHIND = 2, 0.05
# Standard deviation, at most, of the difference that two good mixtures make to the log density of a row of a sample.
CHANCE = 1.0
# Iterations, at most, after which a look ahead tells where a run will end.
MOST_AHEAD = 150
# What the tolerance of the best of several fits is multiplied with to go on.
POLISH = 0.01


class Entry(NamedTuple):
    """A run in the race.

    Attributes
    ----------
    name : str
        Kind of its start.
    run : int
        Its number.
    merit : float
        What it is compared by.
    n_starts : int
        Starts that led here.
    """

    name: str
    run: int
    merit: float
    n_starts: int = 1


def _spikes(model, n_k, bad):
    """Most that the rows of degenerate components can owe to the constraint, of one run or several."""
    return model.family.spike * model.family.summary_.n_features * np.where(bad, n_k, 0.0).sum(axis=-1)


def merit(algorithm, model, fit):
    """Objective of a run, less what its degenerate components may owe to the constraint alone.

    Maximum likelihood grows without bound where a component sits on flat data: a spike is no result. Components that
    are flat, or hold no more rows than the family needs, count as such: each of their rows costs `Family.spike` nats a
    column, the most that it can have gained. So a run with a spike is preferred only where it explains the other
    rows better, as it does where the spike is a row far out.

    Parameters
    ----------
    algorithm : Algorithm
    model : Model
    fit : Fit

    Returns
    -------
    merit : float
    """
    if algorithm.update != "mle":
        return fit.objective
    bad = starved(model, fit.state)
    return fit.objective - float(_spikes(model, fit.state.n_k[: len(bad)], bad))


def _distinct(entries, total_weight):
    """Entries from the best down; of those on their way to one end the first start stands for all."""
    kept: list[Entry] = []
    for entry in sorted(entries, key=lambda entry: -entry.merit):
        if kept and kept[-1].merit - entry.merit <= SAME * total_weight:
            # rounding must not choose between two orders of the same components
            first, other = sorted((kept[-1], entry), key=lambda one: one.run)
            kept[-1] = first._replace(merit=kept[-1].merit, n_starts=first.n_starts + other.n_starts)
        else:
            kept.append(entry)
    return kept


class StartRecord(NamedTuple):
    """How the best of several runs came about.

    Attributes
    ----------
    name : str
        Kind of its start.
    n_starts : int
        Starts of all runs, those that a race has ended early included.
    n_reached : int
        Starts known to lead to the best run's objective.
    """

    name: str
    n_starts: int
    n_reached: int


class Portfolio:
    """The starts of one fit: raced, run to their end and compared.

    Parameters
    ----------
    algorithm : Algorithm
    model : Model
    begin : callable
        Maps a model and the `Pass` of a start to the state that a run begins with.
    """

    def __init__(self, algorithm, model, begin):
        self.algorithm = algorithm
        self.model = model
        self.begin = begin
        self._n_starts = 0
        self._runs: list[tuple[Entry, Any]] = []

    @property
    def n_runs(self):
        """Number of finished runs."""
        return len(self._runs)

    def race(self, source, rng):
        """Run starts of every kind for a short time, and name those that are worth going on with.

        Parameters
        ----------
        source : Source
        rng : numpy.random.Generator

        Returns
        -------
        going_on : list of (name, n_starts, given)
            The kind of a start, how many starts led there and the `Pass` over all rows where they did; the best first.
        """
        algorithm, model, whole = self.algorithm, self.model, source
        rows = subsample(source.X, source.weight, max(RACE_ROWS, int(model.total_weight) // RACE_SHARE))
        Z = StandardRows.of(source, rows).Z
        raced_all = type(source) is Source and rows.weight.sum() >= model.total_weight * (1.0 - 1e-12)
        # weights grow to those of all rows, so that a prior weighs as much against a subsample
        weight = rows.weight * (model.total_weight / rows.weight.sum())
        weight = None if (weight == 1.0).all() else weight
        source = DistinctSource(source.X, weight, source.family, rows.index, source.coding)
        model = model._replace(log_base=source.log_base())
        if model.family.heavy_tails:
            starts = propose_inner(source, Z, rows.weight, model.n_components, rng)
        else:
            starts = propose(source, Z, rows.weight, model.n_components, rng)
        runs = short_runs(algorithm.plain, model, source, self.begin, len(starts))
        for _, labels in starts:
            runs.begin(labels)
        entries = [Entry(name, run, -np.inf) for run, (name, _) in enumerate(starts)]
        for n_iter, n_kept in STAGES:
            merits, n_k = runs.go_on([entry.run for entry in entries], n_iter)
            if algorithm.update == "mle":
                merits -= _spikes(model, n_k, n_k <= model.family.least_mass)
            entries = [entry._replace(merit=merit) for entry, merit in zip(entries, merits.tolist(), strict=True)]
            entries = _distinct(entries, model.total_weight)
            if n_kept == FINALISTS and algorithm.update == "mle":
                chance = 0.0 if raced_all else CHANCE * model.total_weight / np.sqrt(len(rows.weight))
                entries = self._finalists(model, runs, entries, chance)
            entries = entries[:n_kept]
            if entries[0].n_starts >= AGREED:
                least = entries[0].merit - BEHIND * model.total_weight
                entries = [entry for entry in entries if entry.merit >= least]
        self._n_starts += len(starts)
        givens = [runs.given(entry.run) for entry in entries]
        if not raced_all:
            states = [self.begin(model, given) for given in givens]
            givens = [whole.run(state.log_weights, state.theta, assign=algorithm.assign) for state in states]
        return [(entry.name, entry.n_starts, given) for entry, given in zip(entries, givens, strict=True)]

    def _finalists(self, model, runs, entries, chance):
        """Runs to go on with, without those on their way to a spike, unless one leads in spite of what that costs it.

        Such a climb has no end. What the statistics tell takes a while to find out: of no more runs than need be. Where
        iterations cost next to nothing, runs climb on, and those that are seen to end behind another are left out.

        Parameters
        ----------
        model : Model
        runs : PlainRuns or CompiledRuns
        entries : list of Entry
            The best first.
        chance : float
            What the choice of rows may make of the difference of two runs.

        Returns
        -------
        finalists : list of Entry
        """
        sound: list[Entry] = []
        leading: list[Entry] = []
        ahead = runs.swift
        close = NEAR * max(self.algorithm.tol, ROUNDING) * model.total_weight + chance
        behind, n_sound = -np.inf, 0
        for entry in entries:
            if ahead:
                runs.climb(entry.run, behind, MOST_AHEAD)
            if runs.end(entry.run) < behind and not runs.stands(entry.run):
                n_sound += 1
            else:
                given = runs.given(entry.run)
                flat = model.family.degenerate(given.stats)
                n_k = given.n_k[: len(flat)]
                few = n_k <= model.family.least_mass
                entry = entry._replace(merit=runs.end(entry.run) - float(_spikes(model, n_k, flat | few)))
                (leading if flat.any() else sound).append(entry)
                n_sound += not flat.any()
                if ahead:
                    behind = max(behind, entry.merit - close)
            if n_sound == FINALISTS:
                break
        if ahead:
            sound = _distinct(sound, model.total_weight)
            sound = [entry for entry in sound if entry.merit >= behind or runs.stands(entry.run)]
        if sound:
            leading = [entry for entry in leading if entry.merit > sound[0].merit]
        return sorted(leading, key=lambda entry: -entry.merit) + sound

    def run(self, rows, given, report=None):
        """Bring a run from a start to its end, or to where it is seen to end behind another.

        Parameters
        ----------
        rows : Source
        given : list of Pass
            The start alone, which is taken from the list: it may be large.
        report : callable, default=None
            Monitor of the run.

        Returns
        -------
        fit : Fit
        """
        algorithm = copy.copy(self.algorithm)
        if self._runs and algorithm.assign == "soft":
            algorithm.goal = max(entry.merit for entry, _ in self._runs) - self._near
        return algorithm.run(self.model, rows, self.begin(self.model, given.pop()), report)

    @property
    def _near(self):
        """By how much runs that have come to one end may differ."""
        return max(SAME, 10.0 * self.algorithm.tol) * self.model.total_weight

    def add(self, name, fit, n_starts=None):
        """Add a run that has come to its end.

        Parameters
        ----------
        name : str
            Kind of its start.
        fit : Fit
        n_starts : int, default=None
            Starts in the race that led to it; None where there was no race.
        """
        self._n_starts += n_starts is None
        own = merit(self.algorithm, self.model, fit)
        self._runs.append((Entry(name, self.n_runs, own, n_starts or 1), fit))

    def best(self):
        """Return the best run with its record; among equals the first.

        Returns
        -------
        fit : Fit
        """
        winner, best = self._runs[0]
        for entry, fit in self._runs[1:]:
            # runs that end alike may differ by rounding, which must not choose between their orders of components; what
            # the constraint alone holds up is itself little more
            rounding = ROUNDING * self.model.total_weight + HELD * abs(best.objective - winner.merit)
            if entry.merit - winner.merit > rounding:
                winner, best = entry, fit
        reached = sum(entry.n_starts for entry, _ in self._runs if winner.merit - entry.merit <= self._near)
        return best._replace(start=StartRecord(winner.name, self._n_starts, reached))

    def polish(self, source, fit):
        """Run on from a run that has converged, to a hundredth of its tolerance.

        Beside the runs that it was chosen from this costs next to nothing. On a plateau a run stops with all of its
        tolerance left to gain, for all rows together much more than tells two optima apart.

        Parameters
        ----------
        source : Source
        fit : Fit

        Returns
        -------
        fit : Fit
            `fit` itself where its labels are hard, it has not converged or there is nothing to gain.
        """
        algorithm = copy.copy(self.algorithm.plain)
        if algorithm.assign != "soft" or not fit.converged or fit.n_iter >= algorithm.max_iter:
            return fit
        algorithm.tol *= POLISH
        model = self.model if fit.model is None else fit.model
        more = algorithm.run(model, source.seen_by(model.family), fit.state, n_iter=fit.n_iter)
        if more.objective <= fit.objective:
            return fit  # by rounding
        objectives = [*fit.objectives, *more.objectives[1:]]
        return more._replace(objectives=objectives, converged=True, start=fit.start, model=fit.model)
