"""Objectives against formulas written again from METHODS 3 and 4, in plain sums of the rows."""

from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest
from families_under_test import CASES, DIRICHLET, LOG_2PI, POINT_CASES, Problem, groups, law, outcomes
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as sps
from scipy.special import betaln, digamma, gammaln, logsumexp, multigammaln

from skem import BayesianKMeans, EMMixture, ICMMixture, MAPMixture, VariationalMixture
from skem.engine import Source
from skem.inference.hard import MaximizationExpectation
from skem.inference.model import Model
from skem.inference.variational import VariationalBayes
from skem.weights import DirichletWeights

every = law("prior", "log_normalizer")
PRODUCTS = {case.name: case.blocks for case in CASES if case.blocks}


# --- formulas -------------------------------------------------------------------------------------


def hyper(p):
    """Prior of one component as plain numbers, of a product by block."""
    if p.case.blocks:
        return {block: hyper(SimpleNamespace(case=own, prior=p.prior.parts[block])) for block, own, _ in p.case.blocks}
    one = p.prior.take([0]) if not p.prior.shared else p.prior
    return {name: value[0] if name not in p.prior.shared else value for name, value in one.to_dict()["arrays"].items()}


def posterior_sums(h, Z, w):
    """n, kappa, mean and the grown scatter matrix (METHODS 3.1) of weighted rows."""
    n = w.sum()
    kappa = h["kappa"] + n
    mean = (h["kappa"] * h["mean"] + w @ Z) / kappa
    grown = (Z.T * w) @ Z + h["kappa"] * np.outer(h["mean"], h["mean"]) - kappa * np.outer(mean, mean)
    return n, kappa, mean, grown


def log_coefficient(name, Z):
    """Log of the multinomial coefficient of each row, where there is one."""
    return gammaln(Z.sum(axis=1) + 1.0) - gammaln(Z + 1.0).sum(axis=1) if name == "multinomial" else np.zeros(len(Z))


SHARED = ("tied", "EEI", "EII")  # one covariance for all components
MATRICES = ("full", "tied", "VEE", "EVE", "VVE", "EEV", "VEV", "EVV")
COLUMNS = ("diag", "EEI", "VEI", "EVI")
WAITING = ("toy", "toy_by_density", "exponential")  # exponential, as they are or squared


def waited(name, Z):
    """What is exponential, and the log base measure of each row."""
    return (Z, np.zeros(len(Z))) if name == "exponential" else (Z**2, np.log(2.0 * Z).sum(axis=1))


def twofold(Z):
    """Log base measure of counts whose Gamma shape is two: sum log (x + 1)."""
    return np.log1p(Z).sum(axis=1)


def log_scatter_evidence(name, h, n, grown):
    """The part of the evidence that a covariance seen by n rows with this grown scatter has."""
    d = len(grown)
    if name in MATRICES:
        nu = h["nu"] + n
        value = 0.5 * n * d * np.log(2.0) + multigammaln(nu / 2, d) - multigammaln(h["nu"] / 2, d)
        value += h["nu"] / 2 * np.linalg.slogdet(h["scatter"])[1]
        return value - nu / 2 * np.linalg.slogdet(h["scatter"] + grown)[1]
    by_column = name in COLUMNS
    a0, a, b0 = h["nu"] / 2, h["nu"] / 2 + n * (1 if by_column else d) / 2, h["scatter"] / 2
    b = b0 + (np.diag(grown) if by_column else np.trace(grown)) / 2
    return (a0 * np.log(b0) - a * np.log(b) + gammaln(a) - gammaln(a0)).sum()


