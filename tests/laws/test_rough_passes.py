"""Soft passes in float are off by no more than they say, and runs by them end where exact ones do."""

import numpy as np
import pytest

from skem import rough_passes
from skem.engine import Source
from skem.families import Gaussian, Multinomial, Poisson, VonMisesFisher
from skem.inference.em import EM, MAPEM
from skem.inference.model import Model
from skem.summary import summarize
from skem.weights import DirichletWeights

K, N, D = 4, 900, 36


def directions(rng):
    X = 0.4 * rng.normal(size=(N, D)) + rng.normal(size=(K, D))[rng.integers(K, size=N)]
    return X / np.linalg.norm(X, axis=1, keepdims=True)


def counts(rng):
    return rng.poisson(rng.gamma(3.0, 0.5, (K, D))[rng.integers(K, size=N)]).astype(float)


def few(rng):
    return reals(rng)[:, :9]


def reals(rng):
    return 5.0 + rng.normal(size=(N, D)) + 1.5 * rng.normal(size=(K, D))[rng.integers(K, size=N)]


FAMILIES = [
    (VonMisesFisher(), directions), (Multinomial(), counts), (Poisson(), counts), (Gaussian("tied"), reals),
    (Gaussian("full"), reals), (Gaussian("full"), few),
]  # fmt: skip
# linear scores, centred ones, and those of pairs
KINDS = [(VonMisesFisher(), directions), (Gaussian("full"), reals), (Gaussian("full"), few)]


@pytest.fixture(autouse=True)
def small_data_count_as_large(monkeypatch):
    monkeypatch.setattr(rough_passes, "LEAST_WORK", 0)
    monkeypatch.setattr(rough_passes, "LEAST_WORK_COMPILED", 0)


def setting(family, make, dtype, weighted=False):
    """A source of rows of this type, its model, and statistics of random labels."""
    rng = np.random.default_rng(3)
    X = np.ascontiguousarray(make(rng), dtype=np.float32).astype(dtype)
    weight = rng.choice([0.0, 0.5, 1.0, 3.0], size=N) if weighted else None
    codes = rng.integers(K, size=N).astype(np.int32)
    family = family.bind(summarize(X, weight, family.equivariance))
    source = Source(X, weight, family)
    return source, codes


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("family", "make"), FAMILIES, ids=lambda part: type(part).__name__)
def test_the_same_as_the_exact_pass(family, make, weighted):
    source, codes = setting(family, make, np.float32, weighted)
    theta = source.family.mle(source.assign_given(K, codes=codes).stats)
    log_weights = np.log([0.1, 0.2, 0.3, 0.4])
    exact, rough = (source.run(log_weights, theta, rough=rough) for rough in (False, True))
    assert exact.error == 0.0 < rough.error < 1e-4
    assert 0.0 < abs(rough.score - exact.score) <= rough.error * source.total_weight
    np.testing.assert_allclose(rough.n_k, exact.n_k, rtol=rough.error)
    for name, value in exact.stats._arrays.items():
        got = rough.stats._arrays[name]
        np.testing.assert_allclose(got, value, rtol=10 * rough.error, atol=10 * rough.error * np.abs(value).max())


@pytest.mark.parametrize(("family", "make"), KINDS, ids=lambda part: type(part).__name__)
def test_only_where_it_may(family, make):
    source, codes = setting(family, make, np.float32)
    theta, log_weights = source.family.mle(source.assign_given(K, codes=codes).stats), np.zeros(K)
    assert source.run(log_weights, theta, rough=True).error > 0.0
    for changed in ({"X": source.X.astype(float)}, {"X": np.asfortranarray(source.X)}, {"index": np.arange(N)}):
        other = Source(changed.get("X", source.X), None, source.family, changed.get("index"))
        assert other.run(log_weights, theta, rough=True).error == 0.0


def test_not_where_scores_would_be_off_by_too_much():
    source, codes = setting(VonMisesFisher(), directions, np.float32)
    theta = source.family.mle(source.assign_given(K, codes=codes).stats)
    far = source.family.parameters(theta.mean, np.full(K, 1e6))
    assert source.run(np.zeros(K), far, rough=True).error == 0.0


@pytest.mark.parametrize("make", [reals, few])
def test_not_where_components_are_narrow_or_far_from_the_origin(make):
    source, codes = setting(Gaussian(), make, np.float32)
    found = source.family.attributes(source.family.mle(source.assign_given(K, codes=codes).stats))
    means, covariances = found["means_"], found["covariances_"]
    errors = [
        source.run(np.zeros(K), source.family.parameters(means + away, width * covariances), rough=True).error
        for away, width in ((0.0, 1.0), (0.0, 0.1), (0.0, 1e-4), (1e4, 1.0))
    ]
    np.testing.assert_allclose(errors, [errors[0], 10.0 * errors[0], 0.0, 0.0], rtol=1e-6)


