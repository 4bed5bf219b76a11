"""Log marginal likelihoods of labelled rows computed from scratch, and states of the collapsed pass to hold to them."""

import numpy as np
import pytest
from scipy.special import betaln, gammaln, multigammaln

from skem._kernels.collapsed import Collapsed

GAUSSIAN = ["full", "tied", "diag", "spherical", "EII", "EEI"]
DISCRETE = ["poisson", "multinomial", "bernoulli", "categorical", "negative_binomial"]
# blocks of columns: the last one has all but one each of those before
PRODUCTS = {
    "numbers and counts": ("diag", "poisson"),
    "one scatter and counts": ("EEI", "exponential", "negative_binomial"),
}
KINDS = [*GAUSSIAN, *DISCRETE, "exponential", *PRODUCTS]
LOG_2PI = np.log(2 * np.pi)


# --- the definition -------------------------------------------------------------------------------


def size_of(d):
    """Inverse dispersions."""
    return np.linspace(0.5, 3.0, d)


def blocks_of(kind, d):
    """Kind and columns of each block, those that are there."""
    kinds = PRODUCTS[kind]
    ends = [*range(1, min(len(kinds), d)), d]
    starts = [0, *ends[:-1]]
    return [(name, slice(*ends)) for name, *ends in zip(kinds, starts, ends, strict=False)]


def make_prior(kind, d):
    if kind in ("poisson", "negative_binomial", "exponential"):
        return {"n": np.linspace(0.5, 0.9, d), "total": np.linspace(0.4, 1.3, d)}
    if kind == "multinomial":
        return {"total": np.linspace(0.4, 1.3, d)}
    if kind == "bernoulli":
        return {"total": np.linspace(0.4, 1.3, 2 * d)}
    if kind == "categorical":
        total = np.linspace(0.4, 1.3, 3 * d)
        return {"n": total.reshape(d, 3).sum(axis=1), "total": total}
    scatter = 0.6 * np.eye(d) + 0.1
    return {
        "kappa": 0.3,
        "mean": np.linspace(-0.2, 0.5, d),
        "nu": d + 2.5,
        "scatter": {"diag": np.diag(scatter), "EEI": np.diag(scatter), "spherical": 0.8, "EII": 0.8}.get(kind, scatter),
    }


def make_posterior(kind, prior, X, w, labels, K):
    """Prior merged with the weighted rows of each component, by plain sums."""
    resp = (labels[:, None] == np.arange(K)) * w[:, None]
    n_k = resp.sum(axis=0)
    if kind in PRODUCTS:
        return {
            name: (name, make_posterior(name, make_prior(name, X[:, own].shape[1]), X[:, own], w, labels, K)[0])
            for name, own in blocks_of(kind, X.shape[1])
        }, n_k
    if kind in ("poisson", "negative_binomial", "exponential"):
        posterior = {"n": prior["n"] + n_k[:, None], "total": prior["total"] + resp.T @ X}
        return posterior | ({"size": size_of(X.shape[1])} if kind == "negative_binomial" else {}), n_k
    if kind == "multinomial":
        return {"total": prior["total"] + resp.T @ X}, n_k
    if kind == "categorical":
        total = prior["total"] + resp.T @ (X[:, :, None] == np.arange(len(prior["total"]))).any(axis=1)
        return {"n": total.reshape(K, -1, 3).sum(axis=2), "total": total}, n_k
    if kind == "bernoulli":
        return {"total": prior["total"] + resp.T @ np.hstack([X, 1 - X])}, n_k
    d = X.shape[1]
    kappa = prior["kappa"] + n_k
    mean = (prior["kappa"] * prior["mean"] + resp.T @ X) / kappa[:, None]
    grown = np.einsum("nk,ni,nj->kij", resp, X, X)
    grown += prior["kappa"] * np.outer(prior["mean"], prior["mean"])
    grown -= kappa[:, None, None] * mean[:, :, None] * mean[:, None, :]
    if kind == "full":
        nu, scatter = prior["nu"] + n_k, prior["scatter"] + grown
    elif kind == "tied":
        nu, scatter = np.array(prior["nu"] + n_k.sum()), prior["scatter"] + grown.sum(axis=0)
    elif kind == "diag":
        nu, scatter = prior["nu"] + n_k, prior["scatter"] + np.einsum("kii->ki", grown)
    elif kind == "EEI":
        nu, scatter = np.array(prior["nu"] + n_k.sum()), prior["scatter"] + np.einsum("kii->i", grown)
    elif kind == "EII":
        nu, scatter = np.array(prior["nu"] + d * n_k.sum()), np.array(prior["scatter"] + np.einsum("kii->", grown))
    else:
        nu, scatter = prior["nu"] + d * n_k, prior["scatter"] + np.einsum("kii->k", grown)
    return {"kappa": kappa, "mean": mean, "nu": nu, "scatter": scatter}, n_k


def log_dirichlets(kind, parameters):
    """Log normaliser of each component's Dirichlets."""
    groups = [np.atleast_2d(parameters["total"])]
    if kind == "bernoulli":
        groups = groups[0].reshape(len(groups[0]), 2, -1).transpose(2, 0, 1)
    elif kind == "categorical":
        groups = groups[0].reshape(len(groups[0]), -1, 3).swapaxes(0, 1)
    return sum(gammaln(group).sum(axis=1) - gammaln(group.sum(axis=1)) for group in groups)


