"""The two ways to score a Gaussian agree where both are good, and the bound between them holds."""

import numpy as np
import pytest
from families_under_test import CASES, Problem

from skem._kernels.parts import Centred, Linear
from skem.engine import Source
from skem.families import Gaussian, gaussian
from skem.summary import summarize

SWITCHING = [case for case in CASES if isinstance(case.family, Gaussian)]
switching = pytest.mark.parametrize("case", SWITCHING, ids=[case.name for case in SWITCHING])


def moved_theta(p, distance, tightness=1.0):
    """The maximum-likelihood theta, `distance` away from the origin and narrower."""
    stats = p.stats()
    theta = p.family.mle(stats)
    mean = theta.mean + distance
    log_det = p.family._structure.log_det(theta.factor * tightness, 3)
    return p.family._point(mean, theta.factor * tightness, log_det)


def both(p, theta, monkeypatch):
    """Pass results by the linear and by the centred part."""
    results = []
    for reach, kind in ((np.inf, Linear), (-1.0, Centred)):
        monkeypatch.setattr(gaussian, "LINEAR_REACH", reach)
        assert isinstance(p.family.scorer(theta), kind)
        scores, lse = np.empty((len(p.X), 2)), np.empty(len(p.X))
        result = Source(p.X, p.weight, p.family).run(np.log([0.3, 0.7]), theta)
        Source(p.X, None, p.family).run(np.log([0.3, 0.7]), theta, collect=False, scores=scores, lse=lse)
        # a tied covariance leaves what components share out of the scores, not out of the density
        results.append((result, scores - np.logaddexp.reduce(scores, axis=1, keepdims=True) + lse[:, None]))
    return results


@switching
def test_both_passes_agree(case, monkeypatch):
    p = Problem(case, n=200)
    theta = moved_theta(p, 0.0)
    (linear, linear_scores), (centred, centred_scores) = both(p, theta, monkeypatch)
    np.testing.assert_allclose(linear_scores, centred_scores, rtol=1e-12, atol=1e-12)
    assert linear.score == pytest.approx(centred.score, rel=1e-13)
    np.testing.assert_allclose(linear.n_k, centred.n_k, rtol=1e-12)
    for name, value in centred.stats.to_dict()["arrays"].items():
        np.testing.assert_allclose(getattr(linear.stats, name), value, rtol=1e-10, atol=1e-11)


@switching
def test_a_far_mean_switches_before_digits_are_lost(case, monkeypatch):
    p = Problem(case, n=200)
    assert isinstance(p.family.scorer(moved_theta(p, 1.0)), Linear)
    assert isinstance(p.family.scorer(moved_theta(p, 1e6)), Centred)
    # just inside the bound the loss is as promised
    reach = gaussian.LINEAR_REACH
    distances = [d for d in np.geomspace(1.0, 1e6, 60) if isinstance(p.family.scorer(moved_theta(p, d)), Linear)]
    assert max(distances) > 5.0
    theta = moved_theta(p, max(distances))
    (_, linear), (_, centred) = both(p, theta, monkeypatch)
    monkeypatch.setattr(gaussian, "LINEAR_REACH", reach)
    assert np.abs(linear - centred).max() <= 1e-11 * np.maximum(1.0, np.abs(centred)).max()


def test_a_flat_component_through_the_origin_switches(monkeypatch):
    # its mean is near, but entries of its precision cancel in every score
    p = Problem(SWITCHING[0], n=200)
    p.X[:, 2] = p.X[:, 0] + p.X[:, 1]
    theta = p.family.mle(p.stats())
    theta = p.family._point(theta.mean * 0.0, theta.factor, p.family._structure.log_det(theta.factor, 3))
    assert isinstance(p.family.scorer(theta), Centred)
    (_, linear), (_, centred) = both(p, theta, monkeypatch)
    assert np.abs(linear - centred).max() > 1e-9


def test_wide_full_covariances_are_centred():
    p = Problem(SWITCHING[0], n=100, d=gaussian.LINEAR_COLUMNS)
    assert isinstance(p.family.scorer(p.family.mle(p.stats())), Centred)


@switching
@pytest.mark.parametrize("offset", [0.0, 1e4, 1e8])
def test_statistics_keep_their_digits_at_any_offset(case, offset):
    # against long doubles, from rows rounded to float64 at that offset
    p = Problem(case, n=100)
    p.X += offset * p.X.std(axis=0)
    p.family = case.family.bind(summarize(p.X, None, case.family.equivariance))
    stats = p.stats(weight=p.weight)
    Z = (p.X.astype(np.longdouble) - p.family.summary_.origin) / p.family.summary_.scale
    within = 0.0
    for k in range(2):
        w = np.where(p.labels == k, p.weight, 0.0).astype(np.longdouble)
        mean = (w @ Z) / w.sum()
        scatter = ((Z - mean) * w[:, None]).T @ (Z - mean)
        diagonal = np.diag(scatter)
        within = within + scatter
        np.testing.assert_allclose(stats.mean[k], mean.astype(float), rtol=1e-13, atol=1e-13)
        atol = 1e-13 * float(diagonal.max())
        if not stats.shared:
            expected = {"full": scatter, "diag": diagonal, "spherical": diagonal.sum()}[case.name]
            np.testing.assert_allclose(stats.scatter[k], np.asarray(expected, float), rtol=1e-13, atol=atol)
    if stats.shared:
        diagonal = np.diag(within)
        expected = {"tied": within, "EEI": diagonal, "EII": diagonal.sum()}[case.name]
        np.testing.assert_allclose(stats.scatter, np.asarray(expected, float), rtol=1e-13, atol=atol)
