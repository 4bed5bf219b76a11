"""Maximising log sum exp by its lower bound, and the modes of mixtures, against dense grids."""

import numpy as np
import pytest
from public_estimators import COVARIANCES, MIXTURES, blobs, make, quietly
from scipy.ndimage import maximum_filter
from scipy.special import logsumexp

from skem import EMMixture, GibbsMixture, QuadraticTerms, maximize_log_sum_exp
from skem.families import Gaussian, LogNormal, Poisson, StudentT
from skem.tailed_terms import TailedTerms


def quadratics(seed, n=6, d=2):
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(n, d, d))
    A = root @ np.swapaxes(root, 1, 2) + 0.3 * np.eye(d)
    return QuadraticTerms(A, rng.normal(size=(n, d)), rng.normal(size=n), centers=2.0 * rng.normal(size=(n, d)))


class OnePoint:
    """Terms of a user who thinks of one point at a time."""

    def __init__(self, terms):
        self.terms = terms

    def values(self, x):
        assert x.ndim == 1
        return self.terms.values(x)

    def maximize(self, weights):
        assert weights.ndim == 1
        return self.terms.maximize(weights)


# --- the iteration --------------------------------------------------------------------------------


def tailed(seed):
    quadratic = quadratics(seed)
    power = np.random.default_rng(seed).choice([3.0, 5.0, 40.0, np.inf], size=6)
    return TailedTerms(quadratic.A, quadratic.c, quadratic.centers, power)


@pytest.mark.parametrize("seed", range(5))
def test_quadratics_are_what_they_say(seed):
    terms = quadratics(seed)
    rng = np.random.default_rng(seed)
    x, weights = rng.normal(size=2), rng.uniform(size=6)
    deviation = x - terms.centers
    expected = terms.c + (terms.b * deviation).sum(axis=1) - 0.5 * np.einsum("ni,nij,nj->n", deviation, terms.A,
                                                                            deviation)  # fmt: skip
    np.testing.assert_allclose(terms.values(x), expected, rtol=1e-12)
    best = terms.maximize(weights)
    around = best + 1e-3 * rng.normal(size=(50, 2))
    assert (terms.values(around) @ weights < terms.values(best) @ weights).all()


@pytest.mark.parametrize("seed", range(5))
def test_steps_of_tailed_terms_never_lead_down(seed):
    terms, rng = tailed(seed), np.random.default_rng(seed)
    x, weights = 4.0 * rng.normal(size=(30, 2)), rng.uniform(size=(30, 6))
    ahead = terms.step(x, weights)
    assert ((weights * terms.values(ahead)).sum(axis=1) > (weights * terms.values(x)).sum(axis=1)).all()
    light = TailedTerms(terms.A, terms.c, terms.centers, np.full(6, np.inf))
    plain = QuadraticTerms(terms.A, c=terms.c, centers=terms.centers)
    np.testing.assert_allclose(light.values(x), plain.values(x), rtol=1e-12)
    np.testing.assert_allclose(light.step(x, weights), plain.maximize(weights), rtol=1e-12)


