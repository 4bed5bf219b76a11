"""What a cell makes of the statistics of a pass: a point, a distribution or a draw of theta and of the weights."""

from typing import Any, NamedTuple

import numpy as np

from skem.suffstats import Parameters

# Verbs that a family must have for each treatment of theta.
REQUIRED = {
    "mle": ("mle",),
    "mode": ("prior", "mode", "log_density"),
    "expect": ("prior", "expect", "log_normalizer", "log_likelihood"),
    "evidence": ("prior", "expect", "log_normalizer"),
    "draw": ("prior", "draw", "log_normalizer", "log_likelihood"),
}


class State(NamedTuple):
    """Where an algorithm stands between two passes.

    Attributes
    ----------
    posterior : SuffStats
        Prior plus statistics; the statistics alone for maximum likelihood.
    theta : Parameters
    weight_posterior : SuffStats
    log_weights : ndarray of shape (n_components,)
    stats : SuffStats
    n_k : ndarray of shape (n_components,)
    penalty : float
        What the objective adds to the score of a pass: 0, the log prior of theta, or -KL(q(theta) || prior).
    evidence : float
        Log evidence of the components' statistics and masses, base measure left out; 0 where theta is a point.
    """

    posterior: Any
    theta: Parameters
    weight_posterior: Any
    log_weights: np.ndarray
    stats: Any
    n_k: Any
    penalty: float
    evidence: float


def update_mle(model, stats, n_k, theta=None, rng=None):
    """Maximum likelihood."""
    theta = model.family.mle(stats, theta)
    log_weights = model.weights.mle(n_k)
    return State(stats, theta, model.weights.statistics(n_k), log_weights, stats, n_k, 0.0, 0.0)


def _posteriors(model, stats, n_k):
    return model.prior.merge(stats), model.weight_prior.merge(model.weights.statistics(n_k))


def log_evidence(model, posterior, weight_posterior):
    """Log evidence of the statistics in a posterior: log p(x, z) for hard labels, base measure left out."""
    family, weights = model.family, model.weights
    return float(
        np.sum(family.log_normalizer(posterior))
        - np.sum(family.log_normalizer(model.prior))
        + weights.log_normalizer(weight_posterior)
        - weights.log_normalizer(model.weight_prior)
    )


def update_mode(model, stats, n_k, theta=None, rng=None):
    """Mode of the posterior."""
    posterior, weight_posterior = _posteriors(model, stats, n_k)
    theta = model.family.mode_from(posterior, theta)
    log_weights = model.weights.mode(weight_posterior)
    penalty = model.family.log_density(model.prior, theta) + model.weights.log_density(model.weight_prior, log_weights)
    penalty += model.family.log_parameter_jacobian(model.n_components)
    return State(posterior, theta, weight_posterior, log_weights, stats, n_k, penalty, 0.0)


def update_evidence(model, stats, n_k, theta=None, rng=None):
    """The whole posterior, as `update_expect`, where labels are hard: the evidence is the objective."""
    posterior, weight_posterior = _posteriors(model, stats, n_k)
    theta = model.family.expect(posterior)
    log_weights = model.weights.expect(weight_posterior)
    evidence = log_evidence(model, posterior, weight_posterior)
    return State(posterior, theta, weight_posterior, log_weights, stats, n_k, 0.0, evidence)


def update_expect(model, stats, n_k, theta=None, rng=None):
    """The whole posterior, entering the scores through expected log densities."""
    state = update_evidence(model, stats, n_k)
    # for the exact posterior, evidence = expected log-likelihood - KL(q || prior)
    expected = np.sum(model.family.log_likelihood(state.theta, stats))
    expected += model.weights.log_likelihood(state.log_weights, n_k)
    return state._replace(penalty=state.evidence - float(expected))


def update_draw(model, stats, n_k, theta=None, rng=None):
    """A draw from the posterior."""
    posterior, weight_posterior = _posteriors(model, stats, n_k)
    theta = model.family.draw(posterior, rng)
    log_weights = model.weights.draw(weight_posterior, rng)
    evidence = log_evidence(model, posterior, weight_posterior)
    return State(posterior, theta, weight_posterior, log_weights, stats, n_k, 0.0, evidence)


UPDATES = {
    "mle": update_mle,
    "mode": update_mode,
    "expect": update_expect,
    "evidence": update_evidence,
    "draw": update_draw,
}


def starved(model, state):
    """Components whose data are flat, or that hold no more rows than the family needs.

    Parameters
    ----------
    model : Model
    state : State

    Returns
    -------
    flags : bool ndarray of shape (n_components,)
        Of the components that have statistics: a noise component, last in `n_k`, rests on no data of its own.
    """
    flat = model.family.degenerate(state.stats)
    return flat | (state.n_k[: len(flat)] <= model.family.least_mass)
