"""What the two Gaussian drop-ins share: scikit-learn's contract around skem's passes."""

import numbers
from typing import Any, ClassVar, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from skem._compat import (
    Interval,
    StrOptions,
    check_sample_weight,
    single_blas_thread,
    unchanged_on_failure,
    validate_parameters,
    validate_rows,
)
from skem._kernels.ascent import Change
from skem.canonical import canonical_rows
from skem.engine import Source
from skem.estimators.doclink import DocLinkMixin
from skem.estimators.dropin_family import SklearnGaussian
from skem.estimators.pickling import PickleMixin
from skem.estimators.prediction import bounded_source, whole_density
from skem.exceptions import DegenerateComponentWarning, name_flat, warn
from skem.families.covariance import CLASSIC
from skem.inference.base import State
from skem.starts import start
from skem.suffstats import Parameters
from skem.summary import summarize

# scikit-learn's names of starts and skem's; "random" draws responsibilities and has no twin there.
STARTS = {"kmeans": "k-means", "k-means++": "k-means++", "random_from_data": "random"}


class Mixture(NamedTuple):
    """What prediction needs: a bound family, log weights and theta."""

    family: SklearnGaussian
    log_weights: np.ndarray
    theta: Parameters


class Run(NamedTuple):
    """Outcome of one start."""

    state: State
    bound: float
    bounds: list[float]
    n_iter: int
    converged: bool


def check_range(variances, precisions):
    """Raise ValueError where either cannot be written in float64."""
    if not (np.isfinite(variances).all() and np.isfinite(precisions).all()):
        raise ValueError("the columns' variances or their inverses leave the range of float64: rescale X")


def check_shape(value, shape, name):
    """Float64 array of a parameter, or ValueError where its shape or a number in it is wrong."""
    value = np.asarray(value, dtype=np.float64)
    if value.shape != shape:
        raise ValueError(f"The parameter '{name}' should have the shape of {shape}, but got {value.shape}")
    if not np.isfinite(value).all():
        raise ValueError(f"The parameter '{name}' holds NaN or infinity")
    return value


def check_positive(value, covariance_type, name):
    """Raise ValueError where precisions or scatters are not positive (definite)."""
    if CLASSIC[covariance_type].collect != "full":
        if (value <= 0).any():
            raise ValueError(f"'{name}' should be positive for covariance_type={covariance_type!r}")
        return
    for matrix in value if value.ndim == 3 else value[None]:
        # unit diagonal first: eigenvalues of matrices in mixed units drown in rounding
        diagonal = np.diag(matrix)
        root = np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
        relative = matrix / root[:, None] / root
        if not ((diagonal > 0).all() and np.allclose(relative, relative.T) and np.linalg.eigvalsh(relative)[0] > 0):
            raise ValueError(f"'{name}' should be symmetric, positive-definite for covariance_type={covariance_type!r}")


