"""A start that does not fail: many short runs from starts of several kinds, the best of which go on.

Starts are drawn and raced on canonical rows, or on a subsample that the rows' contents choose, so that neither their
order nor writing a row twice in place of weight 2 changes which of them wins.
"""

import copy
from typing import Any, NamedTuple

import numpy as np

from skem._kernels.agglomerate import ward
from skem.engine import DistinctSource
from skem.starts import StandardRows, assign_labels, find_centers, lloyd

# Runs of each kind that a race begins with.
ENTRIES = (("k-means", 2), ("hierarchical", 2), ("random", 8), ("projection", 4))
# A race: iterations of every run still in it, and how many of them go on.
STAGES = ((5, 8), (20, 3))
# Groups that are merged by likelihood, a component.
GROUPS = 6
# Up to so many rows the groups are those of Ward's tree, of more rows those of k-means.
WARD_ROWS = 512
# Lloyd iterations that make the groups.
GROUP_ITERATIONS = 5
# Runs whose objectives differ by less than so many nats a row are taken to have come to one end.
SAME = 1e-6
# Nats that a row of a flat component can gain in each column before the constraint stops it: half the log of the
# inverse of `skem.families.covariance.EIGENVALUE_FLOOR`.
SPIKE = 10.4


class Entry(NamedTuple):
    """A run in the race.

    Attributes
    ----------
    name : str
        Kind of its start.
    fit : Fit
        Where it stands.
    merit : float
        What it is compared by, see `merit`.
    n_starts : int
        Starts that led here.
    """

    name: str
    fit: Any
    merit: float
    n_starts: int = 1


def merit(algorithm, model, fit):
    """Objective of a run, less what its degenerate components may owe to the constraint alone.

    Maximum likelihood grows without bound where a component sits on flat data: a spike is no result. Components that
    are flat, or hold no more rows than the family needs, count as such: each of their rows costs `SPIKE` nats a
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
    family, state = model.family, fit.state
    bad = family.degenerate(state.stats) | (state.n_k <= family.least_mass)
    return fit.objective - SPIKE * family.summary_.n_features * float(state.n_k[bad].sum())


def _labels(Z, centers):
    unit = np.ones(Z.shape[1])
    return lloyd(Z, None, centers, np.zeros_like(unit), unit, 0)[1]


def _whiten(Z, weight):
    """Rows in coordinates where their covariance is the unit matrix, flat directions left out."""
    mean = weight @ Z / weight.sum()
    centred = Z - mean
    values, vectors = np.linalg.eigh((centred * weight[:, None]).T @ centred / weight.sum())
    kept = values > 1e-9 * values[-1]
    return np.ascontiguousarray(centred @ (vectors[:, kept] / np.sqrt(values[kept]))) if kept.any() else Z


def _cut(values, weight, n_components, rng):
    """Labels of rows by intervals of one coordinate, each of a random share of the weight."""
    order = np.argsort(values, kind="stable")
    share = np.empty(len(values))
    share[order] = np.cumsum(weight[order]) / weight.sum()
    ends = np.cumsum(rng.dirichlet(np.full(n_components, 2.0)))[:-1]
    return np.searchsorted(ends, share).astype(np.int32)


def _merge(source, Z, weight, n_components, rng):
    """Labels of rows by groups that are merged at the least loss of likelihood."""
    n_groups = min(GROUPS * n_components, len(Z))
    if len(Z) <= WARD_ROWS:
        groups = ward(Z, weight, n_groups)
    else:
        groups = _labels(Z, find_centers(Z, weight, n_groups, "k-means", rng, GROUP_ITERATIONS))
    used, group = np.unique(groups, return_inverse=True)
    if len(used) <= n_components:
        return group.astype(np.int32)
    given = source.assign_given(len(used), codes=group)
    return source.family.agglomerate(given.stats, n_components)[group]


def propose(source, Z, weight, n_components, rng):
    """Starts of every kind.

    Parameters
    ----------
    source : DistinctSource
    Z : ndarray of shape (m, d)
        Its rows in units that make the columns alike.
    weight : ndarray of shape (m,)
    n_components : int
    rng : numpy.random.Generator

    Yields
    ------
    name : str
    labels : int32 ndarray of shape (m,)
    """
    metrics = [Z] if source.family.equivariance != "affine" else [Z, _whiten(Z, weight)]
    for name, count in ENTRIES:
        for i in range(count):
            own = metrics[i % len(metrics)]
            if name == "projection":
                yield name, _cut(own @ rng.standard_normal(own.shape[1]), weight, n_components, rng)
            elif name == "hierarchical":
                yield name, _merge(source, own, weight, n_components, rng)
            else:
                yield name, _labels(own, find_centers(own, weight, n_components, name, rng))


def _distinct(entries, total_weight):
    """Entries from the best down, those on their way to one end joined."""
    kept: list[Entry] = []
    for entry in sorted(entries, key=lambda entry: -entry.merit):
        near = SAME * total_weight
        if kept and kept[-1].merit - entry.merit <= near:
            kept[-1] = kept[-1]._replace(n_starts=kept[-1].n_starts + entry.n_starts)
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
        self._runs: list[Entry] = []

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
        entries : list of Entry
            The best first.
        """
        rows, Z, _ = StandardRows.of(source)
        # weights grow to those of all rows, so that a prior weighs as much against a subsample
        weight = rows.weight * (source.total_weight / rows.weight.sum())
        weight = None if (weight == 1.0).all() else weight
        source = DistinctSource(source.X, weight, source.family, rows.index)
        model = self.model._replace(log_base=source.log_base())
        short = copy.copy(self.algorithm.plain)
        short.max_iter = STAGES[0][0]
        entries = []
        for name, labels in propose(source, Z, rows.weight, model.n_components, rng):
            state = self.begin(model, assign_labels(source, model.n_components, labels, short.assign))
            fit = short.run(model, source, state)
            entries.append(Entry(name, fit, merit(short, model, fit)))
        self._n_starts += len(entries)
        entries = _distinct(entries, model.total_weight)[: STAGES[0][1]]
        for n_iter, n_kept in STAGES[1:]:
            short.max_iter = n_iter
            for i, entry in enumerate(entries):
                if entry.fit.converged:
                    continue
                labels = entry.fit.labels if short.assign == "hard" else None
                fit = short.run(model, source, entry.fit.state, labels=labels, n_iter=entry.fit.n_iter)
                entries[i] = entry._replace(fit=fit, merit=merit(short, model, fit))
            entries = _distinct(entries, model.total_weight)[:n_kept]
        return entries

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
        self._runs.append(Entry(name, fit, merit(self.algorithm, self.model, fit), n_starts or 1))

    def best(self):
        """Return the best run with its record; among equals the first.

        Returns
        -------
        fit : Fit
        """
        winner = self._runs[0]
        for run in self._runs[1:]:
            # runs that end alike may differ by rounding, which must not choose between their orders of components
            if run.merit - winner.merit > 1e-12 * abs(winner.merit):
                winner = run
        near = max(SAME, 10.0 * self.algorithm.tol) * self.model.total_weight
        reached = sum(run.n_starts for run in self._runs if winner.merit - run.merit <= near)
        return winner.fit._replace(start=StartRecord(winner.name, self._n_starts, reached))