@pytest.mark.parametrize("make_terms", [quadratics, tailed])
@pytest.mark.parametrize("seed", range(5))
def test_derivatives_are_those_of_differences(make_terms, seed):
    terms, x = make_terms(seed), np.random.default_rng(seed).normal(size=2)
    step = 1e-5 * np.eye(2)
    points = np.concatenate([x + step, x - step])
    shares = np.exp(terms.values(x) - logsumexp(terms.values(x)))
    gradient, hessian = terms.derivatives(x[None], shares[None])
    height = logsumexp(terms.values(points), axis=1)
    np.testing.assert_allclose(gradient[0], (height[:2] - height[2:]) / 2e-5, rtol=1e-7, atol=1e-8)
    shares = np.exp(terms.values(points) - height[:, None])
    slopes = terms.derivatives(points, shares)[0]
    np.testing.assert_allclose(hessian[0], (slopes[:2] - slopes[2:]) / 2e-5, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("seed", range(20))
def test_monotone_and_at_rest_where_the_gradient_is_zero(seed):
    terms = quadratics(seed)
    starts = 3.0 * np.random.default_rng(seed).normal(size=(30, 2))
    found = maximize_log_sum_exp(terms, starts)
    assert found.converged.all()
    assert (np.diff(found.values, axis=0) >= 0).all()
    np.testing.assert_array_equal(found.values[-1], found.value)
    shares = np.exp(terms.values(found.x) - found.value[:, None])
    np.testing.assert_allclose(terms.derivatives(found.x, shares)[0], 0.0, atol=3e-6)


def test_terms_of_ones_own():
    terms = quadratics(3)
    own = maximize_log_sum_exp(OnePoint(terms), [0.5, -0.5], tol=1e-14)
    quick = maximize_log_sum_exp(terms, [0.5, -0.5])
    assert own.x.shape == quick.x.shape == (2,)
    assert own.values.shape == (own.n_iter + 1,)
    assert (np.diff(own.values) >= 0).all()
    assert quick.n_iter < own.n_iter
    np.testing.assert_allclose(own.x, quick.x, atol=1e-5)
    assert own.value == pytest.approx(quick.value, abs=1e-11)


def test_mean_shift():
    """Gaussian kernels of one width: the step is the mean weighted by the kernels."""
    points = np.random.default_rng(0).normal(size=(40, 2))
    terms = QuadraticTerms(np.tile(np.eye(2) / 0.3, (40, 1, 1)), centers=points)
    kernel = np.exp(-((points - 0.2) ** 2).sum(axis=1) / 0.6)
    one = maximize_log_sum_exp(OnePoint(terms), [0.2, 0.2], max_iter=1)
    np.testing.assert_allclose(one.x, kernel @ points / kernel.sum(), rtol=1e-12)
    assert not one.converged


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: QuadraticTerms(np.eye(2)), "A must have shape"),
        (lambda: QuadraticTerms(np.eye(2)[None], b=[1.0]), "b must have shape"),
        (lambda: QuadraticTerms(np.full((1, 1, 1), np.nan)), "A holds NaN"),
        (lambda: maximize_log_sum_exp(QuadraticTerms(np.zeros((2, 1, 1))), [0.0]), "singular"),
        (lambda: maximize_log_sum_exp(quadratics(0), [np.nan, 0.0]), "x0 must be finite"),
        (lambda: maximize_log_sum_exp(quadratics(0), [0.0, 0.0], tol=-1.0), "tol=-1.0"),
    ],
)
def test_bad_calls(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_wrong_shapes_of_own_terms_are_named():
    terms = OnePoint(quadratics(0))
    terms.maximize = lambda weights: np.zeros(3)
    with pytest.raises(ValueError, match=r"terms.maximize returns the wrong shape: \(3,\) for a point in 2"):
        maximize_log_sum_exp(terms, [0.0, 0.0])
    terms.values = lambda x: 0.0
    with pytest.raises(ValueError, match=r"terms.values"):
        maximize_log_sum_exp(terms, [0.0, 0.0])


# --- modes ----------------------------------------------------------------------------------------


def random_mixture(seed, d):
    rng = np.random.default_rng(seed)
    K = int(rng.integers(2, 9))
    means = rng.normal(size=(K, d)) * rng.uniform(0.5, 2.5)
    root = 0.6 * np.tril(rng.normal(size=(K, d, d))) + np.eye(d) * rng.uniform(0.15, 1.0, size=(K, 1, 1))
    return EMMixture.from_parameters(
        weights=rng.dirichlet(np.full(K, 2.0)), means=means, covariances=root @ np.swapaxes(root, 1, 2)
    )


def random_students(seed, d):
    gaussian, rng = random_mixture(seed, d), np.random.default_rng(seed)
    return EMMixture.from_parameters(
        family=StudentT(), weights=gaussian.weights_, means=gaussian.means_, scale_matrices=gaussian.covariances_,
        degrees_of_freedom=rng.choice([0.7, 2.0, 6.0, np.inf], size=len(gaussian.weights_)),
    )  # fmt: skip


def random_log_normals(seed, d):
    gaussian = random_mixture(seed, d)
    return EMMixture.from_parameters(
        family=LogNormal(), weights=gaussian.weights_, means=gaussian.means_, covariances=0.3 * gaussian.covariances_
    )


def grid_of(mixture, n):
    """A grid in the coordinates in which rows are encoded, where peaks of log-normal components lie lower."""
    low, high = mixture.means_.min(axis=0) - 0.3, mixture.means_.max(axis=0) + 0.3
    if isinstance(mixture.family, LogNormal):
        low = (mixture.means_ - mixture.covariances_.sum(axis=2)).min(axis=0) - 0.3
        high = (mixture.means_ - mixture.covariances_.sum(axis=2)).max(axis=0) + 0.3
    axes = [np.linspace(a, b, n) for a, b in zip(low, high, strict=True)]
    return mixture.family_.decode(np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1))


