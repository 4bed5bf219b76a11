"""What a fitted mixture answers: labels, responsibilities, densities, criteria and new rows."""

import numbers
from typing import Any

import numpy as np
from scipy.special import logsumexp
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from skem._compat import check_sample_weight
from skem.engine import Source
from skem.estimators.far import FAR, LOOK, bounded_source, far_density, whole_density
from skem.weights import safe_log


def log_responsibilities(source, log_weights, theta):
    """Log responsibilities of a source's rows.

    Parameters
    ----------
    source : Source
    log_weights : ndarray of shape (n_components,)
    theta : Parameters

    Returns
    -------
    log_resp : ndarray of shape (n_samples, n_components)
    """
    scores = np.empty((len(source), len(log_weights)))
    source.run(log_weights, theta, collect=False, scores=scores)
    # the largest is taken off first: far out, the logarithm of the sum of ties would drown in it
    scores -= scores.max(axis=1, keepdims=True)
    return scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))


class PredictionMixin:
    """Methods of a fitted mixture that take rows and change nothing."""

    # what the mixture itself brings
    family_: Any
    weights_: Any
    n_components_: int
    n_features_in_: int
    random_state: Any
    _validate: Any
    _theta: Any
    _posterior: Any
    _log_weights: Any
    _predictive: bool

    def _query(self, X):
        """Source of validated rows, and the `DrawnIn` of those too far out (or None)."""
        check_is_fitted(self, "_theta")
        X = self._validate(X, reset=False)
        self.family_.validate(X)
        return bounded_source(X, self.family_)

    # what an estimator that keeps many draws of theta does in its own way; sources are in, base measures left out

    def _resp(self, source):
        """Responsibilities of a source's rows."""
        resp = np.empty((len(source), self.n_components_))
        source.run(self._log_weights, self._theta, collect=False, resp=resp)
        return resp

    def _log_resp(self, source):
        """Log responsibilities of a source's rows."""
        return log_responsibilities(source, self._log_weights, self._theta)

    def _log_density(self, source):
        """Log plug-in density of a source's rows."""
        density = np.empty(len(source))
        source.run(self._log_weights, self._theta, collect=False, lse=density)
        return density

    def _sample(self, n_samples, rng):
        """Rows sorted by component, and their labels."""
        counts = rng.multinomial(n_samples, self.weights_ / self.weights_.sum())
        labels = np.repeat(np.arange(self.n_components_, dtype=np.int32), counts)
        return self.family_.sample(self._theta, counts, rng), labels

    def predict(self, X):
        """Label each row with its most probable component.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        labels : int32 ndarray of shape (n_samples,)
            Positions in `weights_`.
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
            Rows, however far from the data.

        Returns
        -------
        resp : ndarray of shape (n_samples, `n_components_`)
            Rows sum to one; of X's dtype.
        """
        source, _ = self._query(X)
        return self._resp(source).astype(source.X.dtype, copy=False)

    def predict_log_proba(self, X):
        """Log responsibilities, finite even where the responsibilities are zero.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, however far from the data.

        Returns
        -------
        log_resp : ndarray of shape (n_samples, `n_components_`)
            Of X's dtype, the lowest number of which stands for all below.
        """
        source, drawn = self._query(X)
        log_resp = self._log_resp(source)
        if drawn is not None and self.family_.fall(self._theta) is None:
            # ties are no matter of distance; what else differs at this distance is the quadratic term
            far = log_resp[drawn.rows]
            log_resp[drawn.rows] = np.where(far < -np.exp2(FAR), drawn.stretch(far), far)
        dtype = source.X.dtype
        return np.maximum(log_resp, np.finfo(dtype).min).astype(dtype, copy=False)

    def _predictive_density(self, source):
        """Log posterior predictive density of a source's rows, in the user's units."""
        family, density = self.family_, np.empty(len(source))
        log_weights = safe_log(self.weights_)
        for rows in source.blocks():
            internal = family.summary_.to_internal(source.X[rows])
            density[rows] = logsumexp(family.log_predictive(self._posterior, internal) + log_weights, axis=1)
        return whole_density(source, density)

    def score_samples(self, X):
        """Log density of each row.

        The plug-in density for point estimates, the posterior predictive where theta is kept as a distribution.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, however far from the data.

        Returns
        -------
        log_density : ndarray of shape (n_samples,)
            In the user's units; the lowest float stands for all below.
        """
        source, drawn = self._query(X)
        if not self._predictive or self._posterior is None:
            density, power = self._log_density(source), self.family_.fall(self._theta)
            if drawn is None or power is None:
                return whole_density(source, density, drawn)
            density[drawn.rows] = far_density(source, drawn, self._log_weights, self._theta, power)
            return whole_density(source, density)
        density = self._predictive_density(source)
        if drawn is not None:
            # a power of the distance: its slope in the logarithm, seen between two points, leads on
            far = density[drawn.rows]
            nearer = self._predictive_density(Source(drawn.near(LOOK), None, self.family_))
            density[drawn.rows] = far + (far - nearer) * (drawn.halvings / LOOK)
        return density

    def score(self, X, y=None, sample_weight=None):
        """Weighted mean of the rows' log densities.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        y : Ignored
            Present for scikit-learn's API.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights >= 0, not all zero; None means 1 for each row.

        Returns
        -------
        log_density : float
            Log density per unit of weight.
        """
        density, weight = self._weighted_density(X, sample_weight)
        return float(weight @ density / weight.sum())

    def _weighted_density(self, X, sample_weight):
        """Log density and weight of each row."""
        density = self.score_samples(X)
        return density, check_sample_weight(sample_weight, density)

    def _n_parameters(self):
        """Count the free parameters, the weights included."""
        return self.family_.n_parameters(self.n_features_in_, self.n_components_) + self.n_components_ - 1

    def bic(self, X, sample_weight=None):
        """Bayesian information criterion, the lower the better: -2 log-likelihood + parameters x log(total weight).

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, those of the fit as a rule.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights >= 0, not all zero; None means 1 for each row.

        Returns
        -------
        bic : float
            The criterion (Schwarz 1978).
        """
        density, weight = self._weighted_density(X, sample_weight)
        return float(-2.0 * (weight @ density) + self._n_parameters() * np.log(weight.sum()))

    def aic(self, X, sample_weight=None):
        """Akaike information criterion, the lower the better: -2 log-likelihood + 2 parameters.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, those of the fit as a rule.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights >= 0, not all zero; None means 1 for each row.

        Returns
        -------
        aic : float
            The criterion (Akaike 1974).
        """
        density, weight = self._weighted_density(X, sample_weight)
        return float(-2.0 * (weight @ density) + 2.0 * self._n_parameters())

    def icl(self, X, sample_weight=None):
        """Integrated completed likelihood in its BIC form, the lower the better.

        BIC - 2 sum_n w_n log(largest responsibility of row n), as in mclust with the sign turned round.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, those of the fit as a rule.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights >= 0, not all zero; None means 1 for each row.

        Returns
        -------
        icl : float
            The criterion (Biernacki, Celeux & Govaert 2000).
        """
        best = self.predict_log_proba(X).max(axis=1).astype(np.float64)
        weight = check_sample_weight(sample_weight, best)
        return float(self.bic(X, sample_weight) - 2.0 * (weight @ best))

    def sample(self, n_samples=1, random_state=None):
        """Draw rows from the mixture with its point or expected parameters.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows.
        random_state : int, RandomState instance or None, default=None
            None means the estimator's own `random_state`; with an integer there every call draws the same rows.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            Rows, sorted by component.
        labels : int32 ndarray of shape (n_samples,)
            Component of each row.

        Raises
        ------
        ValueError
            If n_samples is no whole number from 1 up.
        """
        check_is_fitted(self, "_theta")
        if not isinstance(n_samples, numbers.Integral) or n_samples < 1:
            raise ValueError(f"n_samples={n_samples!r} must be a whole number from 1 up")
        seed = self.random_state if random_state is None else random_state
        rng = np.random.default_rng(check_random_state(seed).randint(np.iinfo(np.int32).max))
        return self._sample(n_samples, rng)
