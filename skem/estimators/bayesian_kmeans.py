"""Bayesian k-means: hard clusters of any conjugate family, whose number is found."""

import numbers

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skem._compat import Interval, StrOptions
from skem.distinct import DistinctSource
from skem.engine import Source
from skem.estimators.base import N_ACTIVE, BaseMixture
from skem.exceptions import DegenerateComponentWarning, warn
from skem.families import Gaussian
from skem.families.base import Family
from skem.inference.hard import MaximizationExpectation
from skem.inference.model import Model
from skem.inference.partition import Evidence, dendrogram
from skem.inference.priors import ChosenPrior
from skem.inference.search import Search
from skem.inference.updates import UPDATES
from skem.starts import start
from skem.summary import summarize
from skem.weights import PARTITION_PRIORS, label_free_term

# What family="auto" chooses among; the first is searched from scratch, the others from what it found.
STRUCTURES = ("full", "tied", "diag", "spherical", "EII")
# Clusters that a search from the bottom up begins with, where rows suffice.
MANY = 100


class BayesianKMeans(BaseMixture):
    """Bayesian k-means: hard labels with a distribution over parameters (Maximization-Expectation).

    Maximises log p(x, z) exactly, parameters and weights integrated out. With ``n_components="auto"`` it finds the
    number of clusters, too: the objective is then the log probability of rows and partition, whatever the clusters
    are called, and clusters are split and merged, and rows moved, together and one by one, while that raises it. With
    an integer rows alone move: a batch update by expected log densities, then sweeps of single moves by the exact
    predictive.

    Parameters
    ----------
    n_components : int or "auto", default="auto"
        "auto" finds the number of clusters. An integer is an upper bound, without splits and merges; `n_components_`
        tells how many own a row.
    family : Family or "auto", default=None
        Family of the components with its prior; None means ``Gaussian()``. "auto" chooses a covariance structure by the
        evidence, too, each under its default prior: "full", "tied", "diag", "spherical" or one shared sphere, "EII";
        `family_` tells which.
    weight_prior : {"dirichlet", "dirichlet_process", "mixture_of_finite_mixtures"}, default="dirichlet"
        Prior of the partition. "dirichlet": weights ~ Dirichlet given the number of clusters, all numbers alike.
        "dirichlet_process": Ewens' formula; with an integer, Dirichlet(concentration / n_components) in its place.
        "mixture_of_finite_mixtures": a number of components K with K - 1 ~ Poisson(1), and Dirichlet weights given K;
        only with "auto". Values under different priors do not compare: the first is given the number of clusters,
        the others count its prior probability, too. With "auto" rows move by the prior's own predictive, a new cluster
        among their choices: under the process n_k for a cluster of n_k other rows, and the concentration for a new one.
    weight_concentration_prior : float, default=1.0
        Concentration > 0 of the prior: of each component's weight, or of the process.
    order : {"top_down", "bottom_up"}, default="top_down"
        Where the search begins, with "auto": with one cluster, or with many small ones.
    n_init : int, default=1
        Number of starts; the best objective is kept. With "auto" starts after the first are from many small clusters.
    init : {"portfolio", "k-means", "k-means++", "random"}, array-like or dict, default="portfolio"
        How a run starts: a name, labels, responsibilities or parameters, as for `EMMixture`. With "auto" a name tells
        how the small clusters are made, and what is given is where the search begins.
    n_active : int, default=None
        Components that a pass looks at for each row, beside a window that moves on; None means all. For hundreds of
        components and more; labels come to rest only where a pass over all components agrees. Not with "auto". See
        :ref:`many-components`.
    tol : float, default=1e-7
        Plays no part: runs end when labels come to rest. Kept for the common interface.
    max_iter : int, default=1000
        Most batch updates and sweeps of a run; with "auto" most steps of the search.
    warm_start : bool, default=False
        Whether a further fit starts from the mixture fitted before.
    random_state : int, RandomState instance or None, default=None
        Seeds the starts. A first search from one cluster is the same for any seed.
    verbose : int, default=0
        1 prints every tenth iteration, 2 each.

    Attributes
    ----------
    log_evidence_ : float
        Log probability of rows and partition: with "auto" the objective, with an integer
        log p(x, z | K) + log(K! / (K - K_occupied)!). Comparable across `n_components`.
    lower_bound_ : float
        The objective per unit of weight: `log_evidence_` with "auto", else log p(x, z | n_components).
    lower_bounds_ : ndarray of shape (`n_iter_` + 1,)
        The same after each iteration, with "auto" after each step of the search.
    children_ : ndarray of shape (`n_components_` - 1, 2)
        With "auto": which clusters merge at the least loss of evidence, and which then, until all are one. Numbers
        from `n_components_` up are merged ones, as in scikit-learn's AgglomerativeClustering.
    distances_ : ndarray of shape (`n_components_` - 1,)
        With "auto": loss of evidence in each merge, or in an earlier one if that lost more.
    linkage_ : ndarray of shape (`n_components_` - 1, 4)
        With "auto": both in the form that ``scipy.cluster.hierarchy.dendrogram`` draws.
    weights_ : ndarray of shape (`n_components_`,)
        Posterior means.
    means_, covariances_, ... : ndarray
        The family's parameters at the expectation.
    labels_, n_components_, degenerate_, converged_, n_iter_, family_
        As for `EMMixture`.

    References
    ----------
    Kurihara & Welling (2009), Bayesian k-means as a maximization-expectation algorithm, Neural Computation 21.
    Miller & Harrison (2018), Mixture models with a prior on the number of components, JASA 113.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skem import BayesianKMeans
    >>> X = load_iris().data
    >>> BayesianKMeans().fit(X).n_components_
    2
    """

    _algorithm_class = MaximizationExpectation
    _predictive = True
    _upper_bound = True
    _parameter_constraints = {
        **BaseMixture._parameter_constraints,
        **N_ACTIVE,
        "family": [Family, None, StrOptions({"auto"})],
        "n_components": [*BaseMixture._parameter_constraints["n_components"], StrOptions({"auto"})],
        "weight_prior": [StrOptions(set(PARTITION_PRIORS))],
        "weight_concentration_prior": [Interval(numbers.Real, 0, None, closed="neither")],
        "order": [StrOptions({"top_down", "bottom_up"})],
    }

    def __init__(
        self,
        n_components="auto",
        *,
        family=None,
        weight_prior="dirichlet",
        weight_concentration_prior=1.0,
        order="top_down",
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
        self.order = order
        self.weight_prior = weight_prior
        self.weight_concentration_prior = weight_concentration_prior

    @property
    def _is_auto_family(self):
        return isinstance(self.family, str)

    def _family(self):
        return Gaussian(STRUCTURES[0]) if self._is_auto_family else super()._family()

    @property
    def _is_auto(self):
        return isinstance(self.n_components, str)

    @property
    def _n_start(self):
        if not self._is_auto:
            return self.n_components
        if self.warm_start and hasattr(self, "_theta"):
            return self.n_components_
        if isinstance(self.init, dict):
            return self._family().shape_of_parameters(self.init)[0]
        if not isinstance(self.init, str) and np.ndim(self.init) == 2:
            return np.shape(self.init)[1]
        if not isinstance(self.init, str) and np.asarray(self.init).dtype.kind in "biuf":
            return max(1, int(np.nanmax(self.init, initial=0)) + 1)
        return 1

    def _validate_parameters(self):
        super()._validate_parameters()
        if self._is_auto and self.n_active is not None:
            raise ValueError(f'n_active={self.n_active} needs an integer n_components; with "auto" leave n_active=None')
        if not self._is_auto and self._is_auto_family:
            raise ValueError(
                f'family="auto" needs n_components="auto", and it is {self.n_components}: the search compares families'
            )
        if not self._is_auto and self.weight_prior == "mixture_of_finite_mixtures":
            raise ValueError(
                f'weight_prior="mixture_of_finite_mixtures" is a prior of the number of components, and n_components='
                f'{self.n_components} gives it; set n_components="auto" or weight_prior="dirichlet"'
            )

    def _partitions(self):
        return PARTITION_PRIORS[self.weight_prior](self.weight_concentration_prior)

    def _algorithm(self):
        return ChosenPrior(super()._algorithm())

    def _weights(self, n_components):
        return self._partitions().weights(n_components)

    def _infer(self, model, source, algorithm, rngs, warm, monitor):
        if not self._is_auto:
            return super()._infer(model, source, algorithm, rngs, warm, monitor)
        distinct, rows = DistinctSource.of(source)
        best = None
        for run, rng in enumerate(rngs):
            report = monitor.begin()
            # a first search from one cluster, or from where the user says, is the same for any seed
            fixed = run == 0 and (rng is None or self.order == "top_down")
            seed = 0 if fixed else rng.integers(np.iinfo(np.int32).max)
            search = self._search(model, distinct, seed)
            fit = search.run(*self._begin(search, source, run, rng is None, warm), report)
            if self._is_auto_family and not search.done:
                fit = self._restructure(fit, source, distinct, seed)
            if best is None or fit.objective - best.objective > 1e-12 * abs(best.objective):
                best = fit
            if monitor.end(fit):
                break
        return self._everywhere(source, rows, best)

    def _search(self, model, distinct, seed):
        return Search(Evidence(model, self._partitions()), distinct, np.random.default_rng(seed), self.max_iter)

    def _races(self, rngs):
        return not self._is_auto and super()._races(rngs)

    def _begin(self, search, source, run, is_given, warm):
        """Labels of the distinct rows where a search begins, and the number of clusters."""
        if warm:
            labels = self.predict(source.X)[search.source.index]
            search.prefer(search.evidence.partition(search.source, labels, self.n_components_).stats)
            return labels, self.n_components_
        labels = np.zeros(len(search.source), dtype=np.int32)
        if is_given:
            given = start(source, self._n_start, self.init, None, MaximizationExpectation.assign)
            # under the default prior the clusters that are given may not be worth keeping
            search.prefer(given.stats)
            state = UPDATES["evidence"](search.evidence.at(self._n_start), given.stats, given.n_k)
            search.source.run(state.log_weights, state.theta, collect=False, assign="hard", labels=labels)
            return labels, self._n_start
        if run == 0 and self.order == "top_down":
            return labels, 1
        return search.small_clusters(MANY)

    def _restructure(self, fit, source, distinct, seed):
        """Go on from a partition under other covariance structures; the fit of the best."""
        best, winner = fit, None
        for structure in STRUCTURES[1:]:
            family = Gaussian(structure)
            family = family.bind(summarize(source.X, source.weight, family.equivariance))
            rows = DistinctSource(source.X, distinct.weight, family, distinct.index)
            search = self._search(Model.build(family, self._weights(1), 1, rows), rows, seed)
            found = search.run(fit.labels, len(fit.state.n_k), thorough=False)
            if found.objective > best.objective:
                best, winner = found, search
        return best if winner is None else winner.run(best.labels, len(best.state.n_k))

    @staticmethod
    def _everywhere(source, rows, fit):
        """Fit whose labels are those of all rows; rows without weight are labelled like new ones."""
        labels = np.empty(len(source), dtype=np.int32)
        known = rows.inverse >= 0
        if not known.all():
            seen = Source(source.X, source.weight, fit.model.family)
            seen.run(fit.state.log_weights, fit.state.theta, collect=False, assign="hard", labels=labels)
        labels[known] = fit.labels[rows.inverse[known]]
        return fit._replace(labels=labels)

    # -- dendrogram ------------------------------------------------------------------------------

    def _merges(self):
        """Pairs of nodes merged, and the distance of each, until all clusters are one."""
        check_is_fitted(self, "_theta")
        if not self._is_auto or self._seen is None:
            raise AttributeError('the merges of the clusters are there after a fit with n_components="auto"')
        seen, merges = vars(self).get("_merged", (None, None))
        if seen is not self._seen:
            (stats, n_k, total), one = self._seen, self._weights(1)
            model = Model(self.family_, one, 1, self.family_.prior(1), one.prior(1), 0.0, total)
            merges = dendrogram(Evidence(model, self._partitions()), stats, n_k)
            # worked out once a fit, which always leaves statistics of its own
            self._merged = self._seen, merges
        return merges

    @property
    def children_(self):
        """Pairs of clusters merged after the search: ndarray of shape (`n_components_` - 1, 2).

        As in scikit-learn's AgglomerativeClustering: numbers below `n_components_` are clusters, number
        `n_components_` + i is what row i has merged.
        """
        return self._merges()[0]

    @property
    def distances_(self):
        """Loss of `log_evidence_` in each merge, or in an earlier one if that lost more.

        An ndarray of shape (`n_components_` - 1,).
        """
        return self._merges()[1]

    @property
    def linkage_(self):
        """Merges in SciPy's form: ndarray of shape (`n_components_` - 1, 4), for ``dendrogram(linkage_)``."""
        children, distances = self._merges()
        n_leaves = len(children) + 1
        counts = np.ones(n_leaves + len(children))
        for node, pair in enumerate(children, n_leaves):
            counts[node] = counts[pair].sum()
        return np.column_stack([children, distances, counts[n_leaves:]])

    def _mean_weights(self, model, state):
        return model.weights.mean(state.weight_posterior)

    def _publish_more(self, model, state, fit, occupied):
        self.log_evidence_ = float(fit.objective)
        if not self._is_auto:
            self.log_evidence_ += label_free_term(model.n_components, occupied)
        self._warn_of_copies(model.family, occupied)

    def _warn_of_copies(self, family, occupied):
        """Say where clusters sit on rows that repeat: measurements that are taken as exact never do by chance."""
        n_rows, n_distinct = len(self.labels_), family.summary_.n_distinct
        exact = isinstance(family.equivariance, str) and getattr(family, "rounding_", None) is None
        if (
            exact
            and self._is_auto
            and occupied > 1
            and 2 * n_distinct <= n_rows
            and n_distinct <= family.least_mass * occupied
        ):
            warn(
                f"X has {n_distinct} distinct rows among {n_rows}, and {occupied} clusters, most of which sit on a few "
                "of them: rows that repeat count as so many independent measurements; where they are copies, drop "
                "them or share a row's weight among its copies (sample_weight), and where values were recorded in "
                "steps, say so: Gaussian(rounding=step)",
                DegenerateComponentWarning,
            )
