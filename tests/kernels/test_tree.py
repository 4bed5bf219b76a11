"""The kd-tree's hard pass: labels and sums are those of comparing all components for all rows."""

import numpy as np
import pytest

from skem import tree as tree_module
from skem._kernels.tree import Tree, max_features
from skem._kernels.tree_pass import assign_by_tree
from skem.engine import Source
from skem.families import Gaussian
from skem.inference.hard import ICM, MaximizationExpectation
from skem.inference.model import Model
from skem.starts import start
from skem.summary import summarize
from skem.tree import TreeSource
from skem.weights import DirichletWeights

COVARIANCES = ["full", "tied", "diag", "spherical", "EII", "EEI"]


def problem(seed, n, d, K, grid=None):
    """Rows of K clouds, and components near them, a few of them thin."""
    rng = np.random.default_rng(seed)
    centers = 3.0 * rng.normal(size=(K, d))
    X = centers[rng.integers(K, size=n)] + rng.normal(size=(n, d)) * rng.uniform(0.3, 1.5, size=d)
    if grid:
        X = np.round(X / grid) * grid
    factor = np.tril(rng.normal(size=(K, d, d)), -1) + np.eye(d) * rng.uniform(0.5, 3.0, size=(K, 1, d))
    factor[0] *= 1e4
    return X, centers + 0.2 * rng.normal(size=(K, d)), factor, rng.normal(size=K), rng.uniform(0.0, 2.0, size=n)


def twin(X, mean, factor, offset, weight, old):
    """NumPy's way: all scores of all rows."""
    white = np.einsum("kij,nkj->nki", factor, X[:, None] - mean)
    scores = offset - 0.5 * (white**2).sum(axis=2)
    labels, best = scores.argmax(axis=1), scores.max(axis=1)
    known = old >= 0
    stays = known & (scores[np.arange(len(X)), np.where(known, old, 0)] == best)
    labels[stays] = old[stays]
    rows, columns = np.tril_indices(X.shape[1])
    sums = []
    for k in range(len(mean)):
        z, w = X[labels == k] - mean[k], weight[labels == k]
        sums.append([w.sum(), *(w @ z), *(w @ (z[:, rows] * z[:, columns]))])
    return weight @ best, (labels != old).sum(), np.array(sums), labels


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("d", range(1, max_features + 1))
@pytest.mark.parametrize(("seed", "n", "grid"), [(0, 3000, None), (1, 1, None), (2, 65, None), (3, 2000, 0.5)])
def test_twin(seed, n, grid, d, dtype):
    K = 7
    X, mean, factor, offset, weight = problem(seed, n, d, K, grid)
    X = X.astype(dtype)
    origin, scale = np.full(d, 0.5), np.full(d, 2.0)
    tree = Tree(X, origin, scale, weight)
    assert sorted(tree.order) == list(range(n))
    old = np.random.default_rng(seed).integers(-1, K, size=n).astype(np.int32)
    thin = (np.arange(K) == 0).astype(np.uint8)
    expected = twin((X - origin) / scale, mean, factor, offset, weight, old)
    labels = old.copy()
    own = labels[tree.order]
    score, moved, sums = assign_by_tree(tree, mean, factor, offset, thin, own, labels)
    np.testing.assert_array_equal(labels, expected[3])
    np.testing.assert_array_equal(own, labels[tree.order])
    assert moved == expected[1]
    assert score == pytest.approx(expected[0], rel=1e-12)
    np.testing.assert_allclose(sums, expected[2], rtol=1e-9, atol=1e-9 * max(np.abs(expected[2]).max(), 1.0))


def test_threads_change_no_bit():
    X, mean, factor, offset, weight = problem(5, 20_000, 2, 9)
    results = []
    for n_threads in (1, 2, 5):
        tree = Tree(X, np.zeros(2), np.ones(2), weight, n_threads=n_threads)
        labels = np.zeros(len(X), dtype=np.int32)
        out = assign_by_tree(
            tree, mean, factor, offset, np.zeros(9, np.uint8), labels[tree.order], labels, n_threads=n_threads
        )
        results.append((out[0], out[1], out[2].tobytes(), labels.tobytes(), tree.order.tobytes()))
    assert results[0] == results[1] == results[2]


def test_ties_keep_their_labels():
    """Two components alike: each row stays with the one it has, a new row goes to the first."""
    X = np.random.default_rng(0).normal(size=(500, 2))
    mean, factor = np.zeros((2, 2)), np.tile(np.eye(2), (2, 1, 1))
    tree = Tree(X, np.zeros(2), np.ones(2))
    labels = np.random.default_rng(1).integers(-1, 2, size=500).astype(np.int32)
    expected = np.maximum(labels, 0)
    assign_by_tree(tree, mean, factor, np.zeros(2), np.zeros(2, np.uint8), labels[tree.order], labels)
    np.testing.assert_array_equal(labels, expected)


