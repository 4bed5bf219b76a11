"""Rows to search, and the objective of a partition worked out from them."""

import numpy as np

from skem.distinct import DistinctSource
from skem.engine import Source
from skem.families import Poisson
from skem.inference.model import Model
from skem.inference.partition import Evidence
from skem.summary import summarize
from skem.weights import PARTITION_PRIORS


def rows(family, n=160, d=3, k=5, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(k, size=n)
    if isinstance(family, Poisson):
        return rng.poisson(np.exp(rng.normal(2.0, 1.2, size=(k, d)))[labels]).astype(float)
    return 4.0 * rng.normal(size=(k, d))[labels] + rng.normal(size=(n, d)) * np.exp(rng.normal(size=(k, 1)))[labels]


def problem(family, X, weight=None, prior="dirichlet"):
    """Evidence and distinct rows."""
    family = family.bind(summarize(X, weight, family.equivariance))
    source, _ = DistinctSource.of(Source(X, weight, family))
    partitions = PARTITION_PRIORS[prior](1.0)
    return Evidence(Model.build(family, partitions.weights(1), 1, source), partitions), source


def objective(evidence, source, labels):
    """Of a partition, cluster by cluster from its rows."""
    family, prior = evidence.model.family, evidence.prior
    weight = np.ones(len(source)) if source.weight is None else source.weight
    given = source.assign_given(labels.max() + 1, codes=labels)
    priors = family.prior(labels.max() + 1)
    value = np.sum(family.log_normalizer(priors.merge(given.stats))) - np.sum(family.log_normalizer(priors))
    assert prior.n_components == 1
    n_k = np.bincount(labels, weight)
    return value + evidence.of_sizes(n_k) + evidence.model.log_base
