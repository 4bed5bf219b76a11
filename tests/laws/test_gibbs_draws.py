"""The draws of GibbsMixture follow the posterior."""

import itertools

import numpy as np
import pytest
from public_estimators import one_draw
from scipy import stats
from scipy.special import betaln, gammaln, logsumexp, multigammaln

from skem import GibbsMixture
from skem.engine import Source
from skem.families import Exponential, Gaussian, NegativeBinomial, Poisson
from skem.inference.gibbs import Sweeper, unit_starts
from skem.inference.model import Model
from skem.summary import Summary
from skem.weights import DirichletWeights

COVARIANCE_TYPES = ("full", "tied", "diag", "spherical", "EEI", "EII")


def bind(family, d):
    """Bound to fixed coordinates, so that the prior does not depend on the data."""
    ones = np.ones(d)
    return family.bind(Summary(d, 1.0, 0.0 * ones, ones, 0.0 * ones, ones, np.eye(d), np.zeros(d, dtype=bool)))


def proper_gaussian(cls, covariance_type, d=2):
    scatter = {"full": np.eye(d) * 3 + 1, "tied": np.eye(d) * 3 + 1, "diag": np.arange(1.0, d + 1), "spherical": 2.0}
    scatter |= {"EEI": scatter["diag"], "EII": 2.0}
    return cls(
        covariance_type,
        mean_prior=np.arange(d),
        mean_precision_prior=0.5,
        degrees_of_freedom_prior=4.0,
        covariance_prior=scatter[covariance_type],
    )


# -- the law of the draws: Geweke (2004), Getting it right -------------------------------------------------------------


class ShiftedGaussian(Gaussian):
    """Draws with half a degree of freedom too many."""

    def draw(self, posterior, rng):
        state = posterior.to_dict()
        state["arrays"]["nu"] = state["arrays"]["nu"] + 0.5
        return super().draw(type(posterior).from_dict(state), rng)


class ShiftedPoisson(Poisson):
    """Draws with half a count too many, the gamma's half degree of freedom."""

    def draw(self, posterior, rng):
        return super().draw(type(posterior)({"n": posterior.n, "total": posterior.total + 0.5}), rng)


def gaussian_functions(X, log_weights, theta):
    mean, offset = theta.mean, theta.offset
    centred = X - X.mean(axis=0)
    gap = mean[0] - mean[1]
    return [
        offset.mean(),
        (offset**2).mean(),
        np.exp(2 * log_weights) @ offset,
        np.tanh(mean).mean(),
        np.arctan(mean[:, 0] * mean[:, 1]).mean(),
        np.log(gap @ gap),
        np.tanh(np.exp(log_weights) @ offset),
        np.log((centred**2).sum()),
        np.arctan((centred[:, 0] * centred[:, 1]).sum()),
        np.tanh(X.mean()),
        np.tanh(X.mean()) * offset.mean(),
    ]


def poisson_functions(X, log_weights, theta):
    log_rate = np.log(theta.rate)
    return [
        log_rate.mean(),
        (log_rate**2).mean(),
        np.abs(log_rate[0] - log_rate[1]).mean(),
        theta.rate.mean(),
        (theta.rate**2).mean(),
        np.exp(log_weights) @ theta.rate.mean(axis=1),
        X.mean(),
        np.sqrt(X.var()),
        (X == 0).mean(),
        X.mean() * log_rate.mean(),
    ]


def weight_functions(n_k, log_weights):
    return [log_weights.sum(), np.exp(2 * log_weights).sum(), n_k.max(), (n_k == 0).sum(), n_k @ log_weights]


