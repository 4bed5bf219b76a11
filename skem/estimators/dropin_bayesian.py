"""BayesianGaussianMixture: scikit-learn's, on skem's passes and exact variational updates."""

import numbers
from typing import Any, ClassVar

import numpy as np

from skem._compat import Interval, StrOptions
from skem.estimators.dropin_base import DropinMixture, check_positive
from skem.estimators.dropin_prediction import check_shape
from skem.inference.model import Model
from skem.inference.updates import update_expect
from skem.weights import DirichletWeights, StickBreakingWeights

WEIGHT_PRIORS = {"dirichlet_process": StickBreakingWeights, "dirichlet_distribution": DirichletWeights}


def _moments(source):
    """Weighted mean and covariance (divisor: weight - 1) of all rows, in internal coordinates."""
    summary = source.family.summary_
    d, total = summary.n_features, source.total_weight
    # about the origin first, then about the mean: far outliers cost no digits
    mean = np.zeros(d)
    for rows in source.blocks():
        weight = None if source.weight is None else source.weight[rows]
        block = summary.to_internal(source.X[rows])
        mean += block.sum(axis=0) if weight is None else weight @ block
    mean /= total
    scatter = np.zeros((d, d))
    for rows in source.blocks():
        block = summary.to_internal(source.X[rows]) - mean
        weighted = block if source.weight is None else source.weight[rows, None] * block
        scatter += weighted.T @ block
    return mean, scatter / (total - 1.0 if total > 1.0 else total)


