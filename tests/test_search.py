"""Bayesian k-means that finds the number of clusters: every step is exact, and none goes down."""

import itertools

import numpy as np
import pytest
from scipy.special import gammaln
from sklearn.datasets import load_iris

from skem import BayesianKMeans
from skem.engine import DistinctSource, Source
from skem.families import Gaussian, Poisson
from skem.inference.base import Model
from skem.inference.partition import Evidence, Merges
from skem.inference.search import Search
from skem.summary import summarize
from skem.weights import PARTITION_PRIORS

FAMILIES = [Gaussian(kind) for kind in ("full", "tied", "diag", "spherical", "EII", "EEI")] + [Poisson()]
each_family = pytest.mark.parametrize("family", FAMILIES, ids=repr)
each_prior = pytest.mark.parametrize("prior", PARTITION_PRIORS)


def rows(family, n=240, d=3, k=6, seed=0):
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


@each_family
@each_prior
def test_every_step_is_exact_and_goes_up(family, prior):
    evidence, source = problem(family, rows(family), prior=prior)
    steps = []
    search = Search(evidence, source, np.random.default_rng(0), on_step=lambda kind, now: steps.append((kind, now)))
    # from many clusters and from one: merges as well as splits
    for labels in (np.arange(len(source), dtype=np.int32) % 30, np.zeros(len(source), dtype=np.int32)):
        fit = search.run(labels, labels.max() + 1)
        assert fit.converged
        assert (np.diff(fit.objectives) > 0).all()
    assert {"start", "split", "merge"} <= {kind for kind, _ in steps}
    for _, now in steps:
        assert now.objective == pytest.approx(objective(evidence, source, now.labels), rel=1e-13, abs=1e-8)
        assert (now.n_k > 0).all()
        np.testing.assert_allclose(now.n_k, np.bincount(now.labels, source.weight))


@each_family
def test_merge_gains_are_differences_of_objectives(family):
    evidence, source = problem(family, rows(family))
    labels = np.arange(len(source), dtype=np.int32) % 7
    start = evidence.partition(source, labels, 7)
    merges = Merges(evidence, start.stats, start.n_k)
    while len(merges.n_k) > 1:
        before = objective(evidence, source, merges.labels(labels))
        first, second, gain = merges.best()
        merges.merge([first], [second])
        assert objective(evidence, source, merges.labels(labels)) - before == pytest.approx(gain, abs=1e-8)


def partitions_of(n):
    """Labels of every partition of n things."""
    for labels in itertools.product(range(n), repeat=n):
        if all(label <= max(labels[:i], default=-1) + 1 for i, label in enumerate(labels)):
            yield np.array(labels, dtype=np.int32)


@pytest.mark.parametrize("prior", PARTITION_PRIORS)
def test_partition_priors_sum_to_one(prior):
    """Over all partitions of five rows; the Dirichlet's is given the number of components, of which none is empty."""
    given = PARTITION_PRIORS[prior](0.7)
    total = 0.0
    for labels in partitions_of(5):
        sizes = np.bincount(labels)
        total += np.exp(given.log_sizes(sizes).sum() + given.log_count(len(sizes), 5.0))
    if prior == "dirichlet":
        # of K components, the partitions into K clusters are those where none is empty
        expected = sum(
            np.exp(gammaln(0.7 * K) - gammaln(5 + 0.7 * K) + (gammaln(np.array(sizes) + 0.7) - gammaln(0.7)).sum())
            * np.exp(gammaln(6) - gammaln(np.array(sizes) + 1.0).sum())
            for K in range(1, 6)
            for sizes in itertools.product(range(1, 6), repeat=K)
            if sum(sizes) == 5
        )
        assert total == pytest.approx(expected, rel=1e-12)
    else:
        assert total == pytest.approx(1.0, rel=1e-12)


def test_weight_is_repetition_and_order_is_nothing():
    X = rows(FAMILIES[0], n=150)
    rng = np.random.default_rng(1)
    weight = rng.integers(0, 3, size=len(X)).astype(float)
    weighted = BayesianKMeans().fit(X, sample_weight=weight)
    repeated = np.repeat(np.arange(len(X)), weight.astype(int))
    shuffled = rng.permutation(repeated)
    other = BayesianKMeans().fit(X[shuffled])
    assert other.log_evidence_ == pytest.approx(weighted.log_evidence_, rel=1e-12)
    pairs = set(zip(weighted.labels_[shuffled], other.labels_, strict=True))
    assert len(pairs) == weighted.n_components_ == other.n_components_
    np.testing.assert_array_equal(weighted.labels_, weighted.predict(X))


@pytest.mark.parametrize("kind", ["full", "tied"])
def test_a_prior_that_depends_on_the_number_is_refused(kind):
    with pytest.raises(ValueError, match="depends on n_components"):
        BayesianKMeans(family=Gaussian(kind, covariance_prior="mclust")).fit(load_iris().data)


def test_what_needs_a_number_says_so():
    X = load_iris().data
    with pytest.raises(ValueError, match="n_active=2 needs an integer"):
        BayesianKMeans(n_active=2).fit(X)
    with pytest.raises(ValueError, match=r"number of components, and n_components=3 gives it"):
        BayesianKMeans(3, weight_prior="mixture_of_finite_mixtures").fit(X)
