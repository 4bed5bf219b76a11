"""Noise: rows that belong to no component, uniform over the data's volume."""

import copy
import numbers
from functools import cached_property, wraps
from typing import Any, NamedTuple

import numpy as np
from scipy.spatial import KDTree

from skem.canonical import canonical_rows
from skem.engine import Source
from skem.estimators.online import OnlineMixin
from skem.estimators.soft import SoftMixture
from skem.families import Gaussian
from skem.families.noise import WithNoise
from skem.inference.model import Model
from skem.portfolio import Portfolio

# Neighbours whose distance tells how dense the rows lie about one.
N_NEIGHBORS = 10
# Weight of the noise, relative to the components', at a start that gives it no rows.
LEAST_NOISE = 1e-3


class Box(NamedTuple):
    """The smaller of two boxes about the rows, along the columns or along their principal axes (as mclust's hypvol).

    Attributes
    ----------
    axes : ndarray of shape (d, d)
        Directions, one a column.
    low, high : ndarray of shape (d,)
        Bounds along them.
    """

    axes: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @classmethod
    def of(cls, source):
        """Box about the rows with weight."""
        weight = source.weight if source.weight is None else source.weight[source.weight > 0]
        X = source.X if source.weight is None else source.X[source.weight > 0]
        X = np.asarray(X, dtype=np.float64)
        axes = np.linalg.eigh(np.atleast_2d(np.cov(X.T, aweights=weight)))[1]
        boxes = [cls(turn, (X @ turn).min(axis=0), (X @ turn).max(axis=0)) for turn in (np.eye(X.shape[1]), axes)]
        constant = np.ptp(X, axis=0) == 0
        if constant.any():
            raise ValueError(
                f"noise needs a volume, and column {int(np.argmax(constant))} of X is constant: drop it, or noise"
            )
        return min(boxes, key=lambda box: box.log_volume)

    @property
    def log_volume(self):
        """Sum of the logarithms of its widths."""
        return float(np.log(self.high - self.low).sum())

    def sample(self, n, rng):
        """Rows (n, d) drawn evenly."""
        return rng.uniform(self.low, self.high, size=(n, len(self.low))) @ self.axes.T


def sparse_rows(X, sample_weight, share):
    """Flags of rows in the emptiest places, which hold about a share of the weight.

    A place is as empty as the radius that holds a row and `N_NEIGHBORS` more, columns in units of their spread.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    sample_weight : ndarray of shape (n,) or None
    share : float

    Returns
    -------
    flags : bool ndarray of shape (n,)
    """
    rows = canonical_rows(X, sample_weight)
    Z, weight = X[rows.index].astype(np.float64), rows.weight
    mean = weight @ Z / weight.sum()
    Z = (Z - mean) / np.sqrt(weight @ (Z - mean) ** 2 / weight.sum())
    nearest = np.arange(1, min(N_NEIGHBORS + 1, len(Z)) + 1)
    distance, neighbour = KDTree(Z).query(Z, nearest)
    held = np.cumsum(weight[neighbour], axis=1) > N_NEIGHBORS
    held[:, -1] = True  # where weights are small, the farthest that was looked at
    radius = np.asarray(distance)[np.arange(len(Z)), held.argmax(axis=1)]
    order = np.argsort(-radius, kind="stable")
    middle = np.cumsum(weight[order]) - 0.5 * weight[order]
    flags = np.zeros(len(Z) + 1, dtype=bool)  # the last for rows without weight, whose inverse is -1
    flags[order] = middle < share * weight.sum()
    return flags[rows.inverse]


class BoxedSource(Source):
    """Rows of a fit with noise, and the box about them."""

    @cached_property
    def box(self):
        """Box about the rows with weight."""
        return Box.of(self)


def _told(method):
    """Take the docstring of the method that is replaced."""
    return wraps(method, assigned=("__doc__",), updated=())


