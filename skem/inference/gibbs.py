"""Blocked Gibbs sampling: parameters and labels drawn in turn."""

from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from skem.inference.base import Algorithm
from skem.inference.updates import State
from skem.suffstats import Parameters, SuffStats

# Sweeps between two reports to whoever listens: a context for each would cost more than the sweep.
REPORT_EVERY = 50
# Numbers in the statistics that are matched with draws in one call.
MATCHED = 1 << 16


class Draw(NamedTuple):
    """Parameters of one chain, drawn given the labels whose statistics are kept with them.

    Attributes
    ----------
    theta : Parameters
    log_weights : ndarray of shape (n_components,)
    stats : SuffStats
    n_k : ndarray of shape (n_components,)
    evidence : float
        log p(x, z), theta and weights integrated out, base measure left out.
    """

    theta: Parameters
    log_weights: np.ndarray
    stats: SuffStats
    n_k: np.ndarray
    evidence: float

    def to_state(self, model):
        """Return the draw as a state of the common loop, posteriors included."""
        return State(
            model.prior.merge(self.stats), self.theta,
            model.weight_prior.merge(model.weights.statistics(self.n_k)), self.log_weights,
            self.stats, self.n_k, 0.0, self.evidence,
        )  # fmt: skip


class Chains(NamedTuple):
    """Draws of all chains after their burn-in.

    Attributes
    ----------
    thetas : list of list of Parameters
        By chain, then by draw.
    log_weights : ndarray of shape (n_chains, n_draws, n_components)
    n_k : ndarray of shape (n_chains, n_draws, n_components)
        Masses of the labels that each theta was drawn given.
    log_joint : ndarray of shape (n_chains, n_draws)
        log p(x, z) of those labels, theta and weights integrated out.
    log_likelihood : ndarray of shape (n_chains, n_draws)
        log p(x | theta, weights) of each draw.
    pivot : Draw
        The draw of the largest log p(x, z).
    n_iter : int
        Sweeps of each chain, burn-in included.
    """

    thetas: list[list[Parameters]]
    log_weights: np.ndarray
    n_k: np.ndarray
    log_joint: np.ndarray
    log_likelihood: np.ndarray
    pivot: Draw
    n_iter: int


def only_draw(model, source, state):
    """One chain of one draw, the parameters of a state.

    Parameters
    ----------
    model : Model
    source : Source
    state : State

    Returns
    -------
    chains : Chains
    """
    score = source.run(state.log_weights, state.theta, collect=False).score
    draw = Draw(state.theta, state.log_weights, state.stats, state.n_k, state.evidence)
    log_joint, log_likelihood = np.array([[[state.evidence]], [[score]]]) + model.log_base
    log_weights, n_k = state.log_weights[None, None], state.n_k[None, None]
    return Chains([[state.theta]], log_weights, n_k, log_joint, log_likelihood, draw, 1)


class Sweeper:
    """The two halves of a sweep over chains in lockstep.

    Parameters
    ----------
    model : Model
    n_chains : int
    """

    def __init__(self, model, n_chains):
        self.model = model
        family, weights = model.family, model.weights
        self.constant = float(np.sum(family.log_normalizer(model.prior))) + weights.log_normalizer(model.weight_prior)
        # at small K the calls dominate: where it can be done, one call serves all chains
        self.together = n_chains if separable(model) else 1
        self.prior = model.prior.take(np.tile(np.arange(model.n_components), self.together))

    def draw_parameters(self, givens, rng):
        """Draw theta and the weights of every chain from their posterior given labels.

        Parameters
        ----------
        givens : list of Pass
            Statistics and masses of each chain's labels.
        rng : numpy.random.Generator

        Returns
        -------
        draws : list of Draw
        """
        model, n_components = self.model, self.model.n_components
        draws = []
        for first in range(0, len(givens), self.together):
            group = givens[first : first + self.together]
            posterior = self.prior.merge(_concatenate([given.stats for given in group]))
            theta = model.family.draw(posterior, rng)
            terms = np.reshape(model.family.log_normalizer(posterior), (len(group), -1)).sum(axis=1)
            for i, given in enumerate(group):
                weight_posterior = model.weight_prior.merge(model.weights.statistics(given.n_k))
                log_weights = model.weights.draw(weight_posterior, rng)
                evidence = terms[i] + model.weights.log_normalizer(weight_posterior) - self.constant
                own = theta.take(np.arange(i * n_components, (i + 1) * n_components)) if len(group) > 1 else theta
                draws.append(Draw(own, log_weights, given.stats, given.n_k, float(evidence)))
        return draws

    def draw_labels(self, source, starts, draw, rng):
        """Draw the component of every unit of weight from softmax(log pi + log p(x | theta)).

        A unit takes the uniform of its position: rows in canonical order with whole weights make the draws a function
        of the weighted set alone.

        Parameters
        ----------
        source : Source
        starts : intp ndarray of shape (n + 1,)
            See `unit_starts`.
        draw : Draw
        rng : numpy.random.Generator

        Returns
        -------
        given : Pass
            Statistics and masses of the labels; the score is log p(x | theta, pi), base measure left out.
        """
        uniforms = rng.random(starts[-1])
        return source.run(draw.log_weights, draw.theta, assign="draw", uniforms=uniforms, uniform_start=starts)


