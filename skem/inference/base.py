"""The table of algorithms and the one loop that they share."""

import functools
from typing import Any, NamedTuple

import numpy as np

from skem._kernels.ascent import Convergence
from skem.inference.accelerate import PATIENCE, Leaps
from skem.inference.limit import Limit
from skem.inference.model import Model
from skem.inference.updates import REQUIRED, UPDATES, State

# What a cell makes of a posterior, in words; and who takes a family that offers no more than the verbs of an update.
NEEDS = {
    "mle": "estimate of largest likelihood", "mode": "posterior mode", "expect": "posterior in closed form",
    "evidence": "posterior in closed form", "draw": "posterior to draw from",
}  # fmt: skip
ESTIMATORS = {"mle": "EMMixture", "mode": "MAPMixture"}
# Share of the iterations after which a run that crawls is extrapolated, however cheap they are.
EARLY = 0.1
# Iterations before anybody says where a run will end.
LEAST = 30
# A pass may be rough where the last one gained so many times what such a pass may lose.
SURELY = 8.0


class Fit(NamedTuple):
    """Outcome of one run of an algorithm.

    Attributes
    ----------
    state : State
    objective : float
        Of `state`, all constants included, in the user's units.
    objectives : list of float
        One a pass.
    n_iter : int
    converged : bool
    labels : int32 ndarray of shape (n,)
    start : StartRecord or None, default=None
        How the run came about, where anybody has kept a record.
    model : Model or None, default=None
        Of `state`, where it is not the run's: another family may have been found.
    """

    state: State
    objective: float
    objectives: list[float]
    n_iter: int
    converged: bool
    labels: np.ndarray | None
    start: Any = None
    model: Model | None = None


