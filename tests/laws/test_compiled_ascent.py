"""Compiled runs and runs by the verbs of family and weights are one algorithm.

Of maximum likelihood every bit is the same; the bounds of the others are summed in another order.
"""

import numpy as np
import pytest
from families_under_test import CASES, DIRICHLET, LATENT_CASES, SHAPED_CASES
from sklearn.base import clone

from skem import BayesianGaussianMixture, EMMixture, GaussianMixture
from skem.engine import Source
from skem.inference.em import EM, MAPEM
from skem.inference.model import Model
from skem.inference.variational import VariationalBayes
from skem.summary import summarize
from skem.weights import DirichletWeights, StickBreakingWeights

STEPPED = [case for case in CASES if case.family.__class__.__name__ == "Gaussian"] + SHAPED_CASES
STEPPED += [case for case in LATENT_CASES if not case.blocks]
stepped = pytest.mark.parametrize("case", STEPPED, ids=[case.name for case in STEPPED])


CONJUGATE = [case for case in STEPPED if case.family.closed_form and case.family._structure.conjugate]
# cells with a prior, each with the weights that it goes with
WITH_PRIOR = [
    (MAPEM, DirichletWeights(1.0)),
    (MAPEM, DirichletWeights(2.5)),
    (VariationalBayes, DirichletWeights(0.5)),
    (VariationalBayes, StickBreakingWeights(0.7)),
]


def plain(cell):
    """The cell without leaps, for which a compiled run waits longer."""
    return type(f"Plain{cell.__name__}", (cell,), {"_leaps": lambda *args: None})


def by_verbs(cell):
    """The cell as any family without a compiled step runs it."""
    return type(f"{cell.__name__}ByVerbs", (cell,), {"compiled": False})


class Declining:
    """How often a run left the compiled loop for the verbs: `Source.ascend` counted."""

    def __init__(self, monkeypatch):
        self.starts, original = 0, Source.ascend

        def ascend(*args, **named):
            self.starts += 1
            return original(*args, **named)

        monkeypatch.setattr(Source, "ascend", ascend)


def runs(case, X, weight, K, codes, cell=EM, weights=DirichletWeights(1.0), **parameters):  # noqa: B008 # a value
    """The same run by both."""
    family = case.family.bind(summarize(X, weight, case.family.equivariance))
    source = Source(X, weight, family)
    model = Model.build(family, weights, K, source)
    given = source.assign_given(K, codes=codes)
    fits = []
    for kind in (plain(cell), by_verbs(plain(cell))):
        algorithm = kind(**parameters)
        fits.append(algorithm.run(model, source, algorithm.start(model, given)))
    return fits


def assert_same(fits):
    compiled, by_verbs = fits
    assert compiled.objectives == by_verbs.objectives
    assert compiled.objective == by_verbs.objective
    assert (compiled.n_iter, compiled.converged) == (by_verbs.n_iter, by_verbs.converged)
    np.testing.assert_array_equal(compiled.labels, by_verbs.labels)
    np.testing.assert_array_equal(compiled.state.log_weights, by_verbs.state.log_weights)
    np.testing.assert_array_equal(compiled.state.n_k, by_verbs.state.n_k)
    for name in ("theta", "stats"):
        mine, theirs = (getattr(fit.state, name).to_dict()["arrays"] for fit in fits)
        assert mine.keys() == theirs.keys()
        for array in mine:
            np.testing.assert_array_equal(mine[array], theirs[array], err_msg=array)


def clusters(case, n, d, K, seed=0):
    rng = np.random.default_rng(seed)
    X = case.rows(rng, n, d) + 3.0 * rng.normal(size=(K, d))[np.arange(n) % K]
    return X, rng.integers(K, size=n).astype(np.int32), rng


