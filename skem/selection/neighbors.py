"""Starts from the fit with fewer components."""

import numpy as np

from skem.engine import Source

# Rows this much of the spread beyond the mean lie on the far side, so that rounding does not choose for those at it.
SLACK = 1e-9
# Steps of the power iteration: a direction of large spread is enough.
POWER_STEPS = 10


def _widest_direction(Z, weight):
    """Unit vector along which centred rows spread widely."""
    direction = np.zeros(Z.shape[1])
    direction[np.argmax(weight @ Z**2)] = 1.0
    for _ in range(POWER_STEPS if Z.shape[1] > 1 else 0):
        step = (weight * (Z @ direction)) @ Z
        length = np.sqrt(step @ step)
        if length == 0.0:
            break
        direction = step / length
    return direction


def _halve(source, labels, n_components):
    """Side of its component's mean, across the direction of widest spread, that each row lies on."""
    summary = source.family.summary_
    unit = np.sqrt(summary.variance)
    side = np.zeros(len(labels), dtype=np.int32)
    for k in range(n_components):
        rows = np.flatnonzero(labels == k)
        weight = np.ones(len(rows)) if source.weight is None else source.weight[rows]
        if not weight.any():
            continue
        Z = summary.to_internal(source.X[rows]) / unit
        Z -= weight @ Z / weight.sum()
        along = Z @ _widest_direction(Z, weight)
        side[rows] = along > SLACK * np.abs(along).max()
    return side


def _gains(source, labels, side, n_components):
    """Complete-data log-likelihood that halving each component gains; -inf where a half is flat or empty."""
    family = source.family
    halves = source.assign_given(2 * n_components, codes=2 * labels + side)
    whole = source.assign_given(n_components, codes=labels)
    terms = []
    for given in (halves, whole):
        with np.errstate(divide="ignore", invalid="ignore"):
            shares = np.where(given.n_k > 0, given.n_k * np.log(given.n_k), 0.0)
        terms.append(family.log_likelihood(family.mle(given.stats), given.stats) + shares)
    bad = (halves.n_k <= 0) | family.degenerate(halves.stats)
    gains = terms[0].reshape(-1, 2).sum(axis=1) - terms[1]
    return np.where(bad.reshape(-1, 2).any(axis=1), -np.inf, gains)


def split_labels(fitted, X, sample_weight, n_components):
    """Labels for a start: those of a fit, the components that gain the most by it cut in two.

    Parameters
    ----------
    fitted : BaseMixture
        Fitted to these rows.
    X : ndarray of shape (n_samples, n_features)
    sample_weight : ndarray of shape (n_samples,) or None
    n_components : int
        More than the fit has.

    Returns
    -------
    labels : int32 ndarray of shape (n_samples,) or None
        None where there are not enough components that can be cut.
    """
    n_old, labels = fitted.n_components_, fitted.labels_
    n_new = n_components - n_old
    if not 0 < n_new <= n_old:
        return None
    source = Source(X, sample_weight, fitted.family_)
    side = _halve(source, labels, n_old)
    gains = _gains(source, labels, side, n_old)
    chosen = np.argsort(-gains, kind="stable")[:n_new]
    if np.isneginf(gains[chosen]).any():
        return None
    labels = labels.copy()
    for new, old in enumerate(chosen, start=n_old):
        labels[(fitted.labels_ == old) & (side == 1)] = new
    return labels
