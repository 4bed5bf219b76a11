"""Searches that begin again, and those that begin where they are told."""

import numpy as np
import pytest
from searches import objective, problem, rows
from sklearn.datasets import load_breast_cancer

import skem.inference.search as search_module
from skem import BayesianKMeans
from skem.families import Bernoulli, Gaussian
from skem.inference import restarts
from skem.inference.search import Search

# under a prior that stays, so that one evidence judges all that a search does
FAMILY = Gaussian(covariance_prior="default")


@pytest.fixture(scope="module")
def tumours():
    """Ten measurements with long tails: climbs from different starts end at different partitions."""
    return load_breast_cancer().data[:, :10]


def test_climbs_anew_find_what_the_first_has_missed(monkeypatch):
    found = []
    for in_vain in (0, search_module.IN_VAIN):
        evidence, source = problem(FAMILY, rows(FAMILY, n=400, k=4))
        search = Search(evidence, source, np.random.default_rng(0))
        ways = iter([lambda: None])
        # the first climb stays where it begins, and what follows the climbs is left out
        monkeypatch.setattr(search, "_go_on", lambda ways=ways, go_on=search._go_on: next(ways, go_on)())
        for name in ("_shake", "_follow_up", "_begin_again"):
            monkeypatch.setattr(search, name, lambda: False)
        monkeypatch.setattr(search_module, "IN_VAIN", in_vain)
        found.append(search.run(np.zeros(len(source), dtype=np.int32), 1).objective)
    assert found[1] > found[0] + 10.0


@pytest.mark.parametrize("agree", [True, False])
def test_climbs_go_on_until_two_agree_or_some_are_in_vain(agree, monkeypatch):
    evidence, source = problem(FAMILY, rows(FAMILY, n=400, k=4))
    search, starts = Search(evidence, source, np.random.default_rng(0)), []
    begin = search.small_clusters
    monkeypatch.setattr(search, "small_clusters", lambda n_clusters: starts.append(n_clusters) or begin(n_clusters))
    if not agree:
        monkeypatch.setattr(search, "_found_again", lambda before: False)
    search.run(np.zeros(len(source), dtype=np.int32), 1)
    assert len(starts) == (1 if agree else search_module.IN_VAIN)


def test_a_search_is_no_lower_than_where_it_begins(tumours):
    found = BayesianKMeans(random_state=0).fit(tumours)
    least = found.log_evidence_ - 1e-9 * abs(found.log_evidence_)
    assert found.family_.prior_scale_ < 1.0
    assert BayesianKMeans(init=found.labels_, random_state=1).fit(tumours).log_evidence_ >= least
    assert found.set_params(warm_start=True, random_state=1).fit(tumours).log_evidence_ >= least


def test_few_rows_that_repeat_begin_many_times(monkeypatch):
    rng = np.random.default_rng(1)
    shares = rng.random((3, 6))
    X = (rng.random((2000, 6)) < shares[rng.integers(3, size=2000)]) * 1.0
    evidence, source = problem(Bernoulli(), X)
    assert len(source) == 64
    found = Search(evidence, source, np.random.default_rng(0)).run(np.zeros(64, dtype=np.int32), 1)
    assert found.objective == pytest.approx(objective(evidence, source, found.labels), rel=1e-13)
    monkeypatch.setattr(restarts, "REPEATED", 100.0)
    before = Search(evidence, source, np.random.default_rng(0)).run(np.zeros(64, dtype=np.int32), 1)
    assert found.objective > before.objective + 1.0


def test_one_cluster_that_no_plane_divides_is_two_about_seeds(monkeypatch):
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.standard_normal((400, 4)) @ rng.standard_normal((4, 4)) for _ in range(2)])
    found = BayesianKMeans(random_state=0).fit(X)
    assert found.n_components_ == 2
    monkeypatch.setattr(restarts, "N_IN_TWO", 0)
    before = BayesianKMeans(random_state=0).fit(X)
    assert before.n_components_ == 1
    assert found.log_evidence_ > before.log_evidence_ + 300.0


def test_rows_like_one_gaussian_are_left_one():
    rng = np.random.default_rng(0)
    like = rng.standard_normal((500, 3)) @ rng.standard_normal((3, 3)) + [0.0, 1e4, 0.0]
    for X, expected in ((like, True), (like * rng.choice([1.0, 3.0], 500)[:, None], False), (like[:2], True)):
        assert restarts.is_like_one(problem(FAMILY, X)[1]) == expected
    # a row of weight 3 is as good as three
    weight = rng.integers(1, 4, 500).astype(float)
    calls = []
    for own in (problem(FAMILY, like, weight)[1], problem(FAMILY, np.repeat(like, weight.astype(int), axis=0))[1]):
        restarts.fresh_starts(own, 1, lambda *start: calls.append(start))
    assert not calls


def test_a_climb_that_meets_the_best_does_not_rest_again():
    evidence, source = problem(FAMILY, rows(FAMILY, n=400, k=4))
    search = Search(evidence, source, np.random.default_rng(0))
    labels, n_clusters = search.run(np.zeros(len(source), dtype=np.int32), 1).labels, search.best.n_clusters
    turned = (labels + 1) % n_clusters

    def rests(moved):
        # so many rows of each cluster in the next one
        given = turned.copy()
        for k in range(n_clusters):
            given[np.flatnonzero(turned == k)[:moved]] = (k + 1) % n_clusters
        search.now = evidence.partition(source, given, n_clusters)
        return search._rest()

    assert not rests(1)
    assert rests(20)
