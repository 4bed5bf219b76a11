"""GibbsMixture: right law, same draws for the same weighted set, relabelled summaries."""

import itertools
import sys
import types

import numpy as np
import pytest
from scipy import stats
from scipy.special import betaln, gammaln, logsumexp, multigammaln
from sklearn.base import clone
from sklearn.datasets import load_iris

from skem import GibbsMixture
from skem.engine import Source
from skem.exceptions import DegenerateComponentWarning
from skem.families import Exponential, Family, Gaussian, NegativeBinomial, Poisson
from skem.inference.base import Model
from skem.inference.gibbs import Gibbs, Sweeper, match, unit_starts
from skem.starts import start
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
@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_geweke_catches_half_a_degree_of_freedom(covariance_type):
    true = bind(proper_gaussian(Gaussian, covariance_type), 2)
    wrong = bind(proper_gaussian(ShiftedGaussian, covariance_type), 2)
    # one variance for all rests on so many degrees of freedom that half of one takes longer to show
    n_steps = 16_000 if covariance_type == "EII" else 4_000
    assert np.abs(geweke(true, wrong, gaussian_functions, n_steps=n_steps)).max() > 5


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
    resp = np.stack([_one(mixture, draw)._resp(source) for draw in mixture._kept])
    same = np.einsum("sik,sjk->sij", resp, resp).reshape(2, -1, n, n)
    off = ~np.eye(n, dtype=bool)
    error = np.sqrt(np.mean([batch_variance(chain) for chain in same], axis=0) / 2)
    z = (same.mean(axis=(0, 1)) - together)[off] / error[off]
    assert np.abs(z).max() < 4
    assert error[off].max() < 0.02
    one = (mixture.draws_["n_occupied"] == 1).astype(float)
    assert abs(one.mean() - alone) < 4 * np.sqrt(np.mean([batch_variance(chain) for chain in one]) / 2)


def _one(mixture, draw):
    """The mixture with one of its draws alone."""
    own = clone(mixture)
    own.family_, own._kept = mixture.family_, [draw]
    return own


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


# -- the weighted set decides ------------------------------------------------------------------------------------------


def short(n_components=3, **params):
    return GibbsMixture(n_components, **{"n_chains": 2, "n_draws": 30, "n_burn_in": 20, "random_state": 0} | params)


def iris():
    return np.ascontiguousarray(load_iris().data)


@pytest.mark.parametrize("family", [Gaussian(), Gaussian("tied"), Gaussian("spherical"), Poisson()], ids=str)
@pytest.mark.parametrize("init", ["k-means", "k-means++", "random"])
def test_order_and_repetition_of_rows_change_no_bit(family, init):
    X = np.round(iris())
    rng = np.random.default_rng(0)
    weight = rng.integers(0, 4, size=len(X))
    repeated = rng.permutation(np.repeat(np.arange(len(X)), weight))
    shuffle = rng.permutation(len(X))
    weighted = short(family=family, init=init).fit(X, sample_weight=weight)
    for other in (
        short(family=family, init=init).fit(X[repeated]),
        short(family=family, init=init).fit(X[shuffle], sample_weight=weight[shuffle]),
    ):
        assert weighted.draws_.keys() == other.draws_.keys()
        for name, values in weighted.draws_.items():
            np.testing.assert_array_equal(values, other.draws_[name])
        np.testing.assert_array_equal(weighted.predict_proba(X), other.predict_proba(X))
    np.testing.assert_array_equal(weighted.labels_[repeated], short(family=family, init=init).fit(X[repeated]).labels_)


def test_large_data_are_canonical_by_hash():
    rng = np.random.default_rng(0)
    X = np.round(rng.normal(size=(20000, 2)), 3)
    X[::2] += 4
    shuffle = rng.permutation(len(X))
    one, other = (short(2, n_draws=3, n_burn_in=2).fit(rows) for rows in (X, X[shuffle]))
    np.testing.assert_array_equal(one.draws_["means"], other.draws_["means"])
    np.testing.assert_array_equal(one.labels_[shuffle], other.labels_)


@pytest.mark.parametrize("weight", [0.5, 1e300])
def test_weights_that_count_no_labels_are_refused(weight):
    X = iris()
    weights = np.ones(len(X))
    weights[7] = weight
    mixture = short().fit(X)
    before = dict(vars(mixture))
    with pytest.raises(ValueError, match=r"sample_weight\[7\] = 0.5|sums to 1e\+300"):
        mixture.fit(X, sample_weight=weights)
    assert vars(mixture) == before


