"""The nearest centre against a NumPy twin: ties, near ties, bounds, any layout and any number of threads."""

import numpy as np
import pytest

from skem._kernels.nearest import assign_nearest, squared_to_all, squared_to_own

# the last one is summed cluster by cluster, and walked in pieces
SHAPES = [(1, 1, 1), (5, 3, 1), (300, 1, 7), (400, 8, 50), (333, 17, 13), (200, 64, 21), (150, 33, 301), (130, 611, 7)]


def squares_twin(X, origin, scale, centers):
    Z = (X.astype(np.float64) - origin) / scale
    return ((Z[:, None] - centers) ** 2).sum(axis=2)


def sums_twin(X, origin, scale, K, labels, weight):
    mine = np.eye(K)[labels] * weight[:, None]
    return mine.sum(axis=0), mine.T @ ((X.astype(np.float64) - origin) / scale)


def near(a, b, tol=1e-12):
    np.testing.assert_allclose(a, b, rtol=tol, atol=tol)


def make(n, d, K, dtype=np.float64, order="C", seed=0):
    rng = np.random.default_rng(seed)
    X = np.asarray(2 * rng.normal(size=(n, d)) + 7, dtype=dtype, order=order)
    origin = np.float32(7 + rng.normal(size=d)).astype(np.float64)
    return X, origin, np.full(d, 2.0), rng.normal(size=(K, d)), rng.random(n)


def no_labels(n):
    return np.full(n, -1, dtype=np.int32)


def drift_of(before, after):
    moved = np.sqrt(((after - before) ** 2).sum(axis=1))
    return np.array([np.delete(moved, k).max(initial=0.0) for k in range(len(moved))])


@pytest.mark.parametrize("order", ["C", "F", "sliced"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES)
def test_agrees_with_its_twin(shape, dtype, order):
    n, _, K = shape
    X, origin, scale, centers, weight = make(*shape, dtype)
    X = np.repeat(X, 2, axis=1)[:, ::2] if order == "sliced" else np.asarray(X, order=order)
    squares = squares_twin(X, origin, scale, centers)
    labels = no_labels(n)
    n_moved, n_compared, _, mass, sums = assign_nearest(X, origin, scale, centers, labels, sample_weight=weight)
    np.testing.assert_array_equal(labels, squares.argmin(axis=1))
    assert n_moved == n_compared == n
    twin = sums_twin(X, origin, scale, K, labels, weight)
    near(mass, twin[0])
    near(sums, twin[1], 1e-11)
    near(squared_to_all(X, origin, scale, centers), squares)
    near(squared_to_own(X, origin, scale, centers, labels), squares.min(axis=1))
    again = assign_nearest(X, origin, scale, centers, labels, collect=False)
    assert (again[:2], again[3:]) == ((0, n), (None, None))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_first_of_equally_near_centres(dtype):
    """Whole numbers: every distance is exact, and most rows have several nearest centres."""
    rng = np.random.default_rng(0)
    X = rng.integers(-3, 4, size=(500, 2)).astype(dtype)
    centers = np.concatenate([rng.integers(-3, 4, size=(9, 2)), rng.integers(-3, 4, size=(9, 2))]).astype(np.float64)
    squares = squares_twin(X, 0.0, 1.0, centers)
    assert np.mean((squares == squares.min(axis=1, keepdims=True)).sum(axis=1) > 1) > 0.5
    labels = no_labels(500)
    assign_nearest(X, np.zeros(2), np.ones(2), centers, labels)
    np.testing.assert_array_equal(labels, squares.argmin(axis=1))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_near_ties_are_decided_by_differences(dtype):
    """Centres so near to one another, or so far out, that inner products cannot tell them apart."""
    X, origin, scale, _, _ = make(300, 4, 1, dtype)
    rng = np.random.default_rng(1)
    directions = rng.normal(size=(30, 4))
    for centers in (
        rng.normal(size=4) + 10.0 ** rng.uniform(-9, -4, size=(30, 1)) * directions,
        1e7 * directions / np.linalg.norm(directions, axis=1, keepdims=True),
    ):
        squares = squares_twin(X, origin, scale, centers)
        labels, lower = no_labels(300), np.empty(300, dtype=np.float32)
        assign_nearest(X, origin, scale, centers, labels, lower=lower)
        # the twin sums in another order, so it may differ by its own rounding
        near(squares[np.arange(300), labels], squares.min(axis=1), 1e-15)
        assert len(set(labels)) > 1
        # rows that differences decided have the best of bounds
        second = np.sqrt(np.sort(squares, axis=1)[:, 1])
        assert (lower <= second).all()
        assert np.mean(lower > (1.0 - 1e-4) * second) > 0.9


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_far_rows_and_centres_do_not_overflow_float(dtype):
    X, origin, scale, centers, _ = make(100, 3, 5, dtype)
    X[::7] *= dtype(1e30)
    centers[3] = 1e60
    labels = no_labels(100)
    assign_nearest(X, origin, scale, centers, labels)
    squares = squares_twin(X, origin, scale, centers)
    near(squares[np.arange(100), labels], squares.min(axis=1), 1e-15)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES)
