"""Families of discrete outcomes: edges of the domain, priors, and what is published."""

import numpy as np
import pytest

from skem import EMMixture, MAPMixture
from skem.engine import Source
from skem.exceptions import DegenerateComponentWarning
from skem.families import Bernoulli, Multinomial
from skem.summary import summarize

PROBABILITIES = np.array([[0.9, 0.9, 0.1, 0.1], [0.1, 0.9, 0.9, 0.1], [0.1, 0.1, 0.9, 0.9]])
FAMILIES = {"multinomial": Multinomial(), "bernoulli": Bernoulli()}
families = pytest.mark.parametrize("name", FAMILIES)


def planted(name, n=300, seed=0):
    """Rows of three well separated groups, and the groups."""
    rng = np.random.default_rng(seed)
    group = np.arange(n) % 3
    if name == "multinomial":
        shares = PROBABILITIES / PROBABILITIES.sum(axis=1, keepdims=True)
        return np.stack([rng.multinomial(40, shares[k]) for k in group]).astype(float), group
    return (rng.random((n, 20)) < np.tile(PROBABILITIES, 5)[group]).astype(float), group


@families
def test_known_parameters_make_a_mixture(name):
    p = PROBABILITIES if name == "bernoulli" else PROBABILITIES / PROBABILITIES.sum(axis=1, keepdims=True)
    mixture = EMMixture.from_parameters(family=FAMILIES[name], probabilities=p, weights=[0.5, 0.3, 0.2])
    np.testing.assert_allclose(mixture.probabilities_, p, rtol=1e-15)
    rows, _ = mixture.sample(50, random_state=0)
    assert mixture.score(rows) < 0
    assert rows.sum(axis=1).max() == (1.0 if name == "multinomial" else 4.0)
    X = np.array([[1.0, 1.0, 0.0, 0.0]])
    if name == "bernoulli":
        likelihood = np.prod(np.where(X == 1, p, 1 - p), axis=1)
    else:
        likelihood = 2 * p[:, 0] * p[:, 1]
    expected = np.array([0.5, 0.3, 0.2]) * likelihood
    assert mixture.score(X) == pytest.approx(np.log(expected.sum()), rel=1e-12)
    np.testing.assert_allclose(mixture.predict_proba(X)[0], expected / expected.sum(), rtol=1e-12)


def test_sampled_rows_have_the_asked_for_total():
    X, _ = planted("multinomial")
    assert (EMMixture(2, family=Multinomial(n_trials=7)).fit(X).sample(5)[0].sum(axis=1) == 7).all()
    assert (EMMixture(2, family=Multinomial()).fit(X).sample(5)[0].sum(axis=1) == 40).all()


@families
def test_a_sure_outcome_has_probability_one_and_its_opposite_a_finite_density(name):
    X = np.array([[1.0, 0.0, 0.0]] * 3 + [[0.0, 1.0, 1.0]] * 3)
    mixture = EMMixture(2, family=FAMILIES[name], init=[0, 0, 0, 1, 1, 1]).fit(X)
    assert set(np.unique(mixture.probabilities_)) == ({0.0, 1.0} if name == "bernoulli" else {0.0, 0.5, 1.0})
    assert mixture.lower_bound_ == pytest.approx(np.log(0.5) - (0.0 if name == "bernoulli" else np.log(2) / 2))
    never = mixture.score_samples(np.array([[1.0, 1.0, 0.0]]))
    assert -3e4 < never[0] < -5e3
    assert np.isfinite(mixture.predict_log_proba(np.ones((1, 3)))).all()


@families
def test_a_prior_of_ones_makes_the_mode_the_maximum_of_the_likelihood(name):
    X, _ = planted(name)
    one = MAPMixture(3, family=FAMILIES[name], weight_concentration_prior=1.0, random_state=0).fit(X)
    two = EMMixture(3, family=FAMILIES[name], random_state=0).fit(X)
    np.testing.assert_allclose(one.probabilities_, two.probabilities_, atol=1e-4)


@families
def test_modes_below_one_rest_at_zero_with_a_warning(name):
    X = np.array([[1.0, 0.0, 0.0]] * 3 + [[0.0, 1.0, 1.0]] * 3)
    family = type(FAMILIES[name])(concentration_prior=0.5)
    with pytest.warns(DegenerateComponentWarning, match="below 1"):
        mixture = MAPMixture(2, family=family, random_state=0).fit(X)
    assert np.isfinite(mixture.lower_bounds_).all()
    assert (np.diff(mixture.lower_bounds_) >= -1e-9).all()


def test_priors_take_a_number_or_one_each():
    X = planted("multinomial")[0]
    prior = Multinomial([1.0, 2.0, 3.0, 4.0]).bind(summarize(X, None, None)).prior(2)
    np.testing.assert_array_equal(prior.total, [[1.0, 2.0, 3.0, 4.0]] * 2)
    prior = Bernoulli([1.0, 2.0]).bind(summarize(X, None, None)).prior(1)
    np.testing.assert_array_equal(prior.total, [[1.0] * 4 + [2.0] * 4])
    for family in (Multinomial([1.0, 2.0]), Multinomial([1.0, 2.0, 0.0, 1.0]), Bernoulli([1.0, 2.0, 3.0])):
        with pytest.raises(ValueError, match="concentration_prior"):
            MAPMixture(2, family=family).fit(np.minimum(X, 1.0))


@families
def test_groups_are_worth_their_largest_likelihood(name):
    """Outcomes that a group of rows lacks, and a group without any, among them."""
    X, group = planted(name)
    X[:, 0] = 0.0
    X[group == 2] = 0.0
    family = FAMILIES[name].bind(summarize(X, None, FAMILIES[name].equivariance))
    stats = Source(X, None, family).assign_given(3, codes=group.astype(np.int32)).stats
    theta = family.mle(stats)
    np.testing.assert_allclose(family.worth(stats), family.log_likelihood(theta, stats), rtol=1e-12)
    if name == "multinomial":
        np.testing.assert_allclose(theta.probability[2], 1.0 / X.shape[1], rtol=1e-15)


def test_rows_outside_the_domain_are_named():
    X = np.ones((10, 3))
    X[4, 1] = 2.0
    EMMixture(1, family=Multinomial()).fit(X)
    with pytest.raises(ValueError, match=r"X\[4, 1\] = 2.0: Bernoulli\(\) takes zeros and ones"):
        EMMixture(1, family=Bernoulli()).fit(X)
    X[4, 1] = 0.5
    with pytest.raises(ValueError, match=r"X\[4, 1\] = 0.5: Multinomial\(\) takes counts"):
        EMMixture(1, family=Multinomial()).fit(X)


def test_parameters_outside_their_range_are_refused():
    with pytest.raises(ValueError, match=r"component 1 sum to 0.7; they must sum to one"):
        EMMixture.from_parameters(family=Multinomial(), probabilities=[[0.5, 0.5], [0.3, 0.4]])
    with pytest.raises(ValueError, match=">= 0"):
        EMMixture.from_parameters(family=Multinomial(), probabilities=[[1.5, -0.5]])
    with pytest.raises(ValueError, match="within 0 and 1"):
        EMMixture.from_parameters(family=Bernoulli(), probabilities=[[0.5, 1.5]])
