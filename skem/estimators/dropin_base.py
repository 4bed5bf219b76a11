"""What the two Gaussian drop-ins share: scikit-learn's contract around skem's passes."""

import numbers
from typing import Any, ClassVar, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state

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
from skem.estimators.columns import column_names
from skem.estimators.doclink import DocLinkMixin
from skem.estimators.dropin_family import SklearnGaussian
from skem.estimators.dropin_prediction import DropinPredictionMixin, Mixture
from skem.estimators.pickling import PickleMixin
from skem.exceptions import DegenerateComponentWarning, name_flat, warn
from skem.families.covariance import CLASSIC
from skem.inference.updates import State
from skem.starts import start
from skem.summary import summarize

# scikit-learn's names of starts and skem's; "random" draws responsibilities and has no twin there.
STARTS = {"kmeans": "k-means", "k-means++": "k-means++", "random_from_data": "random"}


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


class DropinMixture(DropinPredictionMixin, DocLinkMixin, PickleMixin, DensityMixin, BaseEstimator):
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
            constant = column_names(self, model.family.constant_columns())
            warn(
                f"{name_flat(flat, constant)}: the covariance rests on reg_covar or the prior there",
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
