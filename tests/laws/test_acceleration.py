"""Extrapolated runs: never down, never lower than plain ones, and the same whatever runs them.

Where it fails: a leap is not judged by the objective, Aitken's estimate spans one, or a length has units.
"""

import copy

import numpy as np
import pytest
from families_under_test import CASES
from sklearn.datasets import make_blobs
from threadpoolctl import threadpool_limits

from skem import EMMixture, MAPMixture, VariationalMixture
from skem._kernels.ascent import Convergence
from skem.engine import Source
from skem.families import Gaussian, Poisson, StudentT
from skem.inference import accelerate, extrapolation
from skem.inference.chart import Chart
from skem.inference.em import EM, MAPEM
from skem.inference.model import Model
from skem.inference.variational import VariationalBayes
from skem.suffstats import Moments, SuffStats
from skem.summary import summarize
from skem.weights import DirichletWeights

METHODS = ("squarem", "anderson")
methods = pytest.mark.parametrize("method", METHODS)
cases = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
# Death notices are the textbook set of slow EM; these are counts of sweets bought, and as slow (PEERS: K = 2, 3, 4).
CANDY = (102, 54, 49, 62, 44, 25, 26, 15, 15, 10, 10, 10, 10, 3, 3, 5, 5, 4, 1, 2, 1)
CANDY_OPTIMA = {2: -1188.83283, 3: -1132.04298, 4: -1130.07059}


CELLS = {"mle": EM, "mode": MAPEM, "expect": VariationalBayes}


def problem(family, X, n_components, weight=None, codes=None, seed=0):
    """Model, source and statistics of a start."""
    family = family.bind(summarize(X, weight, family.equivariance))
    source = Source(X, weight, family)
    model = Model.build(family, DirichletWeights(1.0), n_components, source)
    if codes is None:
        codes = np.random.default_rng(seed).integers(n_components, size=len(X))
    return model, source, source.assign_given(n_components, codes=codes.astype(np.int32))


def run(cell, given, method, tol=1e-10, max_iter=20_000):
    model, source, start = given
    algorithm = cell(tol=tol, max_iter=max_iter, accelerate=method)
    return algorithm.run(model, source, algorithm.start(model, start))