class DropinMixture(DocLinkMixin, PickleMixin, DensityMixin, BaseEstimator):
    """Base of `GaussianMixture` and `BayesianGaussianMixture`."""

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "n_components": [Interval(numbers.Integral, 1, None, closed="left")],
        "covariance_type": [StrOptions(set(CLASSIC))],
        "tol": [Interval(numbers.Real, 0.0, None, closed="left")],
        "reg_covar": [Interval(numbers.Real, 0.0, None, closed="left")],
        "max_iter": [Interval(numbers.Integral, 0, None, closed="left")],
        "n_init": [Interval(numbers.Integral, 1, None, closed="left")],
        "init_params": [StrOptions({*STARTS, "random"})],
        "random_state": ["random_state"],
        "warm_start": ["boolean"],
        "verbose": ["verbose"],
        "verbose_interval": [Interval(numbers.Integral, 1, None, closed="left")],
    }

    #: whether a pass's bound is that of the update after it
    _late = False
    #: public attributes that prediction reads
    _read: tuple[str, ...] = ()

    def _model(self, source):
        """Model of the rows."""
        raise NotImplementedError

    def _begin(self, model, source, rng):
        """State at the start of a run."""
        raise NotImplementedError

    def _step(self, model, state, result):
        """State after a pass, and its bound."""
        raise NotImplementedError

    def _per(self, model):
        """What bounds are divided by."""
        return 1.0

    def _steps(self, model):
        """Compiled updates of family and weights, or None where `_step` alone makes them."""

    def _publish_state(self, model, state):
        """Set the attributes that only one of the drop-ins has."""
        raise NotImplementedError

    def _theta(self, family, mean, factor):
        """Log weights and theta of the public attributes, means and factors given in `family`'s coordinates."""
        raise NotImplementedError

    # -- fitting ---------------------------------------------------------------------------------

    def fit(self, X, y=None, sample_weight=None):
        """Fit the mixture.

        Runs `n_init` times, each until the bound changes by less than `tol`, and keeps the best run. With
        ``warm_start=True`` a further call goes on from the mixture fitted before.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : Ignored
            Present for scikit-learn's API.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights >= 0: weight 2 equals the row twice, weight 0 its absence.

        Returns
        -------
        self : object
            A fit that fails leaves the object as it was.
        """
        with unchanged_on_failure(self), single_blas_thread():
            self._fit(X, sample_weight)
        return self

    def _validate(self, X, sample_weight):
        X = validate_rows(self, X, ensure_min_samples=2)
        if sample_weight is not None:
            sample_weight = np.ascontiguousarray(check_sample_weight(sample_weight, X))
        n = len(X) if sample_weight is None else np.count_nonzero(sample_weight)
        if n < self.n_components:
            raise ValueError(
                f"Expected n_samples >= n_components but got n_components = {self.n_components}, n_samples = {n}"
            )
        return X, sample_weight

    def _fit(self, X, sample_weight):
        validate_parameters(self, self._parameter_constraints)
        before = self._mixture() if self.warm_start and hasattr(self, "converged_") else None
        X, sample_weight = self._validate(X, sample_weight)
        if before is not None and before.theta.mean.shape != (self.n_components, X.shape[1]):
            raise ValueError(
                f"warm_start: the fitted mixture has {before.theta.mean.shape[0]} components and "
                f"{before.theta.mean.shape[1]} features, n_components={self.n_components} and X has {X.shape[1]}; "
                "fit with warm_start=False"
            )
        family = SklearnGaussian(self.covariance_type, reg_covar=self.reg_covar)
        summary = summarize(X, sample_weight, family.equivariance)
        with np.errstate(over="ignore", under="ignore"):
            check_range(summary.scale**2, summary.scale**-2.0)
        family = family.bind(summary)
        source = Source(X, sample_weight, family)
        model = self._model(source)
        best = None
        if before is not None:
            theta = family.carry(before.theta, before.family.summary_)
            state = State(None, theta, None, before.log_weights, None, None, 0.0, 0.0)
            best = self._run(model, source, state, self.lower_bound_, 0)
        else:
            generator = check_random_state(self.random_state)
            for run, seed in enumerate(generator.randint(np.iinfo(np.int32).max, size=self.n_init)):
                state = self._begin(model, source, np.random.default_rng(seed))
                fit = self._run(model, source, state, -np.inf, run)
                if best is None or fit.bound > best.bound:
                    best = fit
        self._warn(model, best)
        self._publish(model, best)

    def _given(self, source, rng):
        """Statistics of the start that `init_params` names."""
        n_components = self.n_components
        if self.init_params in STARTS:
            return start(source, n_components, STARTS[self.init_params], rng)
        # equal rows share their responsibilities, so that weights and repetition stay the same thing
        rows = canonical_rows(source.X, source.weight)
        drawn = rng.random((len(rows.index), n_components))
        return source.assign_given(n_components, resp=drawn[np.maximum(rows.inverse, 0)])

    def _run_compiled(self, model, source, state, bound, steps):
        """The same as `_run` by compiled steps."""
        per = self._per(model)
        convergence = Change(self.tol, per, bound)
        labels = np.empty(len(source), dtype=np.int32)
        bounds: list[float] = []
        converged = False
        while not converged and len(bounds) < self.max_iter:
            left = self.max_iter - len(bounds)
            values, converged, ended, before, last = source.ascend(
                steps, state.log_weights, state.theta, convergence=convergence, penalty=0.0, constant=model.log_base,
                max_updates=left, patience=np.inf, labels=labels, late=self._late,
            )  # fmt: skip
            # every pass is followed by an update, so that one more pass than wanted has told the last one's
            converged = converged and len(values) <= left
            for result in (before, last):
                if result is not None:
                    state, bound = self._step(model, state, result)
            bounds += [value / per for value in values[:left]]
            if self._late and not ended:
                bounds.append(bound)
                converged = convergence.update(bound * per)
        return Run(state, bounds[-1] if bounds else bound, bounds, len(bounds), converged)

    def _run(self, model, source, state, bound, number):
        """Iterate from `state`; stops where the bound changes by less than `tol`."""
        if not self.verbose and (steps := self._steps(model)) is not None:
            return self._run_compiled(model, source, state, bound, steps)
        if self.verbose:
            print(f"Initialization {number}")  # noqa: T201
        bounds, converged = [], False
        for n_iter in range(1, self.max_iter + 1):
            result = source.run(state.log_weights, state.theta)
            previous = bound
            state, bound = self._step(model, state, result)
            bounds.append(bound)
            if self.verbose and n_iter % self.verbose_interval == 0:
                change = f"\t bound change {bound - previous:.5f}" if self.verbose > 1 else ""
                print(f"  Iteration {n_iter}{change}")  # noqa: T201
            if abs(bound - previous) < self.tol:
                converged = True
                break
        if self.verbose:
            ending = f"\t lower bound {bound:.5f}" if self.verbose > 1 else ""
            print(f"Initialization {'converged' if converged else 'did not converge'}.{ending}")  # noqa: T201
        return Run(state, bound, bounds, len(bounds), converged)

    def _flat(self, model, state):
        """Components whose data have no spread of their own in some direction."""
        return model.family.degenerate(state.stats)

    def _warn(self, model, best):
        if not best.converged and self.max_iter > 0:
            warn(
                "Best performing initialization did not converge. Try different init parameters, or increase "
                "max_iter, tol, or check for degenerate data.",
                ConvergenceWarning,
            )
        if best.state.stats is not None and np.any(flat := self._flat(model, best.state)):
            warn(
                f"{name_flat(flat)}: the covariance rests on reg_covar or the prior there",
                DegenerateComponentWarning,
            )
        elif model.family.summary_.n_distinct < model.n_components:
            warn(
                f"X has {model.family.summary_.n_distinct} distinct rows for {model.n_components} components: lower "
                "n_components",
                DegenerateComponentWarning,
            )

    def _publish(self, model, best):
        family, state = model.family, best.state
        self.means_ = family.summary_.to_user(state.theta.mean)
        self.precisions_cholesky_ = root = family.precisions_cholesky(state.theta)
        full = CLASSIC[self.covariance_type].collect == "full"
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            self.covariances_ = family.covariances(state.theta)
            self.precisions_ = root @ np.swapaxes(root, -1, -2) if full else root**2
        check_range(self.covariances_, self.precisions_)
        self._publish_state(model, state)
        self.converged_ = best.converged
        self.n_iter_ = best.n_iter
        self.lower_bound_ = best.bound
        self.lower_bounds_ = best.bounds
        # what the public attributes have been rounded from; it serves while they keep their values
        self._fitted = (self._values(), Mixture(family, state.log_weights, state.theta))

    def fit_predict(self, X, y=None, sample_weight=None):
        """Fit the mixture and return the rows' labels.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : Ignored
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        labels : ndarray of shape (n_samples,)
        """
        return self.fit(X, sample_weight=sample_weight).predict(X)

    # -- using the public attributes -------------------------------------------------------------

    def _values(self):
        """Copy what prediction depends on."""
        return [self.covariance_type, *(np.array(getattr(self, name), dtype=np.float64) for name in self._read)]

    def _mixture(self):
        """Mixture that the public attributes describe, whether a fit or the user set them."""
        missing = [name for name in self._read if not hasattr(self, name)]
        if missing:
            raise NotFittedError(
                f"This {type(self).__name__} instance is not fitted yet: it lacks {', '.join(missing)}. Call 'fit', "
                "or set these attributes."
            )
        values = self._values()
        known = self.__dict__.get("_fitted")
        if known is not None and all(map(np.array_equal, known[0], values)):
            return known[1]
        means = np.asarray(self.means_, dtype=np.float64)
        if means.ndim != 2:
            raise ValueError(f"means_ has shape {means.shape}, it needs (n_components, n_features)")
        plain = SklearnGaussian(self.covariance_type)
        root = check_shape(self.precisions_cholesky_, plain.shape(*means.shape), "precisions_cholesky_")
        matrices = CLASSIC[self.covariance_type].collect == "full"
        if not ((np.einsum("...ii->...i", root) if matrices else root) > 0).all():
            raise ValueError("precisions_cholesky_ needs positive numbers on its diagonal")
        family = plain.bind_to_parameters(means, root)
        mean, factor = family.summary_.to_internal(means), family.factor_of_cholesky(root)
        mixture = Mixture(family, *self._theta(family, mean, factor))
        if mixture.log_weights.shape != (len(means),):
            raise ValueError(f"{self._read[0]} does not fit means_ of shape {means.shape}")
        self._fitted = (values, mixture)
        return mixture

    def _query(self, X):
        check_is_fitted(self)
        mixture = self._mixture()
        X = validate_rows(self, X, reset=False)
        if X.shape[1] != mixture.theta.mean.shape[1]:
            raise ValueError(f"X has {X.shape[1]} features, means_ has {mixture.theta.mean.shape[1]}")
        return mixture, *bounded_source(X, mixture.family)

    def predict(self, X):
        """Label each row with its most probable component.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        labels : ndarray of shape (n_samples,)
        """
        mixture, source, _ = self._query(X)
        labels = np.empty(len(source), dtype=np.int32)
        source.run(mixture.log_weights, mixture.theta, collect=False, assign="hard", labels=labels)
        return labels.astype(np.intp)

    def predict_proba(self, X):
        """Responsibility of each component for each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        resp : ndarray of shape (n_samples, n_components)
            Rows sum to one; of X's dtype.
        """
        mixture, source, _ = self._query(X)
        resp = np.empty((len(source), len(mixture.log_weights)))
        source.run(mixture.log_weights, mixture.theta, collect=False, resp=resp)
        return resp.astype(source.X.dtype, copy=False)

    def score_samples(self, X):
        """Log density of each row; for the Bayesian mixture, as in scikit-learn, at expected log parameters.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        log_density : ndarray of shape (n_samples,)
        """
        mixture, source, drawn = self._query(X)
        density = np.empty(len(source))
        source.run(mixture.log_weights, mixture.theta, collect=False, lse=density)
        return whole_density(source, density, drawn)

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
        weight = None if sample_weight is None else check_sample_weight(sample_weight, density)
        return float(np.average(density, weights=weight))

    def sample(self, n_samples=1, random_state=None):
        """Draw rows from `weights_`, `means_` and `covariances_`.

        Parameters
        ----------
        n_samples : int, default=1
        random_state : int, RandomState instance or None, default=None
            None means the estimator's own `random_state`; with an integer there every call draws the same rows.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
        labels : ndarray of shape (n_samples,)
            Component of each row; rows come sorted by it.
        """
        check_is_fitted(self)
        if not isinstance(n_samples, numbers.Integral) or n_samples < 1:
            raise ValueError(f"Invalid value for 'n_samples': {n_samples!r}. At least one sample is required.")
        rng = check_random_state(self.random_state if random_state is None else random_state)
        weights = np.asarray(self.weights_, dtype=np.float64)
        counts = rng.multinomial(n_samples, weights / weights.sum())
        labels = np.repeat(np.arange(len(weights)), counts)
        means = np.asarray(self.means_, dtype=np.float64)[labels]
        noise = rng.standard_normal(means.shape)
        covariances = self.covariances_
        if not hasattr(self, "covariances_"):
            mixture = self._mixture()
            covariances = mixture.family.covariances(mixture.theta)
        if self.covariance_type == "tied":
            return means + noise @ np.linalg.cholesky(covariances).T, labels
        if self.covariance_type == "full":
            stops = np.cumsum(counts)
            for root, stop, count in zip(np.linalg.cholesky(covariances), stops, counts, strict=True):
                noise[stop - count : stop] = noise[stop - count : stop] @ root.T
            return means + noise, labels
        spread = np.sqrt(covariances)[labels]
        return means + noise * (spread if spread.ndim == 2 else spread[:, None]), labels
