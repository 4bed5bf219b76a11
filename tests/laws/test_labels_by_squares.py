"""Hard passes that ask float32 first give what the pass in double gives: labels, masses, sums and score."""

import numpy as np
import pytest

from skem import labels_in_float
from skem.engine import Source
from skem.families import Gaussian
from skem.summary import summarize


def blobs(rng, n, d, apart):
    return rng.normal(size=(n, d)) + apart * rng.normal(size=(4, d))[rng.integers(4, size=n)]


def spy(undecided, original=labels_in_float.Prepared):
    class Spy(original):
        def once(self):
            result = super().once()
            undecided.append(self.n_undecided)
            return result

    return Spy


def both(X, weight, old, monkeypatch, codes, n_components=5):
    """A pass that asks float first and one that does not, from statistics of the labels `codes`."""
    family = Gaussian().bind(summarize(X, weight, "affine"))
    source = Source(X, weight, family)
    theta = family.mle(source.assign_given(n_components, codes=codes.astype(np.int32)).stats)
    log_weights = np.log(np.random.default_rng(5).dirichlet(np.ones(n_components)))
    results, undecided = [], []
    monkeypatch.setattr(labels_in_float, "Prepared", spy(undecided))
    for work in (0, np.inf):
        monkeypatch.setattr(labels_in_float, "LEAST_WORK_OF_SQUARES", work)
        labels = old.copy()
        result = source.run(log_weights, theta, assign="hard", labels_in=labels, labels=labels)
        results.append((result, labels))
    # the first alone
    assert len(undecided) == 1
    return source, results, undecided[0]


# up to 31 columns scores are linear in pairs of them, beyond they have differences
@pytest.mark.parametrize("d", [6, 7, 12, 20, 32, 37, 70])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_same_as_in_double(d, dtype, weighted, monkeypatch):
    rng = np.random.default_rng(6)
    X = np.ascontiguousarray(blobs(rng, 1000, d, 0.7), dtype=dtype)
    weight = rng.choice([0.0, 0.5, 1.0, 3.0], size=1000) if weighted else None
    old = rng.integers(-1, 5, size=1000).astype(np.int32)
    _, ((ours, labels), (theirs, expected)), undecided = both(X, weight, old, monkeypatch, rng.integers(5, size=1000))
    np.testing.assert_array_equal(labels, expected)
    assert (ours.moved, ours.score) == (theirs.moved, pytest.approx(theirs.score, rel=1e-12))
    np.testing.assert_allclose(ours.n_k, theirs.n_k, rtol=1e-13)
    for name, value in theirs.stats.to_dict()["arrays"].items():
        np.testing.assert_allclose(getattr(ours.stats, name), value, rtol=1e-11, atol=1e-11, err_msg=name)
    assert undecided < 1000


@pytest.mark.parametrize("offset", [0.0, 1e3])
@pytest.mark.parametrize("narrow", [1e-2, 1e-6])
def test_narrow_clusters_far_out(narrow, offset, monkeypatch):
    """Differences of scores are the larger, the narrower the clusters, and so is what float loses of them."""
    rng = np.random.default_rng(9)
    codes = rng.integers(5, size=1000)
    X = rng.normal(size=(5, 20))[codes] + narrow * rng.normal(size=(1000, 20)) + offset
    X[:500] += (rng.random(500) * (rng.normal(size=(5, 20))[rng.integers(5, size=500)]).T).T
    old = np.full(1000, -1, dtype=np.int32)
    source, ((ours, labels), (theirs, expected)), undecided = both(X, None, old, monkeypatch, codes)
    np.testing.assert_array_equal(labels, expected)
    assert ours.score == pytest.approx(theirs.score, rel=1e-9)
    assert source.float_tells == (undecided <= 300)


@pytest.mark.parametrize("d", [6, 33])
def test_what_is_close_is_decided_in_double(d, monkeypatch):
    """Rows about halfway between two of the components, nearer to that than float can tell."""
    rng = np.random.default_rng(7)
    X = blobs(rng, 2000, d, 3.0)
    codes = (X @ rng.normal(size=d) > 0).astype(np.int32)
    X[::5, 0] += 1e-9 * rng.normal(size=400)
    middle = Source(X, None, Gaussian().bind(summarize(X, None, "affine")))
    theta = middle.family.mle(middle.assign_given(2, codes=codes).stats)
    # rows are moved along a line between the components until their scores all but agree
    labels = np.empty(2000, dtype=np.int32)
    middle.run(np.zeros(2), theta, collect=False, assign="hard", labels=labels)
    low, high = X[labels == 0][:300].copy(), X[labels == 1][:300].copy()
    for _ in range(45):
        half = 0.5 * (low + high)
        labels = np.empty(300, dtype=np.int32)
        own = Source(half, None, middle.family)
        own.run(np.zeros(2), theta, collect=False, assign="hard", labels=labels)
        low, high = np.where(labels[:, None] == 0, half, low), np.where(labels[:, None] == 1, half, high)
    X[:300] = np.where(rng.random(300)[:, None] < 0.5, low, high)
    family, found, undecided = middle.family, [], []
    monkeypatch.setattr(labels_in_float, "Prepared", spy(undecided))
    for work in (0, np.inf):
        monkeypatch.setattr(labels_in_float, "LEAST_WORK_OF_SQUARES", work)
        labels = np.empty(2000, dtype=np.int32)
        Source(X, None, family).run(np.zeros(2), theta, assign="hard", labels=labels)
        found.append(labels)
    np.testing.assert_array_equal(*found)
    assert set(found[0][:300]) == {0, 1}
    # of the other rows few are
    assert 300 <= undecided[0] < 600


@pytest.mark.parametrize("d", [6, 33])
def test_ties_keep_old_labels(d, monkeypatch):
    """Two components alike: float can decide nothing, and the next pass is another."""
    rng = np.random.default_rng(8)
    X = np.tile(blobs(rng, 400, d, 0.0), (2, 1))
    old = (np.arange(800) >= 400).astype(np.int32)
    source = Source(X, None, Gaussian().bind(summarize(X, None, "affine")))
    theta = source.family.mle(source.assign_given(2, codes=old).stats)
    monkeypatch.setattr(labels_in_float, "LEAST_WORK_OF_SQUARES", 0)
    labels = old.copy()
    result = source.run(np.zeros(2), theta, assign="hard", labels_in=labels, labels=labels)
    np.testing.assert_array_equal(labels, old)
    assert result.moved == 0
    assert not source.float_tells
