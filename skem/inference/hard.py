"""Hard assignments."""

from typing import Any

import numpy as np

from skem._kernels.collapsed import Collapsed
from skem.engine import BLOCK
from skem.inference.base import Algorithm
from skem.inference.updates import UPDATES, log_evidence

# Nats by which a row's component leads where sweeps of a few rows look at it no more.
NEAR = 3.0
# A gain below this share of the objective is rounding.
ROUNDING = 1e-11


class ClassificationEM(Algorithm):
    """Hard EM: maximises sum_n log pi_z p(x_n | theta_z) (Celeux & Govaert 1992).

    K-means is its plainest case.
    """

    assign = "hard"
    update = "mle"


class ICM(Algorithm):
    """Iterated conditional modes: maximises log p(x, z, theta, pi) (Besag 1986)."""

    assign = "hard"
    update = "mode"


class MaximizationExpectation(Algorithm):
    """Bayesian k-means: maximises log p(x, z), theta and pi integrated out (Kurihara & Welling 2009).

    The batch update takes the argmax of the expected log density, which maximises a linear minorant
    of the objective, so that any number of rows may move at once. Where it rests, sweeps of single
    moves by the exact predictive go on, and the batch after each: the optima of single moves are a
    subset of the batch's. Families without a `collapsed_kind` rest at the batch's optimum.

    Parameters
    ----------
    tol : float, default=1e-7
        Plays no part.
    max_iter : int, default=1000
        Most batch updates and sweeps.
    sweeps : bool, default=True
        Whether sweeps follow the batch.
    """

    assign = "hard"
    update = "evidence"
    of_labels = True
    #: the passes between sweeps have no bound of their own
    max_reports = None

    def __init__(self, tol=1e-7, max_iter=1000, sweeps=True):
        super().__init__(tol, max_iter)
        self.sweeps = sweeps

    def objective(self, model, state, result):
        # a property of the labels that made the state; at a fixed point the pass found the same
        return state.evidence + model.log_base

    def run(self, model, source, state, monitor=None, labels=None, n_iter=0):
        """Iterate from `state` until no single row can move uphill; see `Algorithm.run`."""
        fit = super().run(model, source, state, monitor, labels, n_iter)
        if self.sweeps and fit.converged and model.family.collapsed_kind is not None:
            return self._sweep_on(model, source, fit, monitor)
        return fit

    def _sweep_on(self, model, source, fit, monitor):
        """Alternate sweeps and batch updates from a fixed point of the latter."""
        rows = source.canonical()
        while fit.n_iter < self.max_iter:
            moved, labels = _sweep(model, source, rows, fit)
            if not moved:
                return fit
            given = source.assign_given(model.n_components, codes=labels, about=fit.state.stats)
            state = self.start(model, given)
            if self.objective(model, state, given) <= fit.objective:  # a gain that rounding swallows is none
                return fit
            batch = super().run(model, source, state, monitor, labels, fit.n_iter + 1)
            fit = batch._replace(objectives=[*fit.objectives, *batch.objectives])
            if not batch.converged:
                return fit
        return fit._replace(converged=False)


class Rows:
    """Rows of a partition that move one by one, and go back where that has gained nothing.

    Parameters
    ----------
    model : Model
        Of a family with a `collapsed_kind`.
    source : DistinctSource
    state : State
        That of the labels.
    labels : int32 ndarray of shape (n,)
    """

    def __init__(self, model, source, state, labels):
        self.model, self._start, self.labels = model, state, labels
        self._least = ROUNDING * abs(state.evidence)
        self._X, self._weight = source.internal(slice(None)), source.canonical().weight
        self._opening = model.weights.opening(model.weight_prior)
        self._collapsed: Any = None

    def settled(self, rows, labels, max_sweeps):
        """Labels that rows settle at from others, if that gains.

        Parameters
        ----------
        rows : intp ndarray of shape (m,)
            Which move; those that hardly would are left out on the way.
        labels : int32 ndarray of shape (n,)
            Where they begin.
        max_sweeps : int

        Returns
        -------
        labels : int32 ndarray of shape (n,) or None
            None where the objective is not higher than before.
        """
        if self._collapsed is None:
            try:
                self._collapsed = collapsed(self.model, self._start.posterior, self._start.n_k)
            except np.linalg.LinAlgError:
                return None
        now, order, lead = self.labels.copy(), rows, np.empty(len(self.labels))
        gain = self._sweep(now, rows, targets=labels)[1]
        for _ in range(max_sweeps):
            moved, more = self._sweep(now, order, lead=lead)
            gain += more
            if moved == 0:
                break
            order = order[lead[order] < NEAR]
        better = gain > self._least
        if not better:
            self._sweep(now, rows, targets=self.labels)
        if better or self._collapsed.n_repairs:
            # the rows are elsewhere, or digits are lost: begin anew
            self._collapsed = None
        return now if better else None

    def _sweep(self, labels, order, **options):
        return self._collapsed.sweep(self._X, self._weight, labels, order, opening=self._opening, **options)


