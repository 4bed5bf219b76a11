"""One row a family: how to make data for it, and its SciPy twin. The laws run over the rows.

A new family adds a row here and no test file. `law(*verbs)` hands a test the rows whose family has the verbs.
"""

from functools import partial
from typing import NamedTuple

import numpy as np
import pytest
from scipy import integrate
from scipy import stats as sps
from scipy.special import digamma, gammaln, ive, multigammaln
from toy_family import Rayleigh, RayleighByDensity

from skem.engine import Source
from skem.families import (
    Bernoulli,
    Beta,
    Categorical,
    Exponential,
    Family,
    Gamma,
    Gaussian,
    Multinomial,
    NegativeBinomial,
    Poisson,
    Product,
    StudentT,
    VonMisesFisher,
)
from skem.summary import summarize

LOG_2PI = np.log(2.0 * np.pi)
N_LEVELS = 3


# --- data -----------------------------------------------------------------------------------------


def gaussian_rows(rng, n, d):
    """Two clouds whose columns have units and origins of their own."""
    mixing = np.tril(rng.normal(size=(2, d, d))) + 2.0 * np.eye(d)
    side = rng.integers(2, size=n)
    rows = np.einsum("nij,nj->ni", mixing[side], rng.normal(size=(n, d))) + 5.0 * side[:, None]
    return rows * np.exp(rng.normal(size=d)) + 3.0 * rng.normal(size=d)


def student_rows(rng, n, d):
    """The same with a heavy tail."""
    rows = gaussian_rows(rng, n, d)
    centre = np.median(rows, axis=0)
    return centre + (rows - centre) / np.sqrt(rng.gamma(1.5, size=n))[:, None]


def poisson_rows(rng, n, d):
    return rng.poisson(np.exp(rng.normal(1.0, 1.0, size=(2, d)))[rng.integers(2, size=n)]).astype(float)


def spread_rows(rng, n, d):
    """Counts more spread than Poisson's, small ones and some beyond what a histogram has a place each for."""
    mean = np.exp(rng.uniform(-0.5, 6.0, size=(2, d)))[rng.integers(2, size=n)]
    return rng.poisson(rng.gamma(2.0, mean / 2.0)).astype(float)


def document_rows(rng, n, d):
    """Counts of unequal totals, now and then none."""
    side = rng.integers(2, size=n)
    probability = rng.dirichlet(np.ones(d), size=2)
    return np.stack([rng.multinomial(rng.poisson(6.0), probability[k]) for k in side]).astype(float)


def binary_rows(rng, n, d):
    return (rng.random((n, d)) < rng.uniform(0.1, 0.9, size=(2, d))[rng.integers(2, size=n)]).astype(float)


def level_rows(rng, n, d):
    shares = rng.dirichlet(np.ones(N_LEVELS), size=(2, d))[rng.integers(2, size=n)]
    return (shares.cumsum(axis=2) < rng.random((n, d, 1))).sum(axis=2).astype(float)


def rayleigh_rows(rng, n, d):
    return rng.rayleigh(np.exp(rng.normal(size=(2, d)))[rng.integers(2, size=n)])


def direction_rows(rng, n, d):
    """Unit vectors about two directions."""
    rows = 2.0 * rng.normal(size=(2, d))[rng.integers(2, size=n)] + rng.normal(size=(n, d))
    return rows / np.linalg.norm(rows, axis=1)[:, None]


def waiting_rows(rng, n, d):
    return rng.exponential(np.exp(rng.normal(0.0, 2.0, size=(2, d)))[rng.integers(2, size=n)])


def share_rows(rng, n, d):
    side = rng.integers(2, size=n)
    return rng.beta(*(rng.uniform(0.5, 8.0, size=(2, d))[side] for _ in range(2)))


def skewed_rows(rng, n, d):
    side = rng.integers(2, size=n)
    return rng.gamma(rng.uniform(0.5, 20.0, size=(2, d))[side], np.exp(rng.normal(0.0, 2.0, size=(2, d)))[side])


