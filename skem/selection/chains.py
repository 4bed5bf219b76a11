"""Fits of candidates, one after the other where the next can start from the last."""

from typing import Any, NamedTuple

import numpy as np
from sklearn.base import clone

from skem._compat import single_blas_thread, take_rows
from skem.estimators.base import BaseMixture
from skem.exceptions import silent_warnings
from skem.families import Gaussian
from skem.inference.base import Model
from skem.memory import remembering
from skem.portfolio import StartRecord
from skem.selection.criteria import CRITERIA, is_above, is_degenerate, measure
from skem.selection.hierarchy import Hierarchy
from skem.selection.neighbors import Neighbors

# Starts that are cut from the fit before, and iterations of their race.
N_SPLITS = 2
RACE = 15
# Starts that are more nats a row behind what is reached after their race go no further.
HOPELESS = 0.2
# Rows that a component should have for each parameter of its own.
SUPPORT = 2.0


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


class Improver:
    """Runs of a chain's fits from further starts, on rows that are prepared once.

    Parameters
    ----------
    fitted : BaseMixture
        Any fit of the chain.
    X : ndarray of shape (n_samples, n_features)
    sample_weight : ndarray of shape (n_samples,) or None
    most : int
        Largest number of components of the chain.
    """

    def __init__(self, fitted, X, sample_weight, most):
        family = fitted.family_
        # rows of other kinds have no covariance to tell them apart by
        self.hierarchy = Hierarchy(X, sample_weight, most) if type(family) is Gaussian else None
        X = fitted._validate(X, False) if family.encodes else X
        d = X.shape[1]
        self.rows = X, sample_weight
        self.family = family
        self.neighbors = Neighbors(X, sample_weight, family)
        self.least_mass = SUPPORT * (family.n_parameters(d, 2) - family.n_parameters(d, 1))

    def split(self, smaller, fitted):
        """Improve a fit by starts that cut components of one with fewer."""
        if not smaller.degenerate_ and smaller.n_components_ < fitted.n_components:
            self._improve("split", fitted, self.neighbors.splits(smaller, fitted.n_components, N_SPLITS))

    def merge(self, larger, fitted):
        """Improve a fit by a start that joins components of one with more."""
        if not larger.degenerate_ and larger.n_components_ > fitted.n_components:
            self._improve("merge", fitted, self.neighbors.merges(larger, fitted.n_components))

    def agglomerate(self, fitted):
        """Improve a fit by a start from rows merged by likelihood."""
        if self.hierarchy is not None and fitted.n_components > 1:
            self._improve("hierarchical", fitted, self.neighbors.cut(self.hierarchy, fitted.n_components))

    def _improve(self, name, fitted, starts):
        """Publish the best run from these starts in a fit, if it is better: after a race, one goes to the end."""
        if not starts:
            return
        # under the prior of the fit, for its objective to compare
        algorithm, source = fitted._algorithm(), fitted._source(*self.rows, fitted.family_)
        race = fitted._algorithm()
        # a start that is alone has nobody to race
        race.max_iter = min(RACE, algorithm.max_iter) if len(starts) > 1 else algorithm.max_iter
        K = fitted.n_components
        model = Model.build(fitted.family_, fitted._weights(K), K, source)
        fits = []
        for log_weights, theta in starts:
            given = source.run(log_weights, theta, assign=algorithm.assign)
            fits.append(race.run(model, source, fitted._order_start(algorithm, model, given)))
        best = max(fits, key=lambda fit: self._merit(fitted, model, fit))
        total = model.total_weight
        *before, reached = self._rate(
            fitted, fitted.degenerate_, fitted.weights_ * total, fitted._theta, fitted.lower_bound_ * total
        )
        *after, worth = self._merit(fitted, model, best)
        hopeless = after <= before and worth < reached - HOPELESS * total
        if not hopeless and not best.converged and best.n_iter < algorithm.max_iter:
            more = algorithm.run(model, source, best.state, n_iter=best.n_iter)
            best = more._replace(objectives=[*best.objectives, *more.objectives[1:]])
            *after, worth = self._merit(fitted, model, best)
        if after > before or (after == before and is_above(worth, reached)):
            record = StartRecord(name, getattr(fitted, "n_starts_", 1) + len(starts), 1)
            fitted._publish(model, source, best._replace(start=record))

    def _merit(self, fitted, model, fit):
        """What a run is compared by, see `_rate`."""
        flat = bool(fitted._flat(model, fit.state).any())
        return self._rate(fitted, flat, fit.state.n_k, fit.state.theta, fit.objective)

    def _rate(self, fitted, flat, n_k, theta, objective):
        """Whether a run is sound, whether all its components have rows enough to rest on, and its objective.

        Likelihood rewards components that cling to a few rows which lie on a line by chance, and the more is searched,
        the more of them are found. They lose against any others, and among themselves the prior has its say.
        """
        supported = fitted._algorithm().update != "mle" or bool(n_k.min() >= self.least_mass)
        if not supported and self.family.has("prior") and self.family.has("log_density"):
            objective += self.family.log_density(self.family.prior(theta.n_components), theta)
        return not flat, supported, objective


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
    fits : list of (estimator, error)
        The estimator is None where the fit has failed, and the error then tells why.
    """
    fits: list[Any] = []
    errors: list[str | None] = []
    for n_components in chain.n_components:
        fit, error = None, None
        try:
            fit = _fit(clone(chain.estimator).set_params(n_components=n_components), X, sample_weight)
        except Exception as failure:  # whatever it is, the other candidates go on
            error = f"{type(failure).__name__}: {failure}"
        fits.append(fit)
        errors.append(error)
    able = [fit for fit in fits if fit is not None and has_neighbors(fit)]
    if len(able) > 1:
        improver = Improver(able[0], X, sample_weight, able[-1].n_components)
        for fit in able:
            improver.agglomerate(fit)
        for i in range(1, len(able)):
            if lags(able, i):
                improver.split(able[i - 1], able[i])
        for i in range(len(able) - 2, -1, -1):
            if lags(able, i):
                improver.merge(able[i + 1], able[i])
    return list(zip(fits, errors, strict=True))


def lags(fits, i):
    """Whether a fit may have ended too low: its objective is below the line between its neighbours'.

    Parameters
    ----------
    fits : list of BaseMixture
        In rising order of the number of components.
    i : int

    Returns
    -------
    lagging : bool
        Where there is no line, at the last fit and beside degenerate ones, true; but one component has one optimum.
    """
    if i == 0 or i == len(fits) - 1 or any(fit.degenerate_ for fit in fits[i - 1 : i + 2]):
        return fits[i].n_components > 1
    sizes, reached = zip(*((fit.n_components, fit.lower_bound_) for fit in fits[i - 1 : i + 2]), strict=True)
    return reached[1] < np.interp(sizes[1], sizes[::2], reached[::2])


def has_neighbors(fitted):
    """Whether a fit of this kind can start from one with another number of components."""
    return isinstance(fitted, BaseMixture) and isinstance(fitted.init, str) and fitted._algorithm().update != "draw"


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
    return take_rows(X, rows), None if sample_weight is None else sample_weight[rows]
