"""scikit-learn's estimator contract, once for every mixture."""

import copy
import numbers
import warnings
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, ClusterMixin, DensityMixin, TransformerMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_array, check_random_state

from skem._compat import (
    CallbackSupportMixin,
    Interval,
    StrOptions,
    check_sample_weight,
    refuse_sparse,
    single_blas_thread,
    unchanged_on_failure,
    validate_columns,
    validate_parameters,
    validate_rows,
    with_callbacks,
)
from skem.coding import Coding
from skem.engine import DistinctSource, Source
from skem.estimators.density import DensityFeaturesMixin
from skem.estimators.doclink import DocLinkMixin
from skem.estimators.known import FromParametersMixin
from skem.estimators.labels import owners, renumber
from skem.estimators.latent_class import LatentClassMixin
from skem.estimators.monitor import Monitor
from skem.estimators.pickling import PickleMixin
from skem.estimators.prediction import PredictionMixin, bounded_source, whole_density
from skem.exceptions import DegenerateComponentWarning, name_flat, warn
from skem.families import Gaussian
from skem.families.base import Family
from skem.inference.accelerate import METHODS
from skem.inference.base import Model
from skem.inference.online import Seen
from skem.portfolio import FINALISTS, MOST_COMPONENTS, Portfolio
from skem.rows import is_sparse
from skem.starts import INITS, is_given, start, theta_from_parameters
from skem.summary import summarize
from skem.tree import TreeSource
from skem.truncated import TruncatedSource
from skem.weights import LOG_ZERO

# From so many rows for each distinct one, soft runs work on distinct rows with their weights.
JOINED = 4
# Finding them takes some 64 bytes a row for a moment, more than all else that a fit needs where rows are many.
MOST_JOINED = 1 << 17

# The parameter of those estimators that can hold rows to a few components each.
N_ACTIVE: dict[str, Any] = {"n_active": [Interval(numbers.Integral, 1, None, closed="left"), None]}

# The parameter of those that extrapolate.
ACCELERATE: dict[str, Any] = {"accelerate": [StrOptions(set(METHODS)), None]}