# --- SciPy twins, in internal coordinates ---------------------------------------------------------


def covariances(theta, d):
    """(K, d, d) from a Gaussian theta of any structure."""
    factor, K = theta.factor, len(theta.mean)
    if "factor" in theta.shared:
        factor = np.broadcast_to(factor, (K, *factor.shape))
    if factor.ndim < 3:
        factor = np.stack([np.diag(np.broadcast_to(f, d)) for f in factor])
    return np.stack([np.linalg.inv(f.T @ f) for f in factor])


def gaussian_density(theta, X):
    pairs = zip(theta.mean, covariances(theta, X.shape[1]), strict=True)
    return np.stack([sps.multivariate_normal(m, c).logpdf(X) for m, c in pairs], axis=1)


def gaussian_predictive(post, X):
    d, columns = X.shape[1], []
    for k, (kappa, mean) in enumerate(zip(post.kappa, post.mean, strict=True)):
        nu, scatter = (post.nu, post.scatter) if post.shared else (post.nu[k], post.scatter[k])
        grown = scatter * (1.0 + 1.0 / kappa)
        if np.ndim(scatter) == 1:
            columns.append(sps.t(nu, mean, np.sqrt(grown / nu)).logpdf(X).sum(axis=1))
            continue
        df = nu if np.ndim(scatter) == 0 else nu - d + 1.0
        columns.append(sps.multivariate_t(mean, grown / df * np.eye(d) if df == nu and np.ndim(scatter) == 0
                                          else grown / df, df).logpdf(X))  # fmt: skip
    return np.stack(columns, axis=1)


def gamma_log_prior(a, b, rate):
    return sps.gamma.logpdf(rate, a, scale=1.0 / b).sum()


def direction_log_prior(prior, theta, shared=False):
    """Log density of directions on the sphere and of concentrations, all pseudo-rows of the prior evenly spread."""
    K, d = theta.mean.shape
    nu, n = 0.5 * d - 1.0, prior.n.sum() if shared else prior.n[0]

    def density(kappa):
        log_mean = gammaln(nu + 1.0) + nu * np.log(2.0 / kappa) + np.log(ive(nu, kappa)) + kappa
        return np.exp(-n * log_mean)

    norm = sum(integrate.quad(density, *ends, epsrel=1e-13, epsabs=0)[0] for ends in ((1e-300, 1.0), (1.0, np.inf)))
    area = 2.0 * np.pi ** (d / 2) / np.exp(gammaln(d / 2))
    kappas = theta.concentration[:1] if shared else theta.concentration
    return -K * np.log(area) + (np.log(density(kappas)) - np.log(norm)).sum()


def nbinom_density(theta, X):
    r = 1.0 / np.maximum(theta.dispersion, 1e-300)
    spread = sps.nbinom.logpmf(X[:, None], r, r / (r + theta.mean))
    return np.where(theta.dispersion > 0, spread, sps.poisson.logpmf(X[:, None], theta.mean)).sum(axis=2)


def nbinom_log_prior(prior, theta):
    """Log density of the means whose p are Beta distributed; without dispersion they are Gamma distributed."""
    r = 1.0 / np.maximum(theta.dispersion, 1e-300)
    p = r / (r + theta.mean)
    spread = sps.beta.logpdf(p, 1.0 + r * prior.n, prior.total) + 2.0 * np.log(p) - np.log(r)
    return np.where(theta.dispersion > 0, spread, sps.gamma.logpdf(theta.mean, prior.total, scale=1 / prior.n)).sum()


#: families of discrete outcomes with Dirichlet priors
DIRICHLET = ("multinomial", "bernoulli", "categorical")


def groups(name, values):
    """Outcomes (K, m) of a family in DIRICHLET as (K, n_groups, n_outcomes)."""
    if name == "multinomial":
        return values[:, None, :]
    if name == "categorical":
        return values.reshape(len(values), -1, N_LEVELS)
    return np.stack(np.split(values, 2, axis=1), axis=2)


