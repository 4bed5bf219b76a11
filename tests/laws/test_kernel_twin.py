"""A NumPy twin of the compiled pass: what it computes, in a few lines."""

import os
import subprocess
import sys
from pathlib import Path

import mpmath
import numpy as np
import pytest

from skem._kernels.parts import Centred, Linear
from skem._kernels.passes import run_pass

EPS = np.finfo(np.float64).eps


# --- the twin -------------------------------------------------------------------------------------


def features(name, x):
    rows, columns = np.tril_indices(x.shape[1])
    return {
        "x": lambda: x,
        "x_squares": lambda: np.hstack([x, x**2]),
        "x_norm": lambda: np.hstack([x, (x**2).sum(axis=1, keepdims=True)]),
        "x_pairs": lambda: np.hstack([x, x[:, rows] * x[:, columns]]),
        "x_log": lambda: np.hstack([x, np.log(x)]),
        "log_both": lambda: np.hstack([np.log(x), np.log1p(-x)]),
    }[name]()


def whitened(spec, x):
    """F_k (x - m_k), shape (K, n, d)."""
    z = x - spec.mean[:, None]
    if spec.factor.ndim == 2:
        return z * spec.factor[:, None]
    return np.einsum("kij,knj->kni", np.broadcast_to(spec.factor, (len(z), *spec.factor.shape[1:])), z)


def kernels(spec, x):
    """Log densities (n, K) but for the offset."""
    q, d = (whitened(spec, x) ** 2).sum(axis=2).T, x.shape[1]
    if spec.dof is None:
        return -0.5 * q
    finite = np.where(np.isinf(spec.dof), 1.0, spec.dof)
    return np.where(np.isinf(spec.dof), -0.5 * q, -0.5 * (finite + d) * np.log1p(q / finite))


def latent(spec, x):
    """Scales u and what is summed of their logarithms, (n, K) each."""
    q, d = (whitened(spec, x) ** 2).sum(axis=2).T, x.shape[1]
    finite = np.where(np.isinf(spec.dof), 1.0, spec.dof)
    u = np.where(np.isinf(spec.dof), 1.0, (finite + d) / (finite + q))
    return u, np.where(np.isinf(spec.dof), 0.25 * q * (q - 2.0 * d), np.log1p(q / finite))


def sums_of(spec, x, resp):
    if isinstance(spec, Linear):
        return {"features": resp.T @ features(spec.feature_map, x)}
    z = x - spec.mean[:, None]
    of_z = "x_pairs" if spec.structure == "full" else "x_squares"
    more = {}
    if spec.dof is not None:
        u, tails = latent(spec, x)
        more = {"latent": np.column_stack([(resp * u).sum(axis=0), (resp * tails).sum(axis=0)])}
        resp = resp * u
    return {
        **more,
        "mean": spec.mean,
        "features": np.stack([resp[:, k] @ features(of_z, z[k]) for k in range(len(z))]),
    }


