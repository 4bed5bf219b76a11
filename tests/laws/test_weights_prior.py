"""Laws of the mixing weights: closed forms, enumeration and Monte Carlo."""

from itertools import product

import numpy as np
import pytest
from scipy import stats as sps
from scipy.special import betaln, digamma, gammaln

from skem.weights import LOG_ZERO, DirichletWeights, StickBreakingWeights

N_K = np.array([5.0, 0.0, 2.5, 1.0])
WEIGHTS = [DirichletWeights(0.7), DirichletWeights([0.5, 1.0, 2.0, 3.0]), StickBreakingWeights(1.6)]
every = pytest.mark.parametrize("weights", WEIGHTS, ids=["symmetric", "dirichlet", "sticks"])


def log_p_z(weights, n_k):
    """Log probability of labels with these counts, the weights integrated out."""
    prior = weights.prior(len(n_k))
    return weights.log_normalizer(prior.merge(weights.statistics(n_k))) - weights.log_normalizer(prior)


@pytest.mark.parametrize("alpha", [0.3, 1.0, 2.5])
def test_dirichlet_is_the_closed_form(alpha):
    # METHODS 3.8: lnG(K a) - lnG(N + K a) + sum lnG(n_k + a) - lnG(a)
    K, n = 4, N_K.sum()
    expected = gammaln(K * alpha) - gammaln(n + K * alpha) + (gammaln(N_K + alpha) - gammaln(alpha)).sum()
    assert log_p_z(DirichletWeights(alpha), N_K) == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize("weights", WEIGHTS[:2], ids=["symmetric", "dirichlet"])
def test_dirichlet_probabilities_of_all_labels_sum_to_one(weights):
    total = sum(
        np.exp(log_p_z(weights, np.bincount(labels, minlength=4).astype(float)))
        for labels in product(range(4), repeat=5)
    )
    assert total == pytest.approx(1.0, rel=1e-12)


def test_sticks_probabilities_leave_what_lies_beyond_the_truncation():
    # with T free sticks the chance that none of N rows lies beyond is 1 - P(some row does)
    weights, N, T = StickBreakingWeights(0.8), 3, 6
    total = sum(
        np.exp(log_p_z(weights, np.bincount(labels, minlength=T).astype(float)))
        for labels in product(range(T), repeat=N)
    )
    # the mass beyond T sticks is a product of T Beta(gamma, 1): its moments are known
    moments = [(0.8 / (0.8 + j)) ** T for j in range(N + 1)]
    expected = sum((-1) ** j * m * [1, 3, 3, 1][j] for j, m in enumerate(moments))
    assert total == pytest.approx(expected, rel=1e-12)


def test_one_row_after_another_is_the_predictive():
    # METHODS 3.8: (n_k + a) / (N + K a)
    weights, n_k, total = DirichletWeights(0.7), np.zeros(4), 0.0
    for k in [0, 2, 2, 1, 0, 0]:
        total += np.log((n_k[k] + 0.7) / (n_k.sum() + 4 * 0.7))
        n_k[k] += 1
    assert log_p_z(weights, n_k) == pytest.approx(total, rel=1e-13)


def test_many_small_dirichlets_tend_to_the_dirichlet_process():
    # METHODS 3.8 with the factor K! / (K - K+)!: a^K+ G(a) / G(a + N) prod G(n_k)
    a, K = 1.3, 10**7
    n_k = np.array([4.0, 2.0, 1.0])
    n, occupied = n_k.sum(), 3
    b = a / K
    finite = gammaln(a) - gammaln(n + a) + (gammaln(n_k + b) - gammaln(b)).sum()
    finite += gammaln(K + 1) - gammaln(K - occupied + 1)
    process = occupied * np.log(a) + gammaln(a) - gammaln(a + n) + gammaln(n_k).sum()
    assert finite == pytest.approx(process, rel=1e-5)


def test_empty_sticks_at_the_end_add_nothing():
    short, long = np.array([5.0, 2.0]), np.array([5.0, 2.0, 0.0, 0.0, 0.0])
    weights = StickBreakingWeights(1.6)
    assert log_p_z(weights, short) == pytest.approx(log_p_z(weights, long), rel=1e-13)


@every
def test_expectation_and_mean_are_those_of_draws(weights):
    posterior = weights.prior(4).merge(weights.statistics(N_K + 0.5))
    rng = np.random.default_rng(0)
    if isinstance(weights, StickBreakingWeights):
        # the last stick is free in the expectation, and takes what is left in a draw
        v = rng.beta(posterior.a, posterior.b, size=(40_000, 4))
        draws = np.log(v) + np.concatenate([np.zeros((40_000, 1)), np.log1p(-v).cumsum(axis=1)[:, :-1]], axis=1)
    else:
        draws = np.array([weights.draw(posterior, rng) for _ in range(20_000)])
    error = draws.std(axis=0) / np.sqrt(len(draws))
    assert (np.abs(draws.mean(axis=0) - weights.expect(posterior)) < 5.0 * error).all()
    mean = np.exp(draws).mean(axis=0)
    np.testing.assert_allclose(mean / mean.sum(), weights.mean(posterior), rtol=0.05)


