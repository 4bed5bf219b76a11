"""Merges of groups: Ward's tree against scipy's, the likelihood's against a twin that knows no bookkeeping."""

import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, linkage
from sklearn.datasets import load_iris
from sklearn.metrics import adjusted_rand_score

from skem._kernels.agglomerate import Groups, ward
from skem.engine import Source
from skem.families import Gaussian, Poisson
from skem.families.merging import merge_groups
from skem.summary import summarize

X_IRIS = load_iris().data


@pytest.mark.parametrize("n_groups", [1, 2, 5, 40])
@pytest.mark.parametrize("shape", [(40, 1), (60, 2), (300, 5)])
def test_ward_is_scipys(shape, n_groups):
    X = np.random.default_rng(0).standard_normal(shape)
    labels = ward(X, np.ones(len(X)), n_groups)
    assert adjusted_rand_score(labels, fcluster(linkage(X, "ward"), n_groups, "maxclust")) == 1.0
    # numbered by their first rows
    _, first = np.unique(labels, return_index=True)
    assert len(first) == n_groups
    assert (np.diff(first) > 0).all()


def test_ward_counts_weights_as_repeated_rows():
    rng = np.random.default_rng(1)
    X, weight = rng.standard_normal((80, 3)), rng.integers(1, 5, 80)
    labels = ward(np.repeat(X, weight, axis=0), np.ones(weight.sum()), 6)
    np.testing.assert_array_equal(np.repeat(ward(X, weight.astype(float), 6), weight), labels)


@pytest.mark.parametrize("weight", [1e160, 1e300])
def test_groups_of_heavy_rows_are_those_of_light_ones(weight):
    X = np.random.default_rng(3).normal(size=(40, 2))
    np.testing.assert_array_equal(ward(X, np.full(40, weight), 6), ward(X, np.ones(40), 6))
    labels = [Groups("ward", np.full(40, mass), X, None, None).merge(6) for mass in (1.0, weight)]
    np.testing.assert_array_equal(*labels)


def test_infinite_distances_are_merged_all_the_same():
    X = np.array([[0.0], [1e200], [-1e200], [1.0]])
    assert sorted(set(ward(X, np.ones(4), 2))) == [0, 1]
    assert sorted(set(Groups("ward", np.ones(4), X, None, None).merge(2))) == [0, 1]


def test_ward_of_equal_rows_ends():
    assert ward(np.zeros((9, 2)), np.ones(9), 3).max() == 2


def twin(value, n_groups, n_left):
    """Merge the pair of the least cost, `value` being worked out anew for every union of groups."""
    parts = [[k] for k in range(n_groups)]
    while len(parts) > n_left:
        pairs = [(a, b) for a in range(len(parts)) for b in range(a + 1, len(parts))]
        unions = [
            [*(p for i, p in enumerate(parts) if i not in pair), parts[pair[0]] + parts[pair[1]]] for pair in pairs
        ]
        parts = max(unions, key=value)
    labels = np.empty(n_groups, dtype=int)
    for k, part in enumerate(parts):
        labels[part] = k
    return labels


def log_likelihood(criterion, n_k, mean, scatter, ridge):
    """Largest log-likelihood of a partition of groups, but for what no partition changes."""
    d = mean.shape[1]

    def pool(part):
        n, m = n_k[part].sum(), n_k[part] @ mean[part] / n_k[part].sum()
        gap = mean[part] - m
        return n, scatter[part].sum(axis=0) + (n_k[part, None] * gap).T @ gap

    def value(parts):
        pooled = [pool(part) for part in parts]
        if criterion == "ward":
            return -sum(np.trace(S) for _, S in pooled)
        if criterion == "full":
            return -sum(n * np.linalg.slogdet((S + ridge) / (n + 1))[1] for n, S in pooled)
        if criterion == "diag":
            return -sum(n * np.log((np.diag(S) + np.diag(ridge)) / (n + 1)).sum() for n, S in pooled)
        if criterion == "spherical":
            return -sum(n * d * np.log(np.trace(S + ridge) / (n + 1)) for n, S in pooled)
        return -np.linalg.slogdet(sum(S for _, S in pooled) + ridge)[1]

    return value


@pytest.mark.parametrize("n_left", [1, 2, 4])
@pytest.mark.parametrize("criterion", ["full", "tied", "diag", "spherical", "ward"])
def test_merges_are_the_twins(criterion, n_left):
    rng = np.random.default_rng(2)
    n_groups, d = 9, 3
    rows = [
        rng.standard_normal((n, d)) @ rng.standard_normal((d, d)) + 3 * rng.standard_normal(d) for n in range(1, 10)
    ]
    n_k, mean = np.array([len(x) for x in rows], dtype=float), np.array([x.mean(axis=0) for x in rows])
    scatter = np.array([(x - m).T @ (x - m) for x, m in zip(rows, mean, strict=True)])
    ridge = np.eye(d) + 0.1
    own = {
        "full": (scatter, ridge), "tied": (scatter.sum(axis=0), ridge), "ward": (None, None),
        "diag": (np.einsum("kii->ki", scatter), np.diag(ridge)),
        "spherical": (np.einsum("kii->k", scatter), np.trace(ridge)),
    }[criterion]  # fmt: skip
    labels = Groups(criterion, n_k, mean, *own).merge(n_left)
    expected = twin(log_likelihood(criterion, n_k, mean, scatter, ridge), n_groups, n_left)
    assert adjusted_rand_score(labels, expected) == 1.0
    assert labels.max() == n_left - 1


def test_a_scatter_of_another_shape_is_refused():
    with pytest.raises(ValueError, match="does not suit 'diag'"):
        Groups("diag", np.ones(2), np.zeros((2, 3)), np.ones((2, 3, 3)), np.ones(3))


def groups_of(family, X, n_groups):
    family = family.bind(summarize(X, None, family.equivariance))
    given = Source(X, None, family).assign_given(n_groups, codes=np.arange(len(X)) * n_groups // len(X))
    return family, given.stats


def test_merges_of_any_family_are_the_twins():
    X = np.random.default_rng(3).poisson(np.repeat([1.0, 4.0, 9.0, 4.0], 20)[:, None], (80, 2))
    family, stats = groups_of(Poisson(), X.astype(float), 8)

    def value(parts):
        total = 0.0
        for part in parts:
            pooled = stats.take(part).pool()
            total += family.log_likelihood(family.mle(pooled), pooled).sum()
        return total

    for n_left in (1, 3, 5):
        labels = merge_groups(family, stats, n_left)
        assert adjusted_rand_score(labels, twin(value, 8, n_left)) == 1.0
        assert labels.max() == n_left - 1


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical", "EII", "EEI"])
def test_merges_do_not_depend_on_units(covariance_type):
    labels = []
    for scale in (1.0, 2.0**20):
        family, stats = groups_of(Gaussian(covariance_type), scale * X_IRIS, 15)
        labels.append(family.agglomerate(stats, 3))
    np.testing.assert_array_equal(*labels)
    assert adjusted_rand_score(labels[0], np.arange(15) // 5) > 0.5