class BayesianGaussianMixture(DropinMixture):
    """Gaussian mixture fitted by variational Bayes: a drop-in for scikit-learn's class of that name.

    Names, defaults, attributes and the stopping rule are scikit-learn's; nothing is pruned or reordered. For "full"
    the numbers are, too. For the other covariance types scikit-learn mixes the Wishart prior of a whole matrix with
    simpler matrices; here their updates are exact, in priors that leave the public meaning of every parameter as it
    is (see Notes). What differs is listed, with reasons, in the guide's page on drop-ins.

    Parameters
    ----------
    n_components : int, default=1
    covariance_type : {"full", "tied", "diag", "spherical"}, default="full"
    tol : float, default=1e-3
        A run has converged when the bound, summed over rows, changes by less than this.
    reg_covar : float, default=1e-6
        Share of the variance of column j that is added to entry j of the diagonal of components' covariances.
    max_iter : int, default=100
    n_init : int, default=1
    init_params : {"kmeans", "k-means++", "random", "random_from_data"}, default="kmeans"
        As for `GaussianMixture`.
    weight_concentration_prior_type : str, default="dirichlet_process"
        "dirichlet_process" (sticks in the order of the components) or "dirichlet_distribution".
    weight_concentration_prior : float, default=None
        None means 1 / n_components.
    mean_precision_prior : float, default=None
        Pseudo-rows behind `mean_prior`; None means 1.
    mean_prior : array-like of shape (n_features,), default=None
        None means the data's mean.
    degrees_of_freedom_prior : float, default=None
        Above n_features - 1; None means n_features.
    covariance_prior : float or array-like, default=None
        Prior scatter: (n_features, n_features) for "full" and "tied", (n_features,) for "diag", a number for
        "spherical". None means the data's covariance, its diagonal, or the mean of that.
    random_state : int, RandomState instance or None, default=None
    warm_start : bool, default=False
    verbose : int, default=0
    verbose_interval : int, default=10

    Attributes
    ----------
    weights_ : ndarray of shape (n_components,)
        Posterior means.
    means_ : ndarray of shape (n_components, n_features)
    covariances_, precisions_, precisions_cholesky_ : ndarray
        Shapes as for `GaussianMixture`; the precision is the expected one.
    weight_concentration_ : tuple of two ndarrays, or ndarray of shape (n_components,)
        Parameters of the sticks' Beta distributions, or of the Dirichlet distribution.
    mean_precision_ : ndarray of shape (n_components,)
    degrees_of_freedom_ : ndarray of shape (n_components,), a number for "tied"
    weight_concentration_prior_, mean_precision_prior_, degrees_of_freedom_prior_ : float
    mean_prior_ : ndarray of shape (n_features,)
    covariance_prior_ : ndarray or float
    converged_ : bool
    n_iter_ : int
    lower_bound_ : float
        Bound on the log evidence, all constants included, summed over rows.
    lower_bounds_ : list of float
        The same at each step.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (`n_features_in_`,)

    See Also
    --------
    VariationalMixture : Variational Bayes for any family, the general tool.

    Notes
    -----
    With nu = degrees_of_freedom and S = covariance_prior, precisions have the prior Wishart(nu, S^-1) for "full"; for
    "diag" Gamma(nu / 2, rate S_j / 2) in each column; for "spherical" Gamma(d nu / 2, rate d S / 2), since a row
    brings d values; for "tied" Wishart(K nu, (K S)^-1), since K components share the matrix. So `covariances_` are
    the same functions of the responsibilities as scikit-learn's, and `degrees_of_freedom_` counts rows as there.

    References
    ----------
    Attias (2000), A variational Bayesian framework for graphical models. Bishop (2006), section 10.2. Blei & Jordan
    (2006), Variational inference for Dirichlet process mixtures.

    Examples
    --------
    >>> import numpy as np
    >>> from skem import BayesianGaussianMixture
    >>> X = np.array([[1, 2], [1, 4], [2, 0], [10, 12], [10, 14], [11, 10]])
    >>> mixture = BayesianGaussianMixture(n_components=2, random_state=0).fit(X)
    >>> mixture.predict(X[:3]).tolist() == mixture.predict(X[2:3]).tolist() * 3
    True
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **DropinMixture._parameter_constraints,
        "weight_concentration_prior_type": [StrOptions(set(WEIGHT_PRIORS))],
        "weight_concentration_prior": [None, Interval(numbers.Real, 0.0, None, closed="neither")],
        "mean_precision_prior": [None, Interval(numbers.Real, 0.0, None, closed="neither")],
        "mean_prior": [None, "array-like"],
        "degrees_of_freedom_prior": [None, Interval(numbers.Real, 0.0, None, closed="neither")],
        "covariance_prior": [None, "array-like", Interval(numbers.Real, 0.0, None, closed="neither")],
    }
    # evidence of the statistics of a pass, which the update after it brings
    _late = True
    _read = ("weight_concentration_", "means_", "precisions_cholesky_", "mean_precision_", "degrees_of_freedom_")

    def __init__(
        self,
        *,
        n_components=1,
        covariance_type="full",
        tol=1e-3,
        reg_covar=1e-6,
        max_iter=100,
        n_init=1,
        init_params="kmeans",
        weight_concentration_prior_type="dirichlet_process",
        weight_concentration_prior=None,
        mean_precision_prior=None,
        mean_prior=None,
        degrees_of_freedom_prior=None,
        covariance_prior=None,
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
        self.weight_concentration_prior_type = weight_concentration_prior_type
        self.weight_concentration_prior = weight_concentration_prior
        self.mean_precision_prior = mean_precision_prior
        self.mean_prior = mean_prior
        self.degrees_of_freedom_prior = degrees_of_freedom_prior
        self.covariance_prior = covariance_prior
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.verbose_interval = verbose_interval

    # -- the prior -------------------------------------------------------------------------------

    def _covariance_prior(self, family, covariance):
        """Prior scatter in internal coordinates, and in the user's units."""
        kind, scale = self.covariance_type, family.summary_.scale
        d = family.summary_.n_features
        matrices = kind in ("full", "tied")
        unit = scale[:, None] * scale if matrices else scale**2
        unit = unit[0] if kind == "spherical" else unit
        if self.covariance_prior is None:
            internal = covariance if matrices else np.diag(covariance)
            internal = family.held(internal.mean() if kind == "spherical" else internal)
            return internal, internal * unit
        shape = {"full": (d, d), "tied": (d, d), "diag": (d,), "spherical": ()}[kind]
        name = f"{kind} covariance_prior"
        given = check_shape(self.covariance_prior, shape, name)
        check_positive(given, kind, name)
        return given / unit, given if shape else float(given)

    def _model(self, source):
        family, K = source.family, self.n_components
        summary = family.summary_
        d = summary.n_features
        mean, covariance = _moments(source)
        if self.mean_prior is not None:
            mean = summary.to_internal(check_shape(self.mean_prior, (d,), "means"))
        kappa = 1.0 if self.mean_precision_prior is None else self.mean_precision_prior
        nu = d if self.degrees_of_freedom_prior is None else self.degrees_of_freedom_prior
        if nu <= d - 1.0:
            raise ValueError(
                f"The parameter 'degrees_of_freedom_prior' should be greater than {d - 1}, but got {nu:.3f}."
            )
        scatter, public = self._covariance_prior(family, covariance)
        share = family.shares(K)
        family.set_prior(mean, kappa, share * nu, share * scatter)
        concentration = self.weight_concentration_prior
        concentration = 1.0 / K if concentration is None else concentration
        weights: Any = WEIGHT_PRIORS[self.weight_concentration_prior_type](concentration)
        self.weight_concentration_prior_ = concentration
        self.mean_precision_prior_ = kappa
        self.mean_prior_ = summary.to_user(mean)
        self.degrees_of_freedom_prior_ = nu
        self.covariance_prior_ = public
        return Model.build(family, weights, K, source)

    # -- the loop --------------------------------------------------------------------------------

    def _update(self, model, stats, n_k):
        state = update_expect(model, model.family.regularize(stats), n_k)
        return state._replace(stats=stats)

    def _begin(self, model, source, rng):
        given = self._given(source, rng)
        return self._update(model, given.stats, given.n_k)

    def _step(self, model, state, result):
        # the entropy of the responsibilities is what their pass scored beyond the expected log-likelihood
        expected = np.sum(model.family.log_likelihood(state.theta, result.stats))
        expected += model.weights.log_likelihood(state.log_weights, result.n_k)
        state = self._update(model, result.stats, result.n_k)
        return state, float(state.evidence + result.score - expected + model.log_base)

    def _steps(self, model):
        steps = model.family.expect_step(model.prior), model.weights.expect_step(model.weight_prior)
        return None if None in steps else steps

    def _flat(self, model, state):
        # the prior holds single components up
        return model.family.degenerate(state.stats.pool())

    # -- attributes ------------------------------------------------------------------------------

    def _publish_state(self, model, state):
        if state.posterior is None:
            # a warm start without a step: everything stays as it was
            return
        weights = state.weight_posterior
        if self.weight_concentration_prior_type == "dirichlet_process":
            self.weight_concentration_ = (weights.a, weights.b)
        else:
            self.weight_concentration_ = weights.alpha
        self.weights_ = model.weights.mean(weights)
        self.mean_precision_ = state.posterior.kappa
        nu = state.posterior.nu / model.family.shares(model.n_components)
        self.degrees_of_freedom_ = nu if np.ndim(nu) else float(nu)

    def _theta(self, family, mean, factor):
        K = len(mean)
        weights: Any = WEIGHT_PRIORS[self.weight_concentration_prior_type](1.0)
        names = tuple(weights.prior(K).to_dict()["arrays"])
        given = np.asarray(self.weight_concentration_, dtype=np.float64)
        if given.shape != ((len(names), K) if len(names) > 1 else (K,)):
            raise ValueError(f"weight_concentration_ of shape {given.shape} does not fit {K} components")
        posterior = type(weights.prior(K))(dict(zip(names, np.atleast_2d(given), strict=True)))
        nu = np.asarray(self.degrees_of_freedom_, dtype=np.float64) * family.shares(K)
        kappa = check_shape(self.mean_precision_, (K,), "mean_precision_")
        return weights.expect(posterior), family.expectation(mean, factor, kappa, nu)
