"""Hard passes by nearest centres give what the general pass gives: labels, masses, sums and score."""

import numpy as np
import pytest

from skem import labels_in_float
from skem.engine import Source
from skem.families import Multinomial, Poisson, VonMisesFisher
from skem.summary import summarize


def directions(rng, n, d):
    X = rng.normal(size=(n, d)) + 2.0 * np.eye(d)[rng.integers(4, size=n)]
    return X / np.linalg.norm(X, axis=1, keepdims=True)


def counts(rng, n, d):
    return rng.poisson(rng.gamma(1.0, 3.0, (4, d))[rng.integers(4, size=n)]).astype(float)


FAMILIES = [(VonMisesFisher(), directions), (Multinomial(), counts), (Poisson(), counts)]


def passes(family, X, weight, old, monkeypatch, n_components=5):
    """The same pass by either, from statistics of random labels."""
    family = family.bind(summarize(X, weight, family.equivariance))
    rng = np.random.default_rng(5)
    source = Source(X, weight, family)
    stats = source.assign_given(n_components, codes=rng.integers(n_components, size=len(X)).astype(np.int32)).stats
    theta, log_weights = family.mle(stats), np.log(rng.dirichlet(np.ones(n_components)))
    results = []
    for work in (0, np.inf):
        monkeypatch.setattr(labels_in_float, "LEAST_WORK", work)
        labels = old.copy()
        calls = []
        monkeypatch.setattr(labels_in_float, "assign_nearest", spy(calls))
        result = source.run(log_weights, theta, assign="hard", labels_in=labels, labels=labels)
        assert len(calls) == (work == 0)
        results.append((result, labels))
    return source, results


def spy(calls, original=labels_in_float.assign_nearest):
    def called(*args, **named):
        calls.append(named)
        return original(*args, **named)

    return called


@pytest.mark.parametrize(("family", "make"), FAMILIES, ids=lambda part: type(part).__name__)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_same_as_the_general_pass(family, make, dtype, weighted, monkeypatch):
    rng = np.random.default_rng(6)
    X = np.ascontiguousarray(make(rng, 400, 24), dtype=dtype)
    weight = rng.choice([0.0, 0.5, 1.0, 3.0], size=400) if weighted else None
    old = rng.integers(-1, 5, size=400).astype(np.int32)
    source, ((ours, labels), (theirs, expected)) = passes(family, X, weight, old, monkeypatch)
    np.testing.assert_array_equal(labels, expected)
    assert (ours.moved, ours.score) == (theirs.moved, pytest.approx(theirs.score, rel=1e-12))
    np.testing.assert_allclose(ours.n_k, theirs.n_k, rtol=1e-13)
    np.testing.assert_allclose(ours.stats.total, theirs.stats.total, rtol=1e-12, atol=1e-12)
    if type(family) is VonMisesFisher:
        assert source.float_tells


def test_ties_keep_old_labels(monkeypatch):
    """Rows of one value are as near to all components."""
    X = np.tile(directions(np.random.default_rng(7), 1, 20), (100, 1))
    old = np.arange(100, dtype=np.int32) % 5
    family = VonMisesFisher(3.0).bind(summarize(X, None, VonMisesFisher.equivariance))
    theta = family.mle(Source(X, None, family).assign_given(5, codes=old).stats)
    monkeypatch.setattr(labels_in_float, "LEAST_WORK", 0)
    source, labels = Source(X, None, family), old.copy()
    result = source.run(np.zeros(5), theta, assign="hard", labels_in=labels, labels=labels)
    np.testing.assert_array_equal(labels, old)
    assert result.moved == 0
    # float could decide nothing: the next pass is another
    assert not source.float_tells