def twin(X, origin, scale, K, log_weights, scorers, collectors, assign, weight, log_prior, codes, labels_in,
         uniforms, uniform_start):  # fmt: skip
    Z = (X.astype(np.float64) - origin) / scale
    n = len(Z)
    scores = np.tile(log_weights, (n, 1)) + (0.0 if log_prior is None else log_prior)
    if codes is not None:
        scores[(codes[:, None] >= 0) & (codes[:, None] != np.arange(K))] = -1e300
    for spec, column, width in scorers:
        x = Z[:, column : column + width]
        if isinstance(spec, Linear):
            scores = scores + features(spec.feature_map, x) @ spec.weights.T
        else:
            scores = scores + kernels(spec, x)
    w = np.ones(n) if weight is None else weight
    labels = scores.argmax(axis=1)
    lse = np.logaddexp.reduce(scores, axis=1)
    resp = np.exp(scores - lse[:, None]) * w[:, None]
    soft, moved = resp, 0
    if assign == "hard":
        if labels_in is not None:
            best = scores[np.arange(n), labels]
            kept = scores[np.arange(n), np.maximum(labels_in, 0)]
            tie = (labels_in >= 0) & (best - kept <= 1e-12 * np.maximum(1.0, np.abs(best)))
            labels = np.where(tie, labels_in, labels)
            moved = int((labels != labels_in).sum())
        lse = scores[np.arange(n), labels]
        resp = (labels[:, None] == np.arange(K)) * w[:, None]
    elif assign == "draw":
        labels = np.full(n, -1)
        cumulative = np.cumsum(np.exp(scores - lse[:, None]), axis=1)
        resp = np.zeros((n, K))
        for i in range(n):
            for u in uniforms[uniform_start[i] : uniform_start[i + 1]]:
                labels[i] = min((cumulative[i] <= u * cumulative[i, -1]).sum(), K - 1)
                resp[i, labels[i]] += 1.0
    sums = [sums_of(spec, Z[:, column : column + width], resp) for spec, column, width in collectors]
    return {
        "score": float(w @ lse), "moved": moved, "n_k": resp.sum(axis=0), "sums": sums,
        "labels": labels, "lse": lse, "resp": soft, "scores": scores,
    }  # fmt: skip


# --- problems -------------------------------------------------------------------------------------


def make_part(kind, K, d, rng):
    mean = rng.normal(size=(K, d))
    if kind.startswith("student_"):
        part = make_part(kind.removeprefix("student_"), K, d, rng)
        return part._replace(dof=rng.choice([0.7, 3.0, 1e4, np.inf], size=K))
    if kind == "diag":
        return Centred("diag", mean, rng.uniform(0.5, 2.0, size=(K, d)), np.zeros(K))
    if kind in ("full", "tied"):
        factor = np.tril(rng.normal(size=(1 if kind == "tied" else K, d, d))) + 2.0 * np.eye(d)
        return Centred("full", mean, factor, np.zeros(K))
    m = features(kind, np.full((1, d), 0.5)).shape[1]
    return Linear(kind, rng.normal(size=(K, m)) / m, np.zeros(K))


def make(kind, n, d, K, assign, seed=0, weighted=True, dtype=np.float64):
    rng = np.random.default_rng(seed)
    part = make_part(kind, K, d, rng)
    weight = rng.choice([0.0, 1.0, 2.0, 3.0] if assign == "draw" else [0.0, 0.5, 1.0, 2.5], size=n)
    counts = (weight if weighted else np.ones(n)).astype(int)
    X, origin, scale = rng.normal(size=(n, d)) * 2.0 + 1.0, rng.normal(size=d), 2.0 ** rng.integers(-2, 3, size=d)
    if kind in LOGS:
        # rows that come to lie within (0, 1)
        X = origin + scale * rng.uniform(1e-3, 0.999, size=(n, d))
    return {
        "X": X.astype(dtype),
        "origin": origin,
        "scale": scale,
        "K": K,
        "log_weights": rng.normal(size=K),
        "scorers": [(part, 0, d)],
        "collectors": [(part, 0, d)],
        "assign": assign,
        "weight": weight if weighted else None,
        "log_prior": None,
        "codes": None,
        "labels_in": None,
        "uniforms": rng.random(counts.sum()),
        "uniform_start": np.concatenate([[0], np.cumsum(counts)]).astype(np.intp),
    }


def compiled(p, n_threads=0):
    n, K = len(p["X"]), p["K"]
    out = {"labels": np.full(n, -7, dtype=np.int32), "lse": np.empty(n), "scores": np.empty((n, K))}
    if p["assign"] != "hard":
        out["resp"] = np.empty((n, K))
    draws = {name: p[name] for name in ("uniforms", "uniform_start")} if p["assign"] == "draw" else {}
    score, moved, n_k, sums = run_pass(
        p["X"], p["origin"], p["scale"], K, p["log_weights"], p["scorers"], p["collectors"], assign=p["assign"],
        sample_weight=p["weight"], log_prior=p["log_prior"], codes=p["codes"], labels_in=p["labels_in"],
        n_threads=n_threads, **draws, **out,
    )  # fmt: skip
    return {"score": score, "moved": moved, "n_k": n_k, "sums": sums, **out}


