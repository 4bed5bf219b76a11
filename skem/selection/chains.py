"""Fits of candidates, one after the other where the next can start from the last."""

from typing import Any, NamedTuple

import numpy as np
from sklearn.base import clone

from skem.estimators.base import BaseMixture
from skem.exceptions import silent_warnings
from skem.selection.criteria import CRITERIA, is_above, is_degenerate, measure
from skem.selection.neighbors import split_labels


class Outcome(NamedTuple):
    """What became of one candidate.

    Attributes
    ----------
    score : float
        NaN where the fit has failed or is degenerate.
    measured : dict
    error : str or None
        Why the fit has failed.
    """

    score: float
    measured: dict[str, Any]
    error: str | None


def _fit(estimator, X, sample_weight):
    return estimator.fit(X) if sample_weight is None else estimator.fit(X, sample_weight=sample_weight)


def fit_candidate(estimator, X, sample_weight, smaller):
    """Fit from the estimator's own start, and again from a fit with fewer components; the better one is kept.

    Parameters
    ----------
    estimator : estimator
        Unfitted; left as it is.
    X : ndarray of shape (n_samples, n_features)
    sample_weight : ndarray of shape (n_samples,) or None
    smaller : estimator or None
        Fitted to the same rows.

    Returns
    -------
    fitted : estimator
        A clone.
    """
    own = _fit(clone(estimator), X, sample_weight)
    if smaller is None or not isinstance(own, BaseMixture) or not isinstance(own.init, str):
        return own
    labels = split_labels(smaller, X, sample_weight, own.n_components)
    if labels is None:
        return own
    other = _fit(clone(estimator).set_params(init=labels), X, sample_weight)
    other.init = own.init
    return other if _is_better(other, own) else own


def _is_better(one, other):
    """Whether a fit reached more than another; one that is not degenerate is better than one that is."""
    if is_degenerate(one) != is_degenerate(other):
        return is_degenerate(other)
    return is_above(one.lower_bound_, other.lower_bound_)


class Fitted(NamedTuple):
    """What became of a chain.

    Attributes
    ----------
    outcomes : list of Outcome
        One a candidate.
    position : int
        Of the best candidate; -1 where all have failed.
    best : estimator or None
        Fitted.
    """

    outcomes: list[Outcome]
    position: int
    best: Any


def fit_chain(chain, criterion, X, sample_weight, fold=None, verbose=0):
    """Fit and judge all candidates of a chain.

    Parameters
    ----------
    chain : Chain
    criterion : str
    X : ndarray of shape (n_samples, n_features)
    sample_weight : ndarray of shape (n_samples,) or None
    fold : tuple of (train, test), default=None
        Rows to fit, and rows to judge by; None means all for both.
    verbose : int, default=0

    Returns
    -------
    fitted : Fitted
    """
    train, test = (None, None) if fold is None else fold
    rows, judges = _rows(X, sample_weight, train), _rows(X, sample_weight, test)
    outcomes: list[Outcome] = []
    position, best = -1, None
    with silent_warnings():  # what they would say is in the table
        for n_components, (fit, error) in zip(chain.n_components, fits(chain, *rows), strict=True):
            if fit is None:
                outcome = Outcome(np.nan, {}, error)
            else:
                outcome = judge(fit, criterion, rows, judges)
                # one fit of a chain is kept, and a degenerate one only as long as there is none other
                if best is None or is_above(outcome.score, outcomes[position].score):
                    position, best = len(outcomes), fit
            outcomes.append(outcome)
            if verbose:
                what = outcome.error or f"{criterion} {outcome.score:.8g}"
                print(f"{chain.name}, {chain.family}, n_components={n_components}: {what}")  # noqa: T201
    return Fitted(outcomes, position, best)


def fits(chain, X, sample_weight):
    """Fit the candidates of a chain in turn, each helped by the one before.

    Parameters
    ----------
    chain : Chain
    X : ndarray of shape (n_samples, n_features)
    sample_weight : ndarray of shape (n_samples,) or None

    Yields
    ------
    fit : estimator or None
        None where it has failed.
    error : str or None
        Why.
    """
    smaller = None
    for n_components in chain.n_components:
        estimator = clone(chain.estimator).set_params(n_components=n_components)
        try:
            fit = fit_candidate(estimator, X, sample_weight, smaller)
        except Exception as error:  # whatever it is, the other candidates go on
            yield None, f"{type(error).__name__}: {error}"
            continue
        if not is_degenerate(fit):
            smaller = fit
        yield fit, None


def judge(fit, criterion, rows, judges):
    """Score and measures of one fit.

    Parameters
    ----------
    fit : estimator
        Fitted.
    criterion : str
    rows, judges : tuple of (X, sample_weight)
        Those of the fit, and those to judge it by.

    Returns
    -------
    outcome : Outcome
    """
    score = np.nan if is_degenerate(fit) else float(CRITERIA[criterion](fit, *judges))
    return Outcome(score, measure(fit, *rows), None)


def _rows(X, sample_weight, rows):
    """Rows and their weights by position; None means all."""
    if rows is None:
        return X, sample_weight
    return X[rows], None if sample_weight is None else sample_weight[rows]
