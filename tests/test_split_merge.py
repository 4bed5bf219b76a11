"""Moves of soft components: their free energy is exact, what they accept is better, and they find what is there."""

import numpy as np
import pytest
from families_under_test import CASES
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import xlogy
from sklearn.datasets import load_wine
from sklearn.metrics import adjusted_rand_score

from skem import EMMixture, MAPMixture, VariationalMixture
from skem.distinct import DistinctSource
from skem.engine import Source
from skem.families import Gaussian, Poisson
from skem.inference.em import EM, MAPEM
from skem.inference.model import Model
from skem.inference.shares import Division, Shares, whole
from skem.inference.splitmerge import SplitMerge
from skem.inference.updates import UPDATES
from skem.inference.variational import VariationalBayes
from skem.summary import summarize
from skem.weights import DirichletWeights, StickBreakingWeights

CELLS = [EM, MAPEM, VariationalBayes]
CONJUGATE = [case for case in CASES if case.family.has("expect")]
every = pytest.mark.parametrize("case", CONJUGATE, ids=lambda case: case.name)


def problem(case, seed, n=60, K=4, weights=DirichletWeights, weighted=True):
    """Rows of two clouds under a model of K components."""
    rng = np.random.default_rng(seed)
    X = case.rows(rng, n, 3)
    weight = rng.integers(1, 4, size=n).astype(float) if weighted else None
    family = case.family.bind(summarize(X, weight, case.family.equivariance))
    source = Source(X, weight, family)
    return source, Model.build(family, weights(1.2), K, source), rng


def some_fit(cell, model, source, rng, max_iter=3):
    algorithm = cell(max_iter=max_iter)
    resp = rng.dirichlet(np.full(model.n_components, 0.5), size=len(source))
    return algorithm.run(model, source, algorithm.start(model, source.assign_given(model.n_components, resp=resp)))


def responsibilities(source, fit):
    resp = np.empty((len(source), len(fit.state.n_k)))
    source.run(fit.state.log_weights, fit.state.theta, collect=False, weighted=False, resp=resp)
    return resp


def by_rows(shares, resp):
    """Free energy of responsibilities that are given row by row."""
    given = shares.source.assign_given(resp.shape[1], resp=np.where(resp > 0, resp, 0.0))
    entropy = -(shares.weight @ xlogy(resp, resp).sum(axis=1))
    return shares.value(Division(given.stats, given.n_k, entropy))


def close(value, expected):
    return value == pytest.approx(expected, rel=1e-8, abs=1e-6)


@every
@pytest.mark.parametrize("cell", CELLS)
def test_free_energy_of_a_move_is_that_of_its_responsibilities(case, cell):
    source, model, rng = problem(case, 1)
    distinct = DistinctSource.of(source)[0]
    fit = some_fit(cell, model, source, rng)
    shares = Shares(model, distinct, cell.update, fit)
    resp = responsibilities(distinct, fit)
    assert close(shares.free_energy, by_rows(shares, resp))

    merged = resp.copy()
    merged[:, 2] += merged[:, 0]
    merged[:, 0] = 0.0
    assert close(shares.value(shares.merge(2, 0)), by_rows(shares, merged))

    deleted = resp.copy()
    deleted[:, 1] = 0.0
    deleted /= deleted.sum(axis=1, keepdims=True)
    assert close(shares.value(shares.delete(1)), by_rows(shares, deleted))

    # component 3 in two, 0 being free since 2 has taken its rows
    part = shares.part([3])
    side = rng.dirichlet(np.ones(2), size=len(part))
    halves = part.assign_given(2, resp=side)
    after = Division(halves.stats, halves.n_k, -(part.weight @ xlogy(side, side).sum(axis=1)))
    both = merged.copy()
    both[shares.rows[3][:, None], [3, 0]] = merged[shares.rows[3], 3][:, None] * side
    assert close(shares.value(shares.split(shares.merge(2, 0), [3, 0], whole(part), after)), by_rows(shares, both))


