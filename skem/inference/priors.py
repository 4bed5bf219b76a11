"""The prior that the statistics themselves like best."""

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


def likeliest_prior(model, stats):
    """Model under that prior, of those its family may choose from, which gives statistics the largest evidence.

    Parameters
    ----------
    model : Model
    stats : SuffStats
        Of the components.

    Returns
    -------
    model : Model
        The same object where no other prior gains.
    """
    if not offers_priors(model.family):
        return model
    families, log_normalizer = model.family.priors(), model.family.log_normalizer
    priors = [family.prior(model.n_components) for family in families]
    values = _evidences(log_normalizer, priors, stats)
    best, [now] = int(np.argmax(values)), _evidences(log_normalizer, [model.prior], stats)
    if not values[best] - now > ROUNDING * abs(now):
        return model
    return model._replace(family=families[best], prior=priors[best])


def _evidences(log_normalizer, priors, stats):
    """Log evidence of statistics under each of some priors, ndarray of shape (n_priors,)."""
    n_components = stats.n_components
    numbers = sum(value.size for value in stats.to_dict()["arrays"].values())
    if np.ndim(log_normalizer(priors[0])) == 0 or numbers * len(priors) > STACKED:
        # what components share is not to be stacked, nor is what would be large
        return np.array([np.sum(log_normalizer(prior.merge(stats)) - log_normalizer(prior)) for prior in priors])
    stacked = priors[0].concatenate(priors[1:])
    posterior = stacked.merge(stats.take(np.tile(np.arange(n_components), len(priors))))
    terms = log_normalizer(posterior) - log_normalizer(stacked)
    return terms.reshape(len(priors), n_components).sum(axis=1)


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
