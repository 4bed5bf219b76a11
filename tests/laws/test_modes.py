"""Laws of points: `mle` and `mode` are where their objectives are largest, `attributes` names the point."""

from types import SimpleNamespace

import numpy as np
import pytest
from families_under_test import CASES, DIRICHLET, SHAPED, Problem, groups, law
from shapes import moved as moved_shapes

from skem.families import Gaussian
from skem.joint import Joint
from skem.summary import summarize

GAUSSIAN = [case for case in CASES if isinstance(case.family, Gaussian)]
RATES = [case for case in CASES if case not in GAUSSIAN and case.name not in DIRICHLET and not case.blocks]


def nearby(p, theta, size):
    """A theta near this one, through the public parameters, where every family is unconstrained enough."""
    if p.case.blocks:
        return Joint({
            name: nearby(SimpleNamespace(case=case, family=p.family.bound_[name], X=p.X[:, at], rng=p.rng),
                         theta.parts[name], size)
            for name, case, at in p.case.blocks
        })  # fmt: skip
    public = {name.rstrip("_"): value for name, value in p.family.attributes(theta).items()}
    moved = {}
    for name, value in public.items():
        if name == "covariances" and p.case.name in SHAPED:
            moved[name] = moved_shapes(p.case.name, value, p.rng, size)
        elif name == "covariances" and np.ndim(value) > 1 and value.shape[-1] == value.shape[-2] and (
            value.ndim == 3 or p.family.covariance_type == "tied"
        ):  # fmt: skip
            root = np.linalg.cholesky(value)
            turn = np.eye(value.shape[-1]) + size * p.rng.normal(size=value.shape)
            factor = root @ turn
            moved[name] = factor @ np.swapaxes(factor, -1, -2)
        elif name == "probabilities":
            odds = value * np.exp(size * p.rng.normal(size=value.shape))
            if p.case.name == "bernoulli":
                moved[name] = odds / (odds + 1.0 - value)
            else:
                parts = groups(p.case.name, odds)
                moved[name] = (parts / parts.sum(axis=2, keepdims=True)).reshape(odds.shape)
        elif name == "means" and p.family.domain == "unit vectors":
            rows = value + size * p.rng.normal(size=value.shape)
            moved[name] = rows / np.linalg.norm(rows, axis=1)[:, None]
        elif name == "concentrations":
            n_free = {"free": len(value), "common": 1}.get(p.family.concentration, 0)
            moved[name] = value * np.exp(size * p.rng.normal(size=n_free)) if n_free else value
        elif name == "dispersions":
            shape = {"free": value.shape, "columns": value.shape[1:], "common": ()}[p.family.dispersion]
            moved[name] = value * np.exp(size * p.rng.normal(size=shape))
        elif name == "means" and p.family.domain == "counts":
            moved[name] = value * np.exp(size * p.rng.normal(size=value.shape))
        elif name == "means":
            moved[name] = value + size * p.X.std(axis=0) * p.rng.normal(size=value.shape)
        else:
            moved[name] = value * np.exp(size * p.rng.normal(size=value.shape))
    return p.family.parameters(**moved)


@law("mle")
@pytest.mark.parametrize("size", [1e-3, 0.3])
def test_mle_beats_perturbations(case, size):
    p = Problem(case)
    stats = p.stats(weight=p.weight)
    theta = p.family.mle(stats)
    best = p.family.log_likelihood(theta, stats).sum()
    others = [p.family.log_likelihood(nearby(p, theta, size), stats).sum() for _ in range(200)]
    assert max(others) < best


@law("mode", "log_density")
@pytest.mark.parametrize("size", [1e-3, 0.3])
def test_mode_beats_perturbations_of_the_joint_density(case, size):
    p = Problem(case)
    stats = p.stats(weight=p.weight)

    def joint(theta):
        return p.family.log_likelihood(theta, stats).sum() + p.family.log_density(p.prior, theta)

    theta = p.family.mode(p.prior.merge(stats))
    assert max(joint(nearby(p, theta, size)) for _ in range(200)) < joint(theta)


@law("attributes", "parameters", latent=True)
def test_public_parameters_rebuild_theta(case):
    p = Problem(case)
    theta = p.family.mle(p.stats())
    again = nearby(p, theta, 0.0)
    for name, value in theta.to_dict()["arrays"].items():
        np.testing.assert_allclose(again.to_dict()["arrays"][name], value, rtol=1e-9, atol=1e-9)
    assert again.shared == theta.shared


@pytest.mark.parametrize("case", GAUSSIAN, ids=[case.name for case in GAUSSIAN])
def test_gaussian_mle_is_numpys_covariance(case):
    p = Problem(case)
    d, K = 3, 2
    got = p.family.attributes(p.family.mle(p.stats(weight=p.weight)))
    expected = np.empty((K, d, d))
    for k in range(K):
        rows = p.labels == k
        weight = p.weight[rows]
        np.testing.assert_allclose(got["means_"][k], np.average(p.X[rows], axis=0, weights=weight), rtol=1e-12)
        expected[k] = np.cov(p.X[rows].T, aweights=weight, ddof=0)
    n_k = np.bincount(p.labels, weights=p.weight)
    diagonal = np.einsum("kii->ki", expected)
    expected = {
        "full": expected,
        "tied": np.einsum("k,kij->ij", n_k / n_k.sum(), expected),
        "diag": diagonal,
        "spherical": diagonal.mean(axis=1),
        "EEI": n_k @ diagonal / n_k.sum(),
        "EII": (n_k @ diagonal / n_k.sum()).mean(),
    }[case.name]
    np.testing.assert_allclose(got["covariances_"], expected, rtol=1e-10, atol=1e-12 * np.abs(expected).max())