def geweke(true, chain, functions, n_rows=4, n_steps=4000, seed=0):
    """Z scores of label-free functions: prior simulation against a chain that redraws the rows, too.

    The chain starts with a draw of the joint law, which every step must keep.
    """
    rng = np.random.default_rng(seed)
    n_components = 2
    weights = DirichletWeights(1.5)
    starts = unit_starts(None, n_rows)

    def evaluate(X, n_k, log_weights, theta):
        return functions(X, log_weights, theta) + weight_functions(n_k, log_weights)

    def observe(counts, theta):
        X = true.sample(theta, counts, rng)
        source = Source(X, None, chain)
        codes = np.repeat(np.arange(n_components, dtype=np.int32), counts)
        return X, source, source.assign_given(n_components, codes=codes)

    prior, weight_prior = true.prior(n_components), weights.prior(n_components)
    forward = []
    for _ in range(n_steps):
        theta, log_weights = true.draw(prior, rng), weights.draw(weight_prior, rng)
        counts = rng.multinomial(n_rows, np.exp(log_weights))
        X = true.sample(theta, counts, rng)
        forward.append(evaluate(X, counts, log_weights, theta))

    model = Model.build(chain, weights, n_components, Source(X, None, chain))
    sweeper = Sweeper(model, 1)
    X, source, given = observe(counts, theta)
    successive = []
    for _ in range(n_steps):
        (draw,) = sweeper.draw_parameters([given], rng)
        counts = sweeper.draw_labels(source, starts, draw, rng).n_k.astype(int)
        X, source, given = observe(counts, draw.theta)
        successive.append(evaluate(X, counts, draw.log_weights, draw.theta))

    forward, successive = np.array(forward), np.array(successive)
    error = forward.var(axis=0) / n_steps + batch_variance(successive)
    return (successive.mean(axis=0) - forward.mean(axis=0)) / np.sqrt(error)