def assert_twins(p, rtol=1e-11, got=None):
    got, expected = compiled(p) if got is None else got, twin(**p)
    np.testing.assert_array_equal(got["labels"], expected["labels"])
    assert got["moved"] == expected["moved"]
    for name in {"score", "n_k", "lse", "resp", "scores"} & got.keys():
        size = np.abs(expected[name]).max()
        if name in ("lse", "scores"):
            size = np.abs(np.where(expected[name] > -1e299, expected[name], 0.0)).max()
        np.testing.assert_allclose(got[name], expected[name], rtol=rtol, atol=rtol * max(size, 1.0), err_msg=name)
    for mine, theirs in zip(got["sums"], expected["sums"], strict=True):
        assert mine.keys() - {"dof"} == theirs.keys()
        for name, value in theirs.items():
            atol = rtol * max(np.abs(value).max(), 1.0)
            np.testing.assert_allclose(mine[name], value, rtol=rtol, atol=atol, err_msg=name)


PARTS = ["x", "x_squares", "x_norm", "x_pairs", "x_log", "log_both", "full", "tied", "diag"]
PARTS += ["student_full", "student_tied", "student_diag"]
LOGS = ("x_log", "log_both")
ASSIGN = ["soft", "hard", "draw"]


# --- the laws -------------------------------------------------------------------------------------


@pytest.mark.parametrize("assign", ASSIGN)
@pytest.mark.parametrize("kind", PARTS)
@pytest.mark.parametrize(("n", "d", "K"), [(1, 1, 1), (2, 3, 2), (131, 5, 7), (700, 2, 33), (300, 9, 4), (64, 17, 3)])
def test_every_part_and_assignment(kind, assign, n, d, K):
    assert_twins(make(kind, n, d, K, assign, seed=n + d))


@pytest.mark.parametrize("assign", ASSIGN)
@pytest.mark.parametrize("kind", ["full", "tied", "diag", "student_full"])
@pytest.mark.parametrize("d", [32, 33, 47])
def test_wide_rows(kind, assign, d):
    assert_twins(make(kind, 150, d, 3, assign, seed=d))