@stepped
@pytest.mark.parametrize(("tol", "max_iter"), [(0.0, 25), (0.0, 0), (0.0, 1), (1e-3, 200)])
@pytest.mark.parametrize(("n", "d", "K"), [(60, 1, 1), (150, 4, 3), (2100, 3, 5), (700, 33, 2)])
def test_every_size_and_ending(case, n, d, K, tol, max_iter, monkeypatch):
    X, codes, _ = clusters(case, n, d, K)
    declining = Declining(monkeypatch)
    fits = runs(case, X, None, K, codes, tol=tol, max_iter=max_iter)
    assert_same(fits)
    if d == 33 and case in SHAPED_CASES:
        # so many columns of this kind are so dependent that a shared shape comes near the floor
        return
    assert fits[0].converged or tol == 0.0
    assert declining.starts == 1


@stepped
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_weights_and_dtypes(case, dtype):
    X, codes, rng = clusters(case, 300, 3, 4, seed=1)
    weight = rng.choice([0.0, 0.5, 1.0, 3.0], size=len(X))
    assert_same(runs(case, X.astype(dtype)[:, ::-1], weight, 4, codes, tol=0.0, max_iter=15))


@stepped
@pytest.mark.parametrize("how", ["constant", "duplicates", "empty", "far", "narrow"])
def test_rare_cases_go_by_the_verbs_and_come_back(case, how, monkeypatch):
    X, codes, rng = clusters(case, 200, 3, 4, seed=2)
    if how == "constant":
        X[:, 1] = 5.0
    elif how == "duplicates":
        X[codes == 0] = X[0]
    elif how == "empty":
        codes[codes == 3] = 2
    elif how == "far":
        X += 1e7
        X[codes == 1] += 1e3
    else:
        # as the run goes on the components' own spread passes the bound of the linear pass
        X = (rng.normal(size=(4, 3)) * 1e4)[codes] + rng.normal(size=X.shape)
        codes = np.where(rng.random(200) < 0.8, codes, rng.integers(4, size=200)).astype(np.int32)
    declining = Declining(monkeypatch)
    assert_same(runs(case, X, None, 4, codes, tol=0.0, max_iter=12))
    # diagonal structures hold what is flat in the compiled loop
    held_by_verbs = case.family.covariance_type in ("full", "tied") or case in SHAPED_CASES
    if how == "empty" or (how in ("constant", "duplicates") and case.name == "full"):
        assert declining.starts > 3
    if how == "constant" and not held_by_verbs:
        assert declining.starts <= 2


@stepped
@pytest.mark.filterwarnings("ignore:.*did not converge")
def test_a_watched_fit_is_the_same(case, capsys):
    X, codes, _ = clusters(case, 120, 3, 3)
    quiet, watched = (
        EMMixture(3, family=case.family, init=codes, verbose=verbose, tol=0.0, max_iter=8).fit(X) for verbose in (0, 2)
    )
    assert capsys.readouterr().out
    np.testing.assert_array_equal(quiet.lower_bounds_, watched.lower_bounds_)
    np.testing.assert_array_equal(quiet.means_, watched.means_)
    np.testing.assert_array_equal(quiet.labels_, watched.labels_)


@stepped
def test_threads_change_no_bit(case):
    from threadpoolctl import threadpool_limits

    X, codes, _ = clusters(case, 30_000, 6, 8, seed=3)
    fits = []
    for n_threads in (1, 2):
        with threadpool_limits(n_threads):
            fits.append(runs(case, X, None, 8, codes, tol=0.0, max_iter=4)[0])
    assert_same(fits)


discrete = pytest.mark.parametrize(
    "case", [case for case in CASES if case.name in (*DIRICHLET, "poisson", "exponential")], ids=lambda case: case.name
)


@discrete
@pytest.mark.parametrize(("tol", "max_iter"), [(0.0, 25), (0.0, 1), (1e-3, 500)])
@pytest.mark.parametrize(("n", "d", "K"), [(60, 1, 1), (300, 7, 3), (2100, 4, 9), (400, 40, 5)])
def test_shares_of_outcomes_and_rates_too(case, n, d, K, tol, max_iter, monkeypatch):
    rng = np.random.default_rng(n)
    X, codes = case.rows(rng, n, d), rng.integers(K, size=n).astype(np.int32)
    weight = rng.choice([0.0, 0.5, 1.0, 3.0], size=n)
    declining = Declining(monkeypatch)
    fits = runs(case, X, weight, K, codes, tol=tol, max_iter=max_iter)
    assert_same(fits)
    assert declining.starts == 1
    if K > 1:
        # a component without mass is left to the verbs
        assert_same(runs(case, X, weight, K, np.maximum(codes, 1), tol=0.0, max_iter=5))
        assert declining.starts > 2