def test_a_row_too_far_out_is_named_by_its_place():
    X = iris()[:20]
    X[11, 2] = 1e140
    with pytest.raises(ValueError, match=r"X\[11, 2\] = 1e\+140"):
        short(2).fit(X)


def test_chains_start_apart_and_seeds_repeat():
    X = iris()
    one, again, other = (short(init="random", random_state=seed).fit(X) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.draws_["log_joint"], again.draws_["log_joint"])
    assert (one.draws_["log_joint"] != other.draws_["log_joint"]).any()
    first = short(init="random", random_state=3, n_burn_in=0, n_draws=1).fit(X).draws_["log_joint"]
    assert first[0] != first[1]


# -- labels ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_matching_undoes_any_permutation(covariance_type):
    X, n_components = iris(), 4
    family = Gaussian(covariance_type)
    mixture = short(n_components, family=family).fit(X)
    family = mixture.family_
    source = Source(X, None, family)
    model = Model.build(family, DirichletWeights(1.0), n_components, source)
    rng = np.random.default_rng(0)
    givens = [start(source, n_components, "k-means", rng)]
    chains = Gibbs(n_draws=40, n_burn_in=10).sample(model, source, givens, rng)
    orders = match(model, chains.pivot, chains.log_weights[0], chains.thetas[0])
    for _ in range(5):
        shuffle = rng.permutation(n_components)
        shuffled = [theta.take(shuffle) for theta in chains.thetas[0]]
        again = match(model, chains.pivot, chains.log_weights[0][:, shuffle], shuffled)
        np.testing.assert_array_equal(shuffle[again], orders)


def test_relabelled_chains_agree_on_well_separated_clusters():
    rng = np.random.default_rng(0)
    centres = np.array([[0.0, 0.0], [30.0, 0.0], [0.0, 30.0]])
    truth = np.repeat([0, 1, 2], [40, 30, 20])
    X = centres[truth] + rng.normal(size=(90, 2))
    # the chains call the clusters by different names
    starts = [np.random.default_rng(seed).permutation(3)[truth] for seed in range(4)]
    fits = [short(init=labels, n_chains=4, n_draws=50).fit(X) for labels in starts]
    fits.append(short(init="k-means++", n_chains=6, n_draws=50, random_state=1).fit(X))
    for mixture in fits:
        means = mixture.draws_["means"]
        assert np.abs(means - means.mean(axis=(0, 1))).max() < 2.0
        order = [np.argmin(((mixture.means_ - centre) ** 2).sum(axis=1)) for centre in centres]
        assert sorted(order) == [0, 1, 2]
        np.testing.assert_array_equal(mixture.labels_, np.array(order)[truth])
        np.testing.assert_allclose(mixture.weights_[order], [0.44, 0.33, 0.23], atol=0.03)
        np.testing.assert_array_equal(mixture.draws_["n_occupied"], 3)


def test_components_never_met_are_left_out():
    rng = np.random.default_rng(0)
    X = np.repeat([[0.0, 0.0], [30.0, 0.0], [0.0, 30.0]], 40, axis=0) + rng.normal(size=(120, 2))
    mixture = short(12, weight_concentration_prior=0.1, n_draws=20).fit(X)
    met = mixture.n_components_
    assert 3 <= met < 12
    np.testing.assert_array_equal(np.unique(mixture.labels_), np.arange(mixture.labels_.max() + 1))
    np.testing.assert_allclose(mixture.draws_["weights"].sum(axis=2), 1.0, rtol=1e-13)
    assert mixture.draws_["means"].shape == (2, 20, met, 2)
    assert mixture.predict_proba(X).shape == (120, met)
    # some draws occupied components that own no row in the mean: these come last
    mixture = short(8).fit(iris())
    owning = len(np.unique(mixture.labels_))
    assert owning < mixture.n_components_
    np.testing.assert_array_equal(np.unique(mixture.labels_), np.arange(owning))
    with pytest.warns(DegenerateComponentWarning, match="10 distinct rows"):
        few = short(20, n_draws=5).fit(X[:10])
    assert few.n_components_ <= 20
    assert np.isfinite(few.score_samples(X)).all()