@pytest.mark.parametrize("assign", ASSIGN)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("n", "d", "K"), [(1, 32, 1), (150, 33, 3), (70, 49, 9), (300, 135, 6)])
def test_wide_rows_in_their_own_units(n, d, K, dtype, assign):
    # sums are taken from the rows where they lie
    p = make("x", n, d, K, assign, seed=d, dtype=dtype)
    p["origin"], p["scale"] = np.zeros(d), np.ones(d)
    # far apart, so that most rows add to one component alone; one component has next to no mass
    p["log_weights"] = np.linspace(0.0, 300.0, K) if assign == "soft" else p["log_weights"]
    p["scorers"][0][0].weights[:] *= 100.0
    assert_twins(p)
    plain = compiled(p)
    p["X"] = np.asfortranarray(p["X"])
    assert_twins(p)
    wide = np.full((2 * n, d + 3), np.nan, dtype)
    wide[::2, 3:] = p["X"]
    p["X"] = wide[::2, 3:]
    strided = compiled(p)
    assert strided["sums"][0]["features"].tobytes() == plain["sums"][0]["features"].tobytes()
    index = np.random.default_rng(0).permutation(n)
    sums = run_pass(
        p["X"][np.argsort(index)], p["origin"], p["scale"], K, p["log_weights"], p["scorers"], p["collectors"],
        assign="soft", index=index,
    )[3]  # fmt: skip
    expected = run_pass(
        p["X"], p["origin"], p["scale"], K, p["log_weights"], p["scorers"], p["collectors"], assign="soft"
    )[3]
    assert sums[0]["features"].tobytes() == expected[0]["features"].tobytes()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("n", "d", "K"), [(1, 16, 1), (95, 17, 3), (96, 31, 9), (250, 48, 4), (2500, 70, 12), (300, 270, 7), (400, 33, 180)]
)
def test_soft_passes_in_float(n, d, K, weighted):
    p = make("x", n, d, K, "soft", seed=d, weighted=weighted)
    p["origin"] = p["origin"].astype(np.float32).astype(float) if d % 2 else np.zeros(d)
    # some components far from some rows, and one with next to no mass
    p["scorers"][0][0].weights[:] *= 10.0 * d**0.5
    p["log_weights"][0] -= 30.0 * (K > 1)
    wide = np.full((n, d + 3), np.nan, dtype=np.float32)
    wide[:, 2:-1] = p["X"]
    p["X"] = wide[:, 2:-1]
    place, expected = p["scorers"], twin(**p)
    (score, moved, n_k, (sums,)), other = (
        run_pass(p["X"], p["origin"], p["scale"], K, p["log_weights"], place, place, sample_weight=p["weight"],
                 in_float=True, n_threads=n_threads)
        for n_threads in (1, 2)
    )  # fmt: skip
    size, terms = np.abs(place[0][0].weights).max(), np.abs((p["X"] - p["origin"]) / p["scale"])
    # roundings to nearest add up like random steps; each is half a unit of a sum no larger than its terms
    error = 6e-8 * size * terms.sum(axis=1).max()
    assert moved == 0
    assert abs(score - expected["score"]) <= error * expected["n_k"].sum()
    np.testing.assert_allclose(n_k, expected["n_k"], rtol=4 * error, atol=1e-12 * n)
    atol = 4 * error * terms.max() * expected["n_k"].max()
    np.testing.assert_allclose(sums["features"], expected["sums"][0]["features"], rtol=4 * error, atol=atol)
    # ... and they are the same for any number of threads
    assert (score, n_k.tobytes()) == (other[0], other[2].tobytes())
    assert sums["features"].tobytes() == other[3][0]["features"].tobytes()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", ["full", "tied", "x_pairs"])
@pytest.mark.parametrize(
    ("n", "d", "K"), [(1, 16, 1), (95, 17, 3), (96, 31, 9), (250, 48, 4), (2500, 34, 6), (300, 135, 3), (400, 33, 180)]
)
def test_soft_distances_in_float(n, d, K, kind, weighted):
    p = make("full" if kind == "x_pairs" else kind, n, d, K, "soft", seed=d, weighted=weighted)
    part = p["scorers"][0][0]
    # far from singular, and with means that float holds
    part.factor[:] = np.eye(d) + 0.3 / d**0.5 * np.tril(np.random.default_rng(d).normal(size=part.factor.shape))
    part.mean[:] = part.mean.astype(np.float32)
    p["origin"] = p["origin"].astype(np.float32).astype(float)
    p["log_weights"][0] -= 30.0 * (K > 1)
    z = np.abs((p["X"] - p["origin"]) / p["scale"]).max() + np.abs(part.mean).max()
    if kind == "x_pairs":
        precision, (rows, columns) = np.swapaxes(part.factor, 1, 2) @ part.factor, np.tril_indices(d)
        first = np.einsum("kij,kj->ki", precision, part.mean)
        second = -precision[:, rows, columns] / np.where(rows == columns, 2.0, 1.0)
        p["log_weights"] = p["log_weights"] - 0.5 * (first * part.mean).sum(axis=1)
        part = Linear(kind, np.hstack([first, second]), np.zeros(K))
    p["collectors"] = p["scorers"] = [(part, 0, d)]
    wide = np.full((n, d + 3), np.nan, dtype=np.float32)
    wide[:, 2:-1] = p["X"]
    p["X"] = wide[:, 2:-1]
    expected = twin(**p)
    (score, moved, n_k, (sums,)), other = (
        run_pass(p["X"], p["origin"], p["scale"], K, p["log_weights"], p["scorers"], p["collectors"],
                 sample_weight=p["weight"], in_float=True, n_threads=n_threads)
        for n_threads in (1, 2)
    )  # fmt: skip
    # of squared distances of about d terms
    error = 6e-8 * d * z**2
    assert moved == 0
    assert abs(score - expected["score"]) <= error * expected["n_k"].sum()
    np.testing.assert_allclose(n_k, expected["n_k"], rtol=4 * error, atol=1e-12 * n)
    if kind != "x_pairs":
        np.testing.assert_array_equal(sums["mean"], part.mean)
    atol = 4 * error * z**2 * expected["n_k"].max()
    np.testing.assert_allclose(sums["features"], expected["sums"][0]["features"], rtol=4 * error, atol=atol)
    # ... and they are the same for any number of threads
    assert (score, n_k.tobytes()) == (other[0], other[2].tobytes())
    assert sums["features"].tobytes() == other[3][0]["features"].tobytes()


