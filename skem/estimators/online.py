"""partial_fit for the estimators whose statistics can be blended."""

from typing import Any

import numpy as np

from skem._compat import check_sample_weight, single_blas_thread, unchanged_on_failure
from skem.engine import Source
from skem.inference.model import Model
from skem.inference.online import online_step


class OnlineMixin:
    """Adds `partial_fit` to a mixture with soft assignments."""

    # what the mixture itself brings
    family_: Any
    n_components_: int
    n_iter_: int
    fit: Any
    _algorithm: Any
    _weights: Any
    _validate: Any
    _validate_parameters: Any
    _publish_parameters: Any
    _theta: Any
    _log_weights: Any
    _seen: Any

    def partial_fit(self, X, y=None, sample_weight=None):
        """Learn from one more batch of rows.

        The first batch of an unfitted mixture is fitted to convergence, so it should hold rows of every component;
        each further one takes a single pass, its statistics blended into those of the rows seen with step size
        (batch weight / weight seen) ** 0.7. Coordinates and priors stay those of the first batch.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : Ignored
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        self : object
            `labels_` and `lower_bound_` are those of this batch.

        References
        ----------
        Cappe & Moulines (2009), On-line expectation-maximization algorithm for latent data models.
        """
        if not hasattr(self, "_seen"):
            return self.fit(X, sample_weight=sample_weight)
        with unchanged_on_failure(self), single_blas_thread():
            return self._partial_fit(X, sample_weight)

    def _partial_fit(self, X, sample_weight):
        self._validate_parameters()
        X = self._validate(X, reset=False)
        self.family_.validate(X)
        if sample_weight is not None:
            sample_weight = check_sample_weight(sample_weight, X)
        algorithm = self._algorithm()
        source = Source(X, sample_weight, self.family_)
        model = Model.build(self.family_, self._weights(self.n_components_), self.n_components_, source)
        state, seen = online_step(algorithm, model, source, self._theta, self._log_weights, self._seen)
        labels = np.empty(len(source), dtype=np.int32)
        result = source.run(state.log_weights, state.theta, collect=False)
        source.run(state.log_weights, state.theta, collect=False, assign="hard", labels=labels)
        # the prior's share of the objective belongs to all rows seen, the batch carries its part of it
        share = model.total_weight / seen.total_weight
        objective = result.score + model.log_base + share * state.penalty
        self._publish_parameters(model, state, np.arange(self.n_components_), seen)
        self.labels_ = labels
        self.lower_bound_ = float(objective / model.total_weight)
        self.n_iter_ += 1
        return self
