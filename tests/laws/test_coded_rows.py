"""Rows coded as bytes: every pass gives what it gives over the rows themselves."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from skem import EMMixture, GibbsMixture, ICMMixture
from skem import coding as coding_module
from skem._kernels.passes import Prepared
from skem.coding import Coding
from skem.engine import Source
from skem.families import Bernoulli, Categorical, Gaussian, Multinomial, Poisson
from skem.summary import summarize

LEVELS = [3, 2, 5, 2, 2, 7, 1, 2, 4, 2, 2]


def rows(name, n, rng):
    """A family and rows of it whose columns differ in levels, some of them far from zero."""
    if name == "categorical":
        X = (rng.random((n, len(LEVELS))) * LEVELS).astype(int)
        X[: max(LEVELS)] = np.minimum(np.arange(max(LEVELS))[:, None], np.array(LEVELS) - 1)
        return Categorical(categories=[np.arange(m) for m in LEVELS]), X
    if name == "bernoulli":
        return Bernoulli(), rng.random((n, 13)) < rng.random(13)
    if name == "multinomial":
        return Multinomial(), rng.integers(0, 3, (n, 6))
    return Poisson(), rng.integers(3, 6, (n, 7)) + np.arange(7)


NAMES = ["bernoulli", "categorical", "multinomial", "poisson"]
names = pytest.mark.parametrize("name", NAMES)
assignments = pytest.mark.parametrize("assign", ["soft", "hard", "draw", "given"])


@pytest.fixture(autouse=True)
def _any_number_of_rows(monkeypatch):
    monkeypatch.setattr(coding_module, "LEAST_ROWS", 1)
    monkeypatch.setattr(coding_module, "ROWS_PER_ENTRY", 0)


def sources(name, n, rng, weight=None, index=None, dtype=np.float64):
    family, X = rows(name, n, rng)
    X = np.asfortranarray(X.astype(dtype))
    family = family.bind(summarize(X, None, None))
    coding = Coding.of(X, family)
    assert coding is not None
    assert coding.codes.shape[1] < X.shape[1]
    return [Source(X, weight, family, index, given) for given in (coding, None)]


def passes(name, n, K, assign, weighted=True, indexed=False, dtype=np.float64):
    """The same pass by bytes and by columns: results, and all that is written by row."""
    rng = np.random.default_rng(n + K)
    index = rng.permutation(n)[: n * 2 // 3] if indexed else None
    m = n if index is None else len(index)
    weight = rng.integers(0, 3, m).astype(float) if weighted else None
    log_weights, resp = np.log(rng.dirichlet(np.ones(K))), rng.dirichlet(np.ones(K), m)
    labels = rng.integers(0, K, m).astype(np.int32)
    given, counts = {}, np.ones(m, dtype=int) if weight is None else weight.astype(int)
    if assign == "draw":
        given = {"uniforms": rng.random(counts.sum()), "uniform_start": np.append(0, np.cumsum(counts))}
    if assign == "hard":
        given = {"labels_in": labels}
    for source in sources(name, n, rng, weight, index, dtype):
        if assign == "given":
            yield source.assign_given(K, codes=labels), {}
            continue
        theta = source.family.mle(source.assign_given(K, resp=resp).stats)
        out = {"labels": np.empty(m, dtype=np.int32), "lse": np.empty(m), "scores": np.empty((m, K))}
        out |= {} if assign == "hard" else {"resp": np.empty((m, K))}
        yield source.run(log_weights, theta, assign=assign, **given, **out), out


def assert_same(found):
    (one, by_row), (other, by_row_of_other) = found
    assert one.score == pytest.approx(other.score, rel=1e-12)
    assert one.moved == other.moved
    np.testing.assert_allclose(one.n_k, other.n_k, rtol=1e-11, atol=1e-11)
    for name, value in one.stats.to_dict()["arrays"].items():
        np.testing.assert_allclose(value, getattr(other.stats, name), rtol=1e-10, atol=1e-10, err_msg=name)
    for name, value in by_row.items():
        np.testing.assert_allclose(value, by_row_of_other[name], rtol=1e-11, atol=1e-11, err_msg=name)


@names
@assignments
@pytest.mark.parametrize(("n", "K"), [(40, 1), (257, 3), (600, 5), (130, 8), (300, 17)])
def test_a_pass_by_bytes_is_the_pass_by_columns(name, assign, n, K):
    assert_same(passes(name, n, K, assign))
    assert_same(passes(name, n, K, assign, weighted=False, indexed=True, dtype=np.float32))


@names
def test_row_priors_and_allowed_components(name):
    rng = np.random.default_rng(0)
    codes, log_prior = rng.integers(-1, 3, 200).astype(np.int32), rng.normal(size=(200, 3))
    found = []
    for source in sources(name, 200, rng):
        theta = source.family.mle(source.assign_given(3, codes=np.arange(200) % 3).stats)
        out = {"resp": np.empty((200, 3))}
        found.append((source.run(np.zeros(3), theta, codes=codes, log_prior=log_prior, **out), out))
    assert_same(found)


@names
@pytest.mark.parametrize(("n", "K"), [(40, 1), (257, 3), (600, 5), (130, 8), (300, 16), (300, 17)])
@pytest.mark.parametrize("weighted", [True, False])
def test_a_pass_without_logarithms_is_the_pass_with_them(name, n, K, weighted):
    rng = np.random.default_rng(n + K)
    weight = rng.integers(0, 3, n).astype(float) if weighted else None
    log_weights, resp = np.log(rng.dirichlet(np.ones(K))), rng.dirichlet(np.ones(K), n)
    found = []
    for source in sources(name, n, rng, weight):
        theta = source.family.mle(source.assign_given(K, resp=resp).stats)
        found.append((source.run(log_weights, theta), {}))
    assert_same(found)
    # impossible outcomes: their densities are below all normal numbers
    codes, found = rng.integers(0, K, n).astype(np.int32), []
    for source in sources(name, n, np.random.default_rng(1), weight):
        theta = source.family.mle(source.assign_given(K, codes=codes).stats)
        found.append((source.run(log_weights, theta), {}))
    assert_same(found)


@names
@pytest.mark.parametrize("n_threads", [2, 5])
def test_the_number_of_threads_leaves_the_bits_alone(name, n_threads):
    family, X = rows(name, 40_000, np.random.default_rng(0))
    X = X.astype(float)
    family = family.bind(summarize(X, None, None))
    theta = family.mle(Source(X, None, family).assign_given(3, codes=np.arange(len(X)) % 3).stats)
    part, coding, d = family.scorer(theta), Coding.of(X, family), X.shape[1]
    origin, scale = family.summary_.origin, family.summary_.scale
    one, many = (
        Prepared(X, origin, scale, 3, np.zeros(3), [(part, 0, d)], [(part, 0, d)], coding=coding, n_threads=t).once()
        for t in (1, n_threads)
    )
    assert one[0] == many[0]
    assert one[3][0]["features"].tobytes() == many[3][0]["features"].tobytes()


@pytest.mark.parametrize("name", ["bernoulli", "categorical"])
@pytest.mark.parametrize("cls", [EMMixture, ICMMixture, GibbsMixture])
def test_fits_code_their_rows(name, cls, monkeypatch):
    rng = np.random.default_rng(0)
    family, X = rows(name, 300, rng)
    X, more = X.astype(float), {"n_draws": 5, "n_burn_in": 2, "n_chains": 2} if cls is GibbsMixture else {}
    used, serves = [], Coding.serves
    monkeypatch.setattr(Coding, "serves", lambda coding, parts: used.append(serves(coding, parts)) or used[-1])
    coded = cls(3, family=family, random_state=0, **more).fit(X)
    assert used
    assert all(used)
    monkeypatch.setattr(coding_module, "LEAST_ROWS", 10**9)
    plain = cls(3, family=family, random_state=0, **more).fit(X)
    np.testing.assert_array_equal(coded.labels_, plain.labels_)
    np.testing.assert_allclose(coded.probabilities_, plain.probabilities_, rtol=1e-6, atol=1e-9)


def test_rows_that_bytes_do_not_serve_stay_as_they_are(monkeypatch):
    rng = np.random.default_rng(0)
    X = rng.integers(0, 2, (500, 8)).astype(float)
    bernoulli, poisson = (family.bind(summarize(X, None, None)) for family in (Bernoulli(), Poisson()))
    assert Coding.of(X, bernoulli).codes.shape == (500, 2)
    assert Coding.of(X + 0.5 * (X == 1), poisson) is None
    assert Coding.of(np.where(np.arange(8) == 3, 300 * X, X), poisson) is None
    assert Coding.of(X, Gaussian().bind(summarize(X, None, "affine"))) is None
    # products of few columns cost no more than entries
    assert Coding.of(rng.integers(0, 100, (500, 8)).astype(float), poisson) is None
    # tables larger than the data
    monkeypatch.setattr(coding_module, "ROWS_PER_ENTRY", 8)
    assert Coding.of(X, bernoulli) is None


CHILD = """
import sys, numpy as np
sys.path[:0] = sys.argv[2:]
import skem.coding
from test_coded_rows import all_passes
skem.coding.LEAST_ROWS, skem.coding.ROWS_PER_ENTRY = 1, 0
np.save(sys.argv[1], all_passes())
"""


def all_passes():
    """Numbers of some passes by bytes, side by side."""
    flat = []
    for name in NAMES:
        for assign in ("soft", "hard"):
            result, by_row = next(passes(name, 333, 7, assign))
            flat += [result.n_k, by_row["scores"].ravel(), *map(np.ravel, result.stats.to_dict()["arrays"].values())]
    return np.concatenate(flat)


@pytest.mark.slow
@pytest.mark.parametrize("instructions", ["avx2", "plain"])
def test_instruction_sets_agree(instructions, tmp_path):
    path = [str(Path(__file__).parent), *(p for p in sys.path if p)]
    out = tmp_path / "passes.npy"
    env = {**os.environ, "SKEM_SIMD": instructions}
    subprocess.run([sys.executable, "-c", CHILD, out, *path], env=env, check=True, timeout=120)
    np.testing.assert_allclose(np.load(out), all_passes(), rtol=1e-10, atol=1e-10)
