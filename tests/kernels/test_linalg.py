"""The batched triangular factors against numpy, on both sides of each change of method."""

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from skem._kernels.linalg import cholesky, precision_factor, triangular_inverse

sizes = pytest.mark.parametrize(("K", "d"), [(1, 1), (3, 4), (5, 6), (4, 7), (2, 32), (2, 33), (2, 70)])


def make_matrices(K, d, seed=0):
    half = np.random.default_rng(seed).normal(size=(K, d, 2 * d + 1))
    return half @ half.transpose(0, 2, 1)


def fill_above(matrices, value):
    """The upper triangles must not be read."""
    above = np.triu(np.ones(matrices.shape[1:], bool), 1)
    return np.where(above, value, matrices)


@sizes
def test_cholesky(K, d):
    A = make_matrices(K, d)
    L, ok = cholesky(fill_above(A, np.nan))
    assert ok.dtype == bool
    assert ok.all()
    np.testing.assert_allclose(L, np.linalg.cholesky(A), rtol=1e-12, atol=1e-12)
    assert (np.triu(L, 1) == 0).all()


@sizes
def test_precision_factor(K, d):
    S = make_matrices(K, d)
    F, log_det, ok = precision_factor(fill_above(S, np.nan))
    assert ok.all()
    assert (np.triu(F, 1) == 0).all()
    eye = np.broadcast_to(np.eye(d), (K, d, d))
    np.testing.assert_allclose(F @ S @ F.transpose(0, 2, 1), eye, atol=1e-11)
    np.testing.assert_allclose(F.transpose(0, 2, 1) @ F @ S, eye, atol=1e-10)
    np.testing.assert_allclose(log_det, np.linalg.slogdet(S)[1], rtol=1e-12)


@sizes
def test_triangular_inverse(K, d):
    L = np.linalg.cholesky(make_matrices(K, d))
    L[0, -1] *= -1  # a negative pivot has an inverse too
    inverse = triangular_inverse(fill_above(L, np.nan))
    np.testing.assert_allclose(inverse @ L, np.broadcast_to(np.eye(d), (K, d, d)), atol=1e-11)
    assert (np.triu(inverse, 1) == 0).all()


@pytest.mark.parametrize("d", [2, 9, 40])
@pytest.mark.parametrize("flaw", ["negative", "semidefinite", "nan", "infinite"])
def test_a_matrix_without_a_factor_spoils_only_itself(d, flaw):
    A = make_matrices(3, d)
    if flaw == "negative":
        A[1, -1, -1] *= -1
    elif flaw == "semidefinite":
        A[1] = np.ones((d, d))
    else:
        A[1, d // 2, d // 2] = np.nan if flaw == "nan" else np.inf
    L, ok = cholesky(A)
    F, log_det, ok_too = precision_factor(A)
    for flags in (ok, ok_too):
        np.testing.assert_array_equal(flags, [True, False, True])
    assert np.isnan(L[1]).all()
    assert np.isnan(F[1]).all()
    np.testing.assert_array_equal(np.isnan(log_det), [False, True, False])
    np.testing.assert_allclose(L[::2], np.linalg.cholesky(A[::2]), rtol=1e-12, atol=1e-12)
    assert np.isfinite(F[::2]).all()


@pytest.mark.parametrize("d", [3, 40])
def test_a_triangle_with_a_zero_pivot_has_no_inverse(d):
    L = np.linalg.cholesky(make_matrices(2, d))
    L[0, 1, 1] = 0
    inverse = triangular_inverse(L)
    assert np.isnan(inverse[0]).all()
    np.testing.assert_allclose(inverse[1] @ L[1], np.eye(d), atol=1e-12)


def test_scales_far_apart_keep_their_digits():
    scale = np.array([1e-150, 1.0, 1e140])
    S = make_matrices(1, 3)
    F, log_det, ok = precision_factor(S * scale[:, None] * scale)
    plain = precision_factor(S)
    assert ok.all()
    np.testing.assert_allclose(F * scale, plain[0], rtol=1e-13)
    np.testing.assert_allclose(log_det, plain[1] + 2 * np.log(scale).sum(), rtol=1e-13)


def test_inputs_are_read_only_and_left_alone():
    A = make_matrices(3, 5)
    before = A.copy()
    A.setflags(write=False)
    for function in (cholesky, precision_factor, triangular_inverse):
        function(A)
    np.testing.assert_array_equal(A, before)


def test_no_matrices_and_bad_shapes():
    assert cholesky(np.empty((0, 3, 3)))[0].shape == (0, 3, 3)
    for function in (cholesky, precision_factor, triangular_inverse):
        with pytest.raises(ValueError, match="square"):
            function(np.ones((2, 3, 4)))


def test_an_interrupt_is_answered_between_matrices(answer_time):
    A = np.broadcast_to(np.eye(400), (150, 400, 400)).copy()
    with threadpool_limits(1):
        assert answer_time(lambda: precision_factor(A)) < 0.25
