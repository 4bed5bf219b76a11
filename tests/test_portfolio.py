"""The portfolio of starts: what a race keeps, what it reports, and what it must not depend on."""

import sys
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris

from skem import BayesianKMeans, EMMixture, ICMMixture, MAPMixture, VariationalMixture
from skem.engine import Source
from skem.families import Gaussian, Poisson, StudentT
from skem.inference.base import LEAST
from skem.inference.compiled_runs import CompiledRuns
from skem.inference.em import EM, MAPEM
from skem.inference.model import Model
from skem.inference.short import PlainRuns
from skem.portfolio import Portfolio
from skem.summary import summarize
from skem.weights import DirichletWeights

# moves would make of any start what a race chooses the start for
GENERAL = [EMMixture, MAPMixture, partial(VariationalMixture, split_merge=False), BayesianKMeans, ICMMixture]
IDS = ["EM", "MAP", "variational", "Bayesian k-means", "ICM"]
X_IRIS = load_iris().data
DATA = Path(__file__).parent / "data"


@pytest.mark.parametrize("cls", GENERAL, ids=IDS)
def test_order_and_repetition_of_rows_change_nothing(cls):
    rng = np.random.default_rng(0)
    weight = rng.integers(0, 3, 150)
    order = rng.permutation(weight.sum())
    one = cls(3, random_state=0).fit(X_IRIS, sample_weight=weight)
    other = cls(3, random_state=0).fit(np.repeat(X_IRIS, weight, axis=0)[order])
    assert other.lower_bound_ == pytest.approx(one.lower_bound_, rel=1e-9)
    np.testing.assert_array_equal(np.repeat(one.labels_, weight)[order], other.labels_)
    assert other.start_ == one.start_
    assert (other.n_starts_, other.n_starts_reached_) == (one.n_starts_, one.n_starts_reached_)


