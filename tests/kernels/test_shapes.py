"""Estimates of covariances with parts in common, against their definition: no covariances of the model are better."""

import numpy as np
import pytest
from shapes import common_axes, moved, volumes

from skem._kernels.linalg import precision_factor
from skem._kernels.shaped_step import is_worse
from skem._kernels.shapes import CODES, estimate

codes = pytest.mark.parametrize("code", list(CODES))
sizes = pytest.mark.parametrize(("d", "K"), [(1, 2), (2, 3), (3, 2), (4, 1), (7, 3)])


def problem(code, d, K, seed=0):
    rng = np.random.default_rng(seed)
    n_k = rng.uniform(5.0, 50.0, size=K)
    rows = rng.normal(size=(K, 3 * d, d)) @ (np.eye(d) + 0.5 * rng.normal(size=(K, d, d)))
    scatter = n_k[:, None, None] * np.einsum("kni,knj->kij", rows, rows)
    return rng, n_k, np.ascontiguousarray(np.einsum("kii->ki", scatter)) if code[2] == "I" else scatter


def criterion(n_k, scatter, covariance):
    """sum_k n_k log |Sigma_k| + tr(W_k Sigma_k^-1)"""
    if scatter.ndim == 2:
        return (n_k * np.log(covariance).sum(axis=1)).sum() + (scatter / covariance).sum()
    traces = np.einsum("kij,kji->k", scatter, np.linalg.inv(covariance))
    return (n_k * np.linalg.slogdet(covariance)[1] + traces).sum()


def parts_in_common(code, covariance):
    """The parts that the letters E make equal, one row a component."""
    matrices = covariance[:, :, None] * np.eye(covariance.shape[1]) if covariance.ndim == 2 else covariance
    volume = volumes(matrices)
    relative = matrices / volume[:, None, None]
    if code[0] == "E":
        yield volume
    if code[1] == "E":
        yield np.linalg.eigvalsh(relative)
    if code[1:] == "EE" or code == "VEI":
        yield relative
    if code[2] == "E":
        axes = common_axes(matrices)
        turned = np.einsum("ia,kij,jb->kab", axes, relative, axes)
        yield turned * (1.0 - np.eye(turned.shape[1])) + np.eye(turned.shape[1])


@codes
@sizes
def test_estimates_are_of_the_model_and_no_others_of_it_are_better(code, d, K):
    rng, n_k, scatter = problem(code, d, K)
    found = estimate(code, n_k, scatter)
    for part in parts_in_common(code, found):
        np.testing.assert_allclose(part, np.broadcast_to(part[:1], part.shape), rtol=1e-9, atol=1e-9)
    best = criterion(n_k, scatter, found)
    # at any optimum over the volumes the traces add up to n d
    assert best - criterion(n_k, 0.0 * scatter, found) == pytest.approx(n_k.sum() * d, rel=1e-6)
    for size in (1e-4, 1e-2, 0.3, 1.0):
        for _ in range(60):
            assert criterion(n_k, scatter, moved(code, found, rng, size)) > best - 1e-9 * abs(best)


@codes
@sizes
def test_steps_from_covariances_before_are_uphill_and_end_at_the_optimum(code, d, K):
    rng, n_k, scatter = problem(code, d, K, seed=1)
    best = criterion(n_k, scatter, estimate(code, n_k, scatter))
    covariance = moved(code, estimate(code, n_k, scatter), rng, 1.0)
    values = [criterion(n_k, scatter, covariance)]
    for _ in range(200):
        covariance = estimate(code, n_k, scatter, *factors(covariance))
        values.append(criterion(n_k, scatter, covariance))
    assert np.diff(values).max() <= 1e-11 * abs(best)
    if code not in ("EVE", "VVE"):  # whose common axes may rest at an optimum of their own
        assert values[-1] == pytest.approx(best, rel=1e-9)
    else:
        assert values[-1] >= best - 1e-9 * abs(best)


def factors(covariance):
    if covariance.ndim == 2:
        return covariance**-0.5, -0.5 * np.log(covariance).sum(axis=1)
    factor, log_det, _ = precision_factor(np.ascontiguousarray(covariance))
    return factor, -0.5 * log_det


@codes
def test_a_scatter_that_is_too_flat_is_refused(code):
    _, n_k, scatter = problem(code, 3, 2)
    scatter[1] = 0.0
    found = estimate(code, n_k, scatter)
    # orientations of their own leave one volume and shape to the other component
    assert (found is None) == (code != "EEV")
    scatter[0] = np.nan
    assert estimate(code, n_k, scatter) is None


@codes
def test_what_is_worse(code):
    rng, n_k, scatter = problem(code, 3, 2)
    found = estimate(code, n_k, scatter)
    other = moved(code, found, rng, 0.1)
    structure = "diag" if code[2] == "I" else "full"
    assert is_worse(structure, n_k, scatter, factors(found), factors(other))
    assert not is_worse(structure, n_k, scatter, factors(other), factors(found))
    assert not is_worse(structure, n_k, scatter, factors(found), factors(found))