class NoisyMixture(OnlineMixin, SoftMixture):
    """Base of `EMMixture`: a noise component beside the others, last in all that has a column a component."""

    noise: Any
    noise_weight_: float
    _box: Any = None

    def _validate_parameters(self):
        super()._validate_parameters()
        if self.noise is None:
            return
        if isinstance(self.noise, numbers.Real) and not 0.0 < float(self.noise) < 1.0:
            raise ValueError(f"noise={self.noise!r} must be a share between 0 and 1, flags of the rows, or None")
        if not isinstance(self._family(), Gaussian) or self._family().heavy_tails:
            raise ValueError(f"noise goes with Gaussian components, and family is {self._family()!r}")
        other = {"n_active": None, "split_merge": False}
        for name, plain in other.items():
            if getattr(self, name) != plain:
                raise ValueError(f"noise does not go with {name}={getattr(self, name)!r}; set {name}={plain}")

    def _source(self, X, sample_weight, family):
        if self.noise is None:
            return super()._source(X, sample_weight, family)
        return BoxedSource(X, sample_weight, family)

    def _noise_flags(self, source):
        """Rows that start as noise."""
        if isinstance(self.noise, numbers.Real):
            return sparse_rows(source.X, source.weight, self.noise)
        flags = np.asarray(self.noise)
        if flags.dtype != bool or flags.shape != (len(source),):
            raise ValueError(f"noise must hold a bool for each of the {len(source)} rows, got {self.noise!r}")
        return flags

    def _infer(self, model, source, algorithm, rngs, warm, monitor):
        if self.noise is None:
            return super()._infer(model, source, algorithm, rngs, warm, monitor)
        X, weight = source.X, source.weight
        family = WithNoise(model.family, source.box.log_volume)
        noisy = Model.build(family, model.weights, model.n_components + 1, source)
        everything = Source(X, weight, family)
        if warm:
            portfolio = Portfolio(algorithm, noisy, algorithm.start)
            log_weights, theta = self._warm_start(model.family)
            given = everything.run(np.append(log_weights, self._log_noise_weight), theta)
            fit = algorithm.run(noisy, everything, portfolio.begin(noisy, given), monitor.begin())
            portfolio.add("warm start", fit)
            monitor.end(fit)
            return portfolio.best()._replace(model=model)
        flags = self._noise_flags(source)
        rest = Source(X[~flags], None if weight is None else weight[~flags], model.family)
        n_noise = float(flags.sum() if weight is None else weight[flags].sum())
        if rest.total_weight <= 0:
            raise ValueError("noise leaves no rows with weight to the components")
        plain = Model.build(model.family, model.weights, model.n_components, rest)
        portfolio = Portfolio(algorithm, plain, algorithm.start)
        twin = copy.copy(self)
        twin.init = self.init if isinstance(self.init, str | dict) else np.asarray(self.init)[~flags]
        for i in range(len(rngs)):
            for name, n_starts, given in twin._counted_starts(portfolio, rest, rngs[i:], warm, monitor):
                # noise without rows yet must not be without weight for ever
                n_k = np.append(given.n_k, max(n_noise, LEAST_NOISE * rest.total_weight))
                state = algorithm.start(noisy, given._replace(n_k=n_k))
                fit = algorithm.run(noisy, everything, state, monitor.begin())
                portfolio.add(name, fit, n_starts)
                if monitor.end(fit):
                    return portfolio.best()._replace(model=model)
        return portfolio.best()._replace(model=model)

    def _snapshot(self, model, source, fit):
        if self.noise is not None and fit.labels is None:
            noisy = Source(source.X, source.weight, WithNoise(model.family, source.box.log_volume))
            labels = np.empty(len(source), dtype=np.int32)
            noisy.run(fit.state.log_weights, fit.state.theta, collect=False, assign="hard", labels=labels)
            fit = fit._replace(labels=labels)
        return super()._snapshot(model, source, fit)

    def _publish(self, model, source, fit):
        self._box = None
        if self.noise is None:
            super()._publish(model, source, fit)
            return
        state, labels, K = fit.state, fit.labels, model.n_components
        kept = state._replace(
            log_weights=state.log_weights[:K],
            n_k=state.n_k[:K],
            weight_posterior=state.weight_posterior.take(np.arange(K)),
        )
        own = labels < K
        rest = Source(source.X[own], None if source.weight is None else source.weight[own], model.family)
        super()._publish(model, rest, fit._replace(state=kept, labels=labels[own], model=None))
        published = np.full(len(own), -1, dtype=np.int32)
        published[own] = self.labels_
        self.labels_ = published
        self.noise_weight_ = float(np.exp(state.log_weights[K]))
        self._box = source.box

    # -- predictions, told where they are defined --------------------------------------------------

    @property
    def _n_features_out(self):
        return self.n_components_ + (self._box is not None)

    @property
    def _log_noise_weight(self):
        """Log weight of the noise; a little where the mixture was fitted without."""
        return np.log(LEAST_NOISE if self._box is None else self.noise_weight_)

    @property
    def _log_noise(self):
        """Log density of the noise, its weight included."""
        return np.log(self.noise_weight_) - self._box.log_volume

    @_told(SoftMixture.score_samples)
    def score_samples(self, X):  # noqa: D102
        density = super().score_samples(X)
        return density if self._box is None else np.logaddexp(density, self._log_noise)

    @_told(SoftMixture.predict_log_proba)
    def predict_log_proba(self, X):  # noqa: D102
        log_resp = super().predict_log_proba(X)
        if self._box is None:
            return log_resp
        density = super().score_samples(X)
        total = np.logaddexp(density, self._log_noise)
        with np.errstate(over="ignore"):
            columns = log_resp + (density - total)[:, None], (self._log_noise - total)[:, None]
        return np.maximum(np.hstack(columns), np.finfo(log_resp.dtype).min).astype(log_resp.dtype, copy=False)

    @_told(SoftMixture.predict_proba)
    def predict_proba(self, X):  # noqa: D102
        return super().predict_proba(X) if self._box is None else np.exp(self.predict_log_proba(X))

    @_told(SoftMixture.predict)
    def predict(self, X):  # noqa: D102
        if self._box is None:
            return super().predict(X)
        labels = self.predict_log_proba(X).argmax(axis=1).astype(np.int32)
        return np.where(labels == self.n_components_, np.int32(-1), labels)

    def _n_parameters(self):
        # the weight of the noise and its volume, as in mclust
        return super()._n_parameters() + (2 if self._box is not None else 0)

    def _sample(self, n_samples, rng):
        if self._box is None:
            return super()._sample(n_samples, rng)
        n_noise = rng.binomial(n_samples, self.noise_weight_)
        X, labels = super()._sample(n_samples - n_noise, rng)
        return np.vstack([X, self._box.sample(n_noise, rng)]), np.append(labels, np.full(n_noise, -1, dtype=np.int32))

    def _partial_fit(self, X, sample_weight):
        if self._box is not None:
            raise ValueError("noise does not go with partial_fit, which never sees the volume of all rows; use fit")
        return super()._partial_fit(X, sample_weight)