class BaseMixture(
    PredictionMixin,
    DensityFeaturesMixin,
    LatentClassMixin,
    FromParametersMixin,
    DocLinkMixin,
    PickleMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    ClusterMixin,
    DensityMixin,
    CallbackSupportMixin,
    BaseEstimator,
):
    """Base of the general estimators; subclasses name their algorithm and their weights' prior."""

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "n_components": [Interval(numbers.Integral, 1, None, closed="left")],
        "family": [Family, None],
        "n_init": [Interval(numbers.Integral, 1, None, closed="left")],
        "init": [StrOptions({"portfolio", *INITS}), "array-like", dict],
        "tol": [Interval(numbers.Real, 0, None, closed="left")],
        "max_iter": [Interval(numbers.Integral, 0, None, closed="left")],
        "warm_start": ["boolean"],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self, n_components, *, family, n_init, init, tol, max_iter, warm_start, random_state, verbose
    ):  # fmt: skip
        self.n_components = n_components
        self.family = family
        self.n_init = n_init
        self.init = init
        self.tol = tol
        self.max_iter = max_iter
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    # what each estimator is made of
    _algorithm_class: Any
    #: whether score_samples is the posterior predictive density
    _predictive = False
    #: whether n_components is an upper bound, so that empty components are no surprise
    _upper_bound = False

    def _algorithm(self):
        how = {} if self.accelerate is None else {"accelerate": self.accelerate}
        return self._algorithm_class(tol=self.tol, max_iter=self.max_iter, **how)

    def _weights(self, n_components):
        raise NotImplementedError

    @property
    def _n_start(self):
        """Components that a fit begins with."""
        return self.n_components

    #: components that a row's responsibilities may spread over, None for all
    n_active: int | None = None
    #: how iterations are extrapolated, None for not at all
    accelerate: str | None = None

    def _source(self, X, sample_weight, family):
        """Rows of a fit, seen through the bound family."""
        if self.n_active is None or self.n_active >= self._n_start:
            by_tree = self._algorithm().assign == "hard" and TreeSource.serves(family, X.shape[1])
            if by_tree:
                return TreeSource(X, sample_weight, family)
            return Source(X, sample_weight, family, coding=Coding.of(X, family))
        if is_sparse(X):
            raise ValueError(f"n_active={self.n_active} needs dense rows, and X is sparse; leave n_active=None")
        if family.heavy_tails:
            raise ValueError(
                f"n_active={self.n_active} does not go with the latent scales of {type(family).__name__}(); leave "
                "n_active=None"
            )
        if family.has("features"):
            raise ValueError(
                f"n_active={self.n_active} needs a family whose features are compiled, and those of "
                f"{type(family).__name__}() are Python; leave n_active=None"
            )
        if not family.one_part:
            raise ValueError(
                f"n_active={self.n_active} needs a family that scores all columns in one, which "
                f"{type(family).__name__}() does not; leave n_active=None"
            )
        return TruncatedSource(X, sample_weight, family, self.n_active)

    # -- scikit-learn's contract -----------------------------------------------------------------

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        # the family may be anything where tags are asked for in the course of an error
        domain, encodes = getattr(self.family, "domain", "real"), getattr(self.family, "encodes", False)
        tags.transformer_tags.preserves_dtype = ["float64"] if encodes else ["float64", "float32"]
        tags.input_tags.string = encodes
        tags.input_tags.positive_only = getattr(self.family, "positive_only", False)
        # whole numbers, for those who make data up by the tags
        tags.input_tags.categorical = domain in ("counts", "levels")
        tags.input_tags.sparse = getattr(self.family, "sparse", False)
        return tags

    @property
    def _n_features_out(self):
        return self.n_components_

    # -- validation ------------------------------------------------------------------------------

    def _family(self):
        return Gaussian() if self.family is None else self.family

    def _validate(self, X, reset, family=None):
        """Check X against scikit-learn's rules, leaving its memory and its dtype (float32, float64) alone."""
        family = self.family_ if family is None else family
        if family.encodes:
            # names and number of the columns are those of X, all else is the family's to say
            validate_columns(self, X, reset=reset)
            return check_array(family.encode(X), ensure_min_samples=2 if reset else 1)
        if not family.sparse:
            refuse_sparse(X, type(family).__name__)
        X = validate_rows(
            self, X, reset=reset, ensure_min_samples=2 if reset else 1, accept_sparse="csr" if family.sparse else False
        )
        return family.encode(X)

    def _validate_parameters(self):
        """Check the estimator's parameters and its family's, each by name."""
        validate_parameters(self, self._parameter_constraints)
        for part in self._family().members():
            constraints = getattr(part, "_parameter_constraints", None)
            if constraints:
                validate_parameters(part, constraints)

    def _validate_fit(self, X, sample_weight):
        """The family that has learned its levels, X and weights (None where all are 1) of a fit."""
        self._validate_parameters()
        family = self._family().learn(X)
        X = self._validate(X, True, family)
        family.validate(X)
        if sample_weight is not None:
            sample_weight = check_sample_weight(sample_weight, X)
        n = X.shape[0] if sample_weight is None else np.count_nonzero(sample_weight)
        if not self._upper_bound and n < self.n_components:
            raise ValueError(
                f"n_components={self.n_components} needs at least as many rows with weight; X has n_samples={n}"
            )
        return family, X, sample_weight

    # -- fitting ---------------------------------------------------------------------------------

    @with_callbacks
    def fit(self, X, y=None, sample_weight=None):
        """Fit the mixture.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows; float32 and float64 are read as they are, statistics are float64 always. Families whose `sparse` is
            true take CSR matrices, too, and never make them dense.
        y : Ignored
            Present for scikit-learn's API; callbacks see it.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights >= 0, not all zero: weight 2 equals the row twice, weight 0 its absence.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            For bad parameters or data, naming the parameter, or the row and column.
        TypeError
            Where the family lacks what the algorithm needs, or X is sparse and the family's zeros are no zeros.

        Notes
        -----
        A fit that fails or is interrupted leaves the estimator exactly as it was.
        """
        with unchanged_on_failure(self), single_blas_thread():
            self._fit(X, sample_weight, y)
        return self

    def _fit(self, X, sample_weight, y=None):
        given_X, given_weight = X, sample_weight
        warm = self.warm_start and hasattr(self, "_theta")
        old_d = getattr(self, "n_features_in_", None)
        family, X, sample_weight = self._validate_fit(X, sample_weight)
        if warm and self._n_components_fitted != self._n_start:
            raise ValueError(
                f"warm_start: the mixture was fitted with n_components={self._n_components_fitted}, now it is "
                f"{self.n_components}; fit with warm_start=False"
            )
        if warm and old_d != X.shape[1]:
            raise ValueError(f"warm_start: the fitted mixture has {old_d} features, X has {X.shape[1]}")
        algorithm = self._algorithm()
        algorithm.require(family)
        family = family.bind(summarize(X, sample_weight, family.equivariance))
        source = self._source(X, sample_weight, family)
        model = Model.build(family, self._weights(self._n_start), self._n_start, source)
        model, source = self._under_prior(model, source)
        rngs: list[np.random.Generator | None] = [None]
        if not (warm or is_given(self.init)):
            seeds = check_random_state(self.random_state).randint(np.iinfo(np.int32).max, size=self.n_init)
            rngs = [np.random.default_rng(seed) for seed in seeds]
        monitor = Monitor(
            self,
            len(rngs) * (FINALISTS if self._races(rngs) else 1),
            algorithm.max_reports,
            lambda fit: self._snapshot(model, source, fit),
            X=given_X,
            y=y,
            metadata=None if given_weight is None else {"sample_weight": given_weight},
        )
        fit = self._infer(model, source, algorithm, rngs, warm, monitor)
        self._publish(model if fit.model is None else fit.model, source, fit)
        monitor.finish()

    def _under_prior(self, model, source):
        """Model and source of the fit under that prior of the family which all its runs are to have."""
        return model, source

    def _infer(self, model, source, algorithm, rngs, warm, monitor):
        """Run the algorithm from every start; the best `Fit`, whose state may have another number of components."""
        portfolio = Portfolio(algorithm, model, lambda own, given: self._order_start(algorithm, own, given))
        rows = self._joined(source, algorithm)
        best = self._best(portfolio, source, rows, rngs, warm, monitor)
        if rows is not source:
            labels = np.empty(len(source), dtype=np.int32)
            source.finish(best.state.log_weights, best.state.theta, labels)
            best = best._replace(labels=labels)
        return best

    def _joined(self, source, algorithm):
        """Rows that runs work on: equal ones joined, where that spares most of the work and no row is of its own."""
        few = JOINED * source.family.summary_.n_distinct <= len(source) <= MOST_JOINED
        if algorithm.assign != "soft" or type(source) is not Source or not few:
            return source
        return DistinctSource.of(source)[0]

    def _best(self, portfolio, source, rows, rngs, warm, monitor):
        """The best run over `rows` from all starts."""
        algorithm, model = portfolio.algorithm, portfolio.model
        for rng in rngs:
            for name, n_starts, given in self._starts(portfolio, source, rng, warm):
                # a start may be large: the run alone is to hold on to it
                report, begun = monitor.begin(portfolio.n_runs), [portfolio.begin(model, given)]
                del given
                fit = algorithm.run(model, rows, begun.pop(), report)
                portfolio.add(name, fit, n_starts)
                # labels of joined rows are no row's
                if monitor.end(fit if rows is source else fit._replace(labels=None)):
                    return portfolio.best()
            for name, n_starts, given in self._nested_starts(portfolio, source, rng, warm):
                portfolio.add(name, algorithm.run(model, rows, portfolio.begin(model, given)), n_starts)
        best = portfolio.best()
        return best if len(rngs) == 1 else portfolio.polish(rows, best)

    def _nested_starts(self, portfolio, source, rng, warm):
        """Starts where the fit of a family ends that is a limit of this one, so that it is never better."""
        algorithm, model = portfolio.algorithm, portfolio.model
        family = model.family
        if warm or not family.has("nested") or isinstance(self.init, dict):
            return
        inner = family.nested()
        own_source = self._source(source.X, source.weight, inner)
        own = Model.build(inner, model.weights, model.n_components, own_source)
        runs = Portfolio(algorithm, own, portfolio.begin)
        for name, n_starts, given in self._starts(runs, own_source, rng, warm):
            runs.add(name, algorithm.run(own, own_source, runs.begin(own, given)), n_starts)
        state = runs.best().state
        theta = family.embed(state.theta)
        given = source.run(state.log_weights, theta, assign=algorithm.assign)
        yield "nested", None, given
        for wider in family.widen(theta, given.stats):
            yield "nested", None, source.run(state.log_weights, wider, assign=algorithm.assign)

    def _races(self, rngs):
        """Whether the runs of this fit come out of races."""
        named = rngs[0] is not None and isinstance(self.init, str)
        return named and self.init == "portfolio" and self._n_start <= MOST_COMPONENTS

    def _starts(self, portfolio, source, rng, warm):
        """Name, number of raced starts behind it and statistics of each start that a run is to go on from."""
        algorithm = portfolio.algorithm
        if warm:
            yield "warm start", None, source.run(*self._warm_start(source.family), assign=algorithm.assign)
        elif not self._races([rng]):
            # a cell that explores by itself begins at the plainest start of a portfolio
            init = "k-means" if isinstance(self.init, str) and self.init == "portfolio" else self.init
            name = "given" if rng is None else init
            yield name, None, start(source, portfolio.model.n_components, init, rng, algorithm.assign)
        else:
            yield from portfolio.race(source, rng)

    def _warm_start(self, family):
        """Log weights and theta of the mixture fitted before, read in the new data's coordinates."""
        attributes = self.family_.attributes(self._theta)
        parameters = {name.rstrip("_"): value for name, value in attributes.items()}
        _, theta = theta_from_parameters(family, self.n_components_, parameters)
        # components that were left out keep their place, without weight
        place = np.arange(self._n_start)
        index = place % self.n_components_
        return np.where(place < self.n_components_, self._log_weights[index], LOG_ZERO), theta.take(index)

    def _order_start(self, algorithm, model, given):
        return algorithm.start(model, given)

    def _snapshot(self, model, source, fit):
        """Attributes of the estimator as if the fit had ended with `fit`; itself it stays as it is."""
        if fit.labels is None:
            labels, state = np.empty(len(source), dtype=np.int32), fit.state
            source.run(state.log_weights, state.theta, collect=False, assign="hard", labels=labels)
            fit = fit._replace(labels=labels)
        twin = copy.copy(self)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            twin._publish(model, source, fit)
        return vars(twin)

    def _publish(self, model, source, fit):
        """Turn the best run into attributes: components that own a row first, those without mass left out."""
        state, labels = fit.state, fit.labels
        model = model.resize(len(state.log_weights))
        # owners of rows with weight first, so that a row of weight 0 changes nothing; then owners of other rows
        owned, owning = owners(source, labels, model.n_components)
        massless = (state.n_k <= 0) & ~owning
        order = np.lexsort((~owning, ~owned))
        order = order[~massless[order]]
        rank = np.full(model.n_components, -1, dtype=np.int32)
        rank[order] = np.arange(len(order))
        occupied = int(owned.sum())
        flat = self._flat(model, state)
        self._warn(model, flat, massless)
        self._warn_unconverged(fit)
        self._publish_parameters(model, state, order, Seen(state.stats, state.n_k, model.total_weight))
        self._n_components_fitted = model.n_components
        self.labels_ = renumber(source, labels, rank)
        self.lower_bound_ = float(fit.objective / model.total_weight)
        self.lower_bounds_ = np.asarray(fit.objectives) / model.total_weight
        self.n_iter_ = fit.n_iter
        self.converged_ = fit.converged
        self.degenerate_ = bool(flat.any())
        if fit.start is not None:
            self.start_, self.n_starts_, self.n_starts_reached_ = fit.start
        self._publish_more(model, state, fit, occupied)

    def _publish_parameters(self, model, state, order, seen):
        """Set what predictions need, components in the given order."""
        self.family_ = model.family
        self._theta = state.theta.take(order)
        self._posterior = state.posterior.take(order)
        self._log_weights = state.log_weights[order]
        self._seen = Seen(seen.stats.take(order), seen.n_k[order], seen.total_weight)
        weights = self._mean_weights(model, state)[order]
        self.weights_ = weights / weights.sum()
        self.n_components_ = len(order)
        for name, value in self.family_.attributes(self._theta).items():
            setattr(self, name, value)

    def _publish_more(self, model, state, fit, occupied):
        """Attributes of one estimator alone."""

    def _mean_weights(self, model, state):
        return np.exp(state.log_weights)

    def _flat(self, model, state):
        """Components whose own data are flat; where a prior holds them up, only data flat as a whole count."""
        if self._algorithm().update == "mle":
            return model.family.degenerate(state.stats)
        return model.family.degenerate(state.stats.pool())

    def _warn(self, model, flat, massless):
        """Say in one warning what the data cannot bear."""
        n_distinct = model.family.summary_.n_distinct
        found = []
        if flat.any():
            found.append(f"{name_flat(flat)}, so that the covariance rests on the constraint or the prior there")
        if massless.any() and not self._upper_bound:
            found.append(
                f"{int(massless.sum())} of {model.n_components} components ended without weight, and are left out"
            )
        if n_distinct < model.n_components:
            found.append(f"X has {n_distinct} distinct rows for {model.n_components} components")
        if found:
            warn(
                f"{'; '.join(found)}: lower n_components, drop such columns, or let a prior hold the components up "
                "(MAPMixture)",
                DegenerateComponentWarning,
            )

    def _warn_unconverged(self, fit):
        # a run that a callback has stopped early ends as it was asked to
        if not fit.converged and fit.n_iter >= self.max_iter > 0:
            warn(
                f"{type(self).__name__} did not converge in max_iter={self.max_iter} iterations; raise max_iter or tol",
                ConvergenceWarning,
            )

    def fit_predict(self, X, y=None, sample_weight=None):
        """Fit the mixture and return the rows' labels.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        y : Ignored
            Present for scikit-learn's API.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights >= 0, not all zero.

        Returns
        -------
        labels : int32 ndarray of shape (n_samples,)
            The attribute `labels_`.
        """
        return self.fit(X, y, sample_weight=sample_weight).labels_

    def fit_transform(self, X, y=None, sample_weight=None):
        """Fit the mixture and return the rows' responsibilities.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        y : Ignored
            Present for scikit-learn's API.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights >= 0, not all zero.

        Returns
        -------
        resp : ndarray of shape (n_samples, `n_components_`)
            Rows sum to one; of X's dtype.
        """
        return self.fit(X, y, sample_weight=sample_weight).transform(X)

    # defined here and not with the other predictions, for scikit-learn wraps it where TransformerMixin is a base
    def transform(self, X):
        """Return responsibilities as features; the same as `predict_proba`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        resp : ndarray of shape (n_samples, `n_components_`)
            Rows sum to one; of X's dtype.
        """
        return self.predict_proba(X)


__all__ = ["BaseMixture", "bounded_source", "whole_density"]