@pytest.mark.parametrize("cls", GENERAL, ids=IDS)
def test_record_of_starts(cls):
    mixture = cls(2, random_state=0).fit(X_IRIS)
    assert mixture.start_ in ("k-means", "hierarchical", "random", "projection")
    assert 1 <= mixture.n_starts_reached_ <= mixture.n_starts_
    twice = cls(2, n_init=2, random_state=0).fit(X_IRIS)
    assert twice.n_starts_ == 2 * mixture.n_starts_
    assert twice.lower_bound_ >= mixture.lower_bound_
    named = cls(2, init="random", n_init=4, random_state=0).fit(X_IRIS)
    assert (named.start_, named.n_starts_) == ("random", 4)
    given = cls(2, init=np.arange(150) // 50 // 2).fit(X_IRIS)
    assert (given.start_, given.n_starts_, given.n_starts_reached_) == ("given", 1, 1)


def test_a_spike_is_no_result():
    # three equal rows: maximum likelihood alone would put a component there
    X = np.concatenate([np.random.default_rng(0).standard_normal((60, 1)), np.full((3, 1), 0.3)])
    labels = (np.arange(63) >= 60).astype(int)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        spike = EMMixture(2, init=labels).fit(X)
    mixture = EMMixture(2, random_state=0).fit(X)
    assert spike.degenerate_
    assert not mixture.degenerate_
    assert mixture.lower_bound_ < spike.lower_bound_


def test_of_finished_runs_a_spike_is_not_the_best():
    X = np.concatenate([np.random.default_rng(0).standard_normal((60, 1)), np.full((3, 1), 0.3)])
    source = Source(X, None, Gaussian().bind(summarize(X, None, "affine")))
    model, algorithm = Model.build(source.family, DirichletWeights(), 2, source), EM()
    portfolio = Portfolio(algorithm, model, algorithm.start)
    runs = []
    for labels in (np.arange(63) >= 60, X[:, 0] > 0):
        given = source.assign_given(2, codes=labels.astype(np.int32))
        runs.append(algorithm.run(model, source, algorithm.start(model, given)))
        portfolio.add("given", runs[-1])
    assert runs[0].objective > runs[1].objective
    assert portfolio.best().objective == runs[1].objective


def test_counts():
    X = np.random.default_rng(0).poisson(np.repeat([[1.0, 8.0], [6.0, 2.0], [12.0, 12.0]], 30, axis=0)).astype(float)
    mixture = EMMixture(3, family=Poisson(), random_state=0).fit(X)
    best = EMMixture(3, family=Poisson(), n_init=20, random_state=0).fit(X)
    assert mixture.lower_bound_ == pytest.approx(best.lower_bound_, abs=1e-6)


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical", "EII", "EEI"])
def test_more_rows_than_a_subsample_holds(covariance_type):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((20_000, 2)) + 8 * rng.integers(0, 2, (20_000, 2))
    mixture = EMMixture(4, family=Gaussian(covariance_type), random_state=0).fit(X)
    assert np.sort(mixture.weights_) == pytest.approx(np.full(4, 0.25), abs=0.02)


def both_kinds_of_runs(algorithm, family, K, labels):
    """Compiled and plain runs from the same labels."""
    X = X_IRIS if isinstance(family, Gaussian) else np.round(3 * X_IRIS)
    family = family.bind(summarize(X, None, family.equivariance))
    source = Source(X, None, family)
    model = Model.build(family, DirichletWeights(1.0), K, source)
    both = [
        CompiledRuns(algorithm, model, source, algorithm.steps(model), algorithm.start, len(labels)),
        PlainRuns(algorithm, model, source, algorithm.start),
    ]
    for runs in both:
        for own in labels:
            runs.begin(own)
    return both


@pytest.mark.parametrize("algorithm", [EM(tol=0), MAPEM(tol=0)], ids=["EM", "MAPEM"])
@pytest.mark.parametrize("family", [*map(Gaussian, ["full", "tied", "diag", "spherical"]), Poisson()], ids=str)
def test_compiled_short_runs_are_the_plain_ones(family, algorithm):
    labels = [np.arange(150, dtype=np.int32) % 3, (np.arange(150) // 50).astype(np.int32)]
    both = both_kinds_of_runs(algorithm, family, 3, labels)
    # each rests while the other goes on
    for run, n_iter in ((0, 2), (1, 3), (0, 7), (1, 4)):
        # the first update of a plain run makes its first state
        (value, n_k), (other, n_other) = both[0].go_on([run], n_iter), both[1].go_on([run], n_iter - 1)
        assert value[0] == pytest.approx(other[0], rel=1e-12)
        assert n_k.shape == n_other.shape == (1, 3)
        assert n_k.sum() == pytest.approx(150)
    for run in range(2):
        # the state of a compiled run is one update ahead
        for more, slack in ((5, {"rel": 1e-12}), (1000, {"abs": 1e-6})):
            objectives = []
            for runs, max_iter in zip(both, (more, more + 1), strict=True):
                longer = type(algorithm)(tol=0, max_iter=max_iter)
                state = longer.start(runs.model, runs.given(run))
                objectives.append(longer.run(runs.model, runs.source, state).objective)
            assert objectives[0] == pytest.approx(objectives[1], **slack)


def test_under_a_prior_a_run_goes_on_where_nothing_is_compiled():
    """A component without rows has no weight at the mode of a flat prior, which the compiled step declines."""
    both = both_kinds_of_runs(MAPEM(tol=0), Poisson(), 4, [np.arange(150, dtype=np.int32) % 3])
    for n_iter in (1, 4, 9):
        (value, _), (other, _) = both[0].go_on([0], n_iter), both[1].go_on([0], n_iter - 1)
        if n_iter > 1:
            assert value[0] == pytest.approx(other[0], rel=1e-12)
    assert both[0].stands(0) is False


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
def test_a_look_ahead_costs_no_optimum_and_saves_runs(covariance_type, monkeypatch):
    n_runs, bounds = {True: 0, False: 0}, {True: [], False: []}
    add = Portfolio.add

    def count(*args):
        n_runs[CompiledRuns.swift] += 1
        add(*args)

    monkeypatch.setattr(Portfolio, "add", count)
    for seed in range(4):
        # EM takes hundreds of iterations here, and what is left of a run is more than it seems
        X = np.random.default_rng(seed).standard_normal((300, 3)) * [1.0, 2.0, 3.0]
        X[:100] += [2.0, 0.0, 3.0]
        X[100:200] += [0.0, 3.0, 3.0]
        for swift in n_runs:
            monkeypatch.setattr(CompiledRuns, "swift", swift)
            mixture = EMMixture(3, family=Gaussian(covariance_type), random_state=seed).fit(X)
            bounds[swift].append(mixture.lower_bound_ * len(X))
    assert (np.array(bounds[True]) > np.array(bounds[False]) - 1e-3).all()
    assert n_runs[True] < 0.7 * n_runs[False]


@pytest.mark.parametrize("compiled", [True, False])
def test_a_run_that_is_seen_to_end_behind_another_stops(compiled):
    X = np.random.default_rng(0).standard_normal((300, 3)) + np.repeat([[0.0], [2.0], [4.0]], 100, axis=0)
    source = Source(X, None, Gaussian().bind(summarize(X, None, "affine")))
    model, algorithm = Model.build(source.family, DirichletWeights(), 3, source), EM(tol=1e-9)
    # a monitor sees every pass, so that none of them is compiled
    report = None if compiled else lambda *now: False
    codes = np.repeat(np.arange(3, dtype=np.int32), 100)
    runs = {}
    for ahead in (None, -1.0, 1e3):
        portfolio = Portfolio(algorithm, model, algorithm.start)
        if ahead is not None:
            portfolio.add("given", runs[None]._replace(objective=runs[None].objective + ahead))
        runs[ahead] = portfolio.run(source, [source.assign_given(3, codes=codes)], report)
    # what is behind changes nothing
    assert runs[-1.0].objectives == runs[None].objectives
    assert runs[1e3].objectives == runs[None].objectives[: len(runs[1e3].objectives)]
    assert LEAST <= runs[1e3].n_iter < 0.5 * runs[None].n_iter
    assert not runs[1e3].converged
    assert (runs[1e3].labels >= 0).all()


@pytest.mark.filterwarnings("ignore:.*did not converge")
def test_a_sample_does_not_choose_between_runs_whose_ends_it_cannot_tell_apart(monkeypatch):
    # the repository's folder comes last, for an installed skem to stay the one that is tested
    monkeypatch.setattr(sys, "path", [*sys.path, str(Path(__file__).parents[1])])
    from benchmarks.studies.starts import simulate

    # the run that ends highest on the sample may be 41 nats behind on all rows
    X = simulate(10, 10_000, 2, 6, 3.0, 10.0, 3.0)
    ends = [EMMixture(6, random_state=seed).fit(X).lower_bound_ * len(X) for seed in range(2)]
    assert min(ends) > -39_261.5


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
def test_the_best_optimum_known_is_reached(covariance_type):
    faithful, acidity = (
        np.loadtxt(DATA / f"{name}.csv", delimiter=",", skiprows=1, ndmin=2) for name in ("faithful", "acidity")
    )
    family = Gaussian(covariance_type)
    for X in (X_IRIS, faithful, acidity):
        best = -np.inf
        for init in ("k-means", "k-means++", "random"):
            for seed in range(5):
                plain = EMMixture(3, family=family, init=init, tol=1e-9, random_state=seed)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    plain.fit(X)
                if not plain.degenerate_ and (plain.weights_ * len(X) > X.shape[1]).all():
                    best = max(best, plain.lower_bound_ * len(X))
        found = EMMixture(3, family=family, n_init=2, random_state=0).fit(X)
        assert found.lower_bound_ * len(X) > best - 0.01


def test_of_several_starts_the_best_goes_on_to_a_hundredth_of_the_tolerance():
    X = np.random.default_rng(0).poisson([[2.0], [3.5]] * 60).astype(float)
    tight = EMMixture(2, family=Poisson(), tol=1e-12, max_iter=100_000, random_state=0).fit(X).lower_bound_
    plain = EMMixture(2, family=Poisson(), init="k-means", tol=1e-5, random_state=0)
    one, several = (clone(plain).set_params(n_init=n).fit(X) for n in (1, 2))
    assert tight - one.lower_bound_ > 5e-7
    assert tight - several.lower_bound_ < 1e-7
    assert several.converged_
    assert len(several.lower_bounds_) == several.n_iter_ + 1
    assert (np.diff(several.lower_bounds_) >= -1e-14).all()


@pytest.mark.parametrize("cls", [EMMixture, MAPMixture, VariationalMixture])
def test_runs_over_joined_rows_are_those_over_all(cls, monkeypatch):
    rng = np.random.default_rng(0)
    X = rng.poisson([[2.0], [9.0]] * 100).astype(float)
    weight, init = rng.integers(0, 3, 200), rng.integers(0, 2, 200)
    joined = cls(2, family=Poisson(), init=init).fit(X, sample_weight=weight)
    monkeypatch.setattr("skem.estimators.runs.JOINED", np.inf)
    plain = cls(2, family=Poisson(), init=init).fit(X, sample_weight=weight)
    assert joined.n_iter_ == plain.n_iter_
    np.testing.assert_allclose(joined.lower_bounds_, plain.lower_bounds_, rtol=1e-12)
    np.testing.assert_allclose(joined.rates_, plain.rates_, rtol=1e-10)
    np.testing.assert_array_equal(joined.labels_, plain.labels_)


def test_a_race_ends_without_runs_that_climb_a_spike():
    source = Source(X_IRIS, None, StudentT().bind(summarize(X_IRIS, None, "affine")))
    model, algorithm = Model.build(source.family, DirichletWeights(), 3, source), EM()
    # at the second of these seeds all runs that lead after 15 iterations do
    for seed in (2, 4):
        going_on = Portfolio(algorithm, model, algorithm.start).race(source, np.random.default_rng(seed))
        assert going_on
        for _, _, given in going_on:
            assert not source.family.degenerate(given.stats).any()
