"""Compiled runs side by side are the algorithm's, whichever others go on between, and end early where they may."""

import numpy as np
import pytest

from skem._kernels.ascent import Convergence
from skem.engine import Source
from skem.families import Gaussian
from skem.families.covariance import DISTINCT
from skem.inference.compiled_runs import LEAST, CompiledRuns
from skem.inference.em import EM
from skem.inference.model import Model
from skem.inference.short import PlainRuns, short_runs
from skem.summary import summarize
from skem.weights import DirichletWeights

every = pytest.mark.parametrize("covariance_type", DISTINCT)


def begun(covariance_type, seeds, compiled=True, K=3):
    """Runs over three clusters that overlap, from intervals of a blurred column."""
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(size=(60, 3)) * scale + 4.0 * scale for scale in (0.5, 1.0, 2.0)])
    family = Gaussian(covariance_type)
    family = family.bind(summarize(X, None, family.equivariance))
    source, algorithm = Source(X, None, family), EM()
    model = Model.build(family, DirichletWeights(1.0), K, source)
    kinds = short_runs if compiled else PlainRuns
    runs = kinds(algorithm, model, source, algorithm.start, *([len(seeds)] if compiled else []))
    assert isinstance(runs, CompiledRuns if compiled else PlainRuns)
    for seed in seeds:
        place = X[:, 0] + np.random.default_rng(seed).normal(size=len(X))
        runs.begin((np.argsort(np.argsort(place)) * K // len(X)).astype(np.int32))
    return runs


@every
def test_they_end_where_the_algorithm_ends(covariance_type):
    ours, theirs = begun(covariance_type, [1]), begun(covariance_type, [1], compiled=False)
    ours.climb(0)
    end = ours.end(0)
    fit, plain = ours.finish(0), theirs.finish(0)
    assert fit.converged
    total = ours.model.total_weight
    assert -1e-5 * total <= fit.objective - end <= 1e-4 * total
    assert fit.objective == pytest.approx(plain.objective, abs=1e-4 * total)
    assert (ours.labels(0) == fit.labels).mean() > 0.99


@every
def test_runs_between_change_no_bit(covariance_type):
    alone, among = begun(covariance_type, [1]), begun(covariance_type, [1, 2])
    for n_iter in (3, 7, 12):
        alone.go_on([0], n_iter)
        among.go_on([1], n_iter + 1)
        among.go_on([1, 0], n_iter)
    among.climb(1)
    assert alone.end(0) == among.end(0)
    for name in ("mean", "scatter"):
        np.testing.assert_array_equal(*(getattr(runs.given(0).stats, name) for runs in (alone, among)))
    np.testing.assert_array_equal(alone.theta(0).factor, among.theta(0).factor)


@every
def test_a_run_that_seems_to_end_below_its_goal_goes_no_further(covariance_type):
    def go_on(goal, least):
        runs = begun(covariance_type, [1])
        convergence = Convergence(1e-9, runs.model.total_weight, goal, least)
        return runs._field.go_on(0, 5000, convergence=convergence)

    end, n_free, _ = go_on(-np.inf, 0)
    # whatever the goal, it is not judged before: the first pass is the one that nine gains follow
    assert go_on(np.inf, 9)[1] == 10 < n_free
    score, n_done, declined = go_on(end + 1.0, LEAST)
    assert n_done < n_free or n_free <= LEAST
    assert score <= end + 1e-9
    assert not declined