def log_joint(kind, X, w, labels, K, alpha):
    """log p(x, z) from the posterior's parameters, without the base measure of counts."""
    d = X.shape[1]
    if kind in PRODUCTS:
        blocks = blocks_of(kind, d)
        own = sum(log_joint(name, X[:, at], w, labels, K, alpha) for name, at in blocks)
        # the labels count once
        return own - (len(blocks) - 1) * log_joint("poisson", X[:, :0], w, labels, K, alpha)
    prior = make_prior(kind, d)
    post, n_k = make_posterior(kind, prior, X, w, labels, K)
    log_pz = gammaln(alpha.sum()) - gammaln(n_k.sum() + alpha.sum())
    log_pz += (gammaln(n_k + alpha) - gammaln(alpha)).sum()
    if kind == "poisson":
        g = (gammaln(post["total"]) - post["total"] * np.log(post["n"])).sum()
        g0 = (gammaln(prior["total"]) - prior["total"] * np.log(prior["n"])).sum()
        return g - K * g0 + log_pz
    if kind == "exponential":
        g = (gammaln(post["n"]) - post["n"] * np.log(post["total"])).sum()
        return g - K * (gammaln(prior["n"]) - prior["n"] * np.log(prior["total"])).sum() + log_pz
    if kind == "negative_binomial":
        size = size_of(d)
        return (
            betaln(1 + size * post["n"], post["total"]).sum()
            - K * betaln(1 + size * prior["n"], prior["total"]).sum()
            + log_pz
        )
    if kind in DISCRETE:
        return sum(log_dirichlets(kind, post)) - K * log_dirichlets(kind, prior)[0] + log_pz
    nu, nu0, n = post["nu"], prior["nu"], n_k.sum()
    value = 0.5 * d * (np.log(prior["kappa"]) - np.log(post["kappa"])).sum() + log_pz
    if kind in ("full", "tied"):
        n_scatters = K if kind == "full" else 1
        value += -0.5 * n * d * np.log(np.pi)
        value += (multigammaln(nu / 2, d) - nu / 2 * np.linalg.slogdet(post["scatter"])[1]).sum()
        log_det0 = np.linalg.slogdet(prior["scatter"])[1]
        return value - n_scatters * (multigammaln(nu0 / 2, d) - nu0 / 2 * log_det0)
    b0, b = np.asarray(prior["scatter"]) / 2, post["scatter"] / 2
    value += -0.5 * n * d * LOG_2PI
    if kind in ("diag", "EEI"):
        value += (d * gammaln(nu / 2) - nu / 2 * np.log(b).sum(axis=-1)).sum()
        return value - np.size(nu) * (d * gammaln(nu0 / 2) - nu0 / 2 * np.log(b0).sum())
    value += (gammaln(nu / 2) - nu / 2 * np.log(b)).sum()
    return value - np.size(nu) * (gammaln(nu0 / 2) - nu0 / 2 * np.log(b0))


# --- helpers --------------------------------------------------------------------------------------


def make_rows(kind, n, d, K, seed):
    rng = np.random.default_rng(seed)
    if kind in PRODUCTS:
        parts = [make_rows(name, n, at.stop - at.start, K, seed)[0] for name, at in blocks_of(kind, d)]
        return np.ascontiguousarray(np.hstack(parts)), *make_rows("diag", n, d, K, seed)[1:]
    centres = rng.normal(scale=2.0, size=(K, d))
    X = centres[rng.integers(K, size=n)] + rng.normal(scale=0.7, size=(n, d))
    if kind == "bernoulli":
        X = (centres.mean(axis=0) < X).astype(float)
    elif kind == "categorical":
        X = (centres[0] < X).astype(float) + (centres[1] < X) + 3 * np.arange(d)
    elif kind == "exponential":
        X = np.exp(X)
    elif kind in DISCRETE:
        # Some counts are beyond the reach of the short products of the kernel.
        X = rng.poisson(np.exp(1.0 + 0.6 * X)).astype(float)
    w = rng.choice([1.0, 1.0, 2.0, 9.0, 0.3, 1.7], size=n)
    labels = rng.integers(K, size=n).astype(np.int32)
    alpha = rng.uniform(0.4, 2.0, size=K)
    return X, w, labels, alpha


def make_state(kind, X, w, labels, alpha):
    K = len(alpha)
    posterior, n_k = make_posterior(kind, make_prior(kind, X.shape[1]), X, w, labels, K)
    return Collapsed("product" if kind in PRODUCTS else kind, posterior, n_k, alpha)


def assert_same_state(state, other, rtol):
    assert state.posterior.keys() == other.posterior.keys()
    for name, value in state.posterior.items():
        np.testing.assert_allclose(value, other.posterior[name], rtol=rtol, atol=rtol, err_msg=name)
        assert np.shape(value) == np.shape(other.posterior[name])
    np.testing.assert_allclose(state.n_k, other.n_k, rtol=rtol, atol=rtol)


def run_to_the_end(kind, X, w, labels, alpha, **options):
    order = np.arange(len(X))
    for _ in range(100):
        if make_state(kind, X, w, labels, alpha).sweep(X, w, labels, order, **options)[0] == 0:
            return
    pytest.fail("the sweeps did not end")