class Algorithm:
    """A cell of the table: how z is assigned and what becomes of theta.

    Parameters
    ----------
    tol : float, default=1e-7
        Estimated gain left, per unit of weight, at which a run has converged.
    max_iter : int, default=1000
    accelerate : {"squarem", "anderson"}, default=None
        How iterates of soft assignments are extrapolated once they come slowly.
    """

    assign = "soft"
    update = "mle"
    #: whether the objective is one of the labels, so that a run cut short publishes the state that its last labels make
    of_labels = False
    #: a run whose plain steps seem to end at such an objective, or below, need not get there
    goal = -np.inf
    #: whether compiled steps of family and weights may stand in for pass and update, where nobody watches
    compiled = False

    def __init__(self, tol=1e-7, max_iter=1000, accelerate=None):
        self.tol = tol
        self.max_iter = max_iter
        self.accelerate = accelerate

    @property
    def plain(self):
        """The same without anything that a run does beyond its first optimum."""
        return self

    @property
    def max_reports(self):
        """Most calls of a run's monitor, or None where nobody knows."""
        return self.max_iter + 1

    def takes(self, family):
        """Whether the family has all verbs that this cell needs."""
        return all(family.has(verb) for verb in REQUIRED[self.update])

    def require(self, family):
        """Raise TypeError in one sentence where the family lacks a verb that this cell needs."""
        if not self.takes(family):
            missing = [verb for verb in REQUIRED[self.update] if not family.has(verb)]
            # of a family made of several, the one that is to blame
            lacking = [member for member in family.members() if not all(member.has(verb) for verb in missing)]
            takers = [name for update, name in ESTIMATORS.items() if all(map(family.has, REQUIRED[update]))]
            instead = f"take {' or '.join(takers)}, or another family" if takers else "take another family"
            raise TypeError(
                f"{lacking[-1]!r} has no {NEEDS[self.update]}, which this algorithm needs: {instead} (it offers no "
                f"{', '.join(missing)})"
            )

    def steps(self, model):
        """Compiled updates of the family and of the weights, or None where one of them has none.

        Parameters
        ----------
        model : Model

        Returns
        -------
        steps : pair of skem._kernels.ascent.Step and WeightStep, or None
        """
        if not self.compiled:
            return None
        verb, K = f"{self.update}_step", model.n_components
        given = (K, K) if self.update == "mle" else (model.prior, model.weight_prior)
        steps = getattr(model.family, verb)(given[0]), getattr(model.weights, verb)(given[1])
        return None if None in steps else steps

    def start(self, model, given):
        """State from the statistics of a start.

        Parameters
        ----------
        model : Model
        given : Pass
        """
        return UPDATES[self.update](model, given.stats, given.n_k)

    def objective(self, model, state, result):
        """The cell's number at `state`, from the pass that it scored."""
        return result.score + state.penalty + model.log_base

    def run(self, model, source, state, monitor=None, labels=None, n_iter=0):
        """Iterate from `state` to convergence.

        Parameters
        ----------
        model : Model
        source : Source
        state : State
        monitor : callable, default=None
            Called as monitor(n_iter, objective, state) after each pass; a true result stops the run.
        labels : int32 ndarray of shape (n,), default=None
            Hard labels that made `state`, for a run that goes on from them: ties keep them.
        n_iter : int, default=0
            Iterations done before, which count towards `max_iter`.

        Returns
        -------
        fit : Fit
        """
        # what comes of a search, pass by pass, no row of gains foretells
        goal = self.goal if source.exact else -np.inf
        convergence = Convergence(self.tol, model.total_weight, goal, least=LEAST)
        labels = np.full(len(source), -1, dtype=np.int32) if labels is None else labels.copy()
        # leaps that were asked for follow every iteration, and need the states between
        steps = self.steps(model) if source.exact and self.accelerate is None else None
        leaps = self._leaps(model, source, convergence, steps is not None)
        # rough passes serve while the objective gains more than they may lose, but for the first and the last
        rough = self.assign == "soft" and leaps is None
        rough = rough and source.may_be_rough(model.n_components, state.theta, steps is not None)
        steps = steps if monitor is None else None
        objectives, converged, labelled = [], False, False
        while True:
            refused, following = False, None
            if steps is not None and not rough and not (leaps and leaps.active):
                # as many iterations as need no Python; the last of them has made the state anew
                values, converged, stop, before, result = source.ascend(
                    steps, state.log_weights, state.theta, convergence=convergence, penalty=state.penalty,
                    constant=model.log_base, max_updates=self.max_iter - n_iter,
                    patience=leaps.patience if leaps else np.inf, labels=labels,
                )  # fmt: skip
                objectives += values
                n_iter += len(values) - 1
                if before is not None:
                    state = self._update(model, before, state._replace(theta=steps[0].before(state.theta)))
                labelled = n_iter >= self.max_iter
            else:
                rows = {"labels_in": labels, "labels": labels} if self.assign == "hard" else {}
                if rough and objectives:
                    rows["rough"] = True
                result = source.run(state.log_weights, state.theta, assign=self.assign, **rows)
                value = self.objective(model, state, result)
                if rough and objectives:
                    loss = result.error * model.total_weight
                    # what it is sure to have reached, so that an exact pass, which gains little, is no lower
                    value -= loss
                    gain = value - objectives[-1]
                    if not gain >= 0.0:
                        result = source.run(state.log_weights, state.theta, assign=self.assign)
                        value = self.objective(model, state, result)
                    # gains shrink from pass to pass, and one that is made again is lost
                    rough = gain > SURELY * loss > 0.0
                # a leap is judged by the step that follows from it, too
                judged = leaps is not None and leaps.leapt and np.isfinite(value)
                following = self._update(model, result, state) if judged else None
                refused = leaps is not None and leaps.refuses(value, state, following)
                if refused:
                    state, value = leaps.kept, objectives[-1]
                objectives.append(value)
                # hard labels that stay have reached their fixed point; an objective alone may rest earlier
                # (a row without an old label counts as moved)
                converged = not refused and convergence.update(objectives[-1]) and (leaps is None or leaps.settled())
                if self.assign == "hard":
                    converged = result.moved == 0 and (converged or model.family.closed_form)
                labelled = self.assign == "hard"
                stop = monitor is not None and monitor(n_iter, objectives[-1], state)
                stop = stop or (not (leaps and leaps.active) and convergence.falls_short())
            if converged or stop or n_iter >= self.max_iter:
                break
            n_iter += 1
            if refused:
                state = leaps.beyond() if n_iter < self.max_iter else leaps.instead
                continue
            # a state may be large, and only a leap needs the one before
            before, state = state if leaps else None, following or self._update(model, result, state)
            if leaps is not None and n_iter < self.max_iter:
                # the last pass is left to a plain step, so that a run ends with statistics of its rows
                state = leaps.take(before, state, objectives[-1])
        if result is not None and result.error:
            result = source.run(state.log_weights, state.theta, assign=self.assign, labels=labels)
            objectives[-1], labelled = self.objective(model, state, result), True
        if self.of_labels and not converged:
            state = self._update(model, result, state)
            objectives[-1] = self.objective(model, state, result)
        if not labelled:
            score = source.finish(state.log_weights, state.theta, labels)
            if score is not None:
                objectives[-1] = self.objective(model, state, result._replace(score=score))
        return Fit(state, objectives[-1], objectives, n_iter, bool(converged), labels)

    def _leaps(self, model, source, convergence, compiled):
        """What extrapolates a run, or None."""
        # steps towards a best theta crawl, so that their family is extrapolated in any case
        crawls = not model.family.closed_form
        method = self.accelerate or ("anderson" if crawls else None)
        able = self.assign == "soft" or (self.assign == "hard" and crawls)
        # the score of an inexact pass is no function of the parameters alone, which an extrapolation must be judged by
        if method is None or not able or not source.exact:
            return None
        work = len(source) * model.n_components * source.X.shape[1] if compiled else None
        update = functools.partial(UPDATES[self.update], model)
        # a family's own leaps serve its last digits, and an early one would cost some
        early = self.accelerate is not None
        limit = Limit(model, self.update == "mode") if model.family.has("nested") else None
        leaps = Leaps(method, update, convergence, self.tol, model.total_weight, work, early, limit)
        if crawls:
            # plain steps alone, however cheap, may not get there in `max_iter`
            leaps.patience = min(leaps.patience, max(PATIENCE, EARLY * self.max_iter))
        return leaps

    def _update(self, model, result, state):
        """State after a pass."""
        return UPDATES[self.update](model, result.stats, result.n_k, state.theta)
