"""scikit-learn's estimator contract, once for every mixture."""

import numbers
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, ClusterMixin, DensityMixin, TransformerMixin
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
from skem.engine import Source
from skem.estimators.density import DensityFeaturesMixin
from skem.estimators.doclink import DocLinkMixin
from skem.estimators.far import bounded_source, whole_density
from skem.estimators.known import FromParametersMixin
from skem.estimators.latent_class import LatentClassMixin
from skem.estimators.monitor import Monitor
from skem.estimators.pickling import PickleMixin
from skem.estimators.prediction import PredictionMixin
from skem.estimators.publishing import PublishingMixin
from skem.estimators.runs import RunsMixin
from skem.families import Gaussian
from skem.families.base import Family
from skem.inference.extrapolation import METHODS
from skem.inference.model import Model
from skem.inference.priors import prior_of_rows
from skem.portfolio import FINALISTS
from skem.rows import is_sparse
from skem.starts import INITS, is_given
from skem.summary import summarize
from skem.tree import TreeSource
from skem.truncated import TruncatedSource

# The parameter of those estimators that can hold rows to a few components each.
N_ACTIVE: dict[str, Any] = {"n_active": [Interval(numbers.Integral, 1, None, closed="left"), None]}

# The parameter of those that extrapolate.
ACCELERATE: dict[str, Any] = {"accelerate": [StrOptions(set(METHODS)), None]}


class BaseMixture(
    RunsMixin,
    PublishingMixin,
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

    def set_params(self, **params):
        """Set parameters of the estimator, and by ``family__name`` those of its family.

        Where `family` is None, those are parameters of the default family, ``Gaussian()``, which then is set.

        Parameters
        ----------
        **params : dict
            Values by name.

        Returns
        -------
        self : object
        """
        own = {name: value for name, value in params.items() if name.startswith("family__")}
        if own and self.family is None and "family" not in params:
            family = self._family().set_params(**{name.removeprefix("family__"): own[name] for name in own})
            params = {"family": family, **{name: params[name] for name in params.keys() - own.keys()}}
        return super().set_params(**params)

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

    def _validate_fit(self, X, sample_weight, sized=True):
        """The family that has learned its levels, X and weights (None where all are 1) of a fit."""
        self._validate_parameters()
        family = self._family().learn(X)
        X = self._validate(X, True, family)
        family.validate(X)
        if sample_weight is not None:
            sample_weight = check_sample_weight(sample_weight, X)
        if sized:
            self._check_size(X, sample_weight)
        return family, X, sample_weight

    def _check_size(self, X, sample_weight):
        """Check that there are rows for all components."""
        n = X.shape[0] if sample_weight is None else np.count_nonzero(sample_weight)
        if not self._upper_bound and n < self.n_components:
            raise ValueError(
                f"n_components={self.n_components} needs at least as many rows with weight; X has n_samples={n}"
            )

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
        self._solve(self._bind(family, X, sample_weight), X, sample_weight, warm, given=(given_X, y, given_weight))

    def _bind(self, family, X, sample_weight):
        """Family bound to validated rows."""
        self._algorithm().require(family)
        return family.bind(summarize(X, sample_weight, family.equivariance))

    def _seeds(self):
        """Seeds of the runs of a fit that draws its starts."""
        return check_random_state(self.random_state).randint(np.iinfo(np.int32).max, size=self.n_init)

    def _solve(self, family, X, sample_weight, warm=False, *, seeds=None, given=None, publish=True):
        """Find the best run on validated rows.

        Parameters
        ----------
        family : Family
            Bound to the rows.
        X : ndarray of shape (n_samples, n_features)
        sample_weight : ndarray of shape (n_samples,) or None
        warm : bool, default=False
            Whether to start from the mixture fitted before.
        seeds : int ndarray of shape (n_init,), default=None
            In place of those of `random_state`.
        given : tuple of (X, y, sample_weight), default=None
            What callbacks see.
        publish : bool, default=True
            Whether to set attributes.

        Returns
        -------
        model : Model
            That of the run.
        source : Source
        fit : Fit
        """
        algorithm = self._algorithm()
        source = self._source(X, sample_weight, family)
        model = Model.build(family, self._weights(self._n_start), self._n_start, source)
        model, source = self._under_prior(model, source)
        rngs: list[np.random.Generator | None] = [None]
        if not (warm or is_given(self.init)):
            rngs = [np.random.default_rng(seed) for seed in (self._seeds() if seeds is None else seeds)]
        given_X, y, given_weight = given or (X, None, sample_weight)
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
        found = model if fit.model is None else fit.model
        if publish:
            self._publish(found, source, fit)
        monitor.finish()
        return found, source, fit

    def _under_prior(self, model, source):
        """Model and source of the fit under that prior of the family which all its runs are to have."""
        if self._algorithm().update == "mode":
            # a mode's objective tells nothing of its prior
            model = prior_of_rows(model, source)
            source = source.seen_by(model.family)
        return model, source

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
