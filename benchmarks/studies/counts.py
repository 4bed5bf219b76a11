"""Seeded clusters of counts and of categories, whose overlap is known."""

from typing import Any

import numpy as np
from scipy.special import logsumexp, xlogy

from benchmarks.studies.problems import Problem, generator

# Mean probability of the wrong label under the truth that a problem may have.
BAYES_ERROR = 0.02
# Rows in each cluster for every parameter that it has.
ROWS_A_PARAMETER = 20
# How far clusters are drawn apart grows by this until they overlap little enough, up to a most: farther out shares are
# ones and zeros, and clusters alike.
STEP = 1.15
MOST_APART = 3.0


def bayes_error(log_densities):
    """Mean probability of the wrong label, of equal clusters: log_densities has shape (n, n_clusters)."""
    return float(-np.expm1(log_densities.max(axis=1) - logsumexp(log_densities, axis=1)).mean())


def _separated(rng, make):
    """The first of ever more separated draws that overlaps little enough."""
    apart = rng.uniform(0.3, 1.5)
    while True:
        X, labels, log_densities = make(apart)
        if bayes_error(log_densities) <= BAYES_ERROR:
            return X, labels
        apart = min(apart * STEP, MOST_APART)


def _labels(rng, n_clusters, size):
    return rng.permutation(np.repeat(np.arange(n_clusters), size))


def poisson(number):
    """Independent counts with rates about one level a column."""
    name = f"poisson/{number}"
    rng = generator(name)
    n_clusters, d = int(rng.integers(1, 11)), int(rng.integers(2, 13))
    level = np.exp(rng.uniform(np.log(1.0), np.log(20.0), size=d))
    labels = _labels(rng, n_clusters, ROWS_A_PARAMETER * d)

    def make(apart):
        rates = level * np.exp(apart * rng.normal(size=(n_clusters, d)))
        X = rng.poisson(rates[labels])
        return X, labels, X @ np.log(rates).T - rates.sum(axis=1)

    return Problem(name, *_separated(rng, make), n_clusters, "Poisson", "counts")


def multinomial(number):
    """Documents of some tens of words."""
    name = f"multinomial/{number}"
    rng = generator(name)
    d, length = int(rng.integers(4, 31)), int(rng.integers(10, 60))
    n_clusters = int(rng.integers(1, min(d, 10) + 1))
    labels = _labels(rng, n_clusters, ROWS_A_PARAMETER * (d - 1))

    def make(apart):
        shares = np.exp(apart * rng.normal(size=(n_clusters, d)))
        shares /= shares.sum(axis=1, keepdims=True)
        X = rng.multinomial(length, shares[labels])
        return X, labels, xlogy(X[:, None, :], shares).sum(axis=2)

    return Problem(name, *_separated(rng, make), n_clusters, "Multinomial", "counts")


def categorical(number):
    """Answers to questions with a few choices each, as numbers from 0."""
    name = f"categorical/{number}"
    rng = generator(name)
    n_clusters = int(rng.integers(1, 9))
    n_levels = rng.integers(2, 6, size=int(rng.integers(6, 16)))
    labels = _labels(rng, n_clusters, ROWS_A_PARAMETER * int((n_levels - 1).sum()))

    def make(apart):
        columns, log_densities = [], 0.0
        for count in n_levels:
            log_shares = apart * rng.gumbel(size=(n_clusters, count))
            log_shares -= logsumexp(log_shares, axis=1, keepdims=True)
            # the largest of noisy scores is a draw from their softmax
            column = (log_shares[labels] + rng.gumbel(size=(len(labels), count))).argmax(axis=1)
            columns.append(column)
            log_densities = log_densities + log_shares.T[column]
        return np.column_stack(columns), labels, log_densities

    return Problem(name, *_separated(rng, make), n_clusters, "Categorical", "categories")


COUNTS: dict[str, tuple[Any, int]] = {
    "poisson": (poisson, 100),
    "multinomial": (multinomial, 100),
    "categorical": (categorical, 100),
}