# -- predictions -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_predictions_belong_together(covariance_type, dtype):
    X = iris().astype(dtype)
    mixture = short(4, family=Gaussian(covariance_type)).fit(X)
    resp = mixture.predict_proba(X)
    assert resp.dtype == dtype
    np.testing.assert_allclose(resp.sum(axis=1), 1.0, atol=4 * np.finfo(dtype).eps)
    np.testing.assert_array_equal(mixture.predict(X), mixture.labels_)
    if dtype == np.float64:
        np.testing.assert_array_equal(resp.argmax(axis=1), mixture.labels_)
    np.testing.assert_allclose(np.exp(mixture.predict_log_proba(X)), resp, atol=1e-13 if dtype == np.float64 else 1e-6)
    far = np.array([[1e300] * 4, [-1e300, 1e300, 0.0, 0.0]], dtype=np.float64)
    if dtype == np.float64:
        assert np.isfinite(mixture.predict_log_proba(far)).all()
        assert np.isfinite(mixture.score_samples(far)).all()
        np.testing.assert_allclose(mixture.predict_proba(far).sum(axis=1), 1.0, atol=4e-16 * 4)


def test_density_is_the_mean_over_draws():
    X = iris() * 100.0
    mixture = short(max_predictive_draws=None).fit(X)
    weights, means, covariances = (mixture.draws_[name] for name in ("weights", "means", "covariances"))
    terms = [
        np.log(weights[c, s, k]) + stats.multivariate_normal(means[c, s, k], covariances[c, s, k]).logpdf(X)
        for c, s, k in np.ndindex(weights.shape)
    ]
    expected = logsumexp(terms, axis=0) - np.log(weights.shape[0] * weights.shape[1])
    np.testing.assert_allclose(mixture.score_samples(X), expected, rtol=1e-9)
    thinned = clone(mixture).set_params(max_predictive_draws=7).fit(X)
    assert len(thinned._kept) == 7
    np.testing.assert_allclose(thinned.score_samples(X).mean(), expected.mean(), rtol=0.01)


def test_log_likelihood_trace_is_that_of_the_draws():
    X = np.round(iris())
    weight = np.arange(len(X)) % 3
    mixture = short(2, family=Poisson(), max_predictive_draws=None).fit(X, sample_weight=weight)
    assert mixture.n_components_ == 2
    for own, value in zip(mixture._kept, mixture.draws_["log_likelihood"].ravel(), strict=True):
        assert weight @ _scores(mixture, own, X) == pytest.approx(value, rel=1e-11)


def _scores(mixture, draw, X):
    one = _one(mixture, draw)
    one.n_features_in_, one._theta, one._log_weights = X.shape[1], draw[1], draw[0]
    return one.score_samples(X)


def test_samples_come_from_the_predictive():
    X = iris()
    mixture = short(2, n_draws=200).fit(X)
    rows, labels = mixture.sample(20000, random_state=0)
    assert rows.shape == (20000, 4)
    assert labels.dtype == np.int32
    assert (np.diff(labels) >= 0).all()
    np.testing.assert_allclose(np.bincount(labels) / 20000, mixture.weights_, atol=0.015)
    np.testing.assert_allclose(rows.mean(axis=0), mixture.weights_ @ mixture.means_, atol=0.1)
    again = mixture.sample(20000, random_state=0)
    np.testing.assert_array_equal(rows, again[0])
    with pytest.raises(ValueError, match="n_samples"):
        mixture.sample(0)


def test_from_parameters_is_one_draw():
    mixture = GibbsMixture.from_parameters(weights=[0.25, 0.75], means=[[0.0], [4.0]], covariances=np.ones((2, 1, 1)))
    expected = 0.25 * stats.norm.pdf(1.0) + 0.75 * stats.norm.pdf(-3.0)
    assert mixture.score_samples([[1.0]])[0] == pytest.approx(np.log(expected), rel=1e-12)
    assert mixture.predict([[1.0], [3.0]]).tolist() == [0, 1]
    assert mixture.sample(5, random_state=0)[0].shape == (5, 1)
    with pytest.raises(Exception, match="not fitted"):
        mixture.to_arviz()


# -- the estimator -----------------------------------------------------------------------------------------------------


def test_what_a_sampler_has_no_use_for_is_no_parameter():
    assert not {"n_init", "tol", "max_iter", "warm_start"} & set(GibbsMixture().get_params())
    assert not hasattr(short().fit(iris()), "converged_")


