"""GaussianMixture: scikit-learn's, on skem's passes."""

from typing import Any, ClassVar

import numpy as np

from skem._compat import check_sample_weight
from skem.estimators.dropin_base import DropinMixture, check_positive
from skem.estimators.dropin_prediction import check_shape
from skem.inference.model import Model
from skem.inference.updates import State, update_mle
from skem.weights import DirichletWeights, safe_log


class GaussianMixture(DropinMixture):
    """Gaussian mixture fitted by EM: a drop-in for `sklearn.mixture.GaussianMixture`.

    Names, defaults, attributes, the stopping rule and the meaning of every number are scikit-learn's; nothing is
    pruned or reordered. What differs is listed, with reasons, in the guide's page on drop-ins; the ones to know:
    `reg_covar` is relative to the data's variance, starts depend neither on the units of columns nor on the order
    of rows, and `fit` and `score` take weights.

    Parameters
    ----------
    n_components : int, default=1
    covariance_type : {"full", "tied", "diag", "spherical"}, default="full"
    tol : float, default=1e-3
        A run has converged when the mean log-likelihood changes by less than this.
    reg_covar : float, default=1e-6
        Share of the variance of column j that is added to entry j of the diagonal of covariances.
    max_iter : int, default=100
        Most iterations of a run; 0 publishes the start.
    n_init : int, default=1
        Number of starts; the highest bound is kept.
    init_params : {"kmeans", "k-means++", "random", "random_from_data"}, default="kmeans"
        Rows start with the nearest centre of k-means, the nearest k-means++ seed, random responsibilities, or the
        nearest of some rows chosen at random. Distances are taken in units of the columns' spread.
    weights_init : array-like of shape (n_components,), default=None
    means_init : array-like of shape (n_components, n_features), default=None
    precisions_init : array-like, default=None
        Of the shape of `precisions_`. These three replace the start's values.
    random_state : int, RandomState instance or None, default=None
    warm_start : bool, default=False
        Whether a further fit goes on from the mixture fitted before.
    verbose : int, default=0
        1 prints starts and iterations, 2 also bounds.
    verbose_interval : int, default=10
        Iterations between two lines.

    Attributes
    ----------
    weights_ : ndarray of shape (n_components,)
    means_ : ndarray of shape (n_components, n_features)
    covariances_, precisions_, precisions_cholesky_ : ndarray
        Of shape (n_components, n_features, n_features), (n_features, n_features), (n_components, n_features) or
        (n_components,), by `covariance_type`; the product of a Cholesky factor with its transpose is the precision.
        Prediction reads `weights_`, `means_` and `precisions_cholesky_`, also where they were set by hand.
    converged_ : bool
    n_iter_ : int
    lower_bound_ : float
        Mean log-likelihood at the last step.
    lower_bounds_ : list of float
        The same at each step.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (`n_features_in_`,)

    See Also
    --------
    EMMixture : Constrained maximum likelihood for any family, the general tool.
    BayesianGaussianMixture : Variational inference.

    Examples
    --------
    >>> import numpy as np
    >>> from skem import GaussianMixture
    >>> X = np.array([[1, 2], [1, 4], [2, 0], [10, 12], [10, 14], [11, 10]])
    >>> mixture = GaussianMixture(n_components=2, random_state=0).fit(X)
    >>> np.sort(mixture.means_[:, 0]).round(2)
    array([ 1.33, 10.33])
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **DropinMixture._parameter_constraints,
        "weights_init": ["array-like", None],
        "means_init": ["array-like", None],
        "precisions_init": ["array-like", None],
    }
    _read = ("weights_", "means_", "precisions_cholesky_")

    def __init__(
        self,
        n_components=1,
        *,
        covariance_type="full",
        tol=1e-3,
        reg_covar=1e-6,
        max_iter=100,
        n_init=1,
        init_params="kmeans",
        weights_init=None,
        means_init=None,
        precisions_init=None,
        random_state=None,
        warm_start=False,
        verbose=0,
        verbose_interval=10,
    ):
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.tol = tol
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_params = init_params
        self.weights_init = weights_init
        self.means_init = means_init
        self.precisions_init = precisions_init
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.verbose_interval = verbose_interval

    def _check_init(self, family):
        """Given weights, means and precisions, checked; None where they are not given."""
        K, d = self.n_components, family.summary_.n_features
        weights, means, precisions = self.weights_init, self.means_init, self.precisions_init
        if weights is not None:
            weights = check_shape(weights, (K,), "weights")
            if (weights < 0).any() or (weights > 1).any():
                raise ValueError(
                    f"The parameter 'weights' should be in the range [0, 1], but got max value {weights.max():.5f}, "
                    f"min value {weights.min():.5f}"
                )
            if not np.isclose(weights.sum(), 1.0, rtol=0.0, atol=1e-6):
                raise ValueError(
                    f"The parameter 'weights' should be normalized, but got sum(weights) = {weights.sum():.5f}"
                )
        if means is not None:
            means = check_shape(means, (K, d), "means")
        if precisions is not None:
            name = f"{self.covariance_type} precision"
            precisions = check_shape(precisions, family.shape(K, d), name)
            check_positive(precisions, self.covariance_type, name)
        return weights, means, precisions

    def _model(self, source):
        self._check_init(source.family)
        return Model.build(source.family, DirichletWeights(1.0), self.n_components, source)

    def _begin(self, model, source, rng):
        family = model.family
        weights, means, precisions = self._check_init(family)
        state: Any = None
        if weights is None or means is None or precisions is None:
            given = self._given(source, rng)
            state = update_mle(model, given.stats, given.n_k)
        theta: Any = None if state is None else state.theta
        mean = theta.mean if means is None else family.summary_.to_internal(means)
        factor = theta.factor if precisions is None else family.factor_of_precision(precisions)
        log_weights = state.log_weights if weights is None else safe_log(weights)
        return State(None, family.point(mean, factor), None, log_weights, None, None, 0.0, 0.0)

    def _step(self, model, state, result):
        bound = (result.score + model.log_base) / self._per(model)
        return update_mle(model, result.stats, result.n_k, state.theta), bound

    def _per(self, model):
        return model.total_weight

    def _steps(self, model):
        steps = model.family.mle_step(model.n_components), model.weights.mle_step(model.n_components)
        return None if None in steps else steps

    def _publish_state(self, model, state):
        weights = np.exp(state.log_weights)
        self.weights_ = weights / weights.sum()

    def _theta(self, family, mean, factor):
        return safe_log(self.weights_), family.point(mean, factor)

    def _n_parameters(self):
        """Count the free parameters, the weights included."""
        K, d = np.shape(self.means_)
        return self._mixture().family.n_parameters(d, K) + K - 1

    def _criterion(self, X, sample_weight):
        """Minus twice the log-likelihood, and the total weight."""
        density = self.score_samples(X)
        weight = np.ones(len(density))
        if sample_weight is not None:
            weight = check_sample_weight(sample_weight, density)
        return -2.0 * float(weight @ density), float(weight.sum())

    def bic(self, X, sample_weight=None):
        """Bayesian information criterion, the lower the better.

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
        """Akaike information criterion, the lower the better.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        aic : float
        """
        return self._criterion(X, sample_weight)[0] + 2.0 * self._n_parameters()
