"""Errors of one EM step against a two-pass reference in extended precision that knows nothing of skem.

The step is that of the drop-in `GaussianMixture`, so that scikit-learn's takes the very same arguments and its error
in the same test is known. Which pass skem runs, the family decides by itself. An error is the worst of three data
sets: where both libraries lose to the same rounding, a single one would toss a coin between them. Run as a script,
this file prints the table of docs/promises.md.
"""

import sys
import warnings
from functools import cache

import numpy as np
import pytest
import sklearn.mixture

import skem
import skem.families.covariance

LONG = np.longdouble
STRUCTURES = ("full", "tied", "diag", "spherical")
N_FEATURES, N_COMPONENTS = 6, 8
DATA_SETS = 3
# name: (offset of all columns, range of the centres, width of the clusters)
CASES = {
    "unit spread": (0.0, 4.0, 1.0),
    "offset 1e6, unit scale": (1e6, 4.0, 1.0),
    "1e-4 wide in unit range": (0.0, 1.0, 1e-4),
    "1e-6 wide in unit range": (0.0, 1.0, 1e-6),
    "offset 1e6, 1e-2 wide": (1e6, 1.0, 1e-2),
}
# what the issue of speed allows in float64: mean log-likelihood (absolute), covariances (relative)
BOUNDS = (1e-11, 1e-10)

pytestmark = pytest.mark.skipif(np.finfo(LONG).eps > 1e-18, reason="no extended precision on this platform")


def problem(case, structure, n, dtype, seed):
    """Rows near K centres, and parameters a little off them, in dtype."""
    offset, spread, width = CASES[case]
    rng = np.random.default_rng(seed)
    d, K = N_FEATURES, N_COMPONENTS
    centers = offset + spread * rng.random((K, d))
    roots = width * (np.eye(d) + 0.3 * rng.standard_normal((K, d, d)))
    labels = rng.integers(K, size=n)
    X = centers[labels] + np.einsum("nij,nj->ni", roots[labels], rng.standard_normal((n, d)))
    covariances = 1.3 * roots @ np.swapaxes(roots, 1, 2)
    precisions = {
        "full": lambda: np.linalg.inv(covariances),
        "tied": lambda: np.linalg.inv(covariances.mean(axis=0)),
        "diag": lambda: 1.0 / np.einsum("kii->ki", covariances),
        "spherical": lambda: d / np.einsum("kii->k", covariances),
    }[structure]()
    if precisions.ndim > 2 or structure == "tied":
        precisions = 0.5 * (precisions + np.swapaxes(precisions, -1, -2))
    means = centers + 0.2 * width * rng.standard_normal((K, d))
    weights = rng.dirichlet(np.full(K, 5.0))
    start = {"weights_init": weights, "means_init": means, "precisions_init": precisions}
    return X.astype(dtype), {name: value.astype(dtype) for name, value in start.items()}


def cholesky(matrix):
    """Lower factor of a matrix in extended precision."""
    d = len(matrix)
    lower = np.zeros((d, d), dtype=LONG)
    for j in range(d):
        lower[j, j] = np.sqrt(matrix[j, j] - (lower[j, :j] ** 2).sum())
        for i in range(j + 1, d):
            lower[i, j] = (matrix[i, j] - (lower[i, :j] * lower[j, :j]).sum()) / lower[j, j]
    return lower