def test_discounts_make_centres_nearer(dtype, shape):
    n, _, K = shape
    X, origin, scale, centers, weight = make(*shape, dtype)
    squares = squares_twin(X, origin, scale, centers)
    discount = np.random.default_rng(3).normal(size=K) * squares.std(axis=1).mean()
    labels = no_labels(n)
    _, _, n_settled, mass, sums = assign_nearest(
        X, origin, scale, centers, labels, sample_weight=weight, discount=discount
    )
    np.testing.assert_array_equal(labels, (squares - discount).argmin(axis=1))
    assert n_settled <= n // 3 + 192
    twin = sums_twin(X, origin, scale, K, labels, weight)
    near(mass, twin[0])
    near(sums, twin[1], 1e-11)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_old_labels_stay_within_the_slack(dtype):
    """Of centres in pairs, both of a pair are as near."""
    X, origin, scale, centers, _ = make(500, 4, 6, dtype)
    centers, old = np.repeat(centers, 2, axis=0), np.random.default_rng(4).integers(-1, 12, size=500).astype(np.int32)
    first = (squares_twin(X, origin, scale, centers)).argmin(axis=1)
    labels = old.copy()
    n_moved = assign_nearest(X, origin, scale, centers, labels, discount=np.zeros(12), slack=1e-12)[0]
    np.testing.assert_array_equal(labels, np.where(old == first + 1, old, first))
    assert n_moved == np.sum(labels != old)
    assert np.sum(old == first + 1) > 10


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("step", [1e-3, 0.1, 1.0])
def test_bounds_change_nothing_but_the_work(dtype, step):
    X, origin, scale, centers, weight = make(3000, 5, 40, dtype)
    rng = np.random.default_rng(2)
    labels, lower, drift = no_labels(3000), np.empty(3000, dtype=np.float32), None
    compared = []
    for _ in range(6):
        plain = no_labels(3000)
        expected = assign_nearest(X, origin, scale, centers, plain, sample_weight=weight)
        result = assign_nearest(X, origin, scale, centers, labels, sample_weight=weight, lower=lower, drift=drift)
        np.testing.assert_array_equal(labels, plain)
        np.testing.assert_array_equal(result[3], expected[3])
        np.testing.assert_array_equal(result[4], expected[4])
        squares = squares_twin(X, origin, scale, centers)
        squares[np.arange(3000), labels] = np.inf
        assert (lower <= np.sqrt(squares.min(axis=1))).all()
        compared.append(result[1])
        new = centers + step * rng.normal(size=centers.shape) * rng.random((40, 1)) ** 4
        drift, centers = drift_of(centers, new), new
    assert compared[0] == 3000
    if step < 1e-2:
        assert max(compared[1:]) < 300


@pytest.mark.parametrize("shape", [(20000, 5, 30), (3000, 150, 40)])
def test_the_same_bits_for_any_number_of_threads(shape):
    X, origin, scale, centers, weight = make(*shape)
    results = []
    for n_threads in (1, 2, 3, 8):
        labels = no_labels(len(X))
        results.append((*assign_nearest(
            X, origin, scale, centers, labels, sample_weight=weight, n_threads=n_threads
        )[3:], labels))  # fmt: skip
    for result in results[1:]:
        for mine, first in zip(result, results[0], strict=True):
            np.testing.assert_array_equal(mine, first)


@pytest.mark.parametrize("work", [assign_nearest, squared_to_all])
def test_ctrl_c_is_answered(work, answer_time):
    X, origin, scale, centers, _ = make(20000, 200, 800)
    arguments = (no_labels(20000),) if work is assign_nearest else ()

    def repeat():
        while True:
            work(X, origin, scale, centers, *arguments)

    assert answer_time(repeat) < 0.1
