"""What a Gaussian drop-in answers from its public attributes, whether a fit or the user set them."""

import numbers
from typing import Any, NamedTuple

import numpy as np
from sklearn.exceptions import NotFittedError
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from skem._compat import check_sample_weight, validate_rows
from skem.estimators.dropin_family import SklearnGaussian
from skem.estimators.far import bounded_source, whole_density
from skem.families.covariance import CLASSIC
from skem.suffstats import Parameters


class Mixture(NamedTuple):
    """What prediction needs: a bound family, log weights and theta."""

    family: SklearnGaussian
    log_weights: np.ndarray
    theta: Parameters


def check_shape(value, shape, name):
    """Float64 array of a parameter, or ValueError where its shape or a number in it is wrong."""
    value = np.asarray(value, dtype=np.float64)
    if value.shape != shape:
        raise ValueError(f"The parameter '{name}' should have the shape of {shape}, but got {value.shape}")
    if not np.isfinite(value).all():
        raise ValueError(f"The parameter '{name}' holds NaN or infinity")
    return value


class DropinPredictionMixin:
    """Methods of a drop-in that take rows and change nothing."""

    #: public attributes that prediction reads
    _read: tuple[str, ...] = ()
    # what the drop-in itself brings
    covariance_type: str
    random_state: Any
    weights_: Any
    means_: Any
    covariances_: Any
    precisions_cholesky_: Any

    def _theta(self, family, mean, factor):
        """Log weights and theta of the public attributes, means and factors given in `family`'s coordinates."""
        raise NotImplementedError

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