@every
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("weights", [DirichletWeights, StickBreakingWeights])
def test_accepted_moves_are_better_and_told_exactly(case, cell, weights):
    source, model, rng = problem(case, 2, n=150, K=3, weights=weights)
    moves = []
    upper_bound = cell is VariationalBayes
    algorithm = SplitMerge(cell(), upper_bound, lambda kind, fit: moves.append((kind, fit)))
    first = some_fit(cell, model, source, rng, max_iter=1000)
    fit = algorithm.run(model, source, first.state)
    before = first.objective
    for kind, accepted in moves:
        assert kind in (("birth", "merge", "delete") if upper_bound else ("exchange",))
        assert accepted.objective > before
        result = source.run(accepted.state.log_weights, accepted.state.theta)
        assert close(accepted.objective, algorithm.objective(model, accepted.state, result))
        again = UPDATES[cell.update](model, accepted.state.stats, accepted.state.n_k, accepted.state.theta)
        assert close(again.penalty, accepted.state.penalty)
        before = accepted.objective
    assert fit.objective == before if moves else fit.objective >= first.objective - 1e-9
    assert len(fit.objectives) == fit.n_iter + 1
    if not upper_bound:
        assert (fit.state.n_k > 0).all()


@pytest.mark.parametrize("cell", CELLS)
@settings(max_examples=12)
@given(case=st.sampled_from(CONJUGATE), n=st.integers(4, 80), K=st.integers(1, 5), seed=st.integers(0, 2**16))
def test_moves_start_above_what_they_promise_and_never_lower_the_objective(cell, case, n, K, seed):
    source, model, rng = problem(case, seed, n, K, weighted=bool(seed % 2))
    fit = some_fit(cell, model, source, rng, max_iter=200)
    algorithm = SplitMerge(cell(), cell is VariationalBayes)
    shares = Shares(model, DistinctSource.of(source)[0], cell.update, fit)
    owning = np.bincount(fit.labels, minlength=K) > 0
    find = algorithm._free if algorithm.upper_bound else algorithm._exchanges
    for candidate in find(shares, owning)[:4]:
        promised = shares.free_energy + candidate.gain + model.log_base
        state = algorithm._start(model, candidate.division, fit.state.theta)
        result = source.run(state.log_weights, state.theta)
        assert algorithm.objective(model, state, result) >= promised - 1e-7 * max(1.0, abs(promised))
    moved = algorithm.run(model, source, fit.state)
    steps = np.diff(moved.objectives)
    assert (steps >= -1e-9 * max(1.0, abs(moved.objective))).all()


def clouds(K, d, seed, n=80, distance=7.0):
    """Round clouds whose centres keep their distance."""
    rng = np.random.default_rng(seed)
    centres = np.zeros((0, d))
    spread = distance
    while len(centres) < K:
        centre = spread * rng.normal(size=d)
        if len(centres) == 0 or np.linalg.norm(centres - centre, axis=1).min() > distance:
            centres = np.vstack([centres, centre])
        spread *= 1.01
    labels = np.repeat(np.arange(K), n)
    return centres[labels] + rng.normal(size=(K * n, d)), labels


@pytest.mark.parametrize("structure", ["full", "tied", "diag", "spherical", "EII"])
@pytest.mark.parametrize("weight_prior", ["dirichlet", "dirichlet_process"])
def test_surplus_components_are_found_out(structure, weight_prior):
    X, labels = clouds(4, 3, 0)
    mixture = VariationalMixture(9, family=Gaussian(structure), weight_prior=weight_prior, random_state=0).fit(X)
    assert len(np.unique(mixture.labels_)) == 4
    assert (np.histogram2d(mixture.labels_, labels, bins=4)[0] > 70).sum() == 4
    alone = VariationalMixture(
        9, family=Gaussian(structure), weight_prior=weight_prior, split_merge=False, random_state=0
    ).fit(X)
    assert mixture.log_evidence_ >= alone.log_evidence_ * (1 + 1e-12)  # negative: equal up to rounding


@pytest.mark.parametrize("n_components", [3, 5])
def test_a_tight_upper_bound_is_no_trap(n_components):
    """No fewer cultivars than wine has: a way from three clusters of k-means ends 6 nats below."""
    X, cultivar = load_wine(return_X_y=True)
    mixture = VariationalMixture(n_components, random_state=0).fit(X)
    assert adjusted_rand_score(cultivar, mixture.labels_) > 0.95


def test_components_are_born_from_a_start_that_has_too_few():
    X, labels = clouds(5, 2, 1)
    mixture = VariationalMixture(7, init=np.zeros(len(X), dtype=int)).fit(X)
    assert len(np.unique(mixture.labels_)) == 5
    assert (np.histogram2d(mixture.labels_, labels, bins=5)[0] > 70).sum() == 5


