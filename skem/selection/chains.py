"""Fits of candidates, one after the other where the next can start from the last."""

import copy
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import clone

from skem._compat import single_blas_thread, take_rows
from skem.estimators.base import BaseMixture
from skem.exceptions import silent_warnings
from skem.memory import remembering
from skem.selection.climb import Climb
from skem.selection.criteria import (
    CRITERIA,
    INFORMATION,
    is_above,
    is_degenerate,
    measure,
    total_weight,
)
from skem.selection.improver import Improver

# Runs that a candidate has at most: its own, and those from merged rows and from its neighbours.
MOST_RUNS = 8


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


class Fixed:
    """The fit of a candidate that nobody takes further.

    Parameters
    ----------
    estimator : estimator
        Fitted.
    """

    def __init__(self, estimator):
        self.estimator = estimator

    def publish(self):
        """Return the estimator, fitted."""
        return self.estimator


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
    # what warnings would say is in the table
    with silent_warnings(), single_blas_thread(), remembering(X.shape[0]):
        for n_components, (fit, error) in zip(chain.n_components, fit_all(chain, *rows), strict=True):
            outcome = Outcome(np.nan, {}, error) if fit is None else judge(fit, criterion, rows, judges)
            # one fit of a chain is kept, and a degenerate one only as long as there is none other
            if fit is not None and (best is None or is_above(outcome.score, outcomes[position].score)):
                position, best = len(outcomes), fit
            outcomes.append(outcome)
            if verbose:
                what = outcome.error or f"{criterion} {outcome.score:.8g}"
                print(f"{chain.name}, {chain.family}, n_components={n_components}: {what}")  # noqa: T201
        if best is not None:
            best = best.publish()
            # to the last bit what the fit says of itself
            outcomes[position] = judge(Fixed(best), criterion, rows, judges)
    return Fitted(outcomes, position, best)


def fit_all(chain, X, sample_weight):
    """Fit the candidates of a chain, and those that then fall behind from the one before and from the one after.

    Gaussian ones all start a second time first, from rows merged by likelihood.

    Parameters
    ----------
    chain : Chain
    X : ndarray of shape (n_samples, n_features)
    sample_weight : ndarray of shape (n_samples,) or None

    Returns
    -------
    fits : list of (Climb or Fixed, error)
        The fit is None where it has failed, and the error then tells why.
    """
    own = _climbs if _can_climb(chain.estimator) else _fits
    fits: list[Any] = []
    errors: list[str | None] = []
    for fit in own(chain, X, sample_weight):
        try:
            fits.append(fit())
            errors.append(None)
        except Exception as failure:  # whatever it is, the other candidates go on
            fits.append(None)
            errors.append(f"{type(failure).__name__}: {failure}")
    able = [fit for fit in fits if isinstance(fit, Climb)]
    if len(able) > 1:
        improver = Improver(able[0], X, sample_weight, able[-1].n_components)
        for climb in able:
            improver.agglomerate(climb)
            if climb.flat:
                climb.insist()
        for i in range(1, len(able)):
            if lags(able, i):
                improver.split(able[i - 1], able[i])
        for i in range(len(able) - 2, -1, -1):
            if lags(able, i):
                improver.merge(able[i + 1], able[i])
    for climb in able:
        climb.settle()
    return list(zip(fits, errors, strict=True))


def _fits(chain, X, sample_weight):
    """Functions that fit the candidates, each by itself."""

    def fit(n_components):
        estimator = clone(chain.estimator).set_params(n_components=n_components)
        return Fixed(estimator.fit(X) if sample_weight is None else estimator.fit(X, sample_weight=sample_weight))

    return [partial(fit, n_components) for n_components in chain.n_components]


def _climbs(chain, X, sample_weight):
    """Functions that begin the candidates' climbs, on rows that are validated once."""
    begun: dict[str, Any] = {}

    def begin():
        template = clone(chain.estimator).set_params(n_components=chain.n_components[0])
        family, *rows = template._validate_fit(X, sample_weight, sized=False)
        begun.update(template=template, rows=(template._bind(family, *rows), *rows), seeds=template._seeds())

    def climb(n_components):
        if not begun:
            begin()
        estimator = copy.copy(begun["template"])
        estimator.n_components = n_components
        estimator._check_size(*begun["rows"][1:])
        return Climb(estimator, *estimator._first_run(*begun["rows"], begun["seeds"], MOST_RUNS))

    return [partial(climb, n_components) for n_components in chain.n_components]


def _can_climb(estimator):
    """Whether a mixture of this kind can start from one with another number of components."""
    return (
        isinstance(estimator, BaseMixture)
        and type(estimator)._fit is BaseMixture._fit
        and isinstance(estimator.init, str)
        and getattr(estimator, "noise", None) is None
        and estimator._algorithm().update != "draw"
    )


def lags(climbs, i):
    """Whether a climb may have ended too low: its objective is below the line between its neighbours'.

    Parameters
    ----------
    climbs : list of Climb
        In rising order of the number of components.
    i : int

    Returns
    -------
    lagging : bool
        Where there is no line, at the last climb and beside flat ones, true; but one component has one optimum.
    """
    if i == 0 or i == len(climbs) - 1 or any(climb.flat for climb in climbs[i - 1 : i + 2]):
        return climbs[i].n_components > 1
    sizes, reached = zip(*((climb.n_components, climb.objective) for climb in climbs[i - 1 : i + 2]), strict=True)
    return reached[1] < np.interp(sizes[1], sizes[::2], reached[::2])


def judge(fit, criterion, rows, judges):
    """Score and measures of one fit.

    Parameters
    ----------
    fit : Climb or Fixed
    criterion : str
    rows, judges : tuple of (X, sample_weight)
        Those of the fit, and those to judge it by.

    Returns
    -------
    outcome : Outcome
    """
    measured = fit.measure() if isinstance(fit, Climb) and criterion in INFORMATION else None
    if measured is not None:
        score = INFORMATION[criterion](measured, total_weight(*rows))
        return Outcome(np.nan if measured["degenerate"] else score, measured, None)
    estimator = fit.publish()
    score = np.nan if is_degenerate(estimator) else float(CRITERIA[criterion](estimator, *judges))
    return Outcome(score, measure(estimator, *rows), None)


def _rows(X, sample_weight, rows):
    """Rows and their weights by position; None means all."""
    if rows is None:
        return X, sample_weight
    return take_rows(X, rows), None if sample_weight is None else sample_weight[rows]
