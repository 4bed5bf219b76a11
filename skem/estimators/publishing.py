"""A mixture's best run, turned into its attributes."""

import copy
import warnings
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from skem.estimators.columns import column_names
from skem.estimators.labels import owners, renumber
from skem.exceptions import DegenerateComponentWarning, name_flat, warn
from skem.inference.online import Seen


class PublishingMixin:
    """Sets what a fit has found, and warns of what the data cannot bear."""

    # what the mixture itself brings
    max_iter: int
    _algorithm: Any
    _upper_bound: bool

    def _snapshot(self, model, source, fit):
        """Attributes of the estimator as if the fit had ended with `fit`; itself it stays as it is."""
        if fit.labels is None:
            labels, state = np.empty(len(source), dtype=np.int32), fit.state
            source.run(state.log_weights, state.theta, collect=False, assign="hard", labels=labels)
            fit = fit._replace(labels=labels)
        return self._published(model, source, fit)

    def _published(self, *found):
        """Attributes of the estimator as if `_publish` had been called; itself it stays as it is."""
        twin = copy.copy(self)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            twin._publish(*found)
        return vars(twin)

    def _publish(self, model, source, fit):
        """Turn the best run into attributes: components that own a row first, those without mass left out."""
        state, labels = fit.state, fit.labels
        model = model.resize(len(state.log_weights))
        # owners of rows with weight first, so that a row of weight 0 changes nothing; then owners of other rows
        owned, owning = owners(source, labels, model.n_components)
        massless = (state.n_k <= 0) & ~owning
        order = np.lexsort((~owning, ~owned))
        order = order[~massless[order]]
        rank = np.full(model.n_components, -1, dtype=np.int32)
        rank[order] = np.arange(len(order))
        occupied = int(owned.sum())
        flat = self._flat(model, state)
        self._warn(model, flat, massless)
        self._warn_unconverged(fit)
        self._publish_parameters(model, state, order, Seen(state.stats, state.n_k, model.total_weight))
        self._n_components_fitted = model.n_components
        self.labels_ = renumber(source, labels, rank)
        self.lower_bound_ = float(fit.objective / model.total_weight)
        self.lower_bounds_ = np.asarray(fit.objectives) / model.total_weight
        self.n_iter_ = fit.n_iter
        self.converged_ = fit.converged
        self.degenerate_ = bool(flat.any())
        if fit.start is not None:
            self.start_, self.n_starts_, self.n_starts_reached_ = fit.start
        self._publish_more(model, state, fit, occupied)

    def _publish_parameters(self, model, state, order, seen):
        """Set what predictions need, components in the given order."""
        self.family_ = model.family
        self._theta = state.theta.take(order)
        self._posterior = state.posterior.take(order)
        self._log_weights = state.log_weights[order]
        self._seen = Seen(seen.stats.take(order), seen.n_k[order], seen.total_weight)
        weights = self._mean_weights(model, state)[order]
        self.weights_ = weights / weights.sum()
        self.n_components_ = len(order)
        for name, value in self.family_.attributes(self._theta).items():
            setattr(self, name, value)

    def _publish_more(self, model, state, fit, occupied):
        """Attributes of one estimator alone."""

    def _mean_weights(self, model, state):
        return np.exp(state.log_weights)

    def _flat(self, model, state):
        """Components whose own data are flat; where a prior holds them up, only data flat as a whole count."""
        if self._algorithm().update == "mle":
            return model.family.degenerate(state.stats)
        return model.family.degenerate(state.stats.pool())

    def _warn(self, model, flat, massless):
        """Say in one warning what the data cannot bear."""
        n_distinct = model.family.summary_.n_distinct
        found, advice = [], []
        if flat.any():
            constant = column_names(self, model.family.constant_columns())
            found.append(
                f"{name_flat(flat, constant)}, so that their parameters rest on the constraint or the prior there"
            )
            advice.append("drop columns that are constant or that others determine")
            if len(flat) > 1:  # components are held up by no prior
                advice.append("lower n_components")
                if model.family.has("mode"):
                    advice.append("let a prior hold the components up (MAPMixture)")
        if massless.any() and not self._upper_bound:
            found.append(
                f"{int(massless.sum())} of {model.n_components} components ended without weight, and are left out"
            )
            advice += ["lower n_components", "try more starts (n_init)"]
        if n_distinct < model.n_components:
            found.append(f"X has {n_distinct} distinct rows for {model.n_components} components")
            advice.append("lower n_components")
        if found:
            warn(f"{'; '.join(found)}: {', or '.join(dict.fromkeys(advice))}", DegenerateComponentWarning)

    def _warn_unconverged(self, fit):
        # a run that a callback has stopped early ends as it was asked to
        if not fit.converged and fit.n_iter >= self.max_iter > 0:
            warn(
                f"{type(self).__name__} did not converge in max_iter={self.max_iter} iterations; raise max_iter or tol",
                ConvergenceWarning,
            )