def batch_variance(trace, n_batches=40):
    """Variance of the mean of a correlated trace (n_steps, ...) by batch means."""
    means = trace[: len(trace) // n_batches * n_batches].reshape(n_batches, -1, *trace.shape[1:]).mean(axis=1)
    return means.var(axis=0, ddof=1) / n_batches


@pytest.mark.slow
@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_geweke_gaussian(covariance_type):
    family = bind(proper_gaussian(Gaussian, covariance_type), 2)
    z = geweke(family, family, gaussian_functions)
    assert np.abs(z).max() < 4, z.round(1)


@pytest.mark.slow
def test_geweke_poisson():
    family = bind(Poisson(shape_prior=2.0, rate_prior=0.5), 2)
    z = geweke(family, family, poisson_functions)
    assert np.abs(z).max() < 4, z.round(1)


@pytest.mark.slow
@pytest.mark.parametrize("covariance_type", ["full", "EEI"])
def test_geweke_catches_half_a_degree_of_freedom(covariance_type):
    true = bind(proper_gaussian(Gaussian, covariance_type), 2)
    wrong = bind(proper_gaussian(ShiftedGaussian, covariance_type), 2)
    assert np.abs(geweke(true, wrong, gaussian_functions)).max() > 5


@pytest.mark.slow
def test_geweke_catches_half_a_count():
    true = bind(Poisson(shape_prior=2.0, rate_prior=0.5), 2)
    wrong = bind(ShiftedPoisson(shape_prior=2.0, rate_prior=0.5), 2)
    assert np.abs(geweke(true, wrong, poisson_functions)).max() > 5


@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_draws_of_a_gaussian_follow_the_normal_wishart(covariance_type):
    d, n = 3, 20000
    rng = np.random.default_rng(0)
    family = bind(proper_gaussian(Gaussian, covariance_type, d), d)
    nu, kappa, mean = 5.5, 2.0, np.array([1.0, -2.0, 0.5])
    root = rng.normal(size=(d, d))
    scatter = {"full": root @ root.T, "tied": root @ root.T, "diag": np.array([1.0, 2.0, 9.0]), "spherical": 3.0}
    scatter |= {"EEI": scatter["diag"], "EII": 3.0}
    scatter, scalar = scatter[covariance_type], covariance_type in ("tied", "EEI", "EII")
    arrays = {"kappa": np.full(n, kappa), "mean": np.tile(mean, (n, 1)), "nu": nu, "scatter": scatter}
    posterior = type(family.prior(1))(arrays, ("nu", "scatter"))
    if not scalar:
        arrays |= {"nu": np.full(n, nu), "scatter": np.repeat(np.asarray(scatter)[None], n, axis=0)}
        posterior = type(posterior)(arrays)
    theta = family.draw(posterior, rng)
    if covariance_type == "full":
        precision = np.swapaxes(theta.factor, 1, 2) @ theta.factor
        scale = np.linalg.inv(scatter)
        wishart = stats.wishart(nu, scale)
        # variances of the entries: nu (V_ij^2 + V_ii V_jj)
        error = np.sqrt(wishart.var() / n)
        assert (np.abs(precision.mean(axis=0) - wishart.mean()) < 5 * error).all()
        spread = ((precision - wishart.mean()) ** 2).mean(axis=0)
        np.testing.assert_allclose(spread, wishart.var(), rtol=0.1)
        reference = np.linalg.slogdet(wishart.rvs(n, random_state=1))[1]
        assert stats.ks_2samp(2.0 * theta.offset, reference).pvalue > 1e-3
        direction = np.array([1.0, 2.0, -1.0])
        ratio = (direction @ precision @ direction) / (direction @ scale @ direction)
        assert stats.kstest(ratio, stats.chi2(nu).cdf).pvalue > 1e-3
    elif not scalar:
        chi2 = theta.factor**2 * scatter
        assert stats.kstest(chi2.ravel(), stats.chi2(nu).cdf).pvalue > 1e-3
    deviation = np.sqrt(kappa) * family._structure.whiten(theta.factor, theta.mean - mean)
    assert stats.kstest(deviation.ravel(), stats.norm.cdf).pvalue > 1e-3
    log_det = family._structure.log_det(theta.factor, d)
    np.testing.assert_allclose(theta.offset, np.broadcast_to(log_det, n), rtol=1e-12)


# -- the law of the draws: every labelling of few rows -----------------------------------------------------------------


def log_niw(X, prior_mean, kappa, nu, scatter):
    """Log marginal likelihood of rows under a normal-inverse-Wishart prior, written out."""
    n, d = X.shape
    if n == 0:
        return 0.0
    mean = X.mean(axis=0)
    gap = mean - prior_mean
    after = scatter + (X - mean).T @ (X - mean) + kappa * n / (kappa + n) * np.outer(gap, gap)
    return (
        -0.5 * n * d * np.log(np.pi)
        + multigammaln(0.5 * (nu + n), d) - multigammaln(0.5 * nu, d)
        + 0.5 * nu * np.linalg.slogdet(scatter)[1] - 0.5 * (nu + n) * np.linalg.slogdet(after)[1]
        + 0.5 * d * np.log(kappa / (kappa + n))
    )  # fmt: skip


def log_gamma_poisson(X, a, b):
    """Log marginal likelihood of counts under Gamma(a, b) rates."""
    n, total = len(X), X.sum(axis=0)
    terms = a * np.log(b) - gammaln(a) + gammaln(a + total) - (a + total) * np.log(b + n)
    return terms.sum() - gammaln(X + 1.0).sum()


def log_labels(z, n_components, alpha):
    n_k = np.bincount(z, minlength=n_components)
    return (
        gammaln(n_components * alpha) - gammaln(len(z) + n_components * alpha)
        + (gammaln(n_k + alpha) - gammaln(alpha)).sum()
    )  # fmt: skip


FEW = {
    "gaussian": (
        np.array([[0.0, 0.3], [0.4, -0.2], [1.9, 1.0], [1.2, 1.8], [2.6, 1.5], [0.9, 0.8], [-0.6, 0.1]]),
        proper_gaussian(Gaussian, "full").set_params(covariance_prior=np.array([[1.0, 0.2], [0.2, 0.8]])),
        lambda X: log_niw(X, np.array([0.0, 1.0]), 0.5, 4.0, np.array([[1.0, 0.2], [0.2, 0.8]])),
    ),
    "poisson": (
        np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 4.0], [5.0, 3.0], [1.0, 2.0], [3.0, 6.0]]),
        Poisson(shape_prior=1.5, rate_prior=0.7),
        lambda X: log_gamma_poisson(X, 1.5, 0.7),
    ),
    "exponential": (
        np.array([[0.1, 1.0], [0.9, 0.2], [2.0, 4.0], [5.0, 3.0], [0.3, 0.2], [3.0, 6.0]]),
        Exponential(shape_prior=1.5, rate_prior=0.7),
        lambda X: (
            1.5 * np.log(0.7) - gammaln(1.5) + gammaln(1.5 + len(X)) - (1.5 + len(X)) * np.log(0.7 + X.sum(axis=0))
        ).sum(),
    ),
    "negative binomial": (
        np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 4.0], [9.0, 3.0], [1.0, 2.0], [3.0, 12.0]]),
        NegativeBinomial(0.5, shape_prior=1.5, rate_prior=0.7),
        lambda X: (betaln(2.4 + 2.0 * len(X), 1.5 + X.sum(axis=0)) - betaln(2.4, 1.5) + np.log1p(X).sum(axis=0)).sum(),
    ),
}