def log_marginal(name, h, Z, resp):
    """Log evidence of rows with (weighted) responsibilities (n, K), base measure included."""
    if name in PRODUCTS:
        return sum(log_marginal(own.name, h[block], Z[:, at], resp) for block, own, at in PRODUCTS[name])
    d, K = Z.shape[1], resp.shape[1]
    total, shared = 0.0, 0.0
    for k in range(K):
        w = resp[:, k]
        if name == "poisson":
            a, b = h["total"] + w @ Z, h["n"] + w.sum()
            total += (h["total"] * np.log(h["n"]) - gammaln(h["total"]) + gammaln(a) - a * np.log(b)).sum()
            total -= w @ gammaln(Z + 1.0).sum(axis=1)
        elif name == "negative_binomial":
            a0, b0 = 1.0 + 2.0 * h["n"], h["total"]
            total += (betaln(a0 + 2.0 * w.sum(), b0 + w @ Z) - betaln(a0, b0)).sum() + w @ twofold(Z)
        elif name in DIRICHLET:
            a0 = groups(name, h["total"][None])[0]
            a = a0 + np.tensordot(w, outcomes(name, Z), axes=1)
            total += (gammaln(a) - gammaln(a0)).sum()
            total -= (gammaln(a.sum(axis=1)) - gammaln(a0.sum(axis=1))).sum()
            total += w @ log_coefficient(name, Z)
        elif name in WAITING:
            seen, base = waited(name, Z)
            a, b = h["n"] + w.sum(), h["total"] + w @ seen
            total += (h["n"] * np.log(h["total"]) - gammaln(h["n"]) + gammaln(a) - a * np.log(b)).sum() + w @ base
        else:
            n, kappa, _, grown = posterior_sums(h, Z, w)
            total += 0.5 * d * np.log(h["kappa"] / kappa) - 0.5 * n * d * LOG_2PI
            shared = shared + grown
            if name not in SHARED:
                total += log_scatter_evidence(name, h, n, grown)
    return total + (log_scatter_evidence(name, h, resp.sum(), shared) if name in SHARED else 0.0)


def log_weights_term(alpha, n_k):
    """METHODS 3.8."""
    K, n = len(n_k), n_k.sum()
    return gammaln(K * alpha) - gammaln(n + K * alpha) + (gammaln(n_k + alpha) - gammaln(alpha)).sum()


def expected_scores(name, h, Z, resp):
    """E_q log p(x | theta_k) of every row and component, q from these responsibilities (METHODS 3.1-3.7)."""
    if name in PRODUCTS:
        return sum(expected_scores(own.name, h[block], Z[:, at], resp) for block, own, at in PRODUCTS[name])
    d, columns = Z.shape[1], []
    total = sum(posterior_sums(h, Z, w)[3] for w in resp.T) if name in SHARED else 0.0
    for w in resp.T:
        if name == "poisson":
            a, b = h["total"] + w @ Z, h["n"] + w.sum()
            columns.append(Z @ (digamma(a) - np.log(b)) - (a / b).sum() - gammaln(Z + 1.0).sum(axis=1))
            continue
        if name == "negative_binomial":
            a, b = 1.0 + 2.0 * (h["n"] + w.sum()), h["total"] + w @ Z
            both = digamma(a + b)
            columns.append(Z @ (digamma(b) - both) + 2.0 * (digamma(a) - both).sum() + twofold(Z))
            continue
        if name in DIRICHLET:
            seen = outcomes(name, Z)
            a = groups(name, h["total"][None])[0] + np.tensordot(w, seen, axes=1)
            expected = digamma(a) - digamma(a.sum(axis=1, keepdims=True))
            columns.append((seen * expected).sum(axis=(1, 2)) + log_coefficient(name, Z))
            continue
        if name in WAITING:
            seen, base = waited(name, Z)
            a, b = h["n"] + w.sum(), h["total"] + w @ seen
            columns.append((digamma(a) - np.log(b)).sum() - seen @ (a / b) + base)
            continue
        n, kappa, mean, grown = posterior_sums(h, Z, w)
        z = Z - mean
        if name in SHARED:
            n, grown = resp.sum(), total
        if name in MATRICES:
            nu, S = h["nu"] + n, h["scatter"] + grown
            log_det = digamma((nu - np.arange(d)) / 2).sum() + d * np.log(2.0) - np.linalg.slogdet(S)[1]
            square = d / kappa + nu * np.einsum("ni,ij,nj->n", z, np.linalg.inv(S), z)
        elif name in COLUMNS:
            a, b = (h["nu"] + n) / 2, (h["scatter"] + np.diag(grown)) / 2
            log_det = (digamma(a) - np.log(b)).sum()
            square = d / kappa + z**2 @ (a / b)
        else:
            a, b = (h["nu"] + n * d) / 2, (h["scatter"] + np.trace(grown)) / 2
            log_det = d * (digamma(a) - np.log(b))
            square = d / kappa + a / b * (z**2).sum(axis=1)
        columns.append(0.5 * (log_det - d * LOG_2PI - square))
    return np.stack(columns, axis=1)