def reference(X, structure, weights_init, means_init, precisions_init):
    """Mean log-likelihood at the start, and covariances after one step, in extended precision."""
    X, weights, means = X.astype(LONG), weights_init.astype(LONG), means_init.astype(LONG)
    n, d = X.shape
    K = len(weights)
    precisions = precisions_init.astype(LONG)
    if structure == "tied":
        precisions = np.broadcast_to(precisions, (K, d, d))
    elif structure != "full":
        precisions = (precisions if structure == "diag" else precisions[:, None])[..., None] * np.eye(d)
    scores = np.empty((n, K), dtype=LONG)
    pi = 4 * np.arctan(LONG(1))
    for k in range(K):
        root = cholesky(precisions[k])
        z = ((X - means[k])[:, :, None] * root).sum(axis=1)
        log_norm = np.log(np.diag(root)).sum() - d * np.log(2 * pi) / 2
        scores[:, k] = np.log(weights[k]) + log_norm - (z**2).sum(axis=1) / 2
    top = scores.max(axis=1, keepdims=True)
    total = np.exp(scores - top).sum(axis=1, keepdims=True)
    resp = np.exp(scores - top) / total
    log_likelihood = (top + np.log(total)).mean()
    n_k = resp.sum(axis=0)
    scatter = np.empty((K, d, d), dtype=LONG)
    for k in range(K):
        z = X - (resp[:, k, None] * X).sum(axis=0) / n_k[k]
        for i in range(d):
            scatter[k, i] = (resp[:, k, None] * z[:, i, None] * z).sum(axis=0)
    variances = np.einsum("kii->ki", scatter) / n_k[:, None]
    covariances = {
        "full": lambda: scatter / n_k[:, None, None],
        "tied": lambda: scatter.sum(axis=0) / n_k.sum(),
        "diag": lambda: variances,
        "spherical": lambda: variances.mean(axis=1),
    }[structure]()
    return log_likelihood, covariances


def errors(library, X, structure, start, exact):
    """Absolute error of the mean log-likelihood, and the largest of a covariance relative to its largest entry."""
    mixture = library.GaussianMixture(
        N_COMPONENTS, covariance_type=structure, reg_covar=0.0, tol=0.0, max_iter=1, **start
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            mixture.fit(X)
        except ValueError:
            return np.inf, np.inf
    log_likelihood, covariances = exact
    axes = {"full": (1, 2), "tied": (0, 1), "diag": 1, "spherical": ()}[structure]
    away = np.abs(mixture.covariances_.astype(LONG) - covariances)
    relative = (away.max(axis=axes) / np.abs(covariances).max(axis=axes)).max()
    return tuple(np.nan_to_num([float(abs(mixture.lower_bound_ - log_likelihood)), float(relative)], nan=np.inf))


@cache
def row(case, structure, n, dtype):
    """Errors of skem and of scikit-learn."""
    worst = np.zeros((2, 2))
    with pytest.MonkeyPatch.context() as patch:
        # the constraint on maximum likelihood would hold the narrow clusters open, and arithmetic is what is asked
        patch.setattr(skem.families.covariance.CLASSIC[structure], "floor", 1e-15)
        for seed in range(DATA_SETS):
            X, start = problem(case, structure, n, dtype, seed)
            exact = reference(X, structure, **start)
            both = [errors(library, X, structure, start, exact) for library in (skem, sklearn.mixture)]
            worst = np.maximum(worst, both)
    return worst


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("case", CASES)
def test_a_step_loses_nothing(case, structure, dtype):
    ours, theirs = row(case, structure, 1500, dtype)
    # rows rounded to float64 are 1e-10 widths off in the narrowest clusters; float32 promises scikit-learn's errors
    at_rounding = case == "1e-6 wide in unit range" or dtype == "float32"
    allowed = np.maximum(BOUNDS, theirs) if at_rounding else BOUNDS
    assert (ours <= allowed).all(), (ours, theirs)


def main(n=20000):
    """Print the table in Markdown."""
    print("| data | covariance | skem | scikit-learn | skem, float32 | scikit-learn, float32 |\n" + "|---" * 6 + "|")
    for case in CASES:
        for structure in STRUCTURES:
            both = [error for dtype in ("float64", "float32") for error in row(case, structure, n, dtype)]
            cells = [f"{ll:.0e}, {cov:.0e}" if np.isfinite([ll, cov]).all() else "ValueError" for ll, cov in both]
            print(f"| {case if structure == 'full' else ''} | {structure} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
