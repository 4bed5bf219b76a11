"""Hard assignments."""

import numpy as np

from skem._kernels.collapsed import Collapsed
from skem.inference.base import Algorithm, Fit
from skem.summary import canonical_rows


class ClassificationEM(Algorithm):
    """Hard EM: maximises sum_n log pi_z p(x_n | theta_z) (Celeux & Govaert 1992); k-means is its plainest case."""

    assign = "hard"
    update = "mle"


class ICM(Algorithm):
    """Iterated conditional modes: maximises log p(x, z, theta, pi) (Besag 1986)."""

    assign = "hard"
    update = "mode"


class MaximizationExpectation(Algorithm):
    """Bayesian k-means: maximises log p(x, z), theta and pi integrated out (Kurihara & Welling 2009).

    The batch update takes the argmax of the expected log density, which maximises a linear minorant of the
    objective, so that any number of rows may move at once. When it rests, sweeps of single moves by the exact
    predictive go on: their optima are a subset of the batch's.
    """

    assign = "hard"
    update = "expect"

    def objective(self, model, state, result):
        # a property of the labels that made the state; at a fixed point the pass found the same ones
        return state.evidence + model.log_base

    def run(self, model, source, state, monitor=None):
        fit = super().run(model, source, state, monitor)
        if not fit.converged:
            # the labels are one step ahead of the state: publish the two together
            given = source.assign_given(model.n_components, codes=fit.labels)
            state = self.start(model, given)
            objective = self.objective(model, state, given)
            return fit._replace(state=state, objective=objective, objectives=[*fit.objectives, objective])
        kind = model.family.collapsed_kind
        if kind is None:
            return fit
        rows = canonical_rows(source.X, source.weight)
        X = np.ascontiguousarray(model.family.summary_.to_internal(source.X[rows.index]))
        order = np.arange(len(X), dtype=np.intp)
        objectives, n_iter = list(fit.objectives), fit.n_iter
        while n_iter < self.max_iter:
            labels = np.ascontiguousarray(fit.labels[rows.index])
            sweep = Collapsed(
                kind, fit.state.posterior.to_dict()["arrays"], fit.state.n_k, model.weight_prior.alpha
            )
            moved, gain = 0, 0.0
            while n_iter < self.max_iter:
                step, more = sweep.sweep(X, rows.weight, labels, order)
                moved, gain, n_iter = moved + step, gain + more, n_iter + 1
                if step == 0:
                    break
            if moved == 0:
                break
            # the sweep's statistics carry rounding: take them from the rows again, then let the batch confirm
            everywhere = fit.labels.copy()
            known = rows.inverse >= 0
            everywhere[known] = labels[rows.inverse[known]]
            given = source.assign_given(model.n_components, codes=everywhere)
            batch = Algorithm.run(self, model, source, self.start(model, given), monitor)
            if batch.objective <= objectives[-1]:
                break
            objectives.extend(batch.objectives)
            n_iter += batch.n_iter
            fit = batch
        return Fit(fit.state, fit.objective, objectives, n_iter, fit.converged and n_iter < self.max_iter, fit.labels)