def assert_near(fits):
    """The same run but for rounding."""
    compiled, by_verbs = fits
    assert (compiled.n_iter, compiled.converged) == (by_verbs.n_iter, by_verbs.converged)
    np.testing.assert_allclose(compiled.objectives, by_verbs.objectives, rtol=1e-11)
    np.testing.assert_array_equal(compiled.labels, by_verbs.labels)
    for name in ("theta", "stats", "posterior", "weight_posterior"):
        mine, theirs = (getattr(fit.state, name).to_dict()["arrays"] for fit in fits)
        for array in mine:
            np.testing.assert_allclose(mine[array], theirs[array], rtol=1e-8, atol=1e-8, err_msg=array)
    np.testing.assert_allclose(compiled.state.log_weights, by_verbs.state.log_weights, rtol=1e-9, atol=1e-9)
    assert compiled.state.penalty == pytest.approx(by_verbs.state.penalty, rel=1e-9)


@pytest.mark.parametrize("case", CONJUGATE, ids=lambda case: case.name)
@pytest.mark.parametrize(("cell", "weights"), WITH_PRIOR, ids=lambda part: getattr(part, "__name__", None))
@pytest.mark.parametrize(("tol", "max_iter"), [(0.0, 12), (0.0, 0), (1e-3, 200)])
@pytest.mark.parametrize(("n", "d", "K"), [(60, 1, 2), (300, 4, 3), (150, 33, 2)])
def test_priors_too(case, cell, weights, tol, max_iter, n, d, K, monkeypatch):
    X, codes, rng = clusters(case, n, d, K, seed=4)
    weight = rng.choice([0.5, 1.0, 3.0], size=n)
    declining = Declining(monkeypatch)
    fits = runs(case, X, weight, K, codes, cell, weights, tol=tol, max_iter=max_iter)
    assert_near(fits)
    assert declining.starts == 1


@pytest.mark.parametrize("case", CONJUGATE, ids=lambda case: case.name)
@pytest.mark.parametrize(("cell", "weights"), WITH_PRIOR, ids=lambda part: getattr(part, "__name__", None))
@pytest.mark.parametrize("how", ["empty", "far", "narrow"])
def test_rare_cases_with_priors(case, cell, weights, how):
    X, codes, rng = clusters(case, 200, 3, 4, seed=2)
    if how == "empty":
        codes[codes == 3] = 2
    elif how == "far":
        X += 1e6
    else:
        X = (rng.normal(size=(4, 3)) * 1e4)[codes] + rng.normal(size=X.shape)
        codes = np.where(rng.random(200) < 0.8, codes, rng.integers(4, size=200)).astype(np.int32)
    assert_near(runs(case, X, None, 4, codes, cell, weights, tol=0.0, max_iter=8))


