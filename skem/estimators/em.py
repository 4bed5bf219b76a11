"""Mixture by EM: maximum likelihood."""

import numbers

from skem._compat import Interval
from skem.estimators.base import ACCELERATE, N_ACTIVE, BaseMixture
from skem.estimators.noise import NoisyMixture
from skem.inference.em import EM
from skem.weights import DirichletWeights


class EMMixture(NoisyMixture):
    """Mixture fitted by expectation-maximization: maximum likelihood.

    Maximises sum_n w_n log sum_k pi_k p(x_n | theta_k). For Gaussians the likelihood is constrained (see
    `skem.families.Gaussian`): the constraint rests idle at healthy optima and where it binds `degenerate_` is true.

    Parameters
    ----------
    n_components : int, default=2
        Number of components.
    family : Family, default=None
        Family of the components; None means ``Gaussian()``. Its own parameters are searched as
        ``family__covariance_type`` and the like.
    n_init : int, default=1
        Number of starts; the best objective is kept. Without `split_merge` runs that are seen to end behind it stop
        early.
    init : {"portfolio", "k-means", "k-means++", "random"}, array-like or dict, default="portfolio"
        How a run starts: by name, "portfolio" being a race between starts of all kinds, of which the best few are run
        to their end (beyond 100 components "k-means" takes its place); from labels of shape (n_samples,), -1 where
        unknown; from responsibilities of shape (n_samples, n_components); or from parameters,
        ``{"weights": ..., "means": ..., "covariances": ...}``.
    n_active : int, default=None
        Components that the responsibilities of a row may spread over; None means all. For hundreds of components and
        more: a pass then costs n_samples x `n_active` in place of n_samples x `n_components`, and maximises a lower
        bound of the objective. See :ref:`many-components`.
    split_merge : bool, default=False
        Whether a run goes on from its optimum by moves that merge two components and divide a third at once (Ueda et
        al. 2000), each accepted where the log-likelihood ends higher. Worth several more runs. Not with `n_active`.
    noise : float or bool array-like of shape (n_samples,), default=None
        Whether there is one more component, uniform over the data's volume, so that outliers do not distort the others
        (Banfield & Raftery 1993); Gaussian components only. A share between 0 and 1 lets so many of the rows start as
        noise, those in the emptiest places; flags say which. The volume is that of the smaller of two boxes about the
        rows, along the columns or the principal axes, as in mclust. Noise rows get label -1; `predict_proba` and
        `transform` have a last column for it, all else leaves it out.
    tol : float, default=1e-7
        A run has converged when Aitken's estimate of the log-likelihood still to gain is at most `tol` per unit of
        weight. 0 runs on to rounding level.
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
    weights_ : ndarray of shape (`n_components_`,)
        Mixing weights; among the components, where there is noise.
    noise_weight_ : float
        Share of the noise, where there is any.
    means_, covariances_, rates_, ... : ndarray
        The family's parameters, in the data's units.
    labels_ : int32 ndarray of shape (n_samples,)
        Most probable component of each training row.
    n_components_ : int
        Components published: those that own a training row come first, those without mass are left out.
    lower_bound_ : float
        Log-likelihood per unit of weight.
    lower_bounds_ : ndarray of shape (`n_iter_` + 1,)
        The same after each pass.
    start_ : str
        Kind of the start that won: "k-means", "hierarchical", "projection" and the like, "given" or "warm start".
    n_starts_, n_starts_reached_ : int
        Starts tried, and how many of them are known to lead to the objective of the one that won.
    degenerate_ : bool
        Whether a component's data are flat, so that the constraint binds.
    converged_ : bool
    n_iter_ : int
    family_ : Family
        The family bound to the data.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Where X has string column names.

    References
    ----------
    Dempster, Laird & Rubin (1977), Maximum likelihood from incomplete data via the EM algorithm.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skem import EMMixture
    >>> X = load_iris().data
    >>> mixture = EMMixture(n_components=3, random_state=0).fit(X)
    >>> round(mixture.lower_bound_, 4)
    -1.2012
    """

    _algorithm_class = EM
    _parameter_constraints = {
        **BaseMixture._parameter_constraints,
        **N_ACTIVE,
        **ACCELERATE,
        "split_merge": ["boolean"],
        "noise": ["array-like", Interval(numbers.Real, 0, 1, closed="neither"), None],
    }

    def __init__(
        self,
        n_components=2,
        *,
        family=None,
        n_init=1,
        init="portfolio",
        n_active=None,
        split_merge=False,
        noise=None,
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
        self.noise = noise

    def _weights(self, n_components):
        return DirichletWeights(1.0)