@pytest.mark.parametrize("size", [1e-60, 1e60])
@pytest.mark.parametrize(("family", "make"), KINDS, ids=lambda part: type(part).__name__)
def test_not_where_weights_are_beyond_float(family, make, size):
    source, codes = setting(family, make, np.float32, weighted=True)
    theta = source.family.mle(source.assign_given(K, codes=codes).stats)
    assert source.run(np.zeros(K), theta, rough=True).error > 0.0
    source.weight *= size
    assert source.run(np.zeros(K), theta, rough=True).error == 0.0


@pytest.mark.parametrize("outlier", [1e3, 1e30])
@pytest.mark.parametrize("make", [reals, few])
def test_not_where_a_row_is_far(make, outlier):
    source, codes = setting(Gaussian(), make, np.float32)
    theta = source.family.mle(source.assign_given(K, codes=codes).stats)
    source.X[7, 3] = outlier
    assert Source(source.X, None, source.family).run(np.zeros(K), theta, rough=True).error == 0.0


@pytest.mark.parametrize("offset", [1e4, -3.3e6])
@pytest.mark.parametrize("make", [reals, few])
def test_an_origin_that_float_does_not_hold(make, offset):
    rng = np.random.default_rng(0)
    X = (make(rng) + offset).astype(np.float32)
    X[0] = 0.25 * X[1] + 0.75 * X[2]
    family = Gaussian().bind(summarize(X, None, "affine"))
    summary = family.summary_
    family = Gaussian().bind(summary._replace(origin=summary.origin + 0.3))
    source, codes = Source(X, None, family), rng.integers(K, size=N).astype(np.int32)
    theta = family.mle(source.assign_given(K, codes=codes).stats)
    exact, rough = (source.run(np.zeros(K), theta, rough=rough) for rough in (False, True))
    assert 0.0 < abs(rough.score - exact.score) <= rough.error * N
    for name, value in exact.stats._arrays.items():
        np.testing.assert_allclose(rough.stats._arrays[name], value, atol=1e-5 * np.abs(value).max())


def fit(algorithm, family, make, dtype):
    source, codes = setting(family, make, dtype)
    model = Model.build(source.family, DirichletWeights(1.0), K, source)
    return source, model, algorithm.run(model, source, algorithm.start(model, source.assign_given(K, codes=codes)))


@pytest.fixture(params=[0.0, -0.99, 0.9], ids=["as they are", "with all that they may lose", "... or gain"])
def errors(request, monkeypatch):
    """Errors of the rough passes that are made, which lose so much of them."""
    original, seen = rough_passes.run, []

    def run(source, *args):
        result, error = original(source, *args)
        if result is not None:
            seen.append(error)
            result = (result[0] + request.param * error * source.total_weight, *result[1:])
        return result, error

    monkeypatch.setattr(rough_passes, "run", run)
    return seen


@pytest.mark.parametrize("max_iter", [1, 3, 200])
@pytest.mark.parametrize("cell", [EM, MAPEM])
@pytest.mark.parametrize(("family", "make"), FAMILIES, ids=lambda part: type(part).__name__)
def test_runs_never_fall_and_end_exactly(family, make, cell, max_iter, errors):
    source, model, found = fit(cell(max_iter=max_iter), family, make, np.float32)
    assert len(errors) > 0
    # at rest an exact pass may differ from the one before by the rounding of its sum
    assert np.diff(found.objectives).min() >= -2.0 * np.spacing(abs(found.objective))
    exact = source.run(found.state.log_weights, found.state.theta, labels=np.empty(N, dtype=np.int32))
    assert found.objective == found.objectives[-1]
    # compiled runs add the three terms in another order: two roundings in each, none of more than their lengths
    terms = np.array([exact.score, found.state.penalty, model.log_base])
    grain = 2.0 * np.spacing(np.abs(terms).sum())
    assert found.objective == pytest.approx(terms.sum(), rel=0.0, abs=grain)
    labels = np.empty(N, dtype=np.int32)
    source.run(found.state.log_weights, found.state.theta, collect=False, assign="hard", labels=labels)
    np.testing.assert_array_equal(found.labels, labels)


@pytest.mark.parametrize(("family", "make"), KINDS[:2], ids=lambda part: type(part).__name__)
def test_a_pass_that_gains_less_than_it_may_lose_is_made_again(family, make, errors):
    source, model, found = fit(EM(tol=0.0, max_iter=100), family, make, np.float32)
    del errors[:]
    again = EM().run(model, source, found.state)
    assert len(errors) == 1
    assert np.diff(again.objectives).min() >= -1e-13 * abs(found.objective)


@pytest.mark.parametrize(("family", "make"), FAMILIES, ids=lambda part: type(part).__name__)
def test_runs_end_where_those_of_doubles_end(family, make):
    rough, exact = (fit(EM(tol=1e-10), family, make, dtype)[2] for dtype in (np.float32, np.float64))
    assert rough.converged
    assert exact.converged
    assert rough.objective == pytest.approx(exact.objective, rel=1e-11)
    np.testing.assert_array_equal(rough.labels, exact.labels)