@pytest.mark.parametrize("kind", ["x_pairs", "full", "diag"])
@pytest.mark.parametrize("n", [1, 3, 4, 7, 8, 31, 32, 127, 128, 129, 2047, 2048, 2049, 4500])
def test_any_number_of_rows(kind, n):
    assert_twins(make(kind, n, 3, 5, "soft", seed=n))
    assert_twins(make(kind, n, 3, 5, "hard", seed=n, weighted=False))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("layout", ["C", "F", "strided", "reversed", "readonly"])
def test_layouts_and_dtypes(dtype, layout):
    p = make("x_pairs", 300, 4, 3, "soft", dtype=dtype)
    plain = compiled(p)
    X = p["X"]
    if layout == "F":
        p["X"] = np.asfortranarray(X)
    elif layout == "strided":
        wide = np.full((600, 9), np.nan, dtype)
        wide[::2, 1:9:2] = X
        p["X"] = wide[::2, 1:9:2]
    elif layout == "reversed":
        p["X"] = X[::-1, ::-1].copy()[::-1, ::-1]
    elif layout == "readonly":
        p["X"].flags.writeable = False
    got = compiled(p)
    assert_twins(p, got=got)
    for name in ("scores", "resp", "n_k"):
        assert got[name].tobytes() == plain[name].tobytes()


@pytest.mark.parametrize("assign", ["soft", "hard"])
def test_row_priors_and_codes(assign):
    p = make("diag", 200, 3, 4, assign)
    rng = np.random.default_rng(1)
    p["log_prior"] = rng.normal(size=(200, 4))
    assert_twins(p)
    p["codes"] = rng.integers(-1, 4, size=200).astype(np.int32)
    assert_twins(p)
    p["log_prior"] = None
    assert_twins(p)


def test_no_score_but_what_is_given():
    p = make("full", 90, 3, 4, "soft")
    p["scorers"] = []
    p["codes"] = np.random.default_rng(2).integers(4, size=90).astype(np.int32)
    assert_twins(p)
    np.testing.assert_array_equal(compiled(p)["labels"], p["codes"])


def test_several_parts_add_up():
    p = make("diag", 150, 6, 3, "soft")
    rng = np.random.default_rng(3)
    p["scorers"] = [(make_part("x_pairs", 3, 2, rng), 0, 2), (make_part("full", 3, 3, rng), 2, 3),
                    (make_part("x", 3, 1, rng), 5, 1)]  # fmt: skip
    p["collectors"] = list(p["scorers"])
    assert_twins(p)