def test_starts_may_be_given():
    X = iris()
    labels = load_iris().target
    fits = [short(init=labels), short(init=np.eye(3)[labels])]
    parameters = {"means": [X[labels == k].mean(axis=0) for k in range(3)], "covariances": [np.eye(4) * 0.1] * 3}
    fits = [mixture.fit(X) for mixture in [*fits, short(init=parameters)]]
    np.testing.assert_allclose(fits[0].draws_["means"], fits[1].draws_["means"], rtol=1e-9)
    assert fits[2].n_iter_ == 50
    with pytest.raises(ValueError, match="init has shape"):
        short(init=labels[:-1]).fit(X)


def test_a_family_without_draws_is_refused():
    class Points(Family):
        """Can be estimated, but not drawn."""

        def mle(self, stats, theta=None):
            raise AssertionError

    with pytest.raises(TypeError, match=r"Points\(\) offers no prior, draw"):
        short(family=Points()).fit(iris())


def test_flat_data_warn_and_stay_finite():
    X = np.column_stack([iris()[:, 0], np.full(150, 3.0)])
    with pytest.warns(DegenerateComponentWarning, match="rows as a whole"):
        mixture = short(2).fit(X)
    assert mixture.degenerate_
    assert all(np.isfinite(values).all() for values in mixture.draws_.values())
    assert np.isfinite(mixture.score_samples(X)).all()


def test_a_report_may_end_the_chains():
    X = iris()
    family = Gaussian()
    mixture = short().fit(X)
    family = mixture.family_
    source = Source(X, None, family)
    model = Model.build(family, DirichletWeights(1.0), 3, source)
    rng = np.random.default_rng(0)
    givens = [start(source, 3, "k-means", rng) for _ in range(2)]
    seen = []

    def report(n_iter, objective, state):
        seen.append((n_iter, objective, state.evidence + model.log_base))
        return n_iter >= 100

    chains = Gibbs(n_draws=500, n_burn_in=60).sample(model, source, givens, rng, report)
    assert [n_iter for n_iter, *_ in seen] == [50, 100]
    assert all(objective == value for _, objective, value in seen)
    assert chains.n_iter == 100
    assert chains.log_joint.shape == (2, 40)
    # asked to stop in the burn-in, it goes on to the first draw
    chains = Gibbs(n_draws=500, n_burn_in=60).sample(model, source, givens, rng, lambda *_: True)
    assert chains.log_joint.shape == (2, 1)


def test_verbose_reports_blocks_of_sweeps(capsys):
    short(verbose=1, n_draws=100, n_burn_in=50).fit(iris())
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0].strip() for line in lines[1:]] == ["iteration 50", "iteration 100", "iteration 150"]


class Watcher:
    """Scores the estimator as fitted so far at the end of every block of sweeps."""

    def __init__(self, X, last=None):
        self.X, self.last, self.scores = X, last, []

    def setup(self, estimator, context):
        pass

    teardown = on_fit_task_begin = setup

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        if context.task_name != "iteration":
            return False
        assert fitted_estimator.draws_["weights"].shape[:2] == (1, 1)
        assert not hasattr(estimator, "draws_")
        self.scores.append(fitted_estimator.score(self.X))
        return len(self.scores) == self.last


def test_callbacks_see_the_best_chain_so_far_and_may_stop():
    pytest.importorskip("sklearn.callback", reason="scikit-learn < 1.9 has no callbacks")
    X = iris()
    watcher = Watcher(X)
    whole = short(n_draws=130).set_callbacks(watcher).fit(X)
    assert len(watcher.scores) == 3
    np.testing.assert_allclose(watcher.scores, whole.score(X), atol=0.2)
    stopped = short(n_draws=130).set_callbacks(Watcher(X, last=2)).fit(X)
    assert stopped.n_iter_ == 100
    np.testing.assert_array_equal(stopped.draws_["log_joint"], whole.draws_["log_joint"][:, :80])


def old_arviz(posterior=None):
    return "old", posterior


def new_arviz(data):
    return "new", data["posterior"]


@pytest.mark.parametrize(
    ("module", "function"), [("arviz", old_arviz), ("arviz", new_arviz), ("arviz_base", new_arviz)]
)
def test_arviz_of_either_generation(monkeypatch, module, function):
    mixture = short().fit(iris())
    for name in ("arviz", "arviz_base"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match="pip install arviz"):
        mixture.to_arviz()
    fake = types.ModuleType(module)
    fake.from_dict = function
    monkeypatch.setitem(sys.modules, module, fake)
    generation, posterior = mixture.to_arviz()
    assert generation == function.__name__[:3]
    assert posterior is mixture.draws_