@pytest.mark.parametrize("case", RATES, ids=[case.name for case in RATES])
def test_mle_of_rates_is_the_mean(case):
    p = Problem(case)
    (rates,) = p.family.attributes(p.family.mle(p.stats(weight=p.weight))).values()
    for k in range(2):
        rows = p.labels == k
        features = p.X**2 if case.name.startswith("toy") else p.X
        mean = np.average(features[rows], axis=0, weights=p.weight[rows])
        np.testing.assert_allclose(rates[k], mean if case.family.domain == "counts" else 1.0 / mean, rtol=1e-12)


# --- the constraint -------------------------------------------------------------------------------


def flat_problem(case):
    """Component 0 holds rows on a line (on a point for one variance a component): the floor binds."""
    p = Problem(case, n=30)
    rows = p.labels == 0
    steps = p.rng.normal(size=(rows.sum(), 1)) if case.name in ("full", "tied") else np.zeros((rows.sum(), 1))
    p.X[rows] = p.X[rows][0] + steps * p.X.std(axis=0)
    if case.name in ("tied", "EEI", "EII"):
        p.X[~rows] = p.X[~rows][0] + (steps.any() * p.rng.normal(size=((~rows).sum(), 1))) * p.X.std(axis=0)
    rebind(p)
    return p


def rebind(p):
    p.family = p.case.family.bind(summarize(p.X, None, p.case.family.equivariance))


@pytest.mark.parametrize("case", GAUSSIAN, ids=[case.name for case in GAUSSIAN])
def test_the_constrained_mle_is_at_the_floor_and_the_best_there(case):
    p = flat_problem(case)
    stats = p.stats()
    assert p.family.degenerate(stats)[0]
    theta = p.family.mle(stats)
    variance = p.family.summary_.variance
    unit = np.sqrt(np.full(3, variance.mean()) if case.name in ("spherical", "EII") else variance)
    for factor in factors(theta)[:1]:
        # the least eigenvalue of a covariance is the largest of its precision, and keeps its digits there
        assert np.linalg.norm(factor * unit, 2) ** -2 == pytest.approx(1e-9, rel=1e-9)
    best = p.family.log_likelihood(theta, stats).sum()
    for size in (1e-6, 1e-3, 0.3):
        for _ in range(100):
            other = inside(p, theta, unit, size)
            assert p.family.log_likelihood(other, stats).sum() <= best + 1e-9 * abs(best)


def factors(theta):
    """(K, d, d) precision factors."""
    K, d = theta.mean.shape
    factor = np.broadcast_to(theta.factor, (K, *theta.factor.shape)) if theta.shared else theta.factor
    return factor if factor.ndim == 3 else np.stack([np.diag(np.broadcast_to(f, d)) for f in factor])


def inside(p, theta, unit, size):
    """Move the covariances and lift their eigenvalues to the floor."""
    floor = 1e-9 * (1.0 + 1e-6)
    given = p.family.attributes(theta)
    covariance, scale = given["covariances_"], unit * p.family.summary_.scale
    if theta.factor.ndim + bool(theta.shared) < 3:
        scale = scale[0] if p.family.equivariance == "scalar" else scale
        moved = covariance * np.exp(size * p.rng.normal(size=covariance.shape))
        moved = np.maximum(moved, floor * scale**2)
    else:
        noise = np.eye(3) + size * p.rng.normal(size=covariance.shape)
        relative = noise @ (covariance / np.outer(scale, scale)) @ np.swapaxes(noise, -1, -2)
        values, vectors = np.linalg.eigh(relative)
        lifted = vectors * np.maximum(values, floor)[..., None, :] @ np.swapaxes(vectors, -1, -2)
        moved = lifted * np.outer(scale, scale)
    return p.family.parameters(means=given["means_"], covariances=moved)


@pytest.mark.parametrize("case", GAUSSIAN, ids=[case.name for case in GAUSSIAN])
def test_the_floor_follows_the_units_of_the_data(case):
    p = flat_problem(case)
    theta = p.family.mle(p.stats())
    per_row = p.family.log_likelihood(theta, p.stats()).sum() - p.family.summary_.log_jacobian * len(p.X)
    p.X *= 1024.0
    rebind(p)
    theta = p.family.mle(p.stats())
    moved = p.family.log_likelihood(theta, p.stats()).sum() - p.family.summary_.log_jacobian * len(p.X)
    assert moved == pytest.approx(per_row - len(p.X) * 3 * np.log(1024.0), rel=1e-9)


@law("mle")
def test_a_component_without_mass_keeps_its_place(case):
    p = Problem(case)
    old = p.family.mle(p.stats())
    p.labels[:] = 0
    theta = p.family.mle(p.stats(), old)
    for value in theta.to_dict()["arrays"].values():
        assert np.isfinite(value).all()
    assert np.isfinite(p.family.log_likelihood(theta, p.stats())).all()
    if case in GAUSSIAN:
        np.testing.assert_array_equal(theta.mean[1], old.mean[1])
