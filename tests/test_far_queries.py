"""Queries however far from the data get finite answers, without a warning."""

import numpy as np
import pytest
from public_estimators import CLASSES, COVARIANCES, MIXTURES, blobs, make
from scipy.special import logsumexp

import skem
from skem.families import Gaussian, Poisson

DISTANCES = [1e8, 1e16, 1e60, 1e119, 1e121, 1e153, 1e155, 1e200, 1e300]
SCALES = [1e-150, 1e-5, 1.0, 1e8, 1e150]
BIGGEST = np.finfo(np.float64).max


def far_rows(d, scale=1.0):
    """Rows near, far along an axis, far in all columns with any signs, and with distances mixed in a row."""
    rng = np.random.default_rng(0)
    rows = [rng.normal(size=(5, d))]
    for distance in DISTANCES:
        rows.append(distance * np.eye(d))
        rows.append(distance * rng.choice([-1.0, 1.0], size=(4, d)) * rng.random((4, d)))
    rows.append(rng.choice([1.0, *DISTANCES], size=(20, d)) * rng.normal(size=(20, d)))
    with np.errstate(over="ignore"):
        return np.clip(np.concatenate(rows) * scale, -1e300, 1e300)


def check_answers(mixture, X):
    eps = np.finfo(X.dtype).eps
    resp = mixture.predict_proba(X)
    assert np.isfinite(resp).all()
    assert (resp >= 0).all()
    np.testing.assert_allclose(resp.sum(axis=1), 1.0, rtol=0, atol=4 * eps)
    labels = mixture.predict(X)
    assert (resp[np.arange(len(X)), labels] >= resp.max(axis=1) - 4 * eps).all()
    density = mixture.score_samples(X)
    assert np.isfinite(density).all()
    if hasattr(mixture, "predict_log_proba"):
        log_resp = mixture.predict_log_proba(X)
        assert np.isfinite(log_resp).all()
        assert (log_resp <= 4 * eps).all()
        near = resp > 1e-200 if X.dtype == np.float64 else resp > 1e-30
        np.testing.assert_allclose(log_resp[near], np.log(resp[near]), rtol=1e-4, atol=1e-6)
    return density


@pytest.mark.parametrize("covariance_type", COVARIANCES)
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("cls", MIXTURES)
def test_far_queries(cls, scale, covariance_type):
    X = blobs(200) * scale
    mixture = make(cls, n_components=3, family=Gaussian(covariance_type), random_state=0).fit(X)
    queries = far_rows(3, scale)
    check_answers(mixture, queries)
    # farther is never more probable: rows along an axis, at ever larger distances
    steps = np.array([10.0, 1e3, 1e50, 1e90, 1e118, 1e122, 1e150, 1e250])
    with np.errstate(over="ignore"):
        ray = np.minimum(steps * scale, 1e300)[:, None] * [1.0, 0.0, 0.0]
    assert (np.diff(mixture.score_samples(ray)) <= 0).all()


@pytest.mark.parametrize("n_near", [1, 100])
def test_a_far_row_needs_no_other(n_near):
    """What is answered of a row does not depend on the rows beside it, whichever way it lies."""
    mixture = skem.EMMixture(n_components=3, random_state=0).fit(blobs(200))
    queries = far_rows(3)
    together = mixture.predict_log_proba(queries)
    for row, expected in zip(queries, together, strict=True):
        alone = mixture.predict_log_proba(np.vstack([row, np.zeros((n_near, 3))]))
        np.testing.assert_allclose(alone[0], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("cls", [cls for cls in CLASSES if cls not in MIXTURES and hasattr(cls, "predict_proba")])
@pytest.mark.parametrize("covariance_type", COVARIANCES)
def test_far_queries_of_the_drop_ins(cls, covariance_type):
    mixture = make(cls, n_components=3, covariance_type=covariance_type, random_state=0).fit(blobs(200))
    check_answers(mixture, far_rows(3))


@pytest.mark.parametrize("cls", MIXTURES)
def test_far_counts(cls):
    X = np.random.default_rng(0).poisson([[2.0, 9.0]] * 100 + [[15.0, 1.0]] * 100).astype(float)
    mixture = make(cls, n_components=2, family=Poisson(), random_state=0).fit(X)
    check_answers(mixture, np.floor(np.abs(far_rows(2))))


@pytest.mark.parametrize("covariance_type", COVARIANCES)
@pytest.mark.parametrize("cls", MIXTURES)
def test_far_float32_queries(cls, covariance_type):
    X = blobs(200).astype(np.float32)
    mixture = make(cls, n_components=3, family=Gaussian(covariance_type), random_state=0).fit(X)
    queries = np.clip(far_rows(3), -1e38, 1e38).astype(np.float32)
    check_answers(mixture, queries)


def test_far_density_of_gaussians_is_exact():
    """One component: the density far out is the quadratic term, whose value longdouble can hold."""
    X = blobs(200, 2, 1)
    mixture = skem.EMMixture(1).fit(X)
    queries = far_rows(2)
    deviation = queries.astype(np.longdouble) - mixture.means_[0]
    precision = np.linalg.inv(mixture.covariances_[0]).astype(np.longdouble)
    exact = -0.5 * np.einsum("ni,ij,nj->n", deviation, precision, deviation)
    exact -= 0.5 * np.linalg.slogdet(2 * np.pi * mixture.covariances_[0])[1]
    exact = np.maximum(exact, -BIGGEST).astype(float)
    np.testing.assert_allclose(mixture.score_samples(queries), exact, rtol=1e-10)


@pytest.mark.parametrize("covariance_type", ["full", "diag", "spherical"])
def test_far_density_of_students_is_exact(covariance_type):
    """One component of a variational fit: the predictive falls off by a power, exactly so far out."""
    X = blobs(200, 2, 1)
    mixture = skem.VariationalMixture(1, family=Gaussian(covariance_type)).fit(X)
    near, far = (np.array([[1e100, 3e99], [-1e100, 1e100]]) * factor for factor in (1.0, 1e180))
    nu = mixture._posterior.nu[0]
    power = {"full": nu - 2 + 1 + 2, "diag": 2 * (nu + 1), "spherical": nu + 2}[covariance_type]
    drop = mixture.score_samples(near) - mixture.score_samples(far)
    np.testing.assert_allclose(drop, power * 180 * np.log(10.0), rtol=1e-10)


def test_log_responsibilities_keep_what_responsibilities_lose():
    mixture = skem.EMMixture.from_parameters(means=[[0.0], [1.0]], covariances=[[[1.0]], [[1.0]]])
    log_resp = mixture.predict_log_proba([[1e4], [-1e4]])
    np.testing.assert_allclose(log_resp[:, 0] - log_resp[:, 1], [-1e4 + 0.5, 1e4 + 0.5], rtol=1e-9)
    assert mixture.predict_proba([[1e4]])[0, 0] == 0.0
    np.testing.assert_allclose(logsumexp(log_resp, axis=1), 0.0, atol=1e-12)
