"""Mixture by variational Bayes: a bound of the evidence."""

import numbers

import numpy as np

from skem._compat import Interval, StrOptions
from skem.estimators.base import ACCELERATE, N_ACTIVE, BaseMixture
from skem.estimators.online import OnlineMixin
from skem.estimators.soft import SoftMixture
from skem.inference.hardstart import partition_start
from skem.inference.priors import ChosenPrior
from skem.inference.variational import VariationalBayes
from skem.weights import WEIGHT_PRIORS, label_free_term


class VariationalMixture(OnlineMixin, SoftMixture):
    """Mixture fitted by mean-field variational Bayes.

    Maximises the bound E_q[log p(x, z, theta, pi)] + H(q) <= log p(x) with all its constants, exact for every
    covariance structure.

    Parameters
    ----------
    n_components : int, default=2
        Upper bound on the number of components: with `split_merge` those that the data do not ask for own no row in
        `labels_`, though they may keep a little weight. Without moves the algorithm rarely empties any by itself:
        compare `log_evidence_` across values then.
    family : Family, default=None
        Family of the components with its prior; None means ``Gaussian()``.
    weight_prior : {"dirichlet", "dirichlet_process"}, default="dirichlet"
        Prior of the mixing weights: a symmetric Dirichlet, or a truncated stick-breaking process. Under the latter
        components start in the order of decreasing mass.
    weight_concentration_prior : float, default=None
        Its concentration > 0. None means 1 / n_components for the Dirichlet and 1 for the process.
    n_init : int, default=1
        Number of starts; the best objective is kept.
    init : {"portfolio", "k-means", "k-means++", "random"}, array-like or dict, default="portfolio"
        How a run starts: a name, labels, responsibilities or parameters, as for `EMMixture`.
    n_active : int, default=None
        Components that the responsibilities of a row may spread over; None means all. For hundreds of components and
        more: a pass then costs n_samples x `n_active` in place of n_samples x `n_components`, and maximises a lower
        bound of the objective. See :ref:`many-components`.
    split_merge : bool, default=True
        Whether surplus components are found out: a start by name goes on as Bayesian k-means with splits and merges,
        and from the optimum components are born, merged and deleted, each move accepted where the bound ends higher.
        Left out with `n_active`.
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
        The bound per unit of weight, for the n_components asked for.
    log_evidence_ : float
        The bound plus log K! / (K - K_occupied)! for a Dirichlet prior: comparable across n_components where the
        posterior's modes are well separated. For the process the bound itself, not comparable with Dirichlet fits.
    weights_ : ndarray of shape (`n_components_`,)
        Posterior means.
    means_, covariances_, ... : ndarray
        The family's parameters at the expectation (for Gaussians the inverse of the expected precision).
    labels_, n_components_, lower_bounds_, degenerate_, converged_, n_iter_, family_,
    start_, n_starts_, n_starts_reached_
        As for `EMMixture`.

    References
    ----------
    Attias (2000), A variational Bayesian framework for graphical models. Bishop (2006), section 10.2. Blei & Jordan
    (2006), Variational inference for Dirichlet process mixtures.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skem import VariationalMixture
    >>> X = load_iris().data
    >>> mixture = VariationalMixture(n_components=2, random_state=0).fit(X)
    >>> mixture.log_evidence_ > VariationalMixture(n_components=1).fit(X).log_evidence_
    True
    """

    _algorithm_class = VariationalBayes
    _predictive = True
    _upper_bound = True
    _parameter_constraints = {
        **BaseMixture._parameter_constraints,
        **N_ACTIVE,
        "split_merge": ["boolean"],
        **ACCELERATE,
        "weight_prior": [StrOptions(set(WEIGHT_PRIORS))],
        "weight_concentration_prior": [Interval(numbers.Real, 0, None, closed="neither"), None],
    }

    def __init__(
        self,
        n_components=2,
        *,
        family=None,
        weight_prior="dirichlet",
        weight_concentration_prior=None,
        n_init=1,
        init="portfolio",
        n_active=None,
        split_merge=True,
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
        self.weight_prior = weight_prior
        self.weight_concentration_prior = weight_concentration_prior

    def _algorithm(self):
        return ChosenPrior(super()._algorithm())

    def _concentration(self, n_components):
        if self.weight_concentration_prior is not None:
            return self.weight_concentration_prior
        return 1.0 / n_components if self.weight_prior == "dirichlet" else 1.0

    def _weights(self, n_components):
        return WEIGHT_PRIORS[self.weight_prior](self._concentration(n_components))

    def _races(self, rngs):
        # splits and merges find from any start what a race would choose the start for
        return not self._has_moves and super()._races(rngs)

    def _starts(self, portfolio, source, rng, warm):
        for name, n_starts, given in super()._starts(portfolio, source, rng, warm):
            if rng is not None and self._has_moves:
                given = self._partitioned(portfolio.model, source, given, rng)
            yield name, n_starts, given

    def _partitioned(self, model, source, given, rng):
        """Statistics of a partition that Bayesian k-means makes of a start."""
        concentration = self._concentration(model.n_components)
        if self.weight_prior == "dirichlet_process":
            # Dirichlet(a / K), which tends to the process as K grows
            concentration /= model.n_components
        return partition_start(model, source, given, concentration, rng, self.max_iter)

    def _order_start(self, algorithm, model, given):
        if self.weight_prior == "dirichlet_process":
            # sticks favour the first components: the bound is highest with the largest in front
            order = np.argsort(-given.n_k, kind="stable")
            given = given._replace(n_k=given.n_k[order], stats=given.stats.take(order))
        return super()._order_start(algorithm, model, given)

    def _mean_weights(self, model, state):
        return model.weights.mean(state.weight_posterior)

    def _publish_more(self, model, state, fit, occupied):
        term = label_free_term(model.n_components, occupied) if self.weight_prior == "dirichlet" else 0.0
        self.log_evidence_ = float(fit.objective) + term
