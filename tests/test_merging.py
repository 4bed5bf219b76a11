"""Components combined by the entropy of the responsibilities."""

import numpy as np
import pytest
from public_estimators import MIXTURES, blobs, make, quietly
from scipy.special import entr
from sklearn.metrics import adjusted_rand_score

from skem import EMMixture, MergeDisplay
from skem.estimators.merging import MergedComponents
from skem.families import Poisson


def cross(seed=0):
    """A cross of two long bars, which takes several Gaussians, and two round groups apart from it."""
    rng = np.random.default_rng(seed)
    bars = rng.normal(size=(400, 2)) * [4.0, 0.3]
    bars[200:] = bars[200:, ::-1]
    groups = [rng.normal(size=(150, 2)) + centre for centre in ([16.0, 16.0], [-16.0, 12.0])]
    return np.concatenate([bars, *groups]), np.repeat([0, 1, 2], [400, 150, 150])


X, TRUTH = cross()
MIXTURE = EMMixture(6, n_init=5, init="k-means", random_state=0).fit(X)


def partition(merged, resp, k):
    return resp @ np.eye(k)[merged.labels(k)]


def test_entropies_are_those_of_the_partitions():
    weight = np.random.default_rng(0).uniform(size=len(X))
    merged = MIXTURE.merge_components(X, sample_weight=weight)
    resp = MIXTURE.predict_proba(X)
    for k in range(1, 7):
        expected = weight @ entr(partition(merged, resp, k)).sum(axis=1)
        assert merged.entropies[k - 1] == pytest.approx(expected, abs=1e-9)
    assert (np.diff(merged.entropies) >= 0).all()


@pytest.mark.parametrize("seed", range(6))
def test_each_step_is_the_best_pair(seed):
    rng = np.random.default_rng(seed)
    resp = rng.dirichlet(rng.uniform(0.05, 1.0, size=6), size=300)
    weight = rng.uniform(size=300)
    merged = MergedComponents.build(None, resp.copy(), weight)
    for k in range(6, 1, -1):
        now = partition(merged, resp, k)
        pairs = [
            weight @ entr(np.column_stack([np.delete(now, [i, j], axis=1), now[:, i] + now[:, j]])).sum(axis=1)
            for i in range(k)
            for j in range(i + 1, k)
        ]
        assert merged.entropies[k - 2] == pytest.approx(min(pairs), abs=1e-8)


def test_groups_that_are_no_gaussians_are_found():
    merged = MIXTURE.merge_components(X)
    assert merged.n_clusters == 3
    assert adjusted_rand_score(TRUTH, merged.predict(X)) == 1.0
    assert merged.predict_proba(X).sum(axis=1) == pytest.approx(1.0)
    assert merged.predict(X, n_clusters=1).tolist() == [0] * len(X)
    np.testing.assert_array_equal(merged.predict(X, n_clusters=6), MIXTURE.predict(X))


def test_children_are_in_scikit_learns_form():
    merged = MIXTURE.merge_components(X)
    assert sorted(merged.children.ravel()) == list(range(10))
    for k in range(1, 7):
        labels = merged.labels(k)
        assert sorted(set(labels)) == list(range(k))
        # numbered by first appearance
        assert [labels.tolist().index(c) for c in range(k)] == sorted(labels.tolist().index(c) for c in range(k))


def test_weights_are_repetition_and_rows_have_no_order():
    rng = np.random.default_rng(1)
    times = rng.integers(0, 4, size=len(X))
    weighted = MIXTURE.merge_components(X, sample_weight=times)
    repeated = MIXTURE.merge_components(rng.permutation(np.repeat(X, times, axis=0)))
    np.testing.assert_array_equal(weighted.children, repeated.children)
    np.testing.assert_allclose(weighted.entropies, repeated.entropies, rtol=1e-9, atol=1e-9)
    assert weighted.n_clusters == repeated.n_clusters


def test_separate_components_stay_apart():
    rows = blobs(300, 2, 1) + 20.0 * np.array([[0, 0], [0, 1], [1, 0], [1, 1]]).repeat(75, axis=0)
    merged = EMMixture(4, init=np.repeat(range(4), 75)).fit(rows).merge_components(rows)
    assert merged.n_clusters == 4


@pytest.mark.parametrize("cls", MIXTURES)
def test_every_mixture_and_family(cls):
    rows = np.random.default_rng(0).poisson([[1.0, 9.0]] * 60 + [[7.0, 2.0]] * 60)
    mixture = quietly(make(cls, n_components=3, family=Poisson(), random_state=0).fit, rows)
    merged = mixture.merge_components(rows)
    assert len(merged.entropies) == mixture.n_components_
    assert merged.predict(rows).max() < merged.n_clusters


@pytest.mark.parametrize("n_clusters", [0, 7, 2.5, "two"])
def test_bad_numbers_of_clusters(n_clusters):
    with pytest.raises(ValueError, match="n_clusters="):
        MIXTURE.merge_components(X).labels(n_clusters)


def test_unfitted_and_bad_weights():
    with pytest.raises(ValueError, match="not fitted"):
        EMMixture().merge_components(X)
    with pytest.raises(ValueError, match="sample_weight"):
        MIXTURE.merge_components(X, sample_weight=-np.ones(len(X)))


def test_display():
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("Agg")
    display = MergeDisplay.from_estimator(MIXTURE, X, color="black")
    merged = MIXTURE.merge_components(X)
    np.testing.assert_array_equal(display.line_.get_ydata(), merged.entropies)
    np.testing.assert_array_equal(display.line_.get_xdata(), np.arange(1, 7))
    assert list(display.mark_.get_xdata()) == [3, 3]
    assert display.plot(ax=display.ax_) is display
    pyplot.close("all")
