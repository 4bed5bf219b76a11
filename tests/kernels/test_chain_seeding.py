"""Seeds by Markov chains: a NumPy twin, the law that they tend to, and weights."""

import numpy as np
import pytest
from scipy.stats import chisquare

from skem._kernels.chain_seeding import chain_seeds


def make_rows(n, d):
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, d)), rng.choice([0.0, 1.0, 1.0, 2.0, 0.4], size=n)


def chain_twin(X, w, n_seeds, uniforms):
    def draw(mass, uniform):
        return np.flatnonzero(np.cumsum(mass) > uniform * mass.sum())[0]

    def closest(i, seeds):
        return ((X[seeds] - X[i]) ** 2).sum(axis=1).min()

    seeds = [draw(w, uniforms[0, 0, 0])]
    squared = ((X - X[seeds[0]]) ** 2).sum(axis=1)
    q = 0.5 / w.sum() + 0.5 * squared / (w @ squared)
    for s in range(1, n_seeds):
        rows = [draw(w * q, u) for u in uniforms[s, :, 0]]
        at = rows[0]
        for row, u in zip(rows[1:], uniforms[s, 1:, 1], strict=True):
            if closest(row, seeds) * q[at] > u * closest(at, seeds) * q[row]:
                at = row
        seeds.append(at)
    return np.array(seeds)


@pytest.mark.parametrize(
    ("n", "d", "n_seeds", "length"), [(5, 1, 1, 1), (300, 3, 9, 1), (257, 2, 12, 8), (900, 7, 30, 21)]
)
def test_seeds_are_those_of_the_twin(n, d, n_seeds, length):
    X, w = make_rows(n, d)
    w[0] = 1.0
    uniforms = np.random.default_rng(1).random((n_seeds, length, 2))
    seeds = chain_seeds(X, w, n_seeds, uniforms)
    np.testing.assert_array_equal(seeds, chain_twin(X, w, n_seeds, uniforms))
    assert (w[seeds] > 0).all()


def test_long_chains_follow_the_law_of_kmeans_plusplus():
    X = np.array([[0.0, 0], [1, 0], [0, 1.5], [5, 5], [2, 2]])
    w = np.array([1.0, 3.0, 0.5, 0.0, 2.0])
    rng = np.random.default_rng(0)
    seeds = np.array([chain_seeds(X, w, 3, rng.random((3, 60, 2))) for _ in range(6000)])
    assert not (seeds == 3).any()
    for first in (0, 1, 2, 4):
        for second in (0, 1, 2, 4):
            last = seeds[(seeds[:, 0] == first) & (seeds[:, 1] == second), 2]
            if len(last) < 100:
                continue
            squared = ((X - X[first]) ** 2).sum(axis=1), ((X - X[second]) ** 2).sum(axis=1)
            law = w * np.minimum(*squared)
            counts = np.bincount(last, minlength=5)[law > 0]
            assert counts.sum() == len(last)
            assert chisquare(counts, law[law > 0] / law.sum() * len(last)).pvalue > 1e-4


def test_weight_two_is_the_row_twice():
    X, w = make_rows(400, 3)
    w = np.round(w) + 1.0
    uniforms = np.random.default_rng(2).random((20, 16, 2))
    repeated = np.repeat(X, w.astype(int), axis=0)
    by_weight = X[chain_seeds(X, w, 20, uniforms)]
    np.testing.assert_array_equal(by_weight, repeated[chain_seeds(repeated, np.ones(len(repeated)), 20, uniforms)])


def test_few_distinct_rows():
    X = np.repeat(np.arange(3.0)[:, None], 50, axis=0)
    seeds = chain_seeds(X, np.ones(150), 8, np.random.default_rng(3).random((8, 32, 2)))
    assert set(X[seeds, 0]) == {0.0, 1.0, 2.0}
    same = chain_seeds(np.ones((9, 2)), np.ones(9), 4, np.random.default_rng(4).random((4, 5, 2)))
    assert ((same >= 0) & (same < 9)).all()


@pytest.mark.parametrize(("X", "w", "shape", "match"), [
    (np.ones((3, 2)), np.ones(2), (2, 4, 2), "one value per row"),
    (np.ones((3, 2)), np.zeros(3), (2, 4, 2), "total weight"),
    (np.ones((3, 2)), np.ones(3), (1, 4, 2), "uniforms"),
    (np.ones((3, 0)), np.ones(3), (2, 4, 2), "empty"),
])  # fmt: skip
def test_bad_input(X, w, shape, match):
    with pytest.raises(ValueError, match=match):
        chain_seeds(X, w, 2, np.zeros(shape))
