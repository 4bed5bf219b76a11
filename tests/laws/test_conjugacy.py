"""Laws of a conjugate family: one normaliser gives evidence, predictive and expected log-likelihood.

Where one fails: `log_normalizer` and `merge` are in all of them; `log_predictive`, `expect`, `log_density` and `draw`
in those that name them.
"""

import numpy as np
import pytest
from families_under_test import Problem, law

seeds = pytest.mark.parametrize("seed", [0, 1])


@law("log_normalizer", "log_predictive")
@seeds
def test_log_evidence_is_the_sum_of_one_step_predictives(case, seed):
    p = Problem(case, seed)
    total, posterior = 0.0, p.prior
    for i, k in enumerate(p.labels):
        total += p.family.log_predictive(posterior, p.internal[i : i + 1])[0, k]
        posterior = posterior.merge(p.stats(slice(i, i + 1)))
    assert p.log_marginal(p.stats()) == pytest.approx(total, rel=1e-12)


@law("log_normalizer", "log_predictive")
@seeds
def test_leaving_one_out_is_its_predictive(case, seed):
    p = Problem(case, seed)
    whole = p.log_marginal(p.stats())
    for i in range(5):
        rest = p.stats(np.delete(np.arange(len(p.X)), i))
        predictive = p.family.log_predictive(p.prior.merge(rest), p.internal[i : i + 1])[0, p.labels[i]]
        assert whole - p.log_marginal(rest) == pytest.approx(predictive, rel=1e-9)


@law("log_normalizer", "expect")
@seeds
def test_expected_log_likelihood_less_divergence_is_log_evidence(case, seed):
    p = Problem(case, seed)
    stats = p.stats(weight=p.weight)
    posterior = p.prior.merge(stats)
    expected = p.family.log_likelihood(p.family.expect(posterior), stats).sum()
    assert expected - case.kl(posterior, p.prior) == pytest.approx(p.log_marginal(stats), rel=1e-11)


@law("log_density", "draw")
@seeds
def test_bayes_rule_holds_at_every_theta(case, seed):
    p = Problem(case, seed)
    stats = p.stats(weight=p.weight)
    posterior = p.prior.merge(stats)
    for _ in range(5):
        theta = p.family.draw(posterior, p.rng)
        evidence = p.family.log_likelihood(theta, stats).sum() + p.family.log_density(p.prior, theta)
        evidence -= p.family.log_density(posterior, theta)
        assert evidence == pytest.approx(p.log_marginal(stats), rel=1e-10)


@law("log_predictive")
@seeds
def test_predictive_is_scipys(case, seed):
    p = Problem(case, seed)
    posterior = p.prior.merge(p.stats(weight=p.weight))
    got = p.family.log_predictive(posterior, p.internal) + p.base()[:, None]
    np.testing.assert_allclose(got, case.predictive(posterior, p.internal), rtol=1e-10, atol=1e-10)


@law("log_predictive", "expect")
def test_predictive_is_at_least_the_expected_log_likelihood(case):
    p = Problem(case, 3)
    posterior = p.prior.merge(p.stats())
    theta = p.family.expect(posterior)
    # expectations of row i: the log-likelihood of that row's statistics
    expected = [p.family.log_likelihood(theta, one_row(p, i)) for i in range(len(p.X))]
    assert (p.family.log_predictive(posterior, p.internal) >= np.array(expected) - 1e-12).all()


def one_row(p, i):
    """Statistics in which every component holds row i once."""
    resp = np.full((len(p.X), p.n_components), 1.0)
    return p.stats(slice(i, i + 1), weight=np.full(len(p.X), float(p.n_components)), resp=resp)


@law("mle")
def test_density_is_scipys(case):
    p = Problem(case, 4)
    theta = p.family.mle(p.stats(weight=p.weight))
    expected = case.density(theta, p.internal)
    for i in range(5):
        got = np.array([p.family.log_likelihood(theta, p.stats([i]).take([p.labels[i]] * 2)).sum()])
        k = p.labels[i]
        single = p.family.log_likelihood(theta, p.stats([i]))[k] + p.base([i])[0]
        assert np.isfinite(got).all()
        assert single == pytest.approx(expected[i, k], rel=1e-10)


@law("draw", "expect")
def test_draws_average_to_the_expectation(case):
    # log-likelihood under draws: its mean is expect's, within five standard errors
    p = Problem(case, 5)
    stats = p.stats(weight=p.weight)
    posterior = p.prior.merge(stats)
    draws = [p.family.log_likelihood(p.family.draw(posterior, p.rng), stats) for _ in range(3000)]
    draws = np.array(draws)
    error = draws.std(axis=0) / np.sqrt(len(draws))
    expected = p.family.log_likelihood(p.family.expect(posterior), stats)
    assert (np.abs(draws.mean(axis=0) - expected) < 5.0 * error).all()


@law("log_density")
def test_log_density_is_scipys(case):
    p = Problem(case, 6)
    theta = p.family.mle(p.stats(weight=p.weight))
    assert p.family.log_density(p.prior, theta) == pytest.approx(case.log_prior(p.prior, theta), rel=1e-10)


@law("sample")
def test_sampled_rows_have_the_density(case):
    # E log p(x | theta) by sampling against the entropy-free check: mean score of samples from theta itself
    # beats that of samples from another theta, and sufficient statistics fit theta back
    p = Problem(case, 7)
    theta = p.family.mle(p.stats())
    p.X = p.family.sample(theta, np.array([4000, 4000]), p.rng)
    p.labels = np.repeat(np.arange(2), 4000).astype(np.int32)
    again = p.family.mle(p.stats())
    stats = p.stats()
    loss = p.family.log_likelihood(again, stats).sum() - p.family.log_likelihood(theta, stats).sum()
    # twice the loss is chi-squared with as many degrees of freedom as parameters
    free = p.family.n_parameters(3, 2)
    assert 0.0 <= 2.0 * loss < free + 5.0 * np.sqrt(2.0 * free)
