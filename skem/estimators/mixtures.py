"""Mixtures with soft assignments: EM, MAP-EM and variational Bayes."""

import numbers

import numpy as np

from skem._compat import Interval, StrOptions
from skem.estimators.base import ACCELERATE, N_ACTIVE, BaseMixture
from skem.estimators.noise import NoisyMixture
from skem.estimators.online import OnlineMixin
from skem.estimators.soft import SoftMixture
from skem.inference.em import EM, MAPEM
from skem.inference.hardstart import partition_start
from skem.inference.priors import ChosenPrior, likeliest_prior, offers_priors
from skem.inference.variational import VariationalBayes
from skem.starts import start
from skem.weights import WEIGHT_PRIORS, DirichletWeights, label_free_term


class EMMixture(NoisyMixture):
    """Mixture fitted by expectation-maximization: maximum likelihood.

    Maximises sum_n w_n log sum_k pi_k p(x_n | theta_k). For Gaussians the likelihood is constrained (see
    `skem.families.Gaussian`): the constraint rests idle at healthy optima and where it binds `degenerate_` is true.

    Parameters
    ----------
    n_components : int, default=2
        Number of components.
    family : Family, default=None
        Family of the components; None means ``Gaussian()``. Pass ``family=Gaussian()`` to search over
        ``family__covariance_type``.
    n_init : int, default=1
        Number of starts; the best objective is kept.
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
        Number of starts; the best objective is kept.
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

    def _under_prior(self, model, source):
        if not offers_priors(model.family):
            return model, source
        # by the rows alone, so that the objectives of all fits to them compare
        given = start(source, model.n_components, "k-means", np.random.default_rng(0), "hard")
        model = likeliest_prior(model, given.stats)
        return model, source.seen_by(model.family)

    def _weights(self, n_components):
        return DirichletWeights(self.weight_concentration_prior)


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
