"""Hashes, moments and seeds against NumPy twins, and the weighted set that they must see."""

import numpy as np
import pytest

from skem._kernels.seeding import column_moments, kmeans_plusplus, row_hash


def hash_twin(X):
    def mix(z):
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))

    bits = (np.ascontiguousarray(X, dtype=np.float64) + 0.0).view(np.uint64)
    salt = np.uint64(0x9E3779B97F4A7C15) * np.arange(1, X.shape[1] + 1, dtype=np.uint64)
    return mix(mix(bits + salt).sum(axis=1, dtype=np.uint64))


def moments_twin(X, origin, inv_scale, weights, clip):
    y = np.clip((X.astype(np.float64) - origin) * inv_scale, -clip, clip)
    return weights.sum(), weights @ y / weights.sum(), weights @ y**2 / weights.sum()


def seeds_twin(X, w, n_seeds, uniforms, n_trials):
    def pick(mass, u):
        reached = np.cumsum(mass)
        return min(np.searchsorted(reached, u * reached[-1], side="right"), mass.nonzero()[0][-1])

    def squared(i):
        return ((X - X[i]) ** 2).sum(axis=1)

    seeds = [pick(w, uniforms[0, 0])]
    closest = squared(seeds[0])
    for s in range(1, n_seeds):
        if not (w * closest).any():
            seeds.append(pick(w, uniforms[s, 0]))
            continue
        trials = [pick(w * closest, u) for u in uniforms[s, :n_trials]]
        left = [w @ np.minimum(closest, squared(i)) for i in trials]
        seeds.append(trials[np.argmin(left)])
        closest = np.minimum(closest, squared(seeds[-1]))
    return np.array(seeds)


def make_rows(n, d, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)), rng.choice([0.0, 1.0, 1.0, 2.0, 0.4], size=n)


# --- hash -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("d", [1, 2, 7, 40])
def test_hash_is_that_of_the_twin(d):
    X, _ = make_rows(1000, d)
    np.testing.assert_array_equal(row_hash(X), hash_twin(X))


def test_hash_sees_content_only():
    X = make_rows(500, 6)[0].astype(np.float32)
    expected = row_hash(X.astype(np.float64))
    wide = np.zeros((500, 12), dtype=np.float32)
    wide[:, ::2] = X
    read_only = X.copy()
    read_only.setflags(write=False)
    for same in (X, np.asfortranarray(X), wide[:, ::2], X[::-1].copy()[::-1], read_only):
        np.testing.assert_array_equal(row_hash(same), expected)


def test_both_zeros_hash_alike():
    zeros = np.array([[0.0, 1.0], [-0.0, 1.0]])
    for dtype in (np.float32, np.float64):
        first, second = row_hash(zeros.astype(dtype))
        assert first == second


def test_hashes_of_different_rows_differ():
    # All rows of a small grid: the columns are not interchangeable and nothing cancels.
    grid = np.stack(np.meshgrid(*[np.arange(-9.0, 10.0)] * 4), axis=-1).reshape(-1, 4)
    assert len(np.unique(row_hash(grid))) == len(grid)
    assert len(np.unique(row_hash(grid) >> np.uint64(24))) > 0.99 * len(grid)


@pytest.mark.parametrize("bit", [0, 13, 51, 52, 63])
@pytest.mark.parametrize("column", [0, 4])
def test_one_bit_of_a_value_flips_half_of_the_hash(bit, column):
    X = make_rows(2000, 5)[0]
    other = X.copy()
    other.view(np.uint64)[:, column] ^= np.uint64(1 << bit)
    flipped = np.unpackbits((row_hash(X) ^ row_hash(other)).view(np.uint8).reshape(-1, 8), axis=1)
    assert np.abs(flipped.mean(axis=0) - 0.5).max() < 0.06
    assert flipped.mean() == pytest.approx(0.5, abs=0.01)


# --- column moments -------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 255, 256, 257, 3000])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_column_moments_are_those_of_the_twin(n, dtype):
    X, w = make_rows(n, 3)
    X, w[0] = (5 * X).astype(dtype), 1.5
    settings = np.array([1.0, -2.0, 0.3]), np.array([0.5, 1.0, 4.0])
    for weights, given in ((w, w), (np.ones(n), None)):
        expected = moments_twin(X, *settings, weights, 6.0)
        got = column_moments(X, *settings, given, 6.0)
        assert (np.abs((X - settings[0]) * settings[1]) > 6).any() or n == 1
        for value, twin in zip(got, expected, strict=True):
            np.testing.assert_allclose(value, twin, rtol=1e-13, atol=1e-13)