def collapsed(model, posterior, n_k):
    """Posteriors that rows can be taken from and given to."""
    family = model.family
    return Collapsed(family.collapsed_kind, family.collapsed_arrays(posterior), n_k, model.weight_prior.alpha)


def settle(model, source, labels, max_sweeps, about=None):
    """Sweep over a few rows until next to no single move raises log p(x, z), from labels that nothing fits yet.

    Parameters
    ----------
    model : Model
    source : DistinctSource
    labels : int32 ndarray of shape (n,)
    max_sweeps : int
    about : SuffStats, default=None
        Of components near those of the labels, where any are known.

    Returns
    -------
    labels : int32 ndarray of shape (n,)
    evidence : float
        Log evidence of rows and labels, base measure left out.
    """
    kind, n_components = model.family.collapsed_kind, model.n_components
    given = source.assign_given(n_components, codes=labels, about=about)
    if kind is not None:
        posterior = model.prior.merge(given.stats)
        try:
            state = collapsed(model, posterior, given.n_k)
        except np.linalg.LinAlgError:
            kind = None
    if kind is None:
        try:
            start = UPDATES["evidence"](model, given.stats, given.n_k)
        except np.linalg.LinAlgError:
            # a row far out has drowned a scatter's digits: of these labels nothing can be said
            return labels, -np.inf
        fit = MaximizationExpectation(max_iter=max_sweeps, sweeps=False).run(model, source, start, labels=labels)
        return fit.labels, fit.state.evidence
    X, n = source.internal(slice(None)), len(source)
    weight, order, lead, labels = source.canonical().weight, np.arange(n), np.empty(n), labels.copy()
    evidence = log_evidence(model, posterior, model.weight_prior.merge(model.weights.statistics(given.n_k)))
    opening = model.weights.opening(model.weight_prior)
    for _ in range(max_sweeps):
        moved, gain = state.sweep(X, weight, labels, order, refill=False, lead=lead, opening=opening)
        evidence += gain
        if state.n_repairs:
            # the gains have lost digits, too
            given = source.assign_given(n_components, codes=labels, about=about)
            return labels, UPDATES["evidence"](model, given.stats, given.n_k).evidence
        if moved == 0:
            break
        # the others would hardly move
        order = order[lead[order] < NEAR]
    return labels, evidence


def _sweep(model, source, rows, fit):
    """Move every distinct row, with all its weight, to where it raises log p(x, z) the most.

    Returns
    -------
    moved : int
    labels : int32 ndarray of shape (n,)
        New labels; rows of zero weight keep theirs.
    """
    labels = fit.labels[rows.index]
    try:
        state = collapsed(model, fit.state.posterior, fit.state.n_k)
    except np.linalg.LinAlgError:
        # an outlier has drowned a scatter's digits, and with them the gains of single moves
        return 0, fit.labels
    n_rows, moved = np.bincount(labels, minlength=model.n_components), 0
    opening = model.weights.opening(model.weight_prior)
    for start in range(0, len(labels), BLOCK):
        block = slice(start, start + BLOCK)
        X = source.internal(rows.index[block])
        order = np.arange(X.shape[0])
        moved += state.sweep(X, rows.weight[block], labels[block], order, n_rows=n_rows, opening=opening)[0]
    everywhere = fit.labels.copy()
    known = rows.inverse >= 0
    everywhere[known] = labels[rows.inverse[known]]
    return moved, everywhere