def overlapping(n, d, n_components, structure, seed):
    """Rows of Gaussians that overlap, and the components that made them."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(n_components, size=n)
    root = np.tril(0.3 * rng.normal(size=(n_components, d, d))) + np.eye(d)
    rows = np.einsum("nij,nj->ni", root[codes], rng.normal(size=(n, d)))
    return rows + 2.5 * rng.normal(size=(n_components, d))[codes] / np.sqrt(d), codes


@cases
@methods
@pytest.mark.parametrize("update", CELLS)
def test_the_objective_never_falls_and_ends_no_lower(case, method, update):
    X = case.rows(np.random.default_rng(3), 250, 3)
    given = problem(case.family, X, 3, codes=np.argsort(np.argsort(X[:, 0])) * 3 // len(X))
    plain, fast = run(CELLS[update], given, None), run(CELLS[update], given, method)
    assert plain.converged
    assert fast.converged
    assert len(fast.objectives) == fast.n_iter + 1
    assert np.diff(fast.objectives).min() >= -1e-13 * abs(fast.objective)
    assert fast.objective >= plain.objective - 1e-10 * abs(plain.objective)
    assert fast.n_iter <= plain.n_iter + 8


@methods
@pytest.mark.parametrize("n_components", CANDY_OPTIMA)
def test_candy(method, n_components):
    X = np.repeat(np.arange(len(CANDY)), CANDY)[:, None].astype(float)
    fit = EMMixture(n_components, family=Poisson(), init="k-means", accelerate=method, tol=1e-10, random_state=0).fit(X)
    assert fit.lower_bound_ * len(X) == pytest.approx(CANDY_OPTIMA[n_components], abs=2e-5)
    plain = EMMixture(n_components, family=Poisson(), init="k-means", accelerate=None, tol=1e-10, random_state=0).fit(X)
    assert fit.lower_bound_ >= plain.lower_bound_ * (1 + 1e-10)
    if n_components > 2:
        fewer = {"squarem": {3: 2, 4: 3}, "anderson": {3: 3, 4: 6}}[method][n_components]
        assert plain.n_iter_ > fewer * fit.n_iter_


@pytest.mark.parametrize(("d", "n_components", "seed"), [(2, 3, 6), (3, 4, 8)])
def test_slow_gaussians_need_a_fifth_of_the_passes(d, n_components, seed):
    X, codes = overlapping(2000, d, n_components, "full", seed)
    given = problem(Gaussian(), X, n_components, codes=codes)
    plain, fast = run(EM, given, None, tol=1e-9), run(EM, given, "anderson", tol=1e-9)
    goal = plain.objective - 1e-10 * abs(plain.objective)
    assert fast.objective >= goal
    passes = [1 + int(np.flatnonzero(np.array(fit.objectives) >= goal)[0]) for fit in (plain, fast)]
    assert passes[0] >= 5 * passes[1]


@methods
@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_leaps_astray_are_refused(method, sign, monkeypatch):
    X, codes = overlapping(300, 2, 3, "full", 4)
    given = problem(Gaussian(), X, 3, codes=codes)
    plain = run(EM, given, None)
    refused = []
    honest = extrapolation.METHODS[method]

    class Astray(honest):
        def add(self, x, image, weight):
            self.end = image
            return super().add(x, image, weight)

        def goal(self):
            goal = super().goal()
            return None if goal is None else self.end + sign * 0.7

        def refused(self):
            refused.append(self)
            super().refused()

    monkeypatch.setitem(extrapolation.METHODS, method, Astray)
    fit = run(EM, given, method)
    assert len(refused) > 5
    assert np.diff(fit.objectives).min() >= -1e-13 * abs(fit.objective)
    assert fit.objective == pytest.approx(plain.objective, rel=1e-9)
    # a pass at a leap that was refused counts as one
    assert fit.n_iter + 1 == len(fit.objectives)
    assert fit.n_iter >= plain.n_iter


@methods
def test_leaps_to_where_steps_are_not_the_expected_ones_are_refused(method, monkeypatch):
    """However high the objective there: the run has left the path of plain steps."""
    X, codes = overlapping(300, 2, 3, "full", 4)
    given = problem(Gaussian(), X, 3, codes=codes)
    plain = run(EM, given, None)
    monkeypatch.setattr(extrapolation.METHODS[method], "astray", -1.0)
    monkeypatch.setattr(accelerate, "NEAR", -1.0)
    fit = run(EM, given, method)
    repeated = np.diff(fit.objectives) == 0.0
    assert repeated.sum() > 5
    # a shorter leap of Anderson's is tried before the plain step
    assert (repeated[1:] & repeated[:-1]).any() == (method == "anderson")
    # what is left are the plain steps, in their order
    steps = [fit.objectives[0], *np.array(fit.objectives)[1:][~repeated]]
    np.testing.assert_array_equal(steps[: plain.n_iter - 5], plain.objectives[: plain.n_iter - 5])


def test_leaps_whose_numbers_overflow_are_left_out():
    """Steps of free degrees of freedom on two tight groups leap to where squares are no numbers."""
    X, _ = make_blobs(30, centers=[[0, 0, 0], [1, 1, 1]], cluster_std=0.1, random_state=0)
    mixture = EMMixture(2, family=StudentT(), random_state=0).fit((X - X.mean(axis=0)) / X.std(axis=0))
    assert mixture.converged_
    assert np.isfinite(mixture.lower_bound_)
    assert np.isfinite(mixture.means_).all()


@pytest.mark.parametrize("n_steps", [1, 4, 16])
@pytest.mark.parametrize("rates", [(0.9, 0.5, 0.1), (1.1, 0.9, 0.3)], ids=["settling", "leaving"])
def test_leaps_of_a_linear_map_are_its_plain_steps(rates, n_steps):
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    power = turn * rates @ turn.T
    method, x, weight = extrapolation.Anderson(), np.ones(3), np.array([1.0, 2.0, 3.0])
    method.horizon = n_steps
    told = []
    for _ in range(5):
        told.append(method.add(x, power @ x, weight))
        x = power @ x
    # as many directions as there are must have been seen, and a step must be the one they tell
    assert told[-1]
    assert not any(told[:3])
    assert not copy.deepcopy(method).add(x, x + 1.2 * (power @ x - x), weight)
    there = np.linalg.matrix_power(power, n_steps) @ x
    atol = 2e-3 * np.abs(there - x).max()
    np.testing.assert_allclose(method.goal(), there, atol=atol)
    np.testing.assert_allclose(method.expected, power @ there - there, atol=atol)


@pytest.mark.parametrize("n_rows", [100.0, 10_000.0])
@pytest.mark.parametrize(
    ("deviation", "distance", "on_path"),
    [(0.3, 1.0, True), (0.4, 0.02, False), (0.4, 0.005, True), (0.9, 0.003, True), (1.1, 1e-6, False)],
)
def test_leaps_may_stray_by_little(n_rows, deviation, distance, on_path):
    """By a share of the step before, or by a small distance that does not depend on the number of rows."""
    leaps = accelerate.Leaps("anderson", None, Convergence(1e-7, n_rows), 1e-7, n_rows)
    leaps.length = distance * np.sqrt(n_rows)
    assert leaps._on_path(deviation) == on_path


def test_a_horizon_follows_how_well_leaps_are_told():
    method = extrapolation.Anderson()
    horizons = [method.horizon]
    for deviation in (0.1, 0.3, 0.1, 0.6):
        method.accepted(deviation)
        horizons.append(method.horizon)
    method.refused()
    assert [*horizons, method.horizon] == [4, 16, 16, 64, 16, 4]


def test_a_step_off_the_path_tells_about_the_map():
    """Of a direction that plain steps have not moved in."""
    power, x = np.diag([0.9, 0.5]), np.array([1.0, 0.0])
    method = extrapolation.Anderson()
    method.add(x, power @ x, np.ones(2))
    x = power @ x + [0.0, 0.1]
    method.add(x, power @ x, np.ones(2))
    there = np.linalg.matrix_power(power, 5) @ x
    assert np.abs(method.goal() - there).max() > 0.01
    aside = np.array([0.7, 0.4])
    method.learn(aside, power @ aside)
    np.testing.assert_allclose(method.goal(), there, atol=1e-3)


def test_leaps_rest_where_not_even_one_step_is_told():
    method, x = extrapolation.Anderson(), np.array([1.0, 2.0])
    method.add(x, 0.9 * x, np.ones(2))
    assert method.goal() is None
    for _ in range(4):
        method.refused()
    goals = []
    for n in range(1, 8):
        method.add(0.9**n * x, 0.9 ** (n + 1) * x, np.ones(2))
        goals.append(method.goal())
    assert [goal is None for goal in goals] == [True] * 6 + [False]


def test_a_rate_grows_from_nothing_in_leaps():
    """Whose logarithm takes steps that neither grow nor shrink."""
    X = np.repeat(np.arange(len(CANDY)), CANDY)[:, None].astype(float)
    fits = [
        EMMixture(4, family=Poisson(), init="random", accelerate=how, tol=1e-10, random_state=1).fit(X)
        for how in (None, "anderson")
    ]
    assert fits[1].lower_bound_ >= fits[0].lower_bound_ * (1 + 1e-10)
    assert fits[0].n_iter_ > 5 * fits[1].n_iter_


@methods
def test_separated_rows_never_see_a_leap(method):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 2)) + 20.0 * rng.integers(3, size=(300, 1))
    fits = [MAPMixture(3, init="k-means", accelerate=how, random_state=0).fit(X) for how in (None, method)]
    np.testing.assert_array_equal(fits[0].lower_bounds_, fits[1].lower_bounds_)
    np.testing.assert_array_equal(fits[0].means_, fits[1].means_)


def test_a_run_ends_with_statistics_of_its_rows():
    X, codes = overlapping(200, 2, 3, "full", 4)
    given = problem(Gaussian(), X, 3, codes=codes)
    for max_iter in range(12, 24):
        fit = run(EM, given, "anderson", max_iter=max_iter)
        assert not fit.converged
        moments = fit.state.stats.pool()
        np.testing.assert_allclose(given[1].family.summary_.to_user(moments.mean[0]), X.mean(axis=0), atol=1e-12)
        assert run(EM, given, "anderson", max_iter=max_iter).objectives == fit.objectives


def test_watched_and_compiled_runs_are_the_same(capsys):
    X, codes = overlapping(20_000, 2, 3, "full", 6)
    fits = [EMMixture(3, init=codes, accelerate="anderson", verbose=verbose).fit(X) for verbose in (0, 2)]
    assert capsys.readouterr().out
    plain = EMMixture(3, init=codes, accelerate=None).fit(X)
    assert plain.n_iter_ > 2 * fits[0].n_iter_
    np.testing.assert_array_equal(fits[0].lower_bounds_, fits[1].lower_bounds_)
    np.testing.assert_array_equal(fits[0].covariances_, fits[1].covariances_)


@methods
def test_threads_change_no_bit(method):
    X, codes = overlapping(20_000, 2, 3, "diag", 7)
    fits = []
    for n_threads in (1, 2):
        with threadpool_limits(n_threads):
            fits.append(EMMixture(3, family=Gaussian("diag"), init=codes, accelerate=method, max_iter=200).fit(X))
    np.testing.assert_array_equal(fits[0].lower_bounds_, fits[1].lower_bounds_)
    np.testing.assert_array_equal(fits[0].means_, fits[1].means_)


@pytest.mark.parametrize("cls", [MAPMixture, VariationalMixture])
def test_weights_are_repetition(cls):
    X, codes = overlapping(300, 2, 3, "full", 4)
    weight = np.random.default_rng(0).integers(1, 4, size=len(X))
    more = {"split_merge": False}
    weighted = cls(3, init=codes, tol=1e-9, accelerate="anderson", **more).fit(X, sample_weight=weight)
    repeated = cls(3, init=np.repeat(codes, weight), tol=1e-9, accelerate="anderson", **more).fit(
        np.repeat(X, weight, axis=0)
    )
    assert weighted.n_iter_ == repeated.n_iter_
    np.testing.assert_allclose(weighted.means_, repeated.means_, rtol=1e-7)


def test_rows_with_few_active_components_take_plain_steps():
    X, codes = overlapping(400, 2, 5, "full", 5)
    fits = [MAPMixture(5, init=codes, n_active=2, accelerate=how, tol=1e-5) for how in (None, "anderson")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(accelerate.Leaps, "take", None)
        bounds = [fit.fit(X).lower_bounds_ for fit in fits]
    np.testing.assert_array_equal(*bounds)


# --- coordinates ----------------------------------------------------------------------------------


@cases
def test_coordinates_and_back(case):
    X = case.rows(np.random.default_rng(1), 200, 3)
    stats, n_k = (given := problem(case.family, X, 3)[2]).stats, given.n_k
    chart, unit = stats.to_chart(n_k)
    back = stats.from_chart(chart, n_k).to_dict()["arrays"]
    for name, value in stats.to_dict()["arrays"].items():
        np.testing.assert_allclose(back[name], value, rtol=1e-9, atol=1e-9 * np.abs(value).max(), err_msg=name)
    assert chart.shared == unit.shared


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_lengths_have_no_units(ndim):
    rng = np.random.default_rng(0)
    n_k, d = np.array([3.0, 5.0]), 3
    root = np.tril(rng.normal(size=(2, d, d))) + 2.0 * np.eye(d)
    factors = np.full(d, 4.0) if ndim == 1 else np.array([1e-3, 1.0, 1e5])
    lengths = []
    for scale in (np.ones(d), factors):
        charts = []
        for step in (0.0, 0.1):
            scatter = (root + step) @ np.swapaxes(root + step, 1, 2) * scale[:, None] * scale
            scatter = np.tril(scatter) + np.swapaxes(np.tril(scatter, -1), 1, 2)
            if ndim < 3:
                scatter = np.einsum("kii->ki", scatter)
            scatter = scatter[:, 0] if ndim == 1 else scatter
            mean = scale * (np.arange(6.0).reshape(2, d) + step)
            charts.append(Moments({"kappa": n_k, "mean": mean, "nu": n_k, "scatter": scatter}).to_chart(n_k))
        (start, unit), (end, _) = charts
        lengths.append(
            [(getattr(end, name) - getattr(start, name)) / getattr(unit, name) for name in start.to_dict()["arrays"]]
        )
    for mine, theirs in zip(*lengths, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-9)


def test_what_has_no_coordinate_is_held():
    n_k = np.array([4.0, 5.0, 0.0])
    stats = SuffStats({"total": np.array([[1.0, 0.0], [2.0, -3.0], [0.0, 0.0]])})
    state = type("AState", (), {"stats": stats, "n_k": n_k})
    chart = Chart()
    x, weight = chart.read(state)
    np.testing.assert_array_equal(np.isnan(x), [0, 0, 1, 0, 1, 0, 1, 1, 1])
    assert (weight[np.isnan(x)] == 0).all()
    there, mass = chart.write(x + 0.5, state)
    # all masses grow alike, that is not at all
    np.testing.assert_allclose(mass, n_k)
    np.testing.assert_allclose(there.total, [[np.exp(0.5), 0.0], [2.0 * np.exp(0.5), -3.0], [0.0, 0.0]])
