"""A family of a few dozen lines of Python is fitted by every estimator, with the same laws."""

import inspect

import numpy as np
import pytest
import toy_family
from families_under_test import Problem, law, rayleigh_rows
from toy_family import Rayleigh, RayleighByDensity

import skem
from skem import BayesianKMeans, EMMixture, GibbsMixture, ICMMixture, MAPMixture, VariationalMixture
from skem.engine import BLOCK, Source
from skem.families import Family, Gaussian
from skem.inference.em import EM, MAPEM
from skem.inference.updates import REQUIRED
from skem.summary import summarize

FITS = [
    EMMixture(2, random_state=0),
    MAPMixture(2, random_state=0),
    VariationalMixture(2, random_state=0),
    VariationalMixture(2, weight_prior="dirichlet_process", random_state=0),
    BayesianKMeans(3, random_state=0),
    ICMMixture(2, random_state=0),
    ICMMixture(2, update="mle", random_state=0),
    GibbsMixture(2, n_chains=1, n_draws=20, n_burn_in=10, random_state=0),
]


def two_clouds(n=300):
    rng = np.random.default_rng(0)
    scale = np.array([[1.0, 6.0], [8.0, 1.0]])
    side = rng.integers(2, size=n)
    return rng.rayleigh(scale[side]), side


def test_the_toy_is_short():
    lines = inspect.getsource(Rayleigh).splitlines()
    assert sum(bool(line.strip()) for line in lines) < 60
    assert "skem" in inspect.getsource(toy_family)


@pytest.mark.filterwarnings("ignore:.*R-hat.*")  # twenty draws are few, as the estimator says
@pytest.mark.filterwarnings("ignore:.*effective.*")
@pytest.mark.parametrize("family", [Rayleigh(), RayleighByDensity()], ids=["natural", "log_prob"])
@pytest.mark.parametrize("estimator", FITS, ids=lambda e: f"{type(e).__name__}-{getattr(e, 'weight_prior', '')}")
def test_every_estimator_fits_the_toy(estimator, family):
    X, side = two_clouds()
    mixture = skem_clone(estimator).set_params(family=family).fit(X)
    labels = mixture.predict(X)
    agree = max((labels == side).mean(), (labels != side).mean())
    assert agree > 0.9
    assert np.isfinite(mixture.score_samples(X)).all()
    np.testing.assert_allclose(mixture.predict_proba(X).sum(axis=1), 1.0, rtol=1e-12)
    drawn, _ = mixture.sample(50, random_state=1)
    assert (drawn > 0).all()
    assert np.isfinite(mixture.bic(X))


def skem_clone(estimator):
    return type(estimator)(**estimator.get_params())


def test_natural_parameters_and_densities_are_two_ways_to_say_one_thing():
    X, _ = two_clouds(2 * BLOCK + 100)
    one = EMMixture(2, family=Rayleigh(), random_state=0).fit(X)
    two = EMMixture(2, family=RayleighByDensity(), random_state=0).fit(X)
    np.testing.assert_allclose(one.rates_, two.rates_, rtol=1e-9)
    np.testing.assert_array_equal(one.labels_, two.labels_)
    assert one.lower_bound_ == pytest.approx(two.lower_bound_, rel=1e-12)


@pytest.mark.parametrize("family", [Rayleigh(), RayleighByDensity()], ids=["natural", "log_prob"])
@pytest.mark.parametrize("assign", ["soft", "hard", "draw"])
def test_blocks_of_python_are_one_pass(family, assign, monkeypatch):
    rng = np.random.default_rng(1)
    X = rayleigh_rows(rng, 500, 2)
    weight = rng.integers(0, 4, size=500).astype(float)
    summary = summarize(X, weight, None)
    bound = Rayleigh().bind(summary)
    source = Source(X, weight, bound)
    theta = bound.mle(source.assign_given(3, codes=rng.integers(3, size=500).astype(np.int32)).stats)
    start = np.concatenate([[0], np.cumsum(weight)]).astype(np.intp)
    given = {"log_prior": rng.normal(size=(500, 3))}
    if assign == "draw":
        given |= {"uniforms": rng.random(start[-1]), "uniform_start": start}
    results = []
    for block, rows in ((1000, source), (64, Source(X, weight, family.bind(summary)))):
        monkeypatch.setattr("skem.engine.BLOCK", block)
        labels, lse = np.full(500, -1, np.int32), np.empty(500)
        result = rows.run(np.log([0.2, 0.3, 0.5]), theta, assign=assign, labels=labels, lse=lse, **given)
        results.append((result, labels, lse))
    (whole, labels, lse), (parts, labels_of_parts, lse_of_parts) = results
    np.testing.assert_array_equal(labels, labels_of_parts)
    np.testing.assert_allclose(lse, lse_of_parts, rtol=1e-12)
    assert parts.score == pytest.approx(whole.score, rel=1e-12)
    np.testing.assert_allclose(parts.n_k, whole.n_k, rtol=1e-12)
    np.testing.assert_allclose(parts.stats.total, whole.stats.total, rtol=1e-12)


def test_an_algorithm_names_the_verbs_it_misses():
    class Bare(Family):
        def mle(self, stats, theta=None):
            return theta

    EM().require(Bare())
    with pytest.raises(TypeError, match=r"Bare\(\) has no posterior mode.* offers no prior, mode, log_density"):
        MAPEM().require(Bare())
    with pytest.raises(
        TypeError, match=r"Gaussian\(covariance_type='VEV'\) has no .* take EMMixture or MAPMixture.* no expect"
    ):
        VariationalMixture(family=Gaussian("VEV")).fit(np.eye(3))
    with pytest.raises(NotImplementedError, match="no natural parameters"):
        Bare().natural(None)
    assert set(REQUIRED) == {"mle", "mode", "expect", "evidence", "draw"}
    assert skem.__version__


@law("mle")
def test_a_family_of_the_user_is_never_touched(case):
    before = dict(vars(case.family))
    p = Problem(case)
    assert vars(case.family) == before
    assert p.family is not case.family
    assert repr(p.family.get_params()) == repr(case.family.get_params())
