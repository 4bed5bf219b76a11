"""The quality of what a library found, by the same plain NumPy for all."""

import numpy as np
from scipy.linalg import solve_triangular
from scipy.special import logsumexp

# Rows that are judged; the same ones for all.
ROWS = 100_000
BLOCK = 10_000


def log_likelihood(X, found, structure):
    """Mean log-likelihood of the first rows under a fitted mixture."""
    K, d = found.means.shape
    covariances = np.asarray(found.covariances, dtype=np.float64)
    if structure == "tied":
        covariances = np.broadcast_to(covariances, (K, d, d))
    elif structure == "diag":
        covariances = covariances[:, :, None] * np.eye(d)
    elif structure == "spherical":
        covariances = covariances[:, None, None] * np.eye(d)
    factors = np.linalg.cholesky(covariances)
    log_determinants = np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(axis=1)
    offsets = np.log(found.weights) - log_determinants - 0.5 * d * np.log(2.0 * np.pi)
    X = X[:ROWS]
    total = 0.0
    for begin in range(0, len(X), BLOCK):
        rows = X[begin : begin + BLOCK].astype(np.float64)
        scores = np.empty((K, len(rows)))
        for k in range(K):
            white = solve_triangular(factors[k], (rows - found.means[k]).T, lower=True)
            scores[k] = offsets[k] - 0.5 * np.einsum("ij,ij->j", white, white)
        total += float(logsumexp(scores, axis=0).sum())
    return total / len(X)


def inertia(X, centers):
    """Mean squared distance of the first rows to their nearest centre."""
    X, centers = X[:ROWS].astype(np.float64), np.asarray(centers, dtype=np.float64)
    total = 0.0
    for begin in range(0, len(X), BLOCK):
        rows = X[begin : begin + BLOCK]
        squared = (rows**2).sum(axis=1)[:, None] - 2.0 * rows @ centers.T + (centers**2).sum(axis=1)
        total += float(squared.min(axis=1).sum())
    return total / len(X)