def test_equal_rows_and_rows_of_no_weight():
    X = np.repeat([[0.0, 0.0], [5.0, 5.0]], [400, 100], axis=0)
    weight = np.repeat([1.0, 0.0], [400, 100])
    tree = Tree(X, np.zeros(2), np.ones(2), weight)
    labels = np.full(500, -1, dtype=np.int32)
    mean, factor = np.array([[0.0, 0.0], [5.0, 5.0]]), np.tile(np.eye(2), (2, 1, 1))
    score, moved, sums = assign_by_tree(
        tree, mean, factor, np.zeros(2), np.zeros(2, np.uint8), labels[tree.order], labels
    )
    np.testing.assert_array_equal(labels, np.repeat([0, 1], [400, 100]))
    assert (score, moved) == (0.0, 500)
    np.testing.assert_array_equal(sums[:, 0], [400.0, 0.0])


def test_bad_input():
    with pytest.raises(ValueError, match="1 to 4 columns, got 5"):
        Tree(np.zeros((3, 5)), np.zeros(5), np.ones(5))
    tree = Tree(np.zeros((3, 2)), np.zeros(2), np.ones(2))
    short = np.zeros(2, dtype=np.int32)
    with pytest.raises(ValueError, match="do not fit"):
        assign_by_tree(tree, np.zeros((1, 2)), np.eye(2)[None], np.zeros(1), np.zeros(1, np.uint8), short, short)


# --- whole runs -----------------------------------------------------------------------------------


@pytest.fixture
def eager(monkeypatch):
    """Trees from the first pass on, for any number of rows."""
    monkeypatch.setattr(tree_module, "LEAST_ROWS", dict.fromkeys(range(1, 5), 0))
    monkeypatch.setattr(tree_module, "LEAST_WORK", dict.fromkeys(range(1, 5), 0.0))
    monkeypatch.setattr(tree_module, "PATIENCE", 0)


@pytest.mark.parametrize("algorithm", [ICM, MaximizationExpectation])
@pytest.mark.parametrize("covariance_type", COVARIANCES)
@pytest.mark.parametrize("d", [1, 2, 4])
def test_runs_are_those_of_plain_passes(eager, algorithm, covariance_type, d):
    X, _, _, _, weight = problem(d, 1500, d, 5)
    family = Gaussian(covariance_type).bind(summarize(X, weight, Gaussian(covariance_type).equivariance))
    fits = []
    for source in (Source(X, weight, family), TreeSource(X, weight, family)):
        model = Model.build(family, DirichletWeights(1.0), 5, source)
        given = start(source, 5, np.arange(1500) % 5, None, "hard")
        fits.append(algorithm().run(model, source, algorithm().start(model, given)))
    assert source._tree is not None
    plain, tree = fits
    np.testing.assert_array_equal(plain.labels, tree.labels)
    assert plain.n_iter == tree.n_iter
    np.testing.assert_allclose(plain.objectives, tree.objectives, rtol=1e-10)
    assert (np.diff(tree.objectives) >= -1e-9 * np.abs(tree.objectives[-1])).all()
    np.testing.assert_allclose(plain.state.theta.mean, tree.state.theta.mean, rtol=1e-9, atol=1e-9)


def test_the_choice_goes_by_rows_columns_and_components():
    def pays(n, d, n_components):
        X = np.broadcast_to(np.zeros((1, d)), (n, d))
        return TreeSource(X, None, Gaussian())._pays(n_components)

    assert pays(100_000, 2, 10)
    assert not pays(10_000, 2, 10)
    assert not pays(100_000, 4, 50)
    assert TreeSource.serves(Gaussian(), 4)
    assert not TreeSource.serves(Gaussian(), 5)


def test_other_passes_are_plain(eager):
    X, *_ = problem(0, 300, 2, 3)
    family = Gaussian().bind(summarize(X, None, "affine"))
    plain, tree = Source(X, None, family), TreeSource(X, None, family)
    given = start(plain, 3, np.arange(300) % 3, None)
    theta, log_weights = family.mle(given.stats), np.log(np.full(3, 1 / 3))
    assert plain.run(log_weights, theta).score == tree.run(log_weights, theta).score
    labels = np.zeros((2, 300), dtype=np.int32)
    plain.run(log_weights, theta, collect=False, assign="hard", labels=labels[0])
    tree.run(log_weights, theta, collect=False, assign="hard", labels=labels[1])
    np.testing.assert_array_equal(*labels)
    assert tree._tree is None
