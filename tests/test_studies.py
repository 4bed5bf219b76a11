"""The studies of recovery: their problems are what they say, and their tables count right."""

import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module", autouse=True)
def root():
    """The repository's folder comes last, for an installed skem to stay the one that is studied."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [*sys.path, str(ROOT)])
        yield


@pytest.mark.parametrize("group", ["equal", "mixed", "distance-4", "distance-3", "one"])
def test_gaussian_problems_keep_their_distance(group):
    from benchmarks.studies.problems import GROUPS, enough, mahalanobis

    problem = GROUPS[group][0](2)
    d = problem.X.shape[1]
    members = [problem.X[problem.labels == k] for k in range(problem.n_clusters)]
    assert min(len(rows) for rows in members) >= enough(d)
    assert (max(len(rows) for rows in members) > enough(d)) == (group == "mixed")
    means = np.array([rows.mean(axis=0) for rows in members])
    covariances = np.array([np.cov(rows.T) for rows in members])
    wanted = {"distance-4": 4.0, "distance-3": 3.0}.get(group, 5.0 if d <= 8 else 6.0)
    for k in range(1, problem.n_clusters):
        # the sample's moments differ from the truth's by a few per cent
        assert mahalanobis(means[:k], covariances[:k], means[k], covariances[k]).min() > 0.9 * wanted


@pytest.mark.parametrize("structure", ["full", "tied", "diag", "spherical", "EII"])
def test_structures(structure):
    from benchmarks.studies.problems import covariances_of, generator

    covariances = covariances_of(structure, generator("test"), 3, 4)
    diagonal = covariances == covariances * np.eye(4)
    assert diagonal.all() == (structure in ("diag", "spherical", "EII"))
    assert np.array_equal(covariances[0], covariances[1]) == (structure in ("tied", "EII"))
    spheres = covariances == covariances[:, :1, :1] * np.eye(4)
    assert spheres.all() == (structure in ("spherical", "EII"))


@pytest.mark.parametrize("group", ["poisson", "multinomial", "categorical"])
def test_count_problems_are_reproducible(group):
    from benchmarks.studies.counts import COUNTS

    first, again, other = (COUNTS[group][0](number) for number in (4, 4, 5))
    assert np.array_equal(first.X, again.X)
    assert not np.array_equal(first.X[:5], other.X[:5])
    assert len(np.unique(first.labels)) == first.n_clusters


def test_distance_is_under_the_mean_of_two_covariances():
    from benchmarks.studies.problems import mahalanobis

    # a difference of 6 over the root of (1 + 17) / 2
    distance = mahalanobis(np.zeros((1, 1)), np.ones((1, 1, 1)), np.array([6.0]), np.array([[17.0]]))
    assert distance == pytest.approx(2.0)


def test_bayes_error():
    from benchmarks.studies.counts import bayes_error

    assert bayes_error(np.log([[0.9, 0.1], [0.4, 0.6]])) == pytest.approx(0.25)


def test_table_counts_what_was_found():
    from benchmarks.studies.recovery import rates, table

    cell = "VariationalMixture(K + 5)"
    found = [(3, 3), (3, 4), (5, 1), (2, 2)]
    problems = {
        f"equal/{number}": {"truth": truth, "cells": {cell: {"found": k, "ari": 0.5, "seconds": 1.0}}}
        for number, (truth, k) in enumerate(found)
    }
    told = rates(list(problems.values()), cell)
    assert (told["exact"], told["near"], told["count"]) == (0.5, 0.75, 4)
    assert "| equal | VariationalMixture(K + 5) | 4 | 50.0 % | 75.0 % | 0.500 | 1.00 |" in table(problems)


def test_cells_are_kept(tmp_path, capsys):
    from benchmarks.studies import recovery
    from benchmarks.studies.store import read

    path = tmp_path / "studies.json"
    options = ["--groups", "real", "poisson", "--problems", "1", "--json", str(path)]
    recovery.main([*options, "--cells", "VariationalMixture(K + 5)"])
    problems = read(path)["studies"]["recovery"]
    assert set(problems) == {"real/iris", "poisson/0"}
    assert problems["poisson/0"]["cells"]["VariationalMixture(K + 5)"]["found"] >= 1
    assert capsys.readouterr().out.count("poisson/0") == 1
    recovery.main([*options, "--cells", "VariationalMixture(K + 5)"])
    assert "poisson/0" not in capsys.readouterr().out


@pytest.mark.parametrize("family", ["categorical", "poisson"])
def test_leaps_save_passes_and_end_no_lower(family):
    from benchmarks.studies.leaps import METHODS, compare, problems

    problem = next(rest for name, *rest in problems(0) if name == family)
    passes, others = compare(*problem, tol=1e-10)
    assert passes > 100
    assert others.keys() == METHODS.keys()
    for method_passes, gain in others.values():
        assert passes > 2 * method_passes
        assert gain > -1e-6 * len(problem[1]) / 1000
