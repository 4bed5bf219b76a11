"""A uniform component beside the others keeps outliers from distorting them."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from skem import EMMixture
from skem.engine import Source
from skem.estimators.noise import Box, sparse_rows
from skem.families import Gaussian, Poisson
from skem.families.covariance import DISTINCT
from skem.summary import summarize

MEANS = np.array([[-4.0, -2.0], [4.0, 3.0]])
COVARIANCES = np.array([[[1.0, 0.5], [0.5, 1.0]], [[1.0, -0.3], [-0.3, 0.5]]])


def noisy_rows(seed, n=800, share=0.7):
    rng = np.random.default_rng(seed)
    z = np.where(rng.random(n) < share, -1, rng.integers(2, size=n))
    X = rng.uniform(-10.0, 10.0, size=(n, 2))
    for k in range(2):
        X[z == k] = rng.multivariate_normal(MEANS[k], COVARIANCES[k], size=(z == k).sum())
    return X, z


def in_order(mixture, labels):
    """Labels with components in the order of their first mean; noise stays -1."""
    return np.append(np.argsort(np.argsort(mixture.means_[:, 0])), -1)[labels]


@pytest.mark.parametrize("noise", [0.7, 0.4, "flags"])
def test_accuracy_is_near_that_of_the_true_parameters(noise):
    got, bayes = [], []
    for seed in range(5):
        X, z = noisy_rows(seed)
        flags = (np.random.default_rng(1).random(len(z)) < 0.9) == (z == -1)
        mixture = EMMixture(2, noise=flags if noise == "flags" else noise, random_state=0).fit(X)
        got.append((in_order(mixture, mixture.labels_) == z).mean())
        parts = [0.15 * multivariate_normal(MEANS[k], COVARIANCES[k]).pdf(X) for k in range(2)]
        best = np.argmax([np.full(len(X), 0.7 / 400.0), *parts], axis=0) - 1
        bayes.append((best == z).mean())
    assert np.mean(got) >= 0.98 * np.mean(bayes)


@pytest.mark.parametrize("covariance_type", DISTINCT)
def test_the_mixture_is_one_of_three_densities(covariance_type):
    X, _ = noisy_rows(0, n=300)
    X = X * [1.0, 3.0] + [1e3, 0.0]
    mixture = EMMixture(2, noise=0.5, family=Gaussian(covariance_type), random_state=0).fit(X)
    low, high = X.min(axis=0), X.max(axis=0)
    axes = np.linalg.eigh(np.cov(X.T))[1]
    volume = min(np.prod(high - low), np.prod(np.ptp(X @ axes, axis=0)))
    plain = EMMixture.from_parameters(
        family=Gaussian(covariance_type), weights=mixture.weights_, means=mixture.means_,
        covariances=mixture.covariances_,
    )  # fmt: skip
    nu = mixture.noise_weight_
    parts = np.column_stack(
        [(1.0 - nu) * np.exp(plain.score_samples(X))[:, None] * plain.predict_proba(X), np.full(300, nu / volume)]
    )
    np.testing.assert_allclose(mixture.score_samples(X), np.log(parts.sum(axis=1)), rtol=1e-9)
    resp = mixture.predict_proba(X)
    np.testing.assert_allclose(resp, parts / parts.sum(axis=1, keepdims=True), rtol=1e-6, atol=1e-12)
    np.testing.assert_array_equal(resp, mixture.transform(X))
    np.testing.assert_allclose(np.exp(mixture.predict_log_proba(X)), resp, rtol=1e-12)
    np.testing.assert_array_equal(mixture.predict(X), np.append([0, 1], -1)[resp.argmax(axis=1)])
    np.testing.assert_array_equal(mixture.predict(X), mixture.labels_)
    assert mixture.lower_bound_ == pytest.approx(mixture.score(X), rel=1e-10)
    assert np.diff(mixture.lower_bounds_).min() > -1e-12
    assert (mixture.n_components_, len(mixture.means_), mixture.weights_.sum()) == (2, 2, pytest.approx(1.0))
    assert len(mixture.get_feature_names_out()) == 3


def test_emptiest_places_are_found_by_weight():
    # a dense row of rows, a thin one, and one place whose weight alone makes it dense
    dense, thin = np.linspace(0.0, 1.0, 60), np.linspace(10.0, 40.0, 20)
    X = np.column_stack([np.concatenate([dense, thin, [60.0]]), np.zeros(81)])
    X[:, 1] = X[:, 0] ** 2 / 60.0
    weight = np.append(np.ones(80), 20.0)
    np.testing.assert_array_equal(np.flatnonzero(sparse_rows(X, weight, 0.2)), np.arange(60, 80))
    assert sparse_rows(X, None, 0.2)[80]
    assert not sparse_rows(X, np.append(np.ones(80), 0.0), 0.2)[80]


def test_box_is_that_of_the_weighted_rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 2)) @ np.array([[5.0, 5.0], [-0.5, 0.5]])
    weight = rng.integers(0, 9, size=40)
    family = Gaussian().bind(summarize(X, None, "affine"))
    one, other = (
        Box.of(Source(X, weight.astype(float), family)),
        Box.of(Source(np.repeat(X, weight, axis=0), None, family)),
    )
    assert one.log_volume == pytest.approx(other.log_volume, rel=1e-12)


def test_weights_are_repetition_and_units_do_not_matter():
    X, _ = noisy_rows(1, n=200)
    weight = np.random.default_rng(0).integers(0, 3, size=200)
    flags = np.abs(X[:, 0]) > 6.0
    weighted = EMMixture(2, noise=flags, random_state=0, init=(X[:, 0] > 0).astype(int)).fit(X, sample_weight=weight)
    rows = np.repeat(X, weight, axis=0)
    repeated = EMMixture(2, noise=np.repeat(flags, weight), init=(rows[:, 0] > 0).astype(int)).fit(rows)
    np.testing.assert_allclose(weighted.means_, repeated.means_, rtol=1e-9)
    assert weighted.noise_weight_ == pytest.approx(repeated.noise_weight_, rel=1e-9)
    # and from a share, where neighbours, axes and starts are weighted, too
    weighted = EMMixture(2, noise=0.6, random_state=0).fit(X, sample_weight=weight)
    repeated = EMMixture(2, noise=0.6, random_state=0).fit(rows[np.random.default_rng(1).permutation(len(rows))])
    np.testing.assert_allclose(weighted.means_, repeated.means_, rtol=1e-7)
    assert weighted.lower_bound_ == pytest.approx(repeated.lower_bound_, rel=1e-10)
    scaled = EMMixture(2, noise=0.6, random_state=0).fit(X * 1024.0)
    plain = EMMixture(2, noise=0.6, random_state=0).fit(X)
    np.testing.assert_array_equal(scaled.labels_, plain.labels_)
    assert scaled.score(X * 1024.0) == pytest.approx(plain.score(X) - 2 * np.log(1024.0), rel=1e-10)


def test_samples_criteria_and_callbacks(capsys):
    X, _ = noisy_rows(2)
    mixture = EMMixture(2, noise=0.6, random_state=0, verbose=2).fit(X)
    assert capsys.readouterr().out
    drawn, labels = mixture.sample(4000, random_state=0)
    assert (labels == -1).mean() == pytest.approx(mixture.noise_weight_, abs=0.03)
    # some half of the rows may lie outside, where the smaller box is that of the principal axes
    assert np.abs(drawn).max() < 30.0
    log_likelihood = mixture.score(X) * len(X)
    # mclust counts the share of the noise and its volume
    assert mixture.bic(X) == pytest.approx(-2.0 * log_likelihood + (11 + 2) * np.log(len(X)), rel=1e-12)
    again = mixture.set_params(noise=None, verbose=0).fit(X)
    assert again.predict_proba(X).shape == (len(X), 2)
    assert again.labels_.min() == 0
    far = EMMixture(2, noise=0.6, random_state=0).fit(X)
    assert far.predict([[1e200, 0.0]]) == [-1]


@pytest.mark.parametrize("covariance_type", ["full", "tied", "VEV"])
@pytest.mark.parametrize("method", ["anderson", "squarem"])
def test_leaps_end_where_plain_steps_do(method, covariance_type):
    X, _ = noisy_rows(5)
    X = X * 0.6  # components that overlap take long
    how = {"noise": 0.5, "family": Gaussian(covariance_type), "init": (X[:, 0] > 1.0).astype(int), "tol": 1e-12}
    plain = EMMixture(2, max_iter=20_000, **how).fit(X)
    leaping = EMMixture(2, max_iter=20_000, accelerate=method, **how).fit(X)
    assert leaping.lower_bound_ == pytest.approx(plain.lower_bound_, rel=1e-9)
    assert leaping.noise_weight_ == pytest.approx(plain.noise_weight_, abs=1e-4)
    assert leaping.n_iter_ < plain.n_iter_
    assert np.diff(leaping.lower_bounds_).min() > -1e-12


def test_a_warm_start_goes_on_with_its_noise():
    X, _ = noisy_rows(6)
    mixture = EMMixture(2, noise=0.3, warm_start=True, random_state=0).fit(X)
    before, share = mixture.lower_bound_, mixture.noise_weight_
    mixture.fit(X)
    assert mixture.start_ == "warm start"
    assert before <= mixture.lower_bounds_[0] <= before + 1e-6
    assert mixture.noise_weight_ == pytest.approx(share, abs=1e-3)
    # one fitted without noise is given a little
    mixture = EMMixture(2, init={"means": MEANS, "covariances": COVARIANCES}, warm_start=True).fit(X)
    mixture.set_params(noise=0.3).fit(X)
    assert mixture.start_ == "warm start"
    assert mixture.lower_bound_ == pytest.approx(before, abs=1e-4)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"noise": 1.5}, "noise"),
        ({"noise": [True, False]}, "a bool for each of the 800 rows"),
        ({"noise": 0.5, "family": Poisson()}, "Gaussian components"),
        ({"noise": 0.5, "n_active": 1}, "n_active"),
        ({"noise": 0.5, "split_merge": True}, "split_merge"),
        ({"noise": np.ones(800, dtype=bool)}, "leaves no rows"),
    ],
)
def test_what_does_not_go_together_is_refused(parameters, message):
    X, _ = noisy_rows(3)
    with pytest.raises(ValueError, match=message):
        EMMixture(2, **parameters).fit(np.abs(X).round() if "family" in parameters else X)


def test_batches_and_columns_without_width_are_refused():
    X, _ = noisy_rows(4)
    mixture = EMMixture(2, noise=0.5, random_state=0).partial_fit(X)
    with pytest.raises(ValueError, match="partial_fit"):
        mixture.partial_fit(X)
    with pytest.raises(ValueError, match="column 1 of X is constant"):
        EMMixture(2, noise=0.5).fit(X * [1.0, 0.0])