@pytest.mark.parametrize("assign", ["soft", "given"])
def test_blind_scorers_weigh_rows_and_score_nothing(assign):
    p = make("student_full", 90, 3, 4, "soft")
    codes = np.random.default_rng(2).integers(4, size=90).astype(np.int32)
    _, _, n_k, (sums,) = run_pass(
        p["X"], p["origin"], p["scale"], 4, p["log_weights"], p["scorers"], p["collectors"], assign=assign,
        codes=codes, sample_weight=p["weight"], blind=True,
    )  # fmt: skip
    resp = (codes[:, None] == np.arange(4)) * p["weight"][:, None]
    expected = sums_of(p["collectors"][0][0], (p["X"] - p["origin"]) / p["scale"], resp)
    np.testing.assert_allclose(n_k, resp.sum(axis=0))
    for name, value in expected.items():
        np.testing.assert_allclose(sums[name], value, rtol=1e-10, atol=1e-9, err_msg=name)


def test_a_collector_with_tails_needs_their_scorer():
    p = make("student_diag", 90, 3, 4, "soft")
    p["scorers"] = []
    with pytest.raises(ValueError, match="needs a scorer of the same columns"):
        compiled(p)


@pytest.mark.parametrize("old", [0, 1, 2])
def test_a_tie_keeps_the_old_label(old):
    p = make("x", 20, 2, 3, "hard")
    p["scorers"], p["log_weights"] = [], np.array([0.25, 0.25, 0.25])
    p["labels_in"] = np.full(20, old, dtype=np.int32)
    got = compiled(p)
    assert (got["labels"] == old).all()
    assert got["moved"] == 0
    p["log_weights"] = np.array([0.25, 0.25 + 1e-9, 0.25])
    assert (compiled(p)["labels"] == 1).all()
    p["labels_in"][:] = -1
    assert compiled(p)["moved"] == 20


def test_labels_may_be_read_and_written_in_one_array():
    p = make("diag", 500, 3, 4, "hard")
    labels = np.random.default_rng(4).integers(-1, 4, size=500).astype(np.int32)
    p["labels_in"] = labels.copy()
    expected = twin(**p)
    _, moved, _, _ = run_pass(
        p["X"], p["origin"], p["scale"], 4, p["log_weights"], p["scorers"], [], assign="hard", labels_in=labels,
        labels=labels,
    )  # fmt: skip
    np.testing.assert_array_equal(labels, expected["labels"])
    assert moved == expected["moved"]


def test_hopeless_rows_keep_their_sums_finite():
    # a row that no component can explain, and one whose scores are all -1e4
    p = make("diag", 8, 2, 3, "soft")
    p["X"][0] = 1e150
    p["log_weights"] = np.full(3, -1e4)
    got = compiled(p)
    assert np.isfinite(got["resp"]).all()
    np.testing.assert_allclose(got["resp"].sum(axis=1), p["weight"], rtol=1e-14)


@pytest.mark.parametrize("n_threads", [1, 2, 3, 8])
@pytest.mark.parametrize("kind", ["x_pairs", "full"])
def test_the_number_of_threads_leaves_the_bits_alone(kind, n_threads):
    p = make(kind, 40_000, 4, 6, "soft")
    one, many = compiled(p, n_threads=1), compiled(p, n_threads=n_threads)
    assert one["score"] == many["score"]
    assert one["n_k"].tobytes() == many["n_k"].tobytes()
    for a, b in zip(one["sums"], many["sums"], strict=True):
        for name, value in a.items():
            assert value.tobytes() == b[name].tobytes()


def test_logarithms_keep_their_digits():
    # of numbers of any size, of 1 - x next to both ends, and of zero something finite below all others
    x = np.concatenate([np.geomspace(1e-323, 1e308, 4001), 1.0 + np.linspace(-1e-6, 1e-6, 501), [0.5, 1.0]])[:, None]
    got = feature_of("x_log", x)
    np.testing.assert_array_equal(got[:, 0], x[:, 0])
    np.testing.assert_allclose(got[:, 1], np.log(x[:, 0]), rtol=4 * EPS, atol=0)
    x = np.concatenate([np.geomspace(1e-320, 0.5, 2001), 1.0 - np.geomspace(EPS, 0.5, 2001)])[:, None]
    got = feature_of("log_both", x)
    np.testing.assert_allclose(got[:, 0], np.log(x[:, 0]), rtol=4 * EPS, atol=0)
    np.testing.assert_allclose(got[:, 1], np.log1p(-x[:, 0]), rtol=4 * EPS, atol=1e-323)
    assert -750.0 < feature_of("x_log", np.zeros((5, 1)))[0, 1] < np.log(5e-324)


