"""scikit-learn's estimator contract, once for every mixture."""

import numbers
import warnings

import numpy as np
from scipy.special import gammaln, logsumexp
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    ClusterMixin,
    DensityMixin,
    TransformerMixin,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

import skem
from skem._compat import (
    CallbackSupportMixin,
    HasMethods,
    Interval,
    check_sample_weight,
    keep_callback_attributes,
    single_blas_thread,
    validate_parameter_constraints,
)
from skem.engine import Source
from skem.estimators.monitor import Monitor, with_monitor
from skem.exceptions import DegenerateComponentWarning, FormatVersionWarning
from skem.families import Gaussian
from skem.inference.base import Model
from skem.inference.online import Seen
from skem.starts import INITS, is_given, start, theta_from_parameters
from skem.summary import Summary, summarize
from skem.weights import LOG_ZERO

# Raised when pickles change shape; older ones are refused with a clear sentence.
FORMAT = 1
# A query farther out, in internal coordinates, is drawn in along its direction before it is squared.
FAR = 1e120


class BaseMixture(
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    ClusterMixin,
    DensityMixin,
    CallbackSupportMixin,
    BaseEstimator,
):
    """Base of the general estimators; subclasses name their algorithm and their weights' prior."""

    _parameter_constraints = {
        "n_components": [Interval(numbers.Integral, 1, None, closed="left")],
        "family": [HasMethods(["bind", "mle"]), None],
        "n_init": [Interval(numbers.Integral, 1, None, closed="left")],
        "init": [str, "array-like", dict],
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
    _algorithm_class = None
    #: whether score_samples is the posterior predictive density
    _predictive = False
    #: whether n_components is an upper bound, so that empty components are no surprise
    _upper_bound = False

    def _algorithm(self):
        return self._algorithm_class(tol=self.tol, max_iter=self.max_iter)

    def _weights(self, n_components):
        raise NotImplementedError

    # -- scikit-learn's contract -----------------------------------------------------------------

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        family = self._family()
        tags.input_tags.positive_only = family.domain == "counts"
        tags.input_tags.sparse = False
        return tags

    _doc_link_module = "skem"

    @property
    def _n_features_out(self):
        return self.n_components_

    def __getstate__(self):
        return {**super().__getstate__(), "_skem_version": skem.__version__, "_skem_format": FORMAT}

    def __setstate__(self, state):
        state = dict(state)
        version, written = state.pop("_skem_version", None), state.pop("_skem_format", None)
        if written is not None and written > FORMAT:
            raise ValueError(
                f"this {type(self).__name__} was pickled by skem {version} in format {written}; "
                f"skem {skem.__version__} reads formats up to {FORMAT}: install the newer one"
            )
        if version is not None and version != skem.__version__:
            warnings.warn(
                f"this {type(self).__name__} was pickled by skem {version}; it is read by skem {skem.__version__}, "
                "fit it again if results differ",
                FormatVersionWarning,
                stacklevel=2,
            )
        super().__setstate__(state)

    def _family(self):
        return Gaussian() if self.family is None else self.family

    def _validate(self, X, reset):
        """Check X against scikit-learn's rules, leaving its memory and its dtype (float32, float64) alone."""
        return validate_data(
            self, X, reset=reset, dtype=[np.float64, np.float32], ensure_min_samples=2 if reset else 1, copy=False
        )

    def _validate_fit(self, X, sample_weight):
        """X, weights (None where all are 1) and checked parameters of a fit."""
        validate_parameter_constraints(
            self._parameter_constraints, self.get_params(deep=False), caller_name=type(self).__name__
        )
        family = self._family()
        if getattr(family, "_parameter_constraints", None):
            validate_parameter_constraints(
                family._parameter_constraints, family.get_params(deep=False), caller_name=type(family).__name__
            )
        if isinstance(self.init, str) and self.init not in INITS:
            raise ValueError(f"init={self.init!r} is no start; choose from {INITS}, or give labels, "
                             "responsibilities or parameters")  # fmt: skip
        X = self._validate(X, reset=True)
        family.validate(X)
        if sample_weight is not None:
            sample_weight = check_sample_weight(sample_weight, X)
            sample_weight = np.ascontiguousarray(sample_weight, dtype=np.float64)
        n = len(X) if sample_weight is None else np.count_nonzero(sample_weight)
        if n < self.n_components and not self._upper_bound:
            raise ValueError(
                f"n_components={self.n_components} needs at least as many rows with weight; X has n_samples={n}"
            )
        return X, sample_weight

    # -- fitting ---------------------------------------------------------------------------------

    @with_monitor
    def fit(self, X, y=None, sample_weight=None):
        """Fit the mixture.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows; float32 and float64 are read as they are, statistics are float64 always.
        y : Ignored
            Present for scikit-learn's API.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights >= 0: weight 2 equals the row twice, weight 0 its absence.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            For bad parameters or data, naming the parameter, or the row and column. A fitted object stays as it was.
        """
        before = dict(self.__dict__)
        try:
            with single_blas_thread():
                return self._fit(X, sample_weight)
        except BaseException:
            # a failed or interrupted fit leaves every attribute as it was
            kept = keep_callback_attributes(self.__dict__)
            self.__dict__.clear()
            self.__dict__.update(before | kept)
            raise

    def _fit(self, X, sample_weight):
        warm = self.warm_start and hasattr(self, "_theta")
        if warm and len(self._log_weights) != self.n_components and self.n_components_ != self.n_components:
            raise ValueError(
                f"warm_start: the fitted mixture has {self.n_components_} components, n_components="
                f"{self.n_components}; fit with warm_start=False"
            )
        old_d = getattr(self, "n_features_in_", None)
        X, sample_weight = self._validate_fit(X, sample_weight)
        if warm and old_d != X.shape[1]:
            raise ValueError(f"warm_start: the fitted mixture has {old_d} features, X has {X.shape[1]}")
        family = self._family()
        algorithm = self._algorithm()
        algorithm.require(family)
        family = family.bind(summarize(X, sample_weight, family.equivariance))
        source = Source(X, sample_weight, family)
        n_components = self.n_components
        model = Model.build(family, self._weights(n_components), n_components, source)
        seeds = check_random_state(self.random_state).randint(np.iinfo(np.int32).max, size=self.n_init)
        if warm:
            seeds = seeds[:1]
        elif is_given(self.init):
            seeds = seeds[:1]
        best = None
        monitor = Monitor(self, X, n_starts=len(seeds))
        for run, seed in enumerate(seeds):
            with monitor.start(run) as report:
                if warm:
                    given = self._warm_pass(source, algorithm)
                else:
                    given = start(source, n_components, self.init, np.random.default_rng(seed), algorithm.assign)
                fit = algorithm.run(model, source, self._order_start(algorithm, model, given), report)
            if best is None or fit.objective > best.objective:
                best = fit
        self._publish(model, source, best)
        return self

    def _warm_pass(self, source, algorithm):
        """Statistics under the mixture fitted before, read in the new data's coordinates."""
        attributes = self.family_.attributes(self._theta)
        parameters = {name.rstrip("_"): value for name, value in attributes.items()}
        _, theta = theta_from_parameters(source.family, self.n_components_, parameters)
        return source.run(self._log_weights, theta, assign=algorithm.assign)

    def _order_start(self, algorithm, model, given):
        return algorithm.start(model, given)

    def _publish(self, model, source, fit):
        """Turn the best run into attributes: components that own a row first, those without mass left out."""
        state, labels = fit.state, fit.labels
        # owners of rows with weight first, so that a row of weight 0 changes nothing; then owners of other rows
        carried = labels if source.weight is None else labels[source.weight > 0]
        owned = np.bincount(carried, minlength=model.n_components) > 0
        owning = np.bincount(labels, minlength=model.n_components) > 0
        massless = (state.n_k <= 0) & ~owning
        order = np.lexsort((~owning, ~owned))
        order = order[~massless[order]]
        rank = np.full(model.n_components, -1, dtype=np.int32)
        rank[order] = np.arange(len(order))
        occupied = int(owned.sum())
        self._warn(model, state, fit, massless)
        self._publish_parameters(model, state, order, Seen(state.stats, state.n_k, model.total_weight))
        self.labels_ = rank[labels]
        self.lower_bound_ = fit.objective / model.total_weight
        self.lower_bounds_ = np.asarray(fit.objectives) / model.total_weight
        self.n_iter_ = fit.n_iter
        self.converged_ = fit.converged
        self.degenerate_ = bool(self._flat(model, state).any())
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
        if self._algorithm_class.update == "mle":
            return model.family.degenerate(state.stats)
        return model.family.degenerate(state.stats.pool())

    def _warn(self, model, state, fit, massless):
        flat = self._flat(model, state)
        if flat.any():
            who = f"components {np.flatnonzero(flat).tolist()} have" if len(flat) > 1 else "the rows as a whole have"
            warnings.warn(
                f"{who} data without spread in some direction (few distinct rows, constant or dependent columns): the "
                "covariance rests on the constraint or the prior there; lower n_components, drop the columns, or use "
                "MAPMixture",
                DegenerateComponentWarning,
                stacklevel=5,
            )
        if massless.any() and not self._upper_bound:
            warnings.warn(
                f"{int(massless.sum())} of {model.n_components} components ended without any weight and are left out; "
                "lower n_components or raise n_init",
                DegenerateComponentWarning,
                stacklevel=5,
            )
        if not fit.converged and self.max_iter > 0:
            warnings.warn(
                f"{type(self).__name__} did not converge in max_iter={self.max_iter} iterations; raise max_iter or tol",
                ConvergenceWarning,
                stacklevel=5,
            )

    def fit_predict(self, X, y=None, sample_weight=None):
        """Fit the mixture and return the rows' labels.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : Ignored
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        labels : int32 ndarray of shape (n_samples,)
        """
        return self.fit(X, sample_weight=sample_weight).labels_

    @classmethod
    def from_parameters(cls, *, family=None, **parameters):
        """Build a fitted mixture from known parameters, without data.

        Parameters
        ----------
        family : Family, default=None
            None means Gaussian().
        **parameters : array-like
            `weights` (equal where left out) and the family's parameters: `means` of shape (n_components, n_features)
            and `covariances` for Gaussian, `rates` for Poisson.

        Returns
        -------
        mixture : object
            Ready for predict, score, sample and warm_start.
        """
        family = Gaussian() if family is None else family
        values = next(np.atleast_2d(value) for name, value in parameters.items() if name != "weights")
        n_components, d = values.shape
        ones = np.ones(d)
        summary = Summary(d, 0.0, 0.0 * ones, ones, 0.0 * ones, ones, np.eye(d), np.zeros(d, dtype=bool))
        summary = family.summary_of_parameters(summary, parameters)
        mixture = cls(n_components=n_components, family=family)
        mixture.n_features_in_ = d
        mixture.family_ = family.bind(summary)
        mixture._log_weights, mixture._theta = theta_from_parameters(mixture.family_, n_components, parameters)
        mixture._posterior = None
        mixture.weights_ = np.exp(np.maximum(mixture._log_weights, LOG_ZERO))
        mixture.n_components_ = n_components
        for name, value in mixture.family_.attributes(mixture._theta).items():
            setattr(mixture, name, value)
        return mixture

    # -- using a fitted mixture ------------------------------------------------------------------

    def _query(self, X):
        """Source of validated rows, and how far rows beyond FAR were drawn in (None where none was)."""
        check_is_fitted(self, "_theta")
        X = self._validate(X, reset=False)
        self.family_.validate(X)
        summary = self.family_.summary_
        if self.family_.equivariance is None or max(X.max(), -X.min()) < FAR * summary.scale.min():
            return Source(X, None, self.family_), None
        # the quadratic term alone decides out there, so direction is all that labels need
        internal = X / summary.scale - summary.origin / summary.scale
        shrink = np.maximum(np.abs(internal).max(axis=1) / FAR, 1.0)
        X = summary.to_user(internal / shrink[:, None])
        return Source(X, None, self.family_), shrink

    def predict(self, X):
        """Label each row with its most probable component.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        labels : int32 ndarray of shape (n_samples,)
        """
        source, _ = self._query(X)
        labels = np.empty(len(source), dtype=np.int32)
        source.run(self._log_weights, self._theta, collect=False, assign="hard", labels=labels)
        return labels

    def predict_proba(self, X):
        """Responsibility of each component for each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        resp : ndarray of shape (n_samples, n_components_)
            Rows sum to one; of X's dtype.
        """
        source, _ = self._query(X)
        resp = np.empty((len(source), self.n_components_))
        source.run(self._log_weights, self._theta, collect=False, resp=resp)
        return resp.astype(source.X.dtype, copy=False)

    def predict_log_proba(self, X):
        """Log responsibilities, finite wherever a float can hold them.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        log_resp : ndarray of shape (n_samples, n_components_)
        """
        source, _ = self._query(X)
        scores, lse = np.empty((len(source), self.n_components_)), np.empty(len(source))
        source.run(self._log_weights, self._theta, collect=False, scores=scores, lse=lse)
        return (scores - lse[:, None]).astype(source.X.dtype, copy=False)

    def transform(self, X):
        """Responsibilities as features; the same as `predict_proba`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        resp : ndarray of shape (n_samples, n_components_)
        """
        return self.predict_proba(X)

    def fit_transform(self, X, y=None, sample_weight=None):
        """Fit the mixture and return the rows' responsibilities.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : Ignored
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        resp : ndarray of shape (n_samples, n_components_)
        """
        return self.fit(X, sample_weight=sample_weight).transform(X)

    def score_samples(self, X):
        """Log density of each row.

        The plug-in density for point estimates, the posterior predictive where theta is kept as a distribution.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        log_density : ndarray of shape (n_samples,)
        """
        source, shrink = self._query(X)
        density = np.empty(len(source))
        if self._predictive and self._posterior is not None:
            log_weights = np.log(self.weights_)
            for rows in source.blocks():
                internal = self.family_.summary_.to_internal(source.X[rows])
                scores = self.family_.log_predictive(self._posterior, internal)
                density[rows] = logsumexp(scores + log_weights, axis=1)
        else:
            source.run(self._log_weights, self._theta, collect=False, lse=density)
        for rows in source.blocks():
            density[rows] += self.family_.log_base_measure(source.X[rows])
        density -= self.family_.summary_.log_jacobian
        if shrink is not None:
            with np.errstate(over="ignore"):
                density = np.maximum(density * np.where(shrink > 1.0, shrink**2, 1.0), -np.finfo(np.float64).max)
        return density

    def score(self, X, y=None, sample_weight=None):
        """Weighted mean of the rows' log densities.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : Ignored
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        log_density : float
        """
        density = self.score_samples(X)
        if sample_weight is None:
            return float(density.mean())
        return float(np.average(density, weights=check_sample_weight(sample_weight, X)))

    def sample(self, n_samples=1, random_state=None):
        """Draw rows from the mixture with its point or expected parameters.

        Parameters
        ----------
        n_samples : int, default=1
        random_state : int, RandomState instance or None, default=None
            None means the estimator's own `random_state`; with an integer there every call draws the same rows.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
        labels : int32 ndarray of shape (n_samples,)
            Component of each row; rows come sorted by it.
        """
        check_is_fitted(self, "_theta")
        if not isinstance(n_samples, numbers.Integral) or n_samples < 1:
            raise ValueError(f"n_samples={n_samples!r} must be a whole number from 1 up")
        seed = self.random_state if random_state is None else random_state
        rng = np.random.default_rng(check_random_state(seed).randint(np.iinfo(np.int32).max))
        counts = rng.multinomial(n_samples, self.weights_ / self.weights_.sum())
        labels = np.repeat(np.arange(self.n_components_, dtype=np.int32), counts)
        return self.family_.sample(self._theta, counts, rng), labels

    def _n_parameters(self):
        """Number of free parameters, the weights included."""
        return self.family_.n_parameters(self.n_features_in_, self.n_components_) + self.n_components_ - 1

    def _criterion(self, X, sample_weight):
        """Minus twice the log-likelihood, and the total weight."""
        weight = np.ones(len(X)) if sample_weight is None else check_sample_weight(sample_weight, X)
        return -2.0 * float(weight @ self.score_samples(X)), float(weight.sum())

    def bic(self, X, sample_weight=None):
        """Bayesian information criterion, the lower the better: -2 log-likelihood + parameters x log(weight).

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        bic : float
        """
        deviance, weight = self._criterion(X, sample_weight)
        return deviance + self._n_parameters() * np.log(weight)

    def aic(self, X, sample_weight=None):
        """Akaike information criterion, the lower the better: -2 log-likelihood + 2 parameters.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        aic : float
        """
        return self._criterion(X, sample_weight)[0] + 2.0 * self._n_parameters()

    def icl(self, X, sample_weight=None):
        """Integrated completed likelihood in its BIC form, the lower the better.

        BIC - 2 sum log of each row's largest responsibility (Biernacki, Celeux & Govaert 2000), as in mclust with the
        sign turned round.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        icl : float
        """
        best = self.predict_log_proba(X).max(axis=1)
        weight = np.ones(len(best)) if sample_weight is None else check_sample_weight(sample_weight, X)
        return self.bic(X, sample_weight) - 2.0 * float(weight @ best)


def label_free_term(n_components, n_occupied):
    """Log of the number of labellings of one partition: log K! / (K - K_occupied)!."""
    return float(gammaln(n_components + 1.0) - gammaln(n_components - n_occupied + 1.0))