def test_column_moments_have_the_same_bits_in_any_memory_order():
    X, w = make_rows(2000, 5)
    wide = np.zeros((2000, 10))
    wide[:, ::2] = X
    settings = np.zeros(5), np.ones(5), w, 2.0
    expected = column_moments(X, *settings)
    for same in (np.asfortranarray(X), wide[:, ::2]):
        for value, twin in zip(column_moments(same, *settings), expected, strict=True):
            assert np.asarray(value).tobytes() == np.asarray(twin).tobytes()


def test_column_moments_of_rows_without_weight_and_without_bounds():
    X, w = make_rows(50, 2)
    X[w == 0] = np.nan
    got = column_moments(X, np.zeros(2), np.ones(2), w, np.inf)
    expected = moments_twin(X[w > 0], np.zeros(2), np.ones(2), w[w > 0], np.inf)
    np.testing.assert_allclose(got[1], expected[1], rtol=1e-13)
    # An outlier counts as much as the bound, no more.
    X[w == 0] = 0
    X[0], w[0] = 1e300, 1.0
    total, mean, mean_square = column_moments(X, np.zeros(2), np.full(2, 1e10), w, 8.0)
    assert (mean_square <= 64).all()
    assert (np.abs(mean) <= 8).all()
    assert total == pytest.approx(w.sum())


def test_column_moments_refuse_bad_arguments():
    X, w = make_rows(5, 2)
    with pytest.raises(ValueError, match="per column"):
        column_moments(X, np.zeros(3), np.ones(2), w, 1.0)
    with pytest.raises(ValueError, match="per row"):
        column_moments(X, np.zeros(2), np.ones(2), w[:3], 1.0)
    with pytest.raises(ValueError, match="total weight"):
        column_moments(X, np.zeros(2), np.ones(2), np.zeros(5), 1.0)


# --- k-means++ ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "d", "n_seeds", "n_trials"), [
    (20, 1, 5, 1), (300, 2, 12, 3), (300, 8, 7, 4), (1000, 5, 10, 5), (777, 3, 9, 8),
    (600, 4, 1, 2),
])  # fmt: skip
@pytest.mark.parametrize("seed", range(5))
def test_seeds_are_those_of_the_twin(n, d, n_seeds, n_trials, seed):
    X, w = make_rows(n, d, seed)
    uniforms = np.random.default_rng(seed + 100).random((n_seeds, n_trials))
    seeds = kmeans_plusplus(X, w, n_seeds, uniforms, n_trials)
    np.testing.assert_array_equal(seeds, seeds_twin(X, w, n_seeds, uniforms, n_trials))
    assert seeds.dtype == np.int64
    assert (w[seeds] > 0).all()
    assert len(set(seeds.tolist())) == n_seeds


@pytest.mark.parametrize("scale", [1.0, 1e-7])
def test_a_row_of_weight_two_is_the_row_twice(scale):
    # On a grid many candidates are equally good, and the sums of these steps are not exact: without
    # a tolerance the rounding would choose.
    rng = np.random.default_rng(2)
    X = rng.integers(-3, 4, size=(400, 2)) * (0.1 * scale)
    w = rng.integers(0, 4, size=400)
    for seed in range(40):
        uniforms = np.random.default_rng(seed).random((8, 4))
        once = X[kmeans_plusplus(X, w.astype(float), 8, uniforms, 4)]
        repeated = np.repeat(X, w, axis=0)
        twice = repeated[kmeans_plusplus(repeated, np.ones(len(repeated)), 8, uniforms, 4)]
        np.testing.assert_array_equal(once, twice)


def test_a_common_factor_or_shift_changes_no_choice():
    X, w = make_rows(500, 3)
    uniforms = np.random.default_rng(0).random((9, 4))
    expected = kmeans_plusplus(X, w, 9, uniforms, 4)
    np.testing.assert_array_equal(kmeans_plusplus(X * 2.0**60, w * 8, 9, uniforms, 4), expected)
    rounded = np.rint(X * 1024) / 1024
    near = kmeans_plusplus(rounded, w, 9, uniforms, 4)
    np.testing.assert_array_equal(kmeans_plusplus(rounded + 2.0**30, w, 9, uniforms, 4), near)