@pytest.mark.parametrize("name", FEW)
def test_labels_follow_the_enumerated_posterior(name):
    X, family, log_marginal = FEW[name]
    n, n_components, alpha = len(X), 2, 1.2
    labellings = [np.array(z) for z in itertools.product(range(n_components), repeat=n)]
    log_joint = np.array([log_labels(z, 2, alpha) + sum(log_marginal(X[z == k]) for k in range(2)) for z in labellings])
    probability = np.exp(log_joint - logsumexp(log_joint))
    together = sum(p * (z[:, None] == z) for p, z in zip(probability, labellings, strict=True))
    alone = probability[[z.min() == z.max() for z in labellings]].sum()

    mixture = GibbsMixture(
        n_components, family=family, n_chains=2, n_draws=3000, n_burn_in=50, weight_concentration_prior=alpha,
        max_predictive_draws=None, random_state=0,
    ).fit(X)  # fmt: skip
    # the trace holds exact values of log p(x, z), nothing else
    trace = mixture.draws_["log_joint"]
    nearest = np.abs(trace[:, :, None] - np.unique(log_joint.round(9))).min(axis=2)
    assert nearest.max() < 1e-8
    assert mixture.log_joint_ == pytest.approx(log_joint.max(), abs=1e-8)
    # P(z_i = z_j | theta) averaged over draws: a mean over the chain with no labels in it
    source = Source(X, None, mixture.family_)
    resp = np.stack([one_draw(mixture, draw)._resp(source) for draw in mixture._kept])
    same = np.einsum("sik,sjk->sij", resp, resp).reshape(2, -1, n, n)
    off = ~np.eye(n, dtype=bool)
    error = np.sqrt(np.mean([batch_variance(chain) for chain in same], axis=0) / 2)
    z = (same.mean(axis=(0, 1)) - together)[off] / error[off]
    assert np.abs(z).max() < 4
    assert error[off].max() < 0.02
    one = (mixture.draws_["n_occupied"] == 1).astype(float)
    assert abs(one.mean() - alone) < 4 * np.sqrt(np.mean([batch_variance(chain) for chain in one]) / 2)


def test_one_component_has_the_closed_form_posterior():
    rng = np.random.default_rng(1)
    X = 50.0 + rng.normal(size=(12, 2)) @ np.array([[2.0, 0.0], [1.0, 0.5]])
    prior_mean, kappa0, nu0, scatter0 = np.array([49.0, 50.0]), 0.5, 6.0, np.array([[3.0, 0.5], [0.5, 1.0]])
    family = Gaussian(
        mean_prior=prior_mean, mean_precision_prior=kappa0, degrees_of_freedom_prior=nu0, covariance_prior=scatter0
    )
    mixture = GibbsMixture(1, family=family, n_burn_in=0, n_draws=1500, random_state=0).fit(X)
    n, mean, gap = len(X), X.mean(axis=0), X.mean(axis=0) - prior_mean
    kappa, nu = kappa0 + n, nu0 + n
    scatter = scatter0 + (X - mean).T @ (X - mean) + kappa0 * n / kappa * np.outer(gap, gap)
    expected = scatter / (nu - 2 - 1)

    def z(draws, value):
        draws = draws.reshape(-1, *draws.shape[3:])
        return (draws.mean(axis=0) - value) / (draws.std(axis=0) / np.sqrt(len(draws)))

    means, covariances = mixture.draws_["means"], mixture.draws_["covariances"]
    middle = (kappa0 * prior_mean + n * mean) / kappa
    assert np.abs(z(means, middle)).max() < 4
    assert np.abs(z(covariances, expected)).max() < 4
    deviation = means - middle
    assert np.abs(z(deviation[..., :, None] * deviation[..., None, :], expected / kappa)).max() < 4
    np.testing.assert_array_equal(mixture.draws_["weights"], 1.0)
    np.testing.assert_allclose(mixture.draws_["log_joint"], log_niw(X, prior_mean, kappa0, nu0, scatter0), rtol=1e-11)
    np.testing.assert_allclose(mixture.means_, means.mean(axis=(0, 1)), rtol=1e-14)
    np.testing.assert_allclose(mixture.covariances_, covariances.mean(axis=(0, 1)), rtol=1e-14)