def test_counts():
    rng = np.random.default_rng(0)
    rates = np.array([[2.0, 20.0], [20.0, 2.0], [20.0, 20.0]])
    X = rng.poisson(np.repeat(rates, 60, axis=0))
    mixture = VariationalMixture(8, family=Poisson(), random_state=0).fit(X)
    assert len(np.unique(mixture.labels_)) == 3


def trap():
    """Three clouds, and a start with two components on one and one across the two others."""
    X, labels = clouds(3, 2, 3, distance=8.0)
    far = np.linalg.norm([X[labels == k].mean(axis=0) for k in range(3)], axis=1).argmax()
    side = X[:, 0] > np.median(X[labels == far, 0])
    return X, np.where(labels == far, side.astype(int), 2)


@pytest.mark.parametrize("cls", [EMMixture, MAPMixture])
def test_exchanges_leave_a_trap(cls):
    X, start = trap()
    plain = cls(3, init=start).fit(X)
    moved = cls(3, init=start, split_merge=True).fit(X)
    best = cls(3, init="k-means", n_init=20, random_state=0).fit(X)
    assert plain.lower_bound_ < best.lower_bound_ - 0.1
    assert moved.lower_bound_ == pytest.approx(best.lower_bound_, abs=1e-6)
    assert moved.n_components_ == 3
    assert moved.converged_


def test_maximum_likelihood_accepts_no_further_spike():
    rng = np.random.default_rng(0)
    # a value that is repeated: a component on it alone has an unbounded likelihood
    X = np.concatenate([rng.normal(size=200), np.full(30, 0.3), rng.normal(6.0, 1.0, size=200)])[:, None]
    start = np.searchsorted([3.0, 6.0], X[:, 0])
    plain = EMMixture(3, init=start).fit(X)
    moved = EMMixture(3, init=start, split_merge=True).fit(X)
    assert not plain.degenerate_
    assert not moved.degenerate_
    assert moved.lower_bound_ >= plain.lower_bound_


@pytest.mark.parametrize("cls", [EMMixture, MAPMixture, VariationalMixture])
def test_weights_are_repetitions_in_any_order(cls):
    X, _ = clouds(3, 2, 5, n=40)
    rng = np.random.default_rng(0)
    weight = rng.integers(0, 3, size=len(X)).astype(float)
    index = rng.permutation(np.repeat(np.arange(len(X)), weight.astype(int)))
    mixture = cls(5, split_merge=True, random_state=0)
    weighted = mixture.fit(X, sample_weight=weight).lower_bound_
    assert mixture.fit(X[index]).lower_bound_ == pytest.approx(weighted, rel=1e-7)


def test_runs_that_are_cut_short_make_no_moves():
    X, start = trap()
    plain = EMMixture(3, init=start, max_iter=2).fit
    with pytest.warns(match="did not converge"):
        moved = EMMixture(3, init=start, max_iter=2, split_merge=True).fit(X)
    with pytest.warns(match="did not converge"):
        assert moved.lower_bound_ == plain(X).lower_bound_


def test_a_monitor_hears_of_each_move_and_may_stop():
    X, start = trap()
    family = Gaussian().bind(summarize(X, None, "affine"))
    source = Source(X, None, family)
    model = Model.build(family, DirichletWeights(1.0), 3, source)
    algorithm = SplitMerge(EM(), False)
    state = algorithm.start(model, source.assign_given(3, codes=start))
    heard = []
    fit = algorithm.run(model, source, state, lambda *report: heard.append(report[:2]) and False)
    assert [objective for _, objective in heard] == pytest.approx(fit.objectives)
    assert [n_iter for n_iter, _ in heard] == list(range(fit.n_iter + 1))
    plain = EM().run(model, source, state)
    stopped = algorithm.run(model, source, state, lambda n_iter, *_: n_iter > plain.n_iter)
    assert stopped.n_iter == plain.n_iter + 1


def test_n_active_leaves_no_moves():
    X, _ = clouds(3, 2, 5)
    with pytest.raises(ValueError, match="split_merge=True needs every row's share"):
        EMMixture(3, n_active=2, split_merge=True).fit(X)
    held = VariationalMixture(6, n_active=3, random_state=0).fit(X)
    alone = VariationalMixture(6, n_active=3, split_merge=False, random_state=0).fit(X)
    assert held.lower_bound_ == alone.lower_bound_