def outcomes(name, X):
    """How often each row of internal coordinates has each outcome: (n, n_groups, n_outcomes)."""
    if name == "categorical":
        return groups(name, (X[:, :, None] == np.arange(N_LEVELS * X.shape[1])).any(axis=1).astype(float))
    return X[:, None, :] if name == "multinomial" else np.stack([X, 1.0 - X], axis=2)


def dirichlet_log_prior(name, concentration, probability):
    a, p = groups(name, concentration), groups(name, probability)
    return sum(sps.dirichlet.logpdf(p[i], a[i]) for i in np.ndindex(a.shape[:2]))


def gaussian_log_prior(prior, theta):
    """Log density of (mean, covariance)."""
    K, d = prior.mean.shape
    sigma = covariances(theta, d)
    total = sum(
        sps.multivariate_normal(prior.mean[k], sigma[k] / prior.kappa[k]).logpdf(theta.mean[k]) for k in range(K)
    )
    for k in range(1 if prior.shared else K):
        nu, scatter = (prior.nu, prior.scatter) if prior.shared else (prior.nu[k], prior.scatter[k])
        if scatter.ndim == 2:
            total += sps.invwishart(float(nu), scatter).logpdf(sigma[k])
        else:
            variance = np.diag(sigma[k])[: np.size(scatter)]
            total += sps.invgamma.logpdf(variance, nu / 2, scale=scatter / 2).sum()
    return total


# --- textbook divergences -------------------------------------------------------------------------


def gamma_kl(a, b, a0, b0):
    """KL between Gammas with rates b and b0, summed over everything."""
    terms = (a - a0) * digamma(a) - gammaln(a) + gammaln(a0) + a0 * np.log(b / b0) + a * (b0 / b - 1.0)
    return terms.sum()


def wishart_kl(nu, scatter, nu0, scatter0):
    d = len(scatter)
    inverse = np.linalg.inv(scatter)
    log_dets = np.linalg.slogdet(scatter)[1] - np.linalg.slogdet(scatter0)[1]
    slope = digamma((nu - np.arange(d)) / 2.0).sum()
    return (
        0.5 * (nu - nu0) * slope + 0.5 * nu0 * log_dets + 0.5 * nu * (np.trace(scatter0 @ inverse) - d)
        + multigammaln(nu0 / 2, d) - multigammaln(nu / 2, d)
    )  # fmt: skip


def dirichlet_kl(name, post, prior):
    return dirichlet_kl_of(groups(name, post.total), groups(name, prior.total))


def dirichlet_kl_of(a, a0):
    """KL between Dirichlet distributions along the last axis, summed over all."""
    whole, whole0 = a.sum(axis=-1, keepdims=True), a0.sum(axis=-1, keepdims=True)
    terms = gammaln(a0) - gammaln(a) + (a - a0) * (digamma(a) - digamma(whole))
    return terms.sum() + (gammaln(whole) - gammaln(whole0)).sum()


def gaussian_kl(post, prior):
    K, d = post.mean.shape
    total = 0.5 * d * (prior.kappa / post.kappa - 1.0 - np.log(prior.kappa / post.kappa)).sum()
    step = post.mean - prior.mean
    for k in range(K):
        nu, scatter = (post.nu, post.scatter) if post.shared else (post.nu[k], post.scatter[k])
        precision = nu * np.linalg.inv(scatter if np.ndim(scatter) == 2 else scatter * np.eye(d))
        total += 0.5 * prior.kappa[k] * step[k] @ precision @ step[k]
        if k > 0 and post.shared:
            continue
        nu0, scatter0 = (prior.nu, prior.scatter) if post.shared else (prior.nu[k], prior.scatter[k])
        if np.ndim(scatter) == 2:
            total += wishart_kl(nu, scatter, nu0, scatter0)
        else:
            shape, shape0 = np.full(np.shape(scatter), nu / 2), np.full(np.shape(scatter), nu0 / 2)
            total += gamma_kl(shape, scatter / 2, shape0, scatter0 / 2)
    return total


