"""Mixtures by Gibbs sampling."""

import numbers
from inspect import signature
from typing import Any, ClassVar

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from skem._compat import Interval
from skem.canonical import canonical_rows
from skem.coding import Coding
from skem.engine import Source
from skem.estimators.base import BaseMixture
from skem.estimators.labels import owners, renumber
from skem.estimators.monitor import Monitor
from skem.estimators.prediction import log_responsibilities
from skem.inference.base import Fit
from skem.inference.gibbs import Gibbs, match, only_draw
from skem.inference.hard import MaximizationExpectation
from skem.inference.model import Model
from skem.inference.priors import prior_of_rows
from skem.portfolio import Portfolio
from skem.starts import is_given, seed_labels, start
from skem.summary import summarize
from skem.weights import DirichletWeights

# A unit of weight costs a uniform and a draw in every sweep: more than this is a slip of units.
MOST_UNITS = 1e9


class GibbsMixture(BaseMixture):
    """Mixture sampled by blocked Gibbs sampling.

    Draws from p(z, theta, pi | x). A sweep of a chain draws the parameters given the labels,

        theta_k ~ p(theta | x_n with z_n = k),    pi ~ Dirichlet(alpha + n_1, ..., alpha + n_K),

    and then each label given the parameters, z_n ~ pi_k p(x_n | theta_k) / sum_j pi_j p(x_n | theta_j).

    The posterior does not change when components swap names, and chains do swap them. So all draws are relabelled to
    the one with the largest log p(x, z): each draw's components are permuted so that the statistics of that draw's
    labelled rows are the most probable. Summaries by component are means over relabelled draws; densities need no
    labels.

    The scale of the Gaussian's default prior is chosen as by `MAPMixture`.

    Parameters
    ----------
    n_components : int, default=2
        Upper bound on the number of components; `n_components_` tells how many were ever occupied.
    family : Family, default=None
        Family of the components with its prior; None means ``Gaussian()``.
    n_chains : int, default=4
        Number of chains, each from a start of its own (from the same one where `init` gives it).
    n_draws : int, default=500
        Draws kept of each chain.
    n_burn_in : int, default=200
        Sweeps of each chain before the first draw kept.
    weight_concentration_prior : float, default=1.0
        Concentration alpha > 0 of the weights' symmetric Dirichlet prior.
    init : {"portfolio", "k-means", "k-means++", "random"}, array-like or dict, default="portfolio"
        How chains start, as for `EMMixture`; of a portfolio the best few, one chain from each in turn.
    max_predictive_draws : int or None, default=200
        Most draws that `predict_proba`, `score_samples` and their like average over, evenly spaced over all chains:
        their cost is one pass a draw. None keeps all, which is exact for the sample drawn.
    random_state : int, RandomState instance or None, default=None
        Seeds starts and draws. Rows are drawn in an order that their contents decide: neither shuffling rows nor
        writing a row twice in place of weight 2 changes a draw.
    verbose : int, default=0
        From 1 up prints progress every 50 sweeps.

    Attributes
    ----------
    draws_ : dict of str to ndarray of shape (n_chains, n_draws, ...)
        Relabelled draws in the data's units: "weights" (scaled to sum to one over the components published) and the
        family's parameters, "means" and "covariances" or "rates"; and traces that no relabelling touches, fit for
        diagnostics: "log_joint", log p(x, z) with parameters integrated out, "log_likelihood", log p(x | theta, pi),
        and "n_occupied", the number of components that own a row.
    weights_ : ndarray of shape (`n_components_`,)
        Posterior means.
    means_, covariances_, rates_, ... : ndarray
        The family's parameters: posterior means over relabelled draws.
    labels_ : int32 ndarray of shape (n_samples,)
        Component of the largest mean responsibility.
    n_components_ : int
        Components published: those that own a training row come first; those that no draw occupied are left out.
    log_joint_ : float
        The largest log p(x, z) met, of the draw that the others are relabelled to.
    degenerate_ : bool
        Whether the data as a whole are flat in some direction, so that the prior alone decides there.
    n_iter_ : int
        Sweeps of each chain, burn-in included.
    family_ : Family
        The family bound to the data.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Where X has string column names.

    Notes
    -----
    Predictions are those of the posterior: `predict_proba` gives mean responsibilities over relabelled draws,
    `score_samples` the log of the mean density over draws, and `sample` takes each row from a draw of its own.

    `sample_weight` must hold whole numbers: a row of weight w draws w labels. Chains are not judged to have converged;
    look at the traces, or at R-hat and the effective sample size by way of `to_arviz`.

    References
    ----------
    Diebolt & Robert (1994), Estimation of finite mixture distributions through Bayesian sampling. Stephens (2000),
    Dealing with label switching in mixture models.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skem import GibbsMixture
    >>> X = load_iris().data
    >>> mixture = GibbsMixture(n_components=3, n_draws=200, random_state=0).fit(X)
    >>> mixture.draws_["means"].shape
    (4, 200, 3, 4)
    """

    _algorithm_class = Gibbs
    _upper_bound = True
    #: log weights and theta of the draws that predictions average over
    _kept = None
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **{name: BaseMixture._parameter_constraints[name] for name in ("n_components", "family", "init")},
        "n_chains": [Interval(numbers.Integral, 1, None, closed="left")],
        "n_draws": [Interval(numbers.Integral, 1, None, closed="left")],
        "n_burn_in": [Interval(numbers.Integral, 0, None, closed="left")],
        "weight_concentration_prior": [Interval(numbers.Real, 0, None, closed="neither")],
        "max_predictive_draws": [Interval(numbers.Integral, 1, None, closed="left"), None],
        **{name: BaseMixture._parameter_constraints[name] for name in ("random_state", "verbose")},
    }

    def __init__(
        self,
        n_components=2,
        *,
        family=None,
        n_chains=4,
        n_draws=500,
        n_burn_in=200,
        weight_concentration_prior=1.0,
        init="portfolio",
        max_predictive_draws=200,
        random_state=None,
        verbose=0,
    ):
        self.n_components = n_components
        self.family = family
        self.n_chains = n_chains
        self.n_draws = n_draws
        self.n_burn_in = n_burn_in
        self.weight_concentration_prior = weight_concentration_prior
        self.init = init
        self.max_predictive_draws = max_predictive_draws
        self.random_state = random_state
        self.verbose = verbose

    def _algorithm(self):
        return Gibbs(n_draws=self.n_draws, n_burn_in=self.n_burn_in)

    def _weights(self, n_components):
        return DirichletWeights(self.weight_concentration_prior)

    def _fit(self, X, sample_weight, y=None):
        given_X, given_weight = X, sample_weight
        family, X, sample_weight = self._validate_fit(X, sample_weight)
        if sample_weight is not None:
            _check_whole(sample_weight)
        algorithm = self._algorithm()
        algorithm.require(family)
        # chains see distinct rows in canonical order, so that not a bit of a draw depends on how rows were given
        rows = canonical_rows(X, sample_weight)._replace(inverse=None)
        family = family.bind(summarize(X, sample_weight, family.equivariance, rows))
        coding = Coding.of(X, family)
        source = Source(X, rows.weight, family, rows.index, coding)
        as_given = Source(X, sample_weight, family, coding=coding)
        model = Model.build(family, self._weights(self.n_components), self.n_components, source)
        model = prior_of_rows(model, as_given)
        source, as_given = source.seen_by(model.family), as_given.seen_by(model.family)
        seeds = check_random_state(self.random_state).randint(np.iinfo(np.int32).max, size=self.n_chains + 1)
        rng, *start_rngs = [np.random.default_rng(seed) for seed in seeds]
        monitor = Monitor(
            self,
            1,
            algorithm.max_reports,
            lambda fit: self._snapshot(model, as_given, fit),
            X=given_X,
            y=y,
            metadata=None if given_weight is None else {"sample_weight": given_weight},
        )
        report = monitor.begin()
        if is_given(self.init):
            # labels and responsibilities refer to the rows as they were given
            givens = [start(as_given, self.n_components, self.init, rng)] * self.n_chains
        elif self.init == "portfolio":
            # the best optima of hard labels, in turn: apart from one another, and probable
            batch = MaximizationExpectation(sweeps=False)
            portfolio = Portfolio(batch, model, batch.start)
            found = [given for *_, given in portfolio.race(as_given, start_rngs[0])]
            givens = [found[i % len(found)] for i in range(self.n_chains)]
        else:
            labels = (seed_labels(as_given, self.n_components, self.init, own) for own in start_rngs)
            givens = [source.assign_given(self.n_components, codes=own[rows.index]) for own in labels]
        chains = algorithm.sample(model, source, givens, rng, report)
        monitor.end(chains)
        self._publish(model, as_given, chains)
        monitor.finish()

    def _snapshot(self, model, source, fit):
        chains = only_draw(model, source, fit.state) if isinstance(fit, Fit) else fit
        return self._published(model, source, chains)

    def _publish(self, model, source, chains):
        """Relabel the draws and turn them into attributes.

        Components that own a row with weight come first; those that no draw occupied are left out.
        """
        family, pivot = model.family, chains.pivot
        n_chains, n_draws, n_components = chains.log_weights.shape
        thetas = [theta for chain in chains.thetas for theta in chain]
        log_weights, n_k = chains.log_weights.reshape(-1, n_components), chains.n_k.reshape(-1, n_components)
        orders = match(model, pivot, log_weights, thetas)
        n_kept = min(len(thetas), self.max_predictive_draws or len(thetas))
        kept = np.linspace(0, len(thetas) - 1, n_kept).round().astype(np.intp)

        met = np.flatnonzero((np.take_along_axis(n_k, orders, axis=1) > 0).any(axis=0))
        labels = _labels(source, _select(log_weights, thetas, orders[:, met], kept))
        owned, owning = owners(source, labels, len(met))
        order = np.lexsort((~owning, ~owned))
        rank = np.empty(len(met), dtype=np.int32)
        rank[order] = np.arange(len(met))
        orders = orders[:, met[order]]
        flat = self._flat(model, pivot)
        self._warn(model, flat, np.zeros(n_components, dtype=bool))

        self.family_ = family
        self._kept = _select(log_weights, thetas, orders, kept)
        ((self._log_weights, self._theta),) = _select(log_weights, thetas, orders, [int(np.argmax(chains.log_joint))])
        self._posterior = None
        self.n_components_ = len(met)
        self.labels_ = renumber(source, labels, rank)
        draws: dict[str, np.ndarray] = {}
        for i in range(len(thetas)):
            ((own, theta),) = _select(log_weights, thetas, orders, [i])
            for name, value in {"weights_": np.exp(own), **family.attributes(theta)}.items():
                # filled one by one: a second copy of all draws would be the largest thing in memory
                draws.setdefault(name, np.empty((len(thetas), *value.shape)))[i] = value
        self.draws_ = {}
        for name, values in draws.items():
            setattr(self, name, values.mean(axis=0))
            self.draws_[name.rstrip("_")] = values.reshape(n_chains, n_draws, *values.shape[1:])
        self.draws_["log_joint"] = chains.log_joint
        self.draws_["log_likelihood"] = chains.log_likelihood
        self.draws_["n_occupied"] = (chains.n_k > 0).sum(axis=2)
        self.log_joint_ = float(chains.log_joint.max())
        self.n_iter_ = chains.n_iter
        self.degenerate_ = bool(flat.any())

    # -- predictions are means over the draws kept -----------------------------------------------

    @property
    def _mixtures(self):
        """Log weights and theta of each draw kept; those given where there was no fit."""
        return self._kept or [(self._log_weights, self._theta)]

    def predict(self, X):
        """Label each row with the component of the largest mean responsibility.

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
        return _labels(source, self._mixtures)

    def _resp(self, source):
        return np.concatenate([resp for _, resp in _mean_resp(source, self._mixtures)])

    def _log_resp(self, source):
        total = np.full((len(source), self.n_components_), -np.inf)
        for log_weights, theta in self._mixtures:
            np.logaddexp(total, log_responsibilities(source, log_weights, theta), out=total)
        return total - np.log(len(self._mixtures))

    def _log_density(self, source):
        total, lse = np.full(len(source), -np.inf), np.empty(len(source))
        for log_weights, theta in self._mixtures:
            source.run(log_weights, theta, collect=False, lse=lse)
            np.logaddexp(total, lse, out=total)
        return total - np.log(len(self._mixtures))

    def _sample(self, n_samples, rng):
        mixtures = self._mixtures
        parts = []
        for (log_weights, theta), size in zip(
            mixtures, rng.multinomial(n_samples, np.full(len(mixtures), 1.0 / len(mixtures))), strict=True
        ):
            if size > 0:
                counts = rng.multinomial(size, np.exp(log_weights))
                parts.append((self.family_.sample(theta, counts, rng), np.repeat(np.arange(len(counts)), counts)))
        X, labels = (np.concatenate(part) for part in zip(*parts, strict=True))
        order = np.argsort(labels, kind="stable")
        return X[order], labels[order].astype(np.int32)

    def to_arviz(self):
        """Return the draws as ArviZ's data structure, for R-hat, effective sample sizes and plots.

        Returns
        -------
        data : arviz.InferenceData or xarray.DataTree
            Group "posterior" holds `draws_`; "log_joint", "log_likelihood" and "n_occupied" among them are the ones
            to judge convergence by. Which class it is depends on ArviZ's version.

        Raises
        ------
        ImportError
            Where ArviZ is not installed.
        """
        check_is_fitted(self, "draws_")
        try:
            from arviz import from_dict
        except ImportError:
            try:
                from arviz_base import from_dict
            except ImportError:
                raise ImportError("GibbsMixture.to_arviz needs ArviZ: pip install arviz") from None
        # before its version 1 each group was an argument, since then one dict holds them all
        if "posterior" in signature(from_dict).parameters:
            return from_dict(posterior=self.draws_)
        return from_dict({"posterior": self.draws_})


def _check_whole(sample_weight):
    """Raise ValueError where a weight is not a number of labels to draw."""
    bad = np.flatnonzero(sample_weight != np.floor(sample_weight))
    if bad.size:
        raise ValueError(
            f"sample_weight[{bad[0]}] = {sample_weight[bad[0]]:g}: GibbsMixture draws a label for each unit of weight, "
            "so weights must be whole numbers; scale them, or use VariationalMixture"
        )
    if sample_weight.sum() > MOST_UNITS:
        raise ValueError(
            f"sample_weight sums to {sample_weight.sum():.3g}: GibbsMixture draws a label for each unit of weight, at "
            f"most {MOST_UNITS:.0e} of them; scale the weights down"
        )


def _select(log_weights, thetas, orders, index):
    """Draws by position, of each the components that `orders` names, their weights scaled to sum to one."""
    chosen = np.take_along_axis(log_weights[index], orders[index], axis=1)
    chosen -= np.logaddexp.reduce(chosen, axis=1, keepdims=True)
    return [(own, thetas[i].take(orders[i])) for own, i in zip(chosen, index, strict=True)]


def _mean_resp(source, mixtures):
    """Blocks of rows and their mean responsibilities over draws."""
    for rows in source.blocks():
        block = Source(source.X[rows], None, source.family)
        resp = np.empty((len(block), len(mixtures[0][0])))
        total = np.zeros_like(resp)
        for log_weights, theta in mixtures:
            block.run(log_weights, theta, collect=False, resp=resp)
            total += resp
        yield rows, total / total.sum(axis=1, keepdims=True)


def _labels(source, mixtures):
    """Component of each row's largest mean responsibility."""
    labels = np.empty(len(source), dtype=np.int32)
    for rows, resp in _mean_resp(source, mixtures):
        labels[rows] = resp.argmax(axis=1)
    return labels
