"""Mixtures with hard assignments and point parameters: iterated conditional modes, and classification EM."""

import numbers

from skem._compat import Interval, StrOptions
from skem.estimators.base import N_ACTIVE, BaseMixture
from skem.inference.hard import ICM, ClassificationEM
from skem.weights import DirichletWeights


class ICMMixture(BaseMixture):
    """Mixture fitted by iterated conditional modes: hard labels and point parameters.

    With ``update="mode"`` maximises log p(x, z, theta, pi); with ``update="mle"`` the classification likelihood
    sum_n log pi_z p(x_n | theta_z) (classification EM). The scale of the Gaussian's default prior is chosen as by
    `MAPMixture`.

    Parameters
    ----------
    n_components : int, default=2
        Number of components.
    family : Family, default=None
        Family of the components; None means ``Gaussian()``.
    update : {"mode", "mle"}, default="mode"
        Posterior modes, or maximum likelihood.
    weight_concentration_prior : float, default=1.0
        Concentration >= 1 of the weights' symmetric Dirichlet prior; plays no part in ``update="mle"``.
    n_init : int, default=1
        Number of starts; the best objective is kept.
    init : {"portfolio", "k-means", "k-means++", "random"}, array-like or dict, default="portfolio"
        How a run starts: a name, labels, responsibilities or parameters, as for `EMMixture`.
    n_active : int, default=None
        Components that a pass looks at for each row, beside a window that moves on; None means all. For hundreds of
        components and more; labels come to rest only where a pass over all components agrees. See
        :ref:`many-components`.
    tol : float, default=1e-7
        Plays no part: runs end when labels come to rest. Kept for the common interface.
    max_iter : int, default=1000
        Most iterations of a run.
    warm_start : bool, default=False
        Whether a further fit starts from the mixture fitted before.
    random_state : int, RandomState instance or None, default=None
        Seeds the starts.
    verbose : int, default=0
        1 prints every tenth iteration, 2 each.

    Attributes
    ----------
    lower_bound_ : float
        The objective per unit of weight.
    weights_, labels_, n_components_, lower_bounds_, degenerate_, converged_, n_iter_, family_,
    start_, n_starts_, n_starts_reached_
        As for `EMMixture`.

    References
    ----------
    Besag (1986), On the statistical analysis of dirty pictures. Celeux & Govaert (1992), A classification EM
    algorithm for clustering.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skem import ICMMixture
    >>> X = load_iris().data
    >>> ICMMixture(n_components=3, random_state=0).fit(X).converged_
    True
    """

    _algorithm_class = ICM
    _parameter_constraints = {
        **BaseMixture._parameter_constraints,
        **N_ACTIVE,
        "update": [StrOptions({"mode", "mle"})],
        "weight_concentration_prior": [Interval(numbers.Real, 1, None, closed="left")],
    }

    def __init__(
        self,
        n_components=2,
        *,
        family=None,
        update="mode",
        weight_concentration_prior=1.0,
        n_init=1,
        init="portfolio",
        n_active=None,
        tol=1e-7,
        max_iter=1000,
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
        self.update = update
        self.weight_concentration_prior = weight_concentration_prior

    def _algorithm(self):
        algorithm = ICM if self.update == "mode" else ClassificationEM
        return algorithm(tol=self.tol, max_iter=self.max_iter)

    def _weights(self, n_components):
        return DirichletWeights(self.weight_concentration_prior)