def feature_of(kind, x):
    """Compiled features of rows of one column, read as scores of a component each."""
    m = features(kind, np.full((1, 1), 0.5)).shape[1]
    scores = np.empty((len(x), m))
    part = Linear(kind, np.eye(m), np.zeros(m))
    run_pass(x, np.zeros(1), np.ones(1), m, np.zeros(m), [(part, 0, 1)], [], scores=scores)
    return scores


def test_bad_shapes_are_refused():
    p = make("x", 10, 2, 3, "soft")
    p["scorers"] = [(Linear("x", np.zeros((3, 5)), np.zeros(3)), 0, 2)]
    with pytest.raises(ValueError, match="natural parameters"):
        compiled(p)
    with pytest.raises(ValueError, match="no responsibilities"):
        run_pass(np.zeros((1, 1)), np.zeros(1), np.ones(1), 1, np.zeros(1), [], [], assign="hard", resp=np.ones((1, 1)))


# --- instruction sets -----------------------------------------------------------------------------

CHILD = """
import sys, numpy as np
sys.path[:0] = sys.argv[2:]
from test_kernel_twin import ASSIGN, PARTS, compiled, make
flat = []
for kind in PARTS:
    for assign in ASSIGN:
        got = compiled(make(kind, 333, 5, 7, assign))
        flat += [np.ravel(got[name]) for name in ("scores", "lse", "n_k")]
        flat += [np.ravel(value) for value in got["sums"][0].values()]
for d in (33, 40):
    flat += [np.ravel(value) for value in compiled(make("full", 333, d, 7, "soft"))["sums"][0].values()]
np.save(sys.argv[1], np.concatenate(flat))
"""


@pytest.mark.slow
def test_instruction_sets_agree(tmp_path):
    path = [str(Path(__file__).parent), *(p for p in sys.path if p)]
    results = []
    for name in ("avx512", "avx2", "plain"):
        out = tmp_path / f"{name}.npy"
        env = {**os.environ, "SKEM_SIMD": name}
        subprocess.run([sys.executable, "-c", CHILD, out, *path], env=env, check=True, timeout=120)
        results.append(np.load(out))
    for other in results[:2]:
        np.testing.assert_allclose(other, results[2], rtol=1e-10, atol=1e-10)


def test_exp_and_log_are_within_two_ulp():
    # two components, t apart: lse = log(1 + exp(-t)) and the smaller responsibility exp(-t) / (1 + exp(-t))
    t = np.concatenate([np.linspace(0, 40, 3001), np.geomspace(1e-12, 700, 2000)])
    p = make("x", len(t), 1, 2, "soft", weighted=False)
    p["scorers"], p["log_weights"] = [], np.zeros(2)
    p["log_prior"] = np.column_stack([np.zeros_like(t), -t])
    got = compiled(p)
    with mpmath.workdps(40):
        small = [mpmath.exp(-mpmath.mpf(float(v))) for v in t]
        lse = np.array([float(mpmath.log1p(v)) for v in small])
        resp = np.array([float(v / (1 + v)) for v in small])
    # besides the two functions each value takes a sum, and the responsibility a division
    assert (np.abs(got["resp"][:, 1] - resp) / resp).max() <= 3.5 * EPS
    assert np.abs(got["lse"] - lse).max() <= 2.0 * EPS
    for K in (1, 2, 3, 7, 50, 399):
        assert abs(lse_of_equal(K) - np.log(K)) <= EPS * max(1.0, np.log(K))


def lse_of_equal(K):
    lse = np.empty(1)
    run_pass(np.zeros((1, 1)), np.zeros(1), np.ones(1), K, np.zeros(K), [], [], lse=lse)
    return lse[0]
