"""Runs of a mixture's algorithm from all its starts."""

from typing import Any

import numpy as np

from skem._compat import with_callbacks
from skem.canonical import SUBSAMPLE
from skem.distinct import DistinctSource
from skem.engine import Source
from skem.inference.model import Model
from skem.inference.short import PlainRuns, short_runs
from skem.memory import recall
from skem.portfolio import FINALISTS, MOST_COMPONENTS, Portfolio, StartRecord
from skem.starts import seed_labels, start, theta_from_parameters
from skem.weights import LOG_ZERO

# From so many rows for each distinct one, soft runs work on distinct rows with their weights.
JOINED = 4
# Finding them takes some 64 bytes a row for a moment, more than all else that a fit needs where rows are many.
MOST_JOINED = 1 << 17


class RunsMixin:
    """Finds a mixture's best run."""

    # what the mixture itself brings
    init: Any
    family_: Any
    n_components: int
    n_components_: int
    verbose: int
    _algorithm: Any
    _weights: Any
    _source: Any
    _solve: Any
    _theta: Any
    _log_weights: Any

    @property
    def _n_start(self):
        """Components that a fit begins with."""
        return self.n_components

    def _infer(self, model, source, algorithm, rngs, warm, monitor):
        """Run the algorithm from every start; the best `Fit`, whose state may have another number of components."""
        portfolio = Portfolio(algorithm, model, lambda own, given: self._order_start(algorithm, own, given))
        rows = self._joined(source, algorithm)
        best = self._best(portfolio, source, rows, rngs, warm, monitor)
        if rows is not source:
            labels = np.empty(len(source), dtype=np.int32)
            source.finish(best.state.log_weights, best.state.theta, labels)
            best = best._replace(labels=labels)
        return best

    def _joined(self, source, algorithm):
        """Rows that runs work on: equal ones joined, where that spares most of the work and no row is of its own."""
        few = JOINED * source.family.summary_.n_distinct <= len(source) <= MOST_JOINED
        if algorithm.assign != "soft" or type(source) is not Source or not few:
            return source
        return DistinctSource.of(source)[0]

    def _first_run(self, family, X, sample_weight, seeds, n_runs):
        """The run of a fit to validated rows, among runs which more may be added to.

        Parameters
        ----------
        family : Family
            Bound to the rows.
        X : ndarray of shape (n_samples, n_features)
        sample_weight : ndarray of shape (n_samples,) or None
        seeds : int ndarray of shape (n_init,)
        n_runs : int
            How many there will be at most.

        Returns
        -------
        runs : PlainRuns or CompiledRuns
        record : StartRecord or None
        """
        algorithm = self._algorithm()

        def begin(model, given):
            return self._order_start(algorithm, model, given)

        watched = bool(self.verbose or getattr(self, "_skl_callbacks", None))
        if not watched and len(seeds) == 1 and X.shape[0] <= SUBSAMPLE:
            rng = np.random.default_rng(seeds[0])
            runs = self._compiled_run(family, X, sample_weight, rng, algorithm, begin, n_runs)
            if runs is not None:
                return runs, StartRecord(self.init, 1, 1)
        solve = with_callbacks(type(self)._solve)
        model, source, fit = solve(self, family, X, sample_weight, seeds=seeds, publish=watched)
        runs = PlainRuns(algorithm, model.resize(self._n_start), source, begin)
        runs.adopt(fit)
        return runs, fit.start

    def _compiled_run(self, family, X, sample_weight, rng, algorithm, begin, n_runs):
        """Compiled runs, of which one has begun as the fit's would; None where that is more than one of them."""
        source, K = self._source(X, sample_weight, family), self._n_start
        if algorithm.update != "mle" or self._races([rng]) or family.has("nested"):
            return None
        if self._joined(source, algorithm) is not source:
            return None

        def whole():
            theta = family.mle(source.assign_given(1, codes=np.zeros(len(source), np.int32)).stats)
            # maximum likelihood asks for no prior
            return Model.build(family, self._weights(1), 1, source)._replace(prior=None), theta

        # whatever the number of components, the same
        model, theta = recall(whole, (family,))
        model = model._replace(weights=self._weights(K)).resize(K)
        about = np.full(K, -np.log(K)), theta.take(np.zeros(K, dtype=int))
        runs = short_runs(algorithm, model, source, begin, n_runs, about)
        if isinstance(runs, PlainRuns):
            return None
        runs.begin(seed_labels(source, K, self._plain_init, rng))
        return runs

    @property
    def _plain_init(self):
        """Name of the start of a run that is no race: the plainest of a portfolio."""
        return "k-means" if self.init == "portfolio" else self.init

    def _best(self, portfolio, source, rows, rngs, warm, monitor):
        """The best run over `rows` from all starts."""
        for i, rng in enumerate(rngs):
            starts = self._counted_starts(portfolio, source, rngs[i:], warm, monitor)
            while starts:
                name, n_starts, *given = starts.pop(0)
                fit = portfolio.run(rows, given, monitor.begin())
                portfolio.add(name, fit, n_starts)
                # labels of joined rows are no row's
                if monitor.end(fit if rows is source else fit._replace(labels=None)):
                    return portfolio.best()
            for name, n_starts, given in self._nested_starts(portfolio, source, rng, warm):
                portfolio.add(name, portfolio.run(rows, [given]), n_starts)
        best = portfolio.best()
        return best if len(rngs) == 1 else portfolio.polish(rows, best)

    def _nested_starts(self, portfolio, source, rng, warm):
        """Starts where the fit of a family ends that is a limit of this one, so that it is never better."""
        algorithm, model = portfolio.algorithm, portfolio.model
        family = model.family
        if warm or not family.has("nested") or isinstance(self.init, dict):
            return
        inner = family.nested()
        own_source = self._source(source.X, source.weight, inner)
        own = Model.build(inner, model.weights, model.n_components, own_source)
        runs = Portfolio(algorithm, own, portfolio.begin)
        for name, n_starts, given in self._starts(runs, own_source, rng, warm):
            runs.add(name, runs.run(own_source, [given]), n_starts)
        state = runs.best().state
        theta = family.embed(state.theta)
        given = source.run(state.log_weights, theta, assign=algorithm.assign)
        yield "nested", None, given
        for wider in family.widen(theta, given.stats):
            yield "nested", None, source.run(state.log_weights, wider, assign=algorithm.assign)

    def _races(self, rngs):
        """Whether the runs of this fit come out of races."""
        named = rngs[0] is not None and isinstance(self.init, str)
        return named and self.init == "portfolio" and self._n_start <= MOST_COMPONENTS

    def _counted_starts(self, portfolio, source, rngs, warm, monitor):
        """List of the `_starts` of the first of several rngs, of whose number the monitor is told."""
        starts = list(self._starts(portfolio, source, rngs[0], warm))
        n_later = len(rngs) - 1
        races = n_later > 0 and self._races(rngs)
        monitor.expect(len(starts) + n_later * (FINALISTS if races else 1), at_most=races)
        return starts

    def _starts(self, portfolio, source, rng, warm):
        """Name, number of raced starts behind it and statistics of each start that a run is to go on from."""
        algorithm = portfolio.algorithm
        if warm:
            yield "warm start", None, source.run(*self._warm_start(source.family), assign=algorithm.assign)
        elif not self._races([rng]):
            # a cell that explores by itself begins at the plainest start of a portfolio
            init = self._plain_init if isinstance(self.init, str) else self.init
            name = "given" if rng is None else init
            yield name, None, start(source, portfolio.model.n_components, init, rng, algorithm.assign)
        else:
            yield from portfolio.race(source, rng)

    def _warm_start(self, family):
        """Log weights and theta of the mixture fitted before, read in the new data's coordinates."""
        attributes = self.family_.attributes(self._theta)
        parameters = {name.rstrip("_"): value for name, value in attributes.items()}
        _, theta = theta_from_parameters(family, self.n_components_, parameters)
        # components that were left out keep their place, without weight
        place = np.arange(self._n_start)
        index = place % self.n_components_
        return np.where(place < self.n_components_, self._log_weights[index], LOG_ZERO), theta.take(index)

    def _order_start(self, algorithm, model, given):
        return algorithm.start(model, given)