# --- the rows -------------------------------------------------------------------------------------


class Case(NamedTuple):
    """A family and its twins; each twin takes internal coordinates and includes the base measure.

    A product has its blocks, as (name, case, columns), and as many columns as they have, whatever is asked for.
    """

    name: str
    family: Family
    rows: callable
    density: callable
    predictive: callable
    log_prior: callable
    kl: callable
    #: size of the terms that cancel one another in a row's score, where they can be far above 1
    grain: callable = None
    blocks: tuple = ()


CONJUGATE = ("full", "tied", "diag", "spherical", "EII", "EEI")
SHAPED = ("VEI", "EVI", "VEE", "EVE", "VVE", "EEV", "VEV", "EVV")


def gaussian_case(structure):
    return Case(
        structure, Gaussian(structure, mean_precision_prior=0.3), gaussian_rows, gaussian_density,
        gaussian_predictive, gaussian_log_prior, gaussian_kl,
    )  # fmt: skip


def rayleigh_case(name, family):
    return Case(
        name, family, rayleigh_rows,
        lambda theta, X: sps.rayleigh.logpdf(X[:, None], scale=np.sqrt(0.5 / theta.rate)).sum(axis=2),
        lambda post, X: (
            sps.lomax.logpdf(X[:, None] ** 2, post.n[:, None], scale=post.total) + np.log(2.0 * X[:, None])
        ).sum(axis=2),
        lambda prior, theta: gamma_log_prior(prior.n[:, None], prior.total, theta.rate),
        lambda post, prior: gamma_kl(
            np.broadcast_to(post.n[:, None], post.total.shape), post.total, prior.n[:, None], prior.total
        ),
    )  # fmt: skip


def product_case(name, cases, **widths):
    """Blocks of some of the cases with so many columns each, called by their names."""
    by_name, blocks, first = {case.name: case for case in cases}, [], 0
    for block, width in widths.items():
        blocks.append((block, by_name[block], list(range(first, first + width))))
        first += width

    def total(twin, *args):
        """A twin that takes joint arrays, and rows last."""
        own = ([arg.parts[block] if hasattr(arg, "parts") else arg[:, at] for arg in args] for block, _, at in blocks)
        return sum(getattr(case, twin)(*each) for (_, case, _), each in zip(blocks, own, strict=True))

    return Case(
        name, Product([(block, case.family, at) for block, case, at in blocks]),
        lambda rng, n, d: np.hstack([case.rows(rng, n, len(at)) for _, case, at in blocks]),
        *(partial(total, twin) for twin in ("density", "predictive", "log_prior", "kl")), blocks=tuple(blocks),
    )  # fmt: skip