@pytest.mark.parametrize(("d", "n"), [(1, 20001), (2, 301)])
@pytest.mark.parametrize(
    ("make_mixture", "seed"),
    [(random_mixture, seed) for seed in range(50)]
    + [(make, seed) for make in (random_students, random_log_normals) for seed in range(12)],
)
def test_all_modes_of_a_dense_grid_are_found(make_mixture, seed, d, n):
    mixture = make_mixture(seed, d)
    grid = grid_of(mixture, n)
    density = mixture.score_samples(grid.reshape(-1, d)).reshape(grid.shape[:-1])
    inner = (slice(1, -1),) * d
    tops = grid[inner][(density == maximum_filter(density, 3))[inner]]
    # a narrow oblique ridge looks like a row of tops on a grid: the climb tells which are one
    terms = mixture.family_.log_terms(mixture._log_weights, mixture._theta)
    family = mixture.family_
    climbed = maximize_log_sum_exp(terms, family.summary_.to_internal(family.encode(tops)), tol=0.0).x
    found = mixture.modes()
    gap = np.abs(family.summary_.to_user(climbed)[:, None] - family.encode(found.modes)).max(axis=2).min(axis=1)
    assert gap.max() < 1e-3
    # and each is one
    around = found.modes[:, None] * (1.0 + 1e-4 * np.random.default_rng(0).normal(size=(20, d)))
    higher = mixture.score_samples(around.reshape(-1, d)).reshape(-1, 20) - found.log_densities[:, None]
    assert higher.max() < 1e-10
    np.testing.assert_allclose(found.log_densities, mixture.score_samples(found.modes), atol=1e-10)
    assert (np.diff(found.log_densities) <= 0).all()


def test_a_mode_where_no_mean_is():
    """Two crossed Gaussians with three modes, and an equilateral triangle with four (Carreira-Perpinan)."""
    crossed = EMMixture.from_parameters(means=[[1.0, 0.0], [0.0, 1.0]], covariances=[np.diag([1.0, 0.05]),
                                                                                     np.diag([0.05, 1.0])])  # fmt: skip
    found = crossed.modes()
    assert len(found.modes) == 3
    angle = 2.0 * np.pi * np.arange(3) / 3.0
    triangle = EMMixture.from_parameters(
        family=Gaussian("spherical"), means=np.column_stack([np.cos(angle), np.sin(angle)]), covariances=[0.53] * 3
    )
    found = triangle.modes()
    assert len(found.modes) == 4
    assert np.abs(found.modes).sum(axis=1).min() < 1e-8
    assert len(set(found.labels)) == 3


def test_ascents_do_not_rest_on_saddles():
    """The middle one of three equal components in a row starts where the gradient is zero."""
    row = EMMixture.from_parameters(means=[[-1.5], [0.0], [1.5]], covariances=[[[0.2]], [[4.0]], [[0.2]]])
    found = row.modes()
    np.testing.assert_allclose(np.sort(found.modes.ravel()), [-1.49, 1.49], atol=0.02)
    assert set(found.labels[[0, 2]]) == {0, 1}


def test_close_components_share_a_mode():
    mixture = EMMixture.from_parameters(
        means=[[0.0, 0.0], [0.5, 0.0], [9.0, 9.0]], covariances=np.tile(np.eye(2), (3, 1, 1))
    )
    found = mixture.modes()
    assert found.labels.tolist() == [0, 0, 1]
    np.testing.assert_allclose(found.modes[0], [0.25, 0.0], atol=1e-6)
    assert found.labels[mixture.predict([[0.0, 1.0], [9.0, 8.0]])].tolist() == [0, 1]


@pytest.mark.parametrize("covariance_type", COVARIANCES)
def test_units_change_nothing(covariance_type):
    X = blobs(200, 2, 4, seed=3)
    family = Gaussian(covariance_type)
    mixture = EMMixture(4, family=family, random_state=0).fit(X)
    for scale, shift in ((1e-150, 0.0), (1e6, 1e8), (1.0, 1e6)):
        other = EMMixture(4, family=family, random_state=0).fit(X * scale + shift)
        here, there = mixture.modes(), other.modes()
        np.testing.assert_array_equal(here.labels, there.labels)
        np.testing.assert_allclose((there.modes - shift) / scale, here.modes, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(there.log_densities + 2 * np.log(scale), here.log_densities, atol=1e-6)


@pytest.mark.parametrize("cls", MIXTURES)
def test_every_mixture_has_modes(cls):
    X = blobs(120, 2, 3, seed=1)
    mixture = quietly(make(cls, n_components=3, random_state=0).fit, X)
    found = mixture.modes()
    assert found.labels.shape == (mixture.n_components_,)
    plain = EMMixture.from_parameters(weights=mixture.weights_, means=mixture.means_, covariances=mixture.covariances_)
    np.testing.assert_allclose(found.log_densities, plain.score_samples(found.modes), rtol=1e-9)


def test_modes_want_gaussians():
    counts = EMMixture.from_parameters(family=Poisson(), rates=[[1.0], [5.0]])
    with pytest.raises(TypeError, match=r"Poisson\(\) offers no log_terms"):
        counts.modes()
    with pytest.raises(ValueError, match="tol"):
        EMMixture(2).fit(blobs()).modes(tol=-1.0)
    with pytest.raises(ValueError, match="not fitted"):
        GibbsMixture().modes()