def dirichlet_kl(alpha, n_k):
    a, a0 = alpha + n_k, np.full(len(n_k), alpha)
    value = gammaln(a.sum()) - gammaln(a).sum() - gammaln(a0.sum()) + gammaln(a0).sum()
    return value + (a - a0) @ (digamma(a) - digamma(a.sum()))


# --- Bayesian k-means -----------------------------------------------------------------------------


# rows fewer than columns are flat and runs are cut short, which is told and changes no formula
@pytest.mark.filterwarnings("ignore::skem.exceptions.DegenerateComponentWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@settings(max_examples=200)
@given(
    case=st.sampled_from(CASES), n=st.integers(3, 40), d=st.integers(1, 4), K=st.integers(1, 5),
    alpha=st.sampled_from([0.3, 1.0, 2.0]), max_iter=st.sampled_from([0, 1, 2, 4, 1000]), weighted=st.booleans(),
    seed=st.integers(0, 2**16),
)  # fmt: skip
def test_bayesian_k_means_reaches_log_p_x_z(case, n, d, K, alpha, max_iter, weighted, seed):
    p = Problem(case, seed, n, d, min(K, n))
    weight = p.weight if weighted else None
    mixture = BayesianKMeans(
        K, family=case.family, weight_concentration_prior=alpha, init="random", max_iter=max_iter, random_state=seed
    ).fit(p.X, sample_weight=weight)
    assert len(mixture.lower_bounds_) == mixture.n_iter_ + 1
    assert mixture.n_iter_ <= max_iter
    # the formulas want the coordinates and the prior that the fit chose
    family = mixture.family_
    p.prior = family.prior(K)
    w = np.ones(n) if weight is None else weight
    resp = (mixture.labels_[:, None] == np.arange(K)) * w[:, None]
    expected = log_marginal(case.name, hyper(p), family.summary_.to_internal(p.X), resp)
    expected += log_weights_term(alpha, resp.sum(axis=0)) - w.sum() * np.log(family.summary_.scale).sum()
    assert mixture.lower_bound_ * w.sum() == pytest.approx(expected, rel=1e-9, abs=1e-9)
    occupied = len(np.unique(mixture.labels_))
    labellings = gammaln(K + 1) - gammaln(K - occupied + 1)
    assert mixture.log_evidence_ == pytest.approx(expected + labellings, rel=1e-9, abs=1e-9)
    # the end is optimal for single moves of distinct rows
    if family.collapsed_kind is not None and mixture.converged_:
        i = seed % n
        for k in range(K):
            other = resp.copy()
            other[i] = w[i] * (np.arange(K) == k)
            value = log_marginal(case.name, hyper(p), family.summary_.to_internal(p.X), other)
            value += log_weights_term(alpha, other.sum(axis=0)) - w.sum() * np.log(family.summary_.scale).sum()
            twins = (p.X[i] == p.X).all(axis=1).sum() > 1
            assert twins or value <= expected + 1e-8 * max(1.0, abs(expected))


@every
def test_rows_without_weight_are_labelled_like_new_ones(case):
    p = Problem(case, 5, n=60)
    p.weight[::4] = 0.0
    mixture = BayesianKMeans(3, family=case.family, init="random", random_state=0).fit(p.X, sample_weight=p.weight)
    np.testing.assert_array_equal(mixture.labels_, mixture.predict(p.X))
    alone = BayesianKMeans(3, family=case.family, init="random", random_state=0).fit(
        p.X[p.weight > 0], sample_weight=p.weight[p.weight > 0]
    )
    assert alone.lower_bound_ == pytest.approx(mixture.lower_bound_, rel=1e-12)


# --- the bound ------------------------------------------------------------------------------------


@every
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_variational_bound_is_its_expectations_and_entropies(case, seed):
    p = Problem(case, seed, n=40)
    alpha, w = 0.7, p.weight
    source = Source(p.X, w, p.family)
    model = Model.build(p.family, DirichletWeights(alpha), 2, source)
    algorithm = VariationalBayes(tol=0.0, max_iter=2)
    first = p.rng.dirichlet(np.ones(2), size=40)
    state = algorithm.start(model, source.assign_given(2, resp=first))
    h, Z, resp = hyper(p), p.internal, first * w[:, None]
    for objective in algorithm.run(model, source, state).objectives:
        # q(theta) and q(pi) come from the last responsibilities, q(z) is the best for them
        n_k = resp.sum(axis=0)
        scores = expected_scores(case.name, h, Z, resp) + digamma(alpha + n_k) - digamma(2 * alpha + n_k.sum())
        divergence = dirichlet_kl(alpha, n_k)
        divergence += (resp * expected_scores(case.name, h, Z, resp)).sum() - log_marginal(case.name, h, Z, resp)
        q = np.exp(scores - logsumexp(scores, axis=1, keepdims=True))
        entropy = -(w[:, None] * q * np.log(q)).sum()
        bound = (w[:, None] * q * scores).sum() + entropy - divergence
        bound -= w.sum() * np.log(p.family.summary_.scale).sum()
        assert objective == pytest.approx(bound, rel=1e-10)
        resp = w[:, None] * q


@every
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_log_p_x_z_is_below_the_bound_and_that_below_the_evidence(case, seed):
    p = Problem(case, seed, n=9, d=2)
    alpha = 1.0
    source = Source(p.X, None, p.family)
    model = Model.build(p.family, DirichletWeights(alpha), 2, source)
    h, Z = hyper(p), p.internal
    jacobian = 9 * np.log(p.family.summary_.scale).sum()
    values = []
    for labels in product(range(2), repeat=9):
        resp = np.eye(2)[list(labels)]
        values.append(log_marginal(case.name, h, Z, resp) + log_weights_term(alpha, resp.sum(axis=0)) - jacobian)
    evidence = logsumexp(values)
    algorithm = MaximizationExpectation(max_iter=100)
    for start in range(4):
        codes = np.random.default_rng(start).integers(2, size=9).astype(np.int32)
        hard = algorithm.run(model, source, algorithm.start(model, source.assign_given(2, codes=codes)))
        assert hard.converged
        assert hard.objective <= max(values) + 1e-9
        soft = VariationalBayes(tol=1e-10).run(
            model, source, VariationalBayes().start(model, source.assign_given(2, codes=hard.labels))
        )
        assert hard.objective <= soft.objective + 1e-9
        assert soft.objective <= evidence + 1e-9


# --- points ---------------------------------------------------------------------------------------


@law("mle")
@pytest.mark.parametrize("weighted", [False, True])
def test_lower_bound_of_em_is_the_score(case, weighted):
    p = Problem(case, 1, n=60)
    weight = p.weight if weighted else None
    mixture = EMMixture(2, family=case.family, max_iter=100_000, random_state=0).fit(p.X, sample_weight=weight)
    assert mixture.lower_bound_ == pytest.approx(mixture.score(p.X, sample_weight=weight), rel=1e-10)


def log_priors(p, mixture, alpha):
    """Log density of the prior at the published parameters, in the user's units, by SciPy."""
    total = sps.dirichlet.logpdf(mixture.weights_ / mixture.weights_.sum(), np.full(len(mixture.weights_), alpha))
    return total + log_prior_of_parameters(p.case, p.X, mixture)


def log_prior_of_parameters(case, X, mixture):
    """The same without the weights; of a product block by block."""
    if case.blocks:
        total = 0.0
        for block, own, at in case.blocks:
            named = {
                name.split("__")[1]: value for name, value in vars(mixture).items() if name.startswith(block + "__")
            }
            part = SimpleNamespace(
                family_=mixture.family_.bound_[block], n_components_=mixture.n_components_,
                _theta=mixture._theta.parts[block], **named,
            )  # fmt: skip
            total += log_prior_of_parameters(own, X[:, at], part)
        return total
    family, s, total = mixture.family_, mixture.family_.summary_.scale, 0.0
    p = SimpleNamespace(case=case, prior=family.prior(mixture.n_components_))
    h = hyper(p)
    if hasattr(mixture, "rates_"):
        a, b = (h["n"], h["total"] * s) if p.case.name in WAITING else (h["total"], h["n"])
        return sps.gamma.logpdf(mixture.rates_, a, scale=1.0 / b).sum()
    if p.case.name in (*DIRICHLET, "negative_binomial") or p.case in POINT_CASES:
        return p.case.log_prior(p.prior, mixture._theta)
    d, covariances = X.shape[1], mixture.covariances_
    m0 = family.summary_.to_user(h["mean"])
    for k, mean in enumerate(mixture.means_):
        sigma = covariances if p.case.name in SHARED else covariances[k]
        matrix = sigma if np.ndim(sigma) == 2 else sigma * np.eye(d)
        total += sps.multivariate_normal(m0, matrix / h["kappa"]).logpdf(mean)
        if k > 0 and p.case.name in SHARED:
            continue
        if p.case.name in MATRICES:
            total += sps.invwishart(float(h["nu"]), h["scatter"] * np.outer(s, s)).logpdf(sigma)
        else:
            scale = h["scatter"] / 2 * (s**2 if p.case.name in COLUMNS else s[0] ** 2)
            total += sps.invgamma.logpdf(sigma, h["nu"] / 2, scale=scale).sum()
    return total


@law("mode", "log_density")
@pytest.mark.parametrize("weighted", [False, True])
def test_lower_bound_of_map_is_the_score_and_log_priors(case, weighted):
    p = Problem(case, 2, n=60)
    w = p.weight if weighted else np.ones(60)
    mixture = MAPMixture(2, family=case.family, weight_concentration_prior=1.7, random_state=0)
    mixture.fit(p.X, sample_weight=w)
    expected = w @ mixture.score_samples(p.X) + log_priors(p, mixture, 1.7)
    assert mixture.lower_bound_ * w.sum() == pytest.approx(expected, rel=1e-9)


@law("mode", "log_density")
@pytest.mark.parametrize("update", ["mode", "mle"])
def test_lower_bound_of_icm_is_the_complete_likelihood(case, update):
    p = Problem(case, 3, n=60)
    mixture = ICMMixture(
        2, family=case.family, update=update, weight_concentration_prior=1.7, init="k-means", random_state=0
    )
    mixture.fit(p.X, sample_weight=p.weight)
    joint = mixture.predict_log_proba(p.X) + mixture.score_samples(p.X)[:, None]
    expected = p.weight @ joint[np.arange(60), mixture.labels_]
    if update == "mode":
        expected += log_priors(p, mixture, 1.7)
    assert mixture.lower_bound_ * p.weight.sum() == pytest.approx(expected, rel=1e-9)


@every
def test_log_evidence_of_variational_bayes_counts_labellings(case):
    p = Problem(case, 4, n=60)
    mixture = VariationalMixture(3, family=case.family, random_state=0).fit(p.X)
    occupied = len(np.unique(mixture.labels_))
    expected = 60 * mixture.lower_bound_ + gammaln(4.0) - gammaln(4.0 - occupied)
    assert mixture.log_evidence_ == pytest.approx(expected, rel=1e-12)