@discrete
@pytest.mark.parametrize("weights", [DirichletWeights(1.0), DirichletWeights(2.5)], ids=["flat", "even"])
@pytest.mark.parametrize(("tol", "max_iter"), [(0.0, 12), (0.0, 0), (1e-3, 200)])
@pytest.mark.parametrize(("n", "d", "K"), [(60, 1, 2), (300, 7, 3), (400, 40, 5)])
def test_modes_of_shares_and_rates(case, weights, tol, max_iter, n, d, K, monkeypatch):
    rng = np.random.default_rng(n)
    X, codes = case.rows(rng, n, d), rng.integers(K, size=n).astype(np.int32)
    weight = rng.choice([0.0, 0.5, 1.0, 3.0], size=n)
    declining = Declining(monkeypatch)
    assert_near(runs(case, X, weight, K, codes, MAPEM, weights, tol=tol, max_iter=max_iter))
    # under flat weights a component may end without mass, which is left to the verbs
    assert declining.starts == 1 or (d == 40 and weights.concentration == 1.0)
    assert_near(runs(case, X, weight, K, np.maximum(codes, 1), MAPEM, weights, tol=0.0, max_iter=5))


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
@pytest.mark.parametrize("reg_covar", [0.0, 1e-6, 1e-2])
@pytest.mark.parametrize(("tol", "max_iter"), [(0.0, 7), (1e-3, 100), (1e-12, 100), (0.5, 0)])
@pytest.mark.filterwarnings("ignore:Best performing")
def test_scikit_learns_rule_too(covariance_type, reg_covar, tol, max_iter, monkeypatch):
    rng = np.random.default_rng(7)
    X = rng.normal(size=(240, 3)) + 3.0 * rng.normal(size=(4, 3))[np.arange(240) % 4]
    weight = rng.choice([0.5, 1.0, 2.0], size=240)
    declining = Declining(monkeypatch)
    mixture = GaussianMixture(
        4, covariance_type=covariance_type, reg_covar=reg_covar, tol=tol, max_iter=max_iter, random_state=0
    )
    compiled = clone(mixture).fit(X, sample_weight=weight)
    assert declining.starts == (max_iter > 0)
    monkeypatch.setattr(GaussianMixture, "_steps", lambda self, model: None)
    by_verbs = mixture.fit(X, sample_weight=weight)
    assert (compiled.n_iter_, compiled.converged_) == (by_verbs.n_iter_, by_verbs.converged_)
    assert compiled.lower_bounds_ == by_verbs.lower_bounds_
    for name in ("weights_", "means_", "covariances_", "precisions_cholesky_"):
        np.testing.assert_array_equal(getattr(compiled, name), getattr(by_verbs, name), err_msg=name)


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
@pytest.mark.parametrize("prior", ["dirichlet_process", "dirichlet_distribution"])
@pytest.mark.parametrize(("tol", "max_iter"), [(0.0, 1), (0.0, 7), (1e-3, 100), (1e9, 100), (0.5, 0)])
@pytest.mark.parametrize("how", ["apart", "narrow"])
@pytest.mark.filterwarnings("ignore:Best performing")
def test_scikit_learns_variational_bound_too(covariance_type, prior, tol, max_iter, how, monkeypatch):
    rng = np.random.default_rng(8)
    truth = np.arange(240) % 4
    # groups whose own spread passes the bound of the linear pass, once it is found, leave the loop
    X = rng.normal(size=(240, 3)) + {"apart": 3.0, "narrow": 1e4}[how] * rng.normal(size=(4, 3))[truth]
    weight = rng.choice([0.5, 1.0, 2.0], size=240)
    codes = np.where(rng.random(240) < 0.8, truth, rng.integers(4, size=240)).astype(np.int32)
    small = {"full": np.eye(3), "tied": np.eye(3), "diag": np.ones(3), "spherical": 1.0}[covariance_type]
    declining = Declining(monkeypatch)
    monkeypatch.setattr(
        BayesianGaussianMixture, "_given", lambda self, source, rng: source.assign_given(4, codes=codes)
    )
    mixture = BayesianGaussianMixture(
        n_components=4, covariance_type=covariance_type, weight_concentration_prior_type=prior, tol=tol,
        max_iter=max_iter, covariance_prior=small, reg_covar=1e-3 if how == "apart" else 0.0,
    )  # fmt: skip
    compiled = clone(mixture).fit(X, sample_weight=weight)
    if how == "apart":
        assert declining.starts == (max_iter > 0)
    elif covariance_type == "full" and (tol, max_iter) == (1e-3, 100):
        assert declining.starts > 1
    monkeypatch.setattr(BayesianGaussianMixture, "_steps", lambda self, model: None)
    by_verbs = mixture.fit(X, sample_weight=weight)
    assert (compiled.n_iter_, compiled.converged_) == (by_verbs.n_iter_, by_verbs.converged_)
    np.testing.assert_allclose(compiled.lower_bounds_, by_verbs.lower_bounds_, rtol=1e-11)
    for name in ("weights_", "means_", "covariances_", "precisions_cholesky_", "mean_precision_"):
        np.testing.assert_allclose(getattr(compiled, name), getattr(by_verbs, name), rtol=1e-9, err_msg=name)