@every
def test_draws_are_weights(weights):
    posterior = weights.prior(4).merge(weights.statistics(N_K))
    for seed in range(20):
        assert np.exp(weights.draw(posterior, np.random.default_rng(seed))).sum() == pytest.approx(1.0, rel=1e-12)


@every
def test_expected_log_likelihood_less_divergence_is_log_evidence(weights):
    prior = weights.prior(4)
    posterior = prior.merge(weights.statistics(N_K))
    expected = weights.log_likelihood(weights.expect(posterior), N_K)
    divergence = 0.0
    if isinstance(weights, StickBreakingWeights):
        pairs = zip(posterior.a, posterior.b, prior.a, prior.b, strict=True)
        divergence = sum(beta_kl(*pair) for pair in pairs)
    else:
        a, a0 = posterior.alpha, prior.alpha
        divergence = gammaln(a.sum()) - gammaln(a).sum() - gammaln(a0.sum()) + gammaln(a0).sum()
        divergence += (a - a0) @ weights.expect(posterior)
    assert expected - divergence == pytest.approx(log_p_z(weights, N_K), rel=1e-12)


def beta_kl(a, b, a0, b0):
    """Textbook KL between two Betas."""
    slopes = (a - a0) * digamma(a) + (b - b0) * digamma(b) + (a0 - a + b0 - b) * digamma(a + b)
    return betaln(a0, b0) - betaln(a, b) + slopes


@pytest.mark.parametrize("weights", WEIGHTS[:2], ids=["symmetric", "dirichlet"])
def test_bayes_rule_holds_at_every_draw(weights):
    prior = weights.prior(4)
    posterior = prior.merge(weights.statistics(N_K))
    rng = np.random.default_rng(1)
    for _ in range(5):
        log_pi = weights.draw(weights.prior(4).merge(weights.statistics(N_K + 1.0)), rng)
        evidence = weights.log_likelihood(log_pi, N_K) + weights.log_density(prior, log_pi)
        evidence -= weights.log_density(posterior, log_pi)
        assert evidence == pytest.approx(log_p_z(weights, N_K), rel=1e-10)
        expected = sps.dirichlet.logpdf(np.exp(log_pi) / np.exp(log_pi).sum(), prior.alpha)
        assert weights.log_density(prior, log_pi) == pytest.approx(expected, rel=1e-9)


def log_weights_of(v):
    """Log weights of sticks v, the mass beyond the last one left out."""
    return np.log(v) + np.concatenate([[0.0], np.log1p(-v).cumsum()[:-1]])


def test_bayes_rule_holds_for_any_sticks_and_their_mode_is_the_best():
    weights, rng = WEIGHTS[2], np.random.default_rng(3)
    prior = weights.prior(4)
    posterior = prior.merge(weights.statistics(N_K))
    for _ in range(5):
        log_pi = log_weights_of(rng.uniform(0.05, 0.95, size=4))
        evidence = weights.log_likelihood(log_pi, N_K) + weights.log_density(prior, log_pi)
        evidence -= weights.log_density(posterior, log_pi)
        assert evidence == pytest.approx(log_p_z(weights, N_K), rel=1e-9)
    full = prior.merge(weights.statistics(N_K + 1.0))
    best = weights.log_density(full, weights.mode(full))
    for _ in range(200):
        assert weights.log_density(full, log_weights_of(rng.uniform(0.01, 0.99, size=4))) < best
    np.testing.assert_allclose(weights.mle(N_K + 1.0), DirichletWeights(1.0).mle(N_K + 1.0))


def test_points_are_the_best_there_are():
    weights, rng = DirichletWeights(1.8), np.random.default_rng(2)
    posterior = weights.prior(4).merge(weights.statistics(N_K))
    mode, best = weights.mode(posterior), weights.mle(N_K + 0.1)
    np.testing.assert_allclose(np.exp(best), (N_K + 0.1) / (N_K + 0.1).sum(), rtol=1e-13)
    for _ in range(200):
        other = np.log(rng.dirichlet(50.0 * np.exp(mode)))
        assert weights.log_density(posterior, other) < weights.log_density(posterior, mode)
        assert weights.log_likelihood(other, N_K + 0.1) <= weights.log_likelihood(best, N_K + 0.1)


def test_a_weight_of_zero_has_a_finite_logarithm():
    weights = DirichletWeights(1.0)
    for log_pi in (weights.mle(N_K), weights.mode(weights.prior(4).merge(weights.statistics(N_K)))):
        assert log_pi[1] == LOG_ZERO
        assert weights.log_likelihood(log_pi, N_K) == pytest.approx((N_K[[0, 2, 3]] * log_pi[[0, 2, 3]]).sum())
    assert np.isfinite(weights.log_density(weights.prior(4), weights.mle(N_K)))
    # below one the mode lies on the edge; where nothing is left inside, the mean stands in
    sparse = DirichletWeights(0.2)
    assert np.exp(sparse.mode(sparse.prior(3))).sum() == pytest.approx(1.0)