CASES = [
    *(gaussian_case(structure) for structure in CONJUGATE),
    Case(
        "poisson", Poisson(shape_prior=1.5), poisson_rows,
        lambda theta, X: sps.poisson.logpmf(X[:, None], theta.rate).sum(axis=2),
        lambda post, X: sps.nbinom.logpmf(X[:, None], post.total, post.n / (post.n + 1.0)).sum(axis=2),
        lambda prior, theta: gamma_log_prior(prior.total, prior.n, theta.rate),
        lambda post, prior: gamma_kl(post.total, post.n, prior.total, prior.n),
    ),
    Case(
        "negative_binomial", NegativeBinomial(dispersion=0.5, shape_prior=1.5), poisson_rows,
        lambda theta, X: sps.nbinom.logpmf(X[:, None], 2, 2.0 / (2.0 + theta.mean)).sum(axis=2),
        lambda post, X: sps.betanbinom.logpmf(X[:, None], 2, 1.0 + 2.0 * post.n, post.total).sum(axis=2),
        lambda prior, theta: sps.beta.logpdf(2.0 / (2.0 + theta.mean), 1.0 + 2.0 * prior.n, prior.total).sum(),
        lambda post, prior: dirichlet_kl_of(
            *(np.stack([1.0 + 2.0 * each.n, each.total], axis=2) for each in (post, prior))
        ),
    ),
    Case(
        "exponential", Exponential(shape_prior=1.5), waiting_rows,
        lambda theta, X: sps.expon.logpdf(X[:, None], scale=1.0 / theta.rate).sum(axis=2),
        lambda post, X: sps.lomax.logpdf(X[:, None], post.n, scale=post.total).sum(axis=2),
        lambda prior, theta: gamma_log_prior(prior.n, prior.total, theta.rate),
        lambda post, prior: gamma_kl(post.n, post.total, prior.n, prior.total),
    ),
    Case(
        "multinomial", Multinomial(concentration_prior=1.5), document_rows,
        lambda theta, X: np.stack([sps.multinomial(X.sum(axis=1), p).logpmf(X) for p in theta.probability], axis=1),
        lambda post, X: np.stack(
            [sps.dirichlet_multinomial.logpmf(X.astype(int), a, X.sum(axis=1).astype(int)) for a in post.total], axis=1
        ),
        lambda prior, theta: dirichlet_log_prior("multinomial", prior.total, theta.probability),
        lambda post, prior: dirichlet_kl("multinomial", post, prior),
    ),
    Case(
        "bernoulli", Bernoulli(concentration_prior=[1.5, 2.0]), binary_rows,
        lambda theta, X: sps.bernoulli.logpmf(X[:, None], theta.probability[:, : X.shape[1]]).sum(axis=2),
        lambda post, X: sps.betabinom.logpmf(X[:, None], 1, *np.split(post.total, 2, axis=1)).sum(axis=2),
        lambda prior, theta: dirichlet_log_prior("bernoulli", prior.total, theta.probability),
        lambda post, prior: dirichlet_kl("bernoulli", post, prior),
    ),
    Case(
        "categorical", Categorical(concentration_prior=1.5, categories=N_LEVELS), level_rows,
        lambda theta, X: np.stack(
            [np.log(np.where(p > 0, p, np.exp(-700)))[X.astype(int)].sum(axis=1) for p in theta.probability], axis=1
        ),
        lambda post, X: np.einsum(
            "ngl,kgl->nk", outcomes("categorical", X),
            np.log(groups("categorical", post.total) / groups("categorical", post.total).sum(axis=2, keepdims=True)),
        ),
        lambda prior, theta: dirichlet_log_prior("categorical", prior.total, theta.probability),
        lambda post, prior: dirichlet_kl("categorical", post, prior),
    ),
    rayleigh_case("toy", Rayleigh()),
    rayleigh_case("toy_by_density", RayleighByDensity()),
]  # fmt: skip
CASES += [
    product_case("mixed", CASES, diag=1, categorical=1, poisson=1),
    product_case("apart", CASES, full=2, tied=2, bernoulli=1),
]


SHAPED_CASES = [gaussian_case(structure) for structure in SHAPED]

#: families without a conjugate prior, and no Gaussian among them
FREE_CASES = [
    Case(
        "gamma", Gamma(), skewed_rows,
        lambda theta, X: sps.gamma.logpdf(X[:, None], theta.shape, scale=theta.mean / theta.shape).sum(axis=2),
        None, None, None, lambda theta: theta.shape.sum(axis=1).max(),
    ),
    Case(
        "beta", Beta(), share_rows,
        lambda theta, X: sps.beta.logpdf(X[:, None], theta.alpha, theta.beta).sum(axis=2),
        None, None, None, lambda theta: (theta.alpha + theta.beta).sum(axis=1).max(),
    ),
]  # fmt: skip


