"""The drop-ins in other units, where scikit-learn's originals lose digits or clusters: as `test_units.py` has it."""

import numpy as np
import pytest

from skem import BayesianGaussianMixture, GaussianMixture, KMeans

COVARIANCE_TYPES = ["full", "tied", "diag", "spherical"]
MIXTURES = [
    pytest.param(cls(n_components=3, covariance_type=name, random_state=0), id=f"{cls.__name__}-{name}")
    for cls in (GaussianMixture, BayesianGaussianMixture)
    for name in COVARIANCE_TYPES
]


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    group = rng.integers(0, 3, (200, 1))
    return rng.standard_normal((200, 3)) * [1.0, 0.5, 2.0] + 5 * group * [1.0, -1.0, 0.5]


def assert_same_mixture(mixture, X, back, log_factor):
    labels, score = mixture.fit_predict(X), mixture.score(X)
    np.testing.assert_array_equal(labels, mixture.fit_predict(back))
    shift = X.shape[1] * log_factor
    assert abs(score + shift - mixture.score(back)) < 1e-9 * max(1.0, abs(shift), abs(score))


@pytest.mark.parametrize("mixture", MIXTURES)
@pytest.mark.parametrize("offset", [1e4, 1e8, 1e10])
def test_mixture_offsets(mixture, offset, rows):
    moved = rows + offset
    assert_same_mixture(mixture, moved, moved - offset, 0.0)


@pytest.mark.parametrize("mixture", MIXTURES)
@pytest.mark.parametrize("factor", [1e-150, 1e-4, 1e150])
def test_mixture_common_factor(mixture, factor, rows):
    scaled = (rows + 1e3) * factor
    assert_same_mixture(mixture, scaled, scaled / factor, np.log(factor))


@pytest.mark.parametrize("mixture", MIXTURES)
def test_mixture_float32_far_from_the_origin(mixture, rows):
    X = (rows + 1e4).astype(np.float32)
    back = X.astype(np.float64) - 1e4
    np.testing.assert_array_equal(mixture.fit_predict(X), mixture.fit_predict(back))


@pytest.mark.parametrize("offset", [1e4, 1e8, 1e10])
def test_kmeans_offsets(offset, rows):
    moved = rows + offset
    here, there = KMeans(3, random_state=0).fit(moved - offset), KMeans(3, random_state=0).fit(moved)
    np.testing.assert_array_equal(here.labels_, there.labels_)
    assert there.inertia_ == pytest.approx(here.inertia_, rel=1e-9)


@pytest.mark.parametrize("factor", [1e-150, 1e-4, 1e150])
def test_kmeans_common_factor(factor, rows):
    scaled = (rows + 1e3) * factor
    here, there = KMeans(3, random_state=0).fit(scaled / factor), KMeans(3, random_state=0).fit(scaled)
    np.testing.assert_array_equal(here.labels_, there.labels_)
    assert there.inertia_ / factor / factor == pytest.approx(here.inertia_, rel=1e-9)


def test_kmeans_float32_far_from_the_origin(rows):
    X = (rows + 1e4).astype(np.float32)
    back = X.astype(np.float64) - 1e4
    np.testing.assert_array_equal(KMeans(3, random_state=0).fit_predict(X), KMeans(3, random_state=0).fit_predict(back))


@pytest.mark.parametrize("mixture", [case for case in MIXTURES if "spherical" not in case.id])
@pytest.mark.parametrize("factors", [[1.0, 1e-6, 1e6], [1e-150, 1.0, 1e150]])
def test_mixture_mixed_units_per_column(mixture, factors, rows):
    scaled = rows * factors
    labels, score = mixture.fit_predict(scaled), mixture.score(scaled)
    back = scaled / factors
    np.testing.assert_array_equal(labels, mixture.fit_predict(back))
    shift = np.log(factors).sum()
    assert abs(score + shift - mixture.score(back)) < 1e-9 * max(1.0, abs(shift), abs(score))
