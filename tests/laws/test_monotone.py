"""The objective of every cell never falls, whatever the data: units, offsets, ties, outliers, few rows.

Where it fails: the update is not the maximum of what the pass scored (`mle`, `mode`, `log_normalizer`), or the
statistics have lost digits that the next pass has not.
"""

import numpy as np
import pytest
from families_under_test import CASES, FREE_CASES, LATENT_CASES, POINT_CASES, SHAPED, SHAPED_CASES
from hypothesis import given, settings
from hypothesis import strategies as st

from skem.engine import Source
from skem.inference.em import EM, MAPEM
from skem.inference.hard import ICM, ClassificationEM, MaximizationExpectation
from skem.inference.model import Model
from skem.inference.variational import VariationalBayes
from skem.summary import summarize
from skem.weights import DirichletWeights, StickBreakingWeights

CELLS = [EM, MAPEM, VariationalBayes, MaximizationExpectation, ICM, ClassificationEM]
REAL = ("full", "tied", "diag", "spherical", "EEI", "EII", *SHAPED)


def spoil(X, how, rng, real, far):
    """Make rows harder for arithmetic; `real` rows may take any unit, an outlier lies `far` out (None: cannot)."""
    n, d = X.shape
    if "outlier" in how and far is not None:
        X[rng.integers(n)] *= far
    if "columns" in how and real:
        X *= 10.0 ** rng.uniform(-8, 8, size=d)
    if "offset" in how and real:
        X += X.std(axis=0) * 10.0 ** rng.uniform(0, 8, size=d)
    if "collinear" in how and d > 1:
        X[:, -1] = X[:, 0] * (1.0 + 1e-7 * rng.normal(size=n)) if real else X[:, 0]
    if "duplicates" in how:
        X = X[rng.integers(max(2, n // 3), size=n)]
    if "constant" in how:
        X[:, rng.integers(d)] = X[0, 0]
    if "float32" in how:
        X = X.astype(np.float32)
    return np.ascontiguousarray(X)


spoilers = st.sets(
    st.sampled_from(["columns", "offset", "collinear", "duplicates", "constant", "outlier", "float32"]), max_size=3
)


@pytest.mark.parametrize("cell", CELLS)
@settings(max_examples=170)
@given(
    case=st.sampled_from(CASES), n=st.integers(2, 60), d=st.integers(1, 4), K=st.integers(1, 5),
    how=spoilers, weighted=st.booleans(), sticks=st.booleans(), seed=st.integers(0, 2**16),
)  # fmt: skip
def test_the_objective_never_falls(cell, case, n, d, K, how, weighted, sticks, seed):
    check_monotone(cell, case, n, d, K, how, weighted, sticks, seed)


@pytest.mark.parametrize("cell", [EM, MAPEM, ICM, ClassificationEM])
@settings(max_examples=120)
@given(
    case=st.sampled_from(SHAPED_CASES), n=st.integers(8, 60), d=st.integers(1, 4), K=st.integers(1, 5),
    how=spoilers, weighted=st.booleans(), seed=st.integers(0, 2**16),
)  # fmt: skip
def test_the_objective_of_shared_shapes_never_falls(cell, case, n, d, K, how, weighted, seed):
    check_monotone(cell, case, n, d, K, how, weighted, False, seed)


@pytest.mark.parametrize("cell", [EM, MAPEM, ICM, ClassificationEM])
@settings(max_examples=80)
@given(
    case=st.sampled_from(POINT_CASES), n=st.integers(2, 60), d=st.integers(1, 4), K=st.integers(1, 5),
    how=spoilers, weighted=st.booleans(), seed=st.integers(0, 2**16),
)  # fmt: skip
def test_the_objective_of_points_never_falls(cell, case, n, d, K, how, weighted, seed):
    check_monotone(cell, case, n, d, K, how, weighted, False, seed)


@pytest.mark.parametrize("cell", [EM, ClassificationEM])
@settings(max_examples=120)
@given(
    case=st.sampled_from(FREE_CASES), n=st.integers(2, 60), d=st.integers(1, 4), K=st.integers(1, 5),
    how=spoilers, weighted=st.booleans(), seed=st.integers(0, 2**16),
)  # fmt: skip
def test_the_likelihood_of_families_without_a_prior_never_falls(cell, case, n, d, K, how, weighted, seed):
    check_monotone(cell, case, n, d, K, how, weighted, False, seed)


@pytest.mark.parametrize("cell", [EM, MAPEM, ICM, ClassificationEM])
@settings(max_examples=30)
@given(
    case=st.sampled_from(LATENT_CASES), n=st.integers(2, 60), d=st.integers(1, 4), K=st.integers(1, 5),
    how=spoilers, weighted=st.booleans(), seed=st.integers(0, 2**16),
)  # fmt: skip
def test_the_objective_under_latent_scales_never_falls(cell, case, n, d, K, how, weighted, seed):
    check_monotone(cell, case, n, d, K, how, weighted, False, seed)


def rows_of(case, rng, n, d, how):
    """Rows of a case, spoilt; those of a product block by block."""
    if case.blocks:
        parts = [rows_of(own, rng, n, len(at), how) for _, own, at in case.blocks]
        return np.ascontiguousarray(np.hstack(parts))
    # a scatter matrix with squares of 1e12 in one direction has no digits left for another, whatever the order of
    # summing, the less where all columns have one unit; variances of single columns lose nothing to one another
    far = 1e1 if case.name in SHAPED else 1e3 if case.name in ("full", "tied") else 1e6
    real = case.name in REAL or case in LATENT_CASES
    far = None if case.family.domain in ("zeros and ones", "levels", "numbers between 0 and 1") else far
    return spoil(case.rows(rng, n, d), how, rng, real, far)


def check_monotone(cell, case, n, d, K, how, weighted, sticks, seed):
    rng = np.random.default_rng(seed)
    X = rows_of(case, rng, n, d, how)
    weight = rng.choice([0.0, 0.3, 1.0, 2.0, 7.0], size=n) + 1e-3 * (np.arange(n) == 0) if weighted else None
    family = case.family.bind(summarize(X, weight, case.family.equivariance))
    source = Source(X, weight, family)
    weights = StickBreakingWeights(1.0) if sticks and cell is VariationalBayes else DirichletWeights(1.0)
    model = Model.build(family, weights, K, source)
    algorithm = cell(tol=0.0, max_iter=40)
    start = source.assign_given(K, codes=rng.integers(K, size=n).astype(np.int32))
    fit = algorithm.run(model, source, algorithm.start(model, start))
    values = np.array(fit.objectives)
    assert np.isfinite(values).all()
    assert len(values) == fit.n_iter + 1
    # what a row's score is the difference of, where a component has all but collapsed
    grain = 8.0 * np.finfo(float).eps * source.total_weight * case.grain(fit.state.theta) if case.grain else 0.0
    fall = (values[:-1] - values[1:] - grain) / np.maximum(1.0, np.abs(values[:-1]))
    assert fall.max(initial=0.0) <= 1e-9
