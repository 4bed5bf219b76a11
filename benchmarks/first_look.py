"""Time per iteration against scikit-learn's GaussianMixture, the same data, start and number of iterations.

Run with one thread for both: OMP_NUM_THREADS=1 python benchmarks/first_look.py [--pairs 5] [--only full]
Per-iteration time is (t(high) - t(low)) / (high - low); the log-likelihoods of the last iteration are printed, so that
the work is seen to be the same. Ratios of pairs in one process; the median is the one to quote.
"""

import argparse
import gc
import time
import warnings

import numpy as np
from sklearn.mixture import GaussianMixture as Rival

import skem
from skem.families import Gaussian

WORKLOADS = [
    (1_000_000, 8, 16, "full"),
    (100_000, 64, 16, "full"),
    (1_000_000, 8, 16, "diag"),
    (1_000_000, 2, 8, "full"),
    (200_000, 16, 32, "full"),
    (100_000, 10, 100, "full"),
    (20_000, 256, 10, "full"),
    (100_000, 64, 16, "diag"),
    (1_000_000, 8, 16, "tied"),
    (1_000_000, 8, 16, "spherical"),
]


def make_data(n, d, n_components, seed=0):
    """Overlapping Gaussians (typical distance between means 4 sd) and a start: rows as means, equal weights."""
    rng = np.random.default_rng(seed)
    weights = rng.dirichlet(np.full(n_components, 5.0))
    labels = rng.choice(n_components, size=n, p=weights)
    means = rng.normal(size=(n_components, d)) * 4.0 / np.sqrt(2.0 * d)
    X = np.empty((n, d))
    for k in range(n_components):
        rows = np.flatnonzero(labels == k)
        basis = np.linalg.qr(rng.normal(size=(d, d)))[0] * np.sqrt(np.geomspace(0.32, 3.2, d))
        X[rows] = means[k] + rng.normal(size=(len(rows), d)) @ basis.T
    return X, X[rng.choice(n, n_components, replace=False)]


def start_covariance(X, n_components, covariance_type):
    """The data's diagonal covariance in the shape of a covariance type."""
    variance = X.var(axis=0)
    if covariance_type == "full":
        return np.tile(np.diag(variance), (n_components, 1, 1))
    if covariance_type == "tied":
        return np.diag(variance)
    if covariance_type == "diag":
        return np.tile(variance, (n_components, 1))
    return np.full(n_components, variance.mean())


def fit_ours(X, means, covariances, covariance_type, n_iter):
    """Seconds of a fit of `n_iter` iterations, and its mean log-likelihood."""
    init = {"weights": np.full(len(means), 1.0 / len(means)), "means": means, "covariances": covariances}
    family = Gaussian(covariance_type)
    mixture = skem.EMMixture(len(means), family=family, init=init, tol=0.0, max_iter=n_iter)
    begin = time.perf_counter()
    mixture.fit(X)
    return time.perf_counter() - begin, mixture.lower_bound_


def fit_rival(X, means, covariances, covariance_type, n_iter):
    """The same for scikit-learn."""
    precisions = 1.0 / covariances if covariance_type in ("diag", "spherical") else np.linalg.inv(covariances)
    mixture = Rival(
        len(means), covariance_type=covariance_type, weights_init=np.full(len(means), 1.0 / len(means)),
        means_init=means, precisions_init=precisions, tol=0.0, max_iter=n_iter, reg_covar=0.0,
    )  # fmt: skip
    begin = time.perf_counter()
    mixture.fit(X)
    return time.perf_counter() - begin, mixture.lower_bound_


def per_iteration(fit, *args, low=2, high):
    """Seconds an iteration, and the log-likelihood after `high`."""
    gc.collect()
    first, _ = fit(*args, low)
    second, bound = fit(*args, high)
    return (second - first) / (high - low), bound


def main():
    """Print one line a workload."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--only", default="")
    parser.add_argument("--workloads", type=int, default=len(WORKLOADS))
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    for n, d, n_components, covariance_type in WORKLOADS[: arguments.workloads]:
        if arguments.only not in covariance_type:
            continue
        X, means = make_data(n, d, n_components)
        covariances = start_covariance(X, n_components, covariance_type)
        ratios, ours_ms = [], []
        for _ in range(arguments.pairs):
            ours, _ = per_iteration(fit_ours, X, means, covariances, covariance_type, high=12)
            rival, rival_bound = per_iteration(fit_rival, X, means, covariances, covariance_type, high=8)
            ratios.append(rival / ours)
            ours_ms.append(1e3 * ours)
        # given parameters count as one update of ours, and the rival reports the bound before its last update
        _, same = fit_ours(X, means, covariances, covariance_type, 6)
        print(
            f"({n}, {d}, {n_components}) {covariance_type}: {np.median(ratios):.1f}x "
            f"[{min(ratios):.1f}, {max(ratios):.1f}], {np.median(ours_ms):.1f} ms an iteration; "
            f"log-likelihood after 8: {same:.8f} and {rival_bound:.8f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
