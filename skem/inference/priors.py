"""The prior that the statistics themselves like best."""

from typing import Any

import numpy as np

from skem.inference.base import Algorithm
from skem.inference.updates import REQUIRED, UPDATES
from skem.starts import start

# A gain of the evidence below this share of it is rounding.
ROUNDING = 1e-12
# Numbers in statistics up to which all priors are tried at once.
STACKED = 1 << 18


def offers_priors(family):
    """Whether a family has several priors to choose from, and the evidence to choose by."""
    return all(family.has(verb) for verb in REQUIRED["evidence"]) and len(family.priors()) > 1


class PriorChoice:
    """The priors that the family of a model may choose from, for any number of components.

    Parameters
    ----------
    model : Model
        Under one of them, or another.
    """

    def __init__(self, model):
        self._families = model.family.priors() if offers_priors(model.family) else []
        # of one component each, that of the model last; None where components share something
        self._each: Any = None
        if self._families and np.ndim(model.family.log_normalizer(model.prior)) > 0:
            priors = [family.prior(1) for family in self._families]
            self._each = priors[0].concatenate([*priors[1:], model.prior.take([0])])
            self._norms = model.family.log_normalizer(self._each)

    def likeliest(self, model, stats):
        """Model under that prior which gives statistics the largest evidence.

        Parameters
        ----------
        model : Model
            Under the same prior as that which the choice was made for.
        stats : SuffStats
            Of its components.

        Returns
        -------
        model : Model
            The same object where no other prior gains.
        """
        if not self._families:
            return model
        *values, now = self._evidences(model, stats)
        best = int(np.argmax(values))
        if not values[best] - now > ROUNDING * abs(now):
            return model
        family = self._families[best]
        return model._replace(family=family, prior=family.prior(model.n_components))

    def _evidences(self, model, stats):
        """Log evidence of statistics under each prior, that of the model last."""
        log_normalizer = model.family.log_normalizer
        n_priors, n_components = len(self._families) + 1, stats.n_components
        numbers = sum(value.size for value in stats.to_dict()["arrays"].values())
        if self._each is not None and numbers * n_priors <= STACKED:
            stacked = self._each.take(np.repeat(np.arange(n_priors), n_components))
            posterior = stacked.merge(stats.take(np.tile(np.arange(n_components), n_priors)))
            return log_normalizer(posterior).reshape(n_priors, -1).sum(axis=1) - n_components * self._norms
        # what components share is not to be stacked, nor is what would be large
        priors = [*(family.prior(n_components) for family in self._families), model.prior]
        return [np.sum(log_normalizer(prior.merge(stats)) - log_normalizer(prior)) for prior in priors]


def likeliest_prior(model, stats):
    """Model under the prior that gives statistics the largest evidence; see `PriorChoice.likeliest`."""
    return PriorChoice(model).likeliest(model, stats)


def prior_of_rows(model, source):
    """Model under the prior that is the likeliest one of a partition of the rows by k-means.

    For cells whose objective tells nothing of the prior: all fits to the same rows have the same one, whatever the
    start, so that their objectives compare.

    Parameters
    ----------
    model : Model
    source : Source

    Returns
    -------
    model : Model
        The same object where the family has nothing to choose, or no other prior gains.
    """
    if not offers_priors(model.family):
        return model
    given = start(source, model.n_components, "k-means", np.random.default_rng(0), "hard")
    return likeliest_prior(model, given.stats)


class ChosenPrior(Algorithm):
    """A cell whose objective is an evidence or a bound of it, and that chooses the prior by it, too.

    It begins under the likeliest prior of its start, and goes on from each optimum under that one's, until it has it:
    the objective never falls, as it is the largest over priors of what it is for one (type II maximum likelihood; Good
    1965, The Estimation of Probabilities).

    Parameters
    ----------
    inner : Algorithm
    """

    def __init__(self, inner):
        super().__init__(inner.tol, inner.max_iter)
        self.assign, self.update = inner.assign, inner.update
        self.inner = inner

    @property
    def plain(self):
        """The cell under the prior that it is given."""
        return self.inner.plain

    @property
    def max_reports(self):
        """Most calls of a run's monitor, or None where nobody knows."""
        return self.inner.max_reports

    def run(self, model, source, state, monitor=None, labels=None, n_iter=0):
        """Iterate from `state` to an optimum, and on under other priors; see `Algorithm.run`."""
        model, source, state = self._choose(model, source, state)
        fit = self.inner.run(model, source, state, monitor, labels, n_iter)._replace(model=model)
        while fit.converged and fit.n_iter < self.max_iter:
            model, source, state = self._choose(model, source, fit.state)
            if model is fit.model:
                break
            labels = fit.labels if self.assign == "hard" else None
            more = self.inner.run(model, source, state, monitor, labels, fit.n_iter + 1)
            fit = more._replace(objectives=fit.objectives + more.objectives, model=model)
        return fit

    def _choose(self, model, source, state):
        """Model, source and state under the likeliest prior of a state's statistics; the same where it has that."""
        likelier = likeliest_prior(model, state.stats)
        if likelier is model:
            return model, source, state
        return likelier, source.seen_by(likelier.family), UPDATES[self.update](likelier, state.stats, state.n_k)