def separable(model):
    """Whether components share no parameter, so that those of several draws may go through one call of a verb."""
    return np.ndim(model.family.log_normalizer(model.prior)) == 1


def _concatenate(parts):
    """Components of several sets of arrays one after the other."""
    return parts[0] if len(parts) == 1 else parts[0].concatenate(parts[1:])


def unit_starts(sample_weight, n):
    """Where each row's uniforms begin, one a unit of weight.

    Parameters
    ----------
    sample_weight : ndarray of shape (n,) or None
        Whole numbers.
    n : int

    Returns
    -------
    starts : intp ndarray of shape (n + 1,)
    """
    if sample_weight is None:
        return np.arange(n + 1, dtype=np.intp)
    return np.concatenate([[0.0], np.cumsum(sample_weight)]).astype(np.intp)


class Gibbs(Algorithm):
    """Draws from p(z, theta, pi | x): theta and pi given z, then z given these (Diebolt & Robert 1994).

    Parameters
    ----------
    n_draws : int, default=500
        Draws kept of each chain.
    n_burn_in : int, default=200
        Sweeps before the first of them.
    """

    assign = "draw"
    update = "draw"

    def __init__(self, n_draws=500, n_burn_in=200):
        self.n_draws = n_draws
        self.n_burn_in = n_burn_in

    @property
    def max_reports(self):
        """Calls of a run's monitor."""
        return (self.n_burn_in + self.n_draws) // REPORT_EVERY

    def sample(self, model, source, givens, rng, monitor=None):
        """Run chains from the labels of their starts.

        Parameters
        ----------
        model : Model
        source : Source
            Rows with whole weights.
        givens : list of Pass
            Statistics of the starts, one a chain.
        rng : numpy.random.Generator
        monitor : callable, default=None
            Called as monitor(n_iter, objective, state) every few sweeps with the chain whose log p(x, z) is the
            largest at that time; a true result ends the run as soon as it holds a draw.

        Returns
        -------
        chains : Chains
        """
        starts = unit_starts(source.weight, len(source))
        sweeper = Sweeper(model, len(givens))
        kept: list[list[Draw]] = []
        scores = []
        pivot: Draw | None = None
        stop, n_iter = False, 0
        while n_iter < self.n_burn_in + self.n_draws and not (stop and kept):
            draws = sweeper.draw_parameters(givens, rng)
            givens = [sweeper.draw_labels(source, starts, draw, rng) for draw in draws]
            n_iter += 1
            best = max(draws, key=lambda draw: draw.evidence)
            if n_iter > self.n_burn_in:
                # statistics are large and only the pivot's are needed again
                kept.append([draw._replace(stats=None) for draw in draws])
                scores.append([given.score for given in givens])
                if pivot is None or best.evidence > pivot.evidence:
                    pivot = best
            if monitor is not None and n_iter % REPORT_EVERY == 0:
                stop = bool(monitor(n_iter, best.evidence + model.log_base, best.to_state(model))) or stop
        by_chain = list(zip(*kept, strict=True))
        evidence = np.array([[draw.evidence for draw in chain] for chain in by_chain])
        return Chains(
            thetas=[[draw.theta for draw in chain] for chain in by_chain],
            log_weights=np.array([[draw.log_weights for draw in chain] for chain in by_chain]),
            n_k=np.array([[draw.n_k for draw in chain] for chain in by_chain]),
            log_joint=evidence + model.log_base,
            log_likelihood=np.array(scores).T + model.log_base,
            pivot=pivot,  # type: ignore[arg-type] # the loop ends with a draw kept
            n_iter=n_iter,
        )


def match(model, pivot, log_weights, thetas):
    """Orders that set the components of draws beside those of a pivot.

    Maximises the log-likelihood of the pivot's labelled statistics under each draw's components, weights included,
    over all permutations: Stephens' (2000) assignment with one fixed labelling in place of the average one.

    Parameters
    ----------
    model : Model
    pivot : Draw
    log_weights : ndarray of shape (n_draws, n_components)
    thetas : list of Parameters

    Returns
    -------
    orders : intp ndarray of shape (n_draws, n_components)
        The component of each draw that plays the part of each of the pivot's.
    """
    family, n_components = model.family, model.n_components
    of_pivot, of_draw = np.indices((n_components, n_components)).reshape(2, -1)
    stats = pivot.stats.take(of_pivot)
    size = sum(value.size for value in stats.to_dict()["arrays"].values())
    together = max(1, MATCHED // size) if separable(model) else 1
    orders = []
    for first in range(0, len(thetas), together):
        group = thetas[first : first + together]
        pairs = np.concatenate([i * n_components + of_draw for i in range(len(group))])
        gains = family.log_likelihood(_concatenate(group).take(pairs), _concatenate([stats] * len(group)))
        gains = gains.reshape(len(group), n_components, n_components)
        gains += pivot.n_k[:, None] * log_weights[first : first + together, None, :]
        orders += [linear_sum_assignment(gain, maximize=True)[1] for gain in gains]
    return np.array(orders)
