"""A mixture on its way up: its best run so far, which nobody has published yet."""

from functools import cached_property

import numpy as np

from skem.portfolio import StartRecord

# Rows that a component should have for each parameter of its own.
SUPPORT = 2.0
# Nats a row by which a run must be better than the best to take its place.
NO_BETTER = 1e-6


class Climb:
    """The best run of one candidate.

    Parameters
    ----------
    estimator : BaseMixture
        Unfitted, its rows validated.
    runs : PlainRuns or CompiledRuns
        The runs that there are, one so far.
    record : StartRecord or None
        Of that one.
    """

    def __init__(self, estimator, runs, record):
        self.estimator = estimator
        self.runs = runs
        self.model, self.source = runs.model, runs.source
        self.record = record
        self.n_starts = 1 if record is None else record.n_starts
        self.leader = 0
        runs.climb(0)
        self.merit = self.rate(0)

    @property
    def n_components(self):
        """Number of components that were asked for."""
        return self.estimator.n_components

    @property
    def flat(self):
        """Whether the data of a component are flat, so that the likelihood says nothing."""
        return not self.merit[0]

    @property
    def objective(self):
        """Where the best run seems to end."""
        return self.runs.end(self.leader)

    @cached_property
    def labels(self):
        """Labels of the rows."""
        return self.runs.labels(self.leader)

    @property
    def _least_mass(self):
        """Rows that a component of its own should have."""
        family, d = self.model.family, self.source.X.shape[1]
        return SUPPORT * (family.n_parameters(d, 2) - family.n_parameters(d, 1))

    def rate(self, run):
        """Whether a run is sound, whether all its components have rows enough to rest on, and where it seems to end.

        Likelihood rewards components that cling to a few rows which lie on a line by chance, and the more is searched,
        the more of them are found. They lose against any others, and among themselves the prior has its say.

        Parameters
        ----------
        run : int

        Returns
        -------
        merit : tuple
            The greater the better.
        """
        given, family, end = self.runs.given(run), self.model.family, self.runs.end(run)
        flat = bool(self.estimator._flat(self.model, given).any())
        supported = self.runs.algorithm.update != "mle" or bool(given.n_k.min() >= self._least_mass)
        if not supported and family.has("prior") and family.has("log_density"):
            theta = self.runs.theta(run)
            end += family.log_density(family.prior(theta.n_components), theta)
        return not flat, supported, end

    @property
    def goal(self):
        """What a run must get above to be the best; -inf where anything sound would be better."""
        return self.merit[2] + NO_BETTER * self.model.total_weight if all(self.merit[:2]) else -np.inf

    def offer(self, name, best, new):
        """Let a run take the lead where it is better.

        Parameters
        ----------
        name : str
            Kind of its start.
        best : int or None
            The run, if there is one.
        new : list of int
            All new runs, of which the others are forgotten.
        """
        self.n_starts += len(new)
        # the bound is cheaper than a look at the run
        if best is not None and self.runs.end(best) > self.goal:
            merit = self.rate(best)
            if merit[:2] > self.merit[:2] or (
                merit[:2] == self.merit[:2] and merit[2] > self.merit[2] + NO_BETTER * self.model.total_weight
            ):
                new = [run for run in new if run != best] + [self.leader]
                self.leader, self.merit = best, merit
                self.record = StartRecord(name, self.n_starts, 1)
                self.__dict__.pop("labels", None)
        for run in new:
            self.runs.drop(run)

    def insist(self):
        """Bring the best run near its end where it stands still on flat data: it may come off them."""
        self.runs.insist(self.leader)
        self.merit = self.rate(self.leader)

    def settle(self):
        """Bring the best run to its end."""
        self.fit = self.runs.finish(self.leader)._replace(start=self.record)
        del self.runs

    def publish(self):
        """Return the estimator, fitted."""
        self.estimator._publish(self.model, self.source, self.fit)
        return self.estimator

    def measure(self):
        """What `skem.selection.criteria.measure` says of the published fit.

        Returns
        -------
        measured : dict or None
            None where the objective is no log-likelihood.
        """
        algorithm = self.estimator._algorithm()
        if (algorithm.assign, algorithm.update) != ("soft", "mle") or not self.source.exact:
            return None
        fit, n_k = self.fit, self.fit.state.n_k
        owning = np.bincount(fit.labels, minlength=len(n_k)) > 0
        n_found = int(((n_k > 0) | owning).sum())
        return {
            "log_likelihood": float(fit.objective),
            "n_parameters": self.model.family.n_parameters(self.source.X.shape[1], n_found) + n_found - 1,
            "n_found": n_found,
            "n_iter": fit.n_iter,
            "converged": bool(fit.converged),
            "degenerate": bool(self.estimator._flat(self.model, fit.state).any()),
        }
