"""What candidates are judged by, each a number of a fitted mixture: the greater, the better."""

import numpy as np


def _weights(sample_weight):
    """Keyword for methods of estimators, some of which know no weights."""
    return {} if sample_weight is None else {"sample_weight": sample_weight}


def _information(name):
    def criterion(estimator, X, sample_weight):
        return -getattr(estimator, name)(X, **_weights(sample_weight))

    return criterion


def _log_evidence(estimator, X, sample_weight):
    return estimator.log_evidence_


def held_out(estimator, X, sample_weight):
    """Mean log density of rows per unit of weight."""
    return estimator.score(X, **_weights(sample_weight))


def total_weight(X, sample_weight):
    """Sum of the rows' weights."""
    return float(X.shape[0]) if sample_weight is None else float(sample_weight.sum())


#: the same from measures and the total weight, of fits whose log-likelihood is known
INFORMATION = {
    "bic": lambda measured, total: 2.0 * measured["log_likelihood"] - measured["n_parameters"] * np.log(total),
    "aic": lambda measured, total: 2.0 * (measured["log_likelihood"] - measured["n_parameters"]),
}

#: by name; "held_out" is asked for rows that the fit has not seen, the others for those that it has
CRITERIA = {
    "bic": _information("bic"),
    "icl": _information("icl"),
    "aic": _information("aic"),
    "log_evidence": _log_evidence,
    "held_out": held_out,
}


def measure(estimator, X, sample_weight):
    """All that a row of the table says of one fit, whatever the criterion.

    Parameters
    ----------
    estimator : estimator
        Fitted.
    X : ndarray of shape (n_samples, n_features)
        The rows of the fit.
    sample_weight : ndarray of shape (n_samples,) or None

    Returns
    -------
    measured : dict
        Missing entries are what the estimator does not have.
    """
    measured = {"log_likelihood": total_weight(X, sample_weight) * held_out(estimator, X, sample_weight)}
    if hasattr(estimator, "_n_parameters"):
        measured["n_parameters"] = estimator._n_parameters()
    if hasattr(estimator, "log_evidence_"):
        measured["log_evidence"] = estimator.log_evidence_
    measured["n_found"] = len(estimator.weights_)
    measured["n_iter"] = getattr(estimator, "n_iter_", 0)
    measured["converged"] = bool(getattr(estimator, "converged_", True))
    measured["degenerate"] = is_degenerate(estimator)
    return measured


def is_degenerate(estimator):
    """Whether the fit rests on a constraint, so that its likelihood says nothing."""
    return bool(getattr(estimator, "degenerate_", False))


def is_above(score, other):
    """Whether a score is better than another by more than rounding; any number is better than NaN."""
    if np.isnan(other):
        return not np.isnan(score)
    return score - other > 1e-9 * abs(other)


def choose(scores, n_parameters):
    """Position of the best score; among those within rounding of it, the first with the fewest parameters wins.

    Parameters
    ----------
    scores : ndarray of shape (n_candidates,)
        The greater the better, NaN where there is none.
    n_parameters : ndarray of shape (n_candidates,)

    Returns
    -------
    index : int
    """
    near = np.arange(len(scores))
    if not np.isnan(scores).all():
        near = np.flatnonzero([not is_above(np.nanmax(scores), score) for score in scores])
    return int(near[np.argmin(n_parameters[near])])


def rank(scores):
    """Rank of each score from 1, the best, those without one last.

    Parameters
    ----------
    scores : ndarray of shape (n_candidates,)

    Returns
    -------
    ranks : int32 ndarray of shape (n_candidates,)
    """
    filled = np.where(np.isnan(scores), -np.inf, scores)
    return (1 + (filled[None, :] > filled[:, None]).sum(axis=1)).astype(np.int32)


def check_criterion(estimator, criterion):
    """Raise ValueError where estimators of this class cannot be judged by the criterion.

    Parameters
    ----------
    estimator : estimator
        Unfitted.
    criterion : str
    """
    if criterion == "log_evidence":
        able = getattr(getattr(estimator, "_algorithm_class", None), "update", None) in ("expect", "evidence")
        advice = "take VariationalMixture or BayesianKMeans"
    else:
        able = hasattr(estimator, "score" if criterion == "held_out" else criterion)
        advice = "take another criterion"
    if not able:
        raise ValueError(f"criterion={criterion!r}: {type(estimator).__name__} does not offer it; {advice}")
