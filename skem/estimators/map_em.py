"""Mixture by MAP-EM: the posterior mode."""

import numbers

from skem._compat import Interval
from skem.estimators.base import ACCELERATE, N_ACTIVE, BaseMixture
from skem.estimators.online import OnlineMixin
from skem.estimators.soft import SoftMixture
from skem.inference.em import MAPEM
from skem.weights import DirichletWeights


class MAPMixture(OnlineMixin, SoftMixture):
    """Mixture fitted by EM to the posterior mode.

    Maximises sum_n w_n log sum_k pi_k p(x_n | theta_k) + log p(theta) + log p(pi), modes taken in (mean, covariance)
    and in the weights. The family's prior keeps components from collapsing. The scale of the Gaussian's default prior
    is the likeliest one of a partition by k-means, whatever the start (``family_.prior_scale_``);
    ``Gaussian(covariance_prior="default")`` holds it.

    Parameters
    ----------
    n_components : int, default=2
        Number of components.
    family : Family, default=None
        Family of the components with its prior; None means ``Gaussian()``.
    weight_concentration_prior : float, default=1.0
        Concentration >= 1 of the weights' symmetric Dirichlet prior; below 1 the density has no mode inside.
    n_init : int, default=1
        Number of starts; the best objective is kept. Without `split_merge` runs that are seen to end behind it stop
        early.
    init : {"portfolio", "k-means", "k-means++", "random"}, array-like or dict, default="portfolio"
        How a run starts: a name, labels, responsibilities or parameters, as for `EMMixture`.
    n_active : int, default=None
        Components that the responsibilities of a row may spread over; None means all. For hundreds of components and
        more: a pass then costs n_samples x `n_active` in place of n_samples x `n_components`, and maximises a lower
        bound of the objective. See :ref:`many-components`.
    split_merge : bool, default=False
        Whether a run goes on from its optimum by moves that merge two components and divide a third at once (Ueda et
        al. 2000), each accepted where the objective ends higher. Worth several more runs. Not with `n_active`.
    tol : float, default=1e-7
        Estimated gain of the objective, per unit of weight, at which a run has converged; see `EMMixture`.
    max_iter : int, default=1000
        Most iterations of a run.
    accelerate : {"squarem", "anderson"}, default=None
        How iterations are extrapolated where they gain little and many more are foreseen; None never does. A step
        that would lower the objective is not taken. Without effect beside `n_active`. See :ref:`acceleration`.
    warm_start : bool, default=False
        Whether a further fit starts from the mixture fitted before.
    random_state : int, RandomState instance or None, default=None
        Seeds the starts.
    verbose : int, default=0
        1 prints every tenth iteration, 2 each.

    Attributes
    ----------
    lower_bound_ : float
        Log posterior density (the log-likelihood plus the log priors) per unit of weight.
    weights_, labels_, n_components_, lower_bounds_, degenerate_, converged_, n_iter_, family_,
    start_, n_starts_, n_starts_reached_
        As for `EMMixture`.

    References
    ----------
    Fraley & Raftery (2007), Bayesian regularization for normal mixture estimation and model-based clustering.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skem import MAPMixture
    >>> X = load_iris().data
    >>> MAPMixture(n_components=3, random_state=0).fit(X).weights_.shape
    (3,)
    """

    _algorithm_class = MAPEM
    _parameter_constraints = {
        **BaseMixture._parameter_constraints,
        **N_ACTIVE,
        "split_merge": ["boolean"],
        **ACCELERATE,
        "weight_concentration_prior": [Interval(numbers.Real, 1, None, closed="left")],
    }

    def __init__(
        self,
        n_components=2,
        *,
        family=None,
        weight_concentration_prior=1.0,
        n_init=1,
        init="portfolio",
        n_active=None,
        split_merge=False,
        tol=1e-7,
        max_iter=1000,
        accelerate=None,
        warm_start=False,
        random_state=None,
        verbose=0,
    ):
        super().__init__(
            n_components,
            family=family,
            n_init=n_init,
            init=init,
            tol=tol,
            max_iter=max_iter,
            warm_start=warm_start,
            random_state=random_state,
            verbose=verbose,
        )
        self.n_active = n_active
        self.split_merge = split_merge
        self.accelerate = accelerate
        self.weight_concentration_prior = weight_concentration_prior

    def _weights(self, n_components):
        return DirichletWeights(self.weight_concentration_prior)