def direction_case(name, concentration, log_prior):
    return Case(
        name, VonMisesFisher(concentration, rows_prior=1.5), direction_rows,
        lambda theta, X: np.stack(
            [sps.vonmises_fisher(*point).logpdf(X) for point in zip(theta.mean, theta.concentration, strict=True)], 1
        ),
        None, log_prior, None,
    )  # fmt: skip


def dispersed_case(dispersion):
    family = NegativeBinomial(dispersion, shape_prior=1.5)
    return Case(f"counts_{dispersion}", family, spread_rows, nbinom_density, None, nbinom_log_prior, None)


#: families that offer maximum likelihood and modes, and no posterior
POINT_CASES = [
    *(dispersed_case(dispersion) for dispersion in ("free", "columns", "common")),
    direction_case("directions", "free", direction_log_prior),
    direction_case("directions of one spread", "common", lambda *point: direction_log_prior(*point, shared=True)),
    direction_case("directions of known spread", 4.0, lambda prior, theta: -2.0 * np.log(4.0 * np.pi)),
]


def student_density(theta, X):
    parts = zip(theta.mean, covariances(theta, X.shape[1]), theta.dof, strict=True)
    return np.stack([sps.multivariate_t(m, c, nu).logpdf(X) for m, c, nu in parts], axis=1)


def student_case(structure, dof, **params):
    family = StudentT(structure, dof, mean_precision_prior=0.3, **params)
    return Case(f"student_{structure}_{dof}", family, student_rows, student_density, None, gaussian_log_prior, None)


#: families whose statistics hold latent scales, which depend on theta
LATENT_CASES = [
    student_case("full", "free"), student_case("tied", "common"), student_case("diag", 3.0),
    student_case("spherical", "free", bounds=(0.5, 50.0)), student_case("tied", "free"),
]  # fmt: skip
LATENT_CASES += [
    product_case("heavy", CASES + LATENT_CASES, student_full_free=2, poisson=1, diag=2),
    product_case("heavy_apart", CASES + LATENT_CASES, bernoulli=1, student_tied_common=2, **{"student_diag_3.0": 2}),
]


def law(*verbs, latent=False):
    """Run a test for every family that has these verbs; those of latent scales where the law holds for them, too."""
    known = CASES + SHAPED_CASES + POINT_CASES + FREE_CASES + (LATENT_CASES if latent else [])
    cases = [case for case in known if all(case.family.has(verb) for verb in verbs)]
    return pytest.mark.parametrize("case", cases, ids=[case.name for case in cases])


class Problem:
    """Rows of a case with weights and labels, seen through its bound family."""

    def __init__(self, case, seed=0, n=25, d=3, n_components=2):
        self.rng = np.random.default_rng(seed)
        self.case, self.n_components = case, n_components
        self.X = case.rows(self.rng, n, d)
        self.family = case.family.bind(summarize(self.X, None, case.family.equivariance))
        self.internal = self.family.summary_.to_internal(self.X)
        self.labels = self.rng.integers(n_components, size=n).astype(np.int32)
        self.labels[:n_components] = np.arange(n_components)
        self.weight = self.rng.uniform(0.2, 2.0, size=n)
        self.prior = self.family.prior(n_components) if self.family.has("prior") else None

    def stats(self, rows=slice(None), weight=None, resp=None):
        """Statistics of some rows at their labels, or with responsibilities."""
        source = Source(self.X[rows], None if weight is None else weight[rows], self.family)
        if resp is not None:
            return source.assign_given(self.n_components, resp=resp[rows]).stats
        return source.assign_given(self.n_components, codes=self.labels[rows]).stats

    def log_marginal(self, stats):
        """Log evidence of the statistics, base measure left out."""
        family = self.family
        return np.sum(family.log_normalizer(self.prior.merge(stats))) - np.sum(family.log_normalizer(self.prior))

    def base(self, rows=slice(None)):
        """Log base measure of rows."""
        X = self.X[rows]
        return np.broadcast_to(self.family.log_base_measure(X), len(X))