def test_the_first_seed_follows_the_weights():
    X, _ = make_rows(4, 2)
    w = np.array([1.0, 0.0, 2.0, 1.0])
    for u, row in [
        (0.0, 0),
        (0.2499, 0),
        (0.25, 2),
        (0.7499, 2),
        (0.75, 3),
        (np.nextafter(1, 0), 3),
    ]:
        assert kmeans_plusplus(X, w, 1, np.full((1, 1), u), 1)[0] == row


def test_the_largest_uniform_stops_at_the_last_row_with_weight():
    # Summed row by row, the weights do not always reach what their sum by blocks promised.
    X, _ = make_rows(1000, 2)
    uniforms = np.full((1, 1), np.nextafter(1, 0))
    for seed in range(20):
        w = np.random.default_rng(seed).random(1000)
        w[900:] = 0
        assert kmeans_plusplus(X, w, 1, uniforms, 1)[0] in (898, 899)


def test_fewer_distinct_rows_than_seeds():
    X = np.repeat([[0.0, 1.0], [2.0, 0.1], [5.0, 5.0]], 4, axis=0)
    w = np.tile([1.0, 0.0, 2.0, 0.0], 3)
    uniforms = np.random.default_rng(1).random((40, 3))
    seeds = kmeans_plusplus(X, w, 40, uniforms, 3)
    np.testing.assert_array_equal(seeds, seeds_twin(X, w, 40, uniforms, 3))
    assert len(np.unique(X[seeds[:3]], axis=0)) == 3
    assert (w[seeds] > 0).all()
    assert len(np.unique(seeds)) == 6, "the rest is drawn by weight among all rows"


def test_greedy_trials_leave_less_mass():
    X, w = make_rows(2000, 2)
    rng = np.random.default_rng(5)
    left = np.zeros(2)
    for _ in range(20):
        uniforms = rng.random((8, 8))
        for t, n_trials in enumerate((1, 8)):
            centres = X[kmeans_plusplus(X, w, 8, uniforms, n_trials)]
            left[t] += w @ ((X[:, None] - centres) ** 2).sum(axis=2).min(axis=1)
    assert left[1] < 0.9 * left[0]


def test_an_outlier_that_overflows_is_a_seed_and_no_more():
    X, w = make_rows(300, 2)
    w[:] = 1
    X[7] = 1e200
    uniforms = np.random.default_rng(3).random((4, 3))
    seeds = kmeans_plusplus(X, w, 4, uniforms, 3)
    assert (seeds == 7).sum() == 1
    assert len(set(seeds.tolist())) == 4


def test_seeds_refuse_bad_arguments():
    X, w = make_rows(10, 2)
    uniforms = np.zeros((3, 2))
    with pytest.raises(ValueError, match="per row"):
        kmeans_plusplus(X, w[:4], 3, uniforms, 2)
    for n_seeds, n_trials in ((4, 2), (3, 3), (0, 2), (3, 0)):
        with pytest.raises(ValueError, match="uniforms"):
            kmeans_plusplus(X, w, n_seeds, uniforms, n_trials)
    with pytest.raises(ValueError, match="total weight"):
        kmeans_plusplus(X, np.zeros(10), 3, uniforms, 2)
    with pytest.raises(ValueError, match="empty"):
        kmeans_plusplus(np.empty((0, 2)), np.empty(0), 3, uniforms, 2)


# --- interrupts -----------------------------------------------------------------------------------


def test_interrupts_are_answered(answer_time):
    tall = np.broadcast_to(np.arange(500.0), (1_000_000, 500))  # takes no memory
    X, w = make_rows(100_000, 20)
    uniforms = np.random.default_rng(0).random((3000, 6))
    for work in (
        lambda: row_hash(tall),
        lambda: column_moments(tall, np.zeros(500), np.ones(500), None, 1e3),
        lambda: kmeans_plusplus(X, w, 3000, uniforms, 6),
        lambda: kmeans_plusplus(X, w, 3000, uniforms, 1),
    ):
        assert answer_time(work) < 0.25
