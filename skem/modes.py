"""All maxima of a sum of Gaussian bumps."""

from itertools import combinations
from typing import NamedTuple

import numpy as np
from scipy.special import expit, logsumexp, softmax

from skem.log_sum_exp import ascend

# Components whose ridgelines are searched with each, and those of which triples are formed.
NEIGHBOURS, CLOSEST = 12, 6
# Points of a ridgeline, and how far beyond the turn of its steepest direction it is followed (logit).
RIDGE_POINTS, RIDGE_ENDS = 32, 5.0
# A point is a maximum where no curvature, relative to the components' own, is above this; others are left by a step
# of so many standard deviations.
UPWARD, STEP = 1e-7, 1e-2
# Heights that differ by less are level.
LEVEL = 1e-12
# Saddles that one ascent may pass.
MOST_SADDLES = 20


class Modes(NamedTuple):
    """Modes of a mixture's density, the highest first.

    Attributes
    ----------
    modes : ndarray of shape (n_modes, n_features)
        Where the density has a maximum.
    log_densities : ndarray of shape (n_modes,)
        Log density there.
    labels : intp ndarray of shape (n_components,)
        Mode that the ascent from each component's mean ends in. Some modes may be nobody's.
    """

    modes: np.ndarray
    log_densities: np.ndarray
    labels: np.ndarray


def find_modes(terms, tol, max_iter):
    """Modes of log sum_i exp f_i for peaked quadratics f_i.

    A maximum lies where some weighted sum of the terms has its own (Ray & Lindsay 2005). So ascents start from the
    terms' peaks; from the maxima along the curve of such points between two terms that are near one another; and from
    the centre of such a surface between three.

    Parameters
    ----------
    terms : QuadraticTerms
        Every A positive definite, every b zero.
    tol : float
        Distance below which two maxima are one, in local standard deviations.
    max_iter : int
        Most steps of an ascent.

    Returns
    -------
    modes : Modes
    """
    n_components = len(terms.c)
    starts = np.concatenate([terms.centers, *_between(terms)])
    ends, values = _climb(terms, starts, max_iter)
    matrices = _curvature(terms, ends)[0]
    found: list[int] = []
    owner = np.empty(len(ends), dtype=np.intp)
    # a mode is named by its highest point: those of the components first among equals
    for i in np.lexsort((np.arange(len(ends)), -values)):
        step = ends[found] - ends[i]
        # near as either of them measures it: a narrow peak may sit close to the top of a broad one
        here = np.einsum("mi,ij,mj->m", step, matrices[i], step)
        there = np.einsum("mi,mij,mj->m", step, matrices[found], step)
        near = np.flatnonzero(np.maximum(here, there) <= tol**2)
        owner[i] = near[0] if len(near) else len(found)
        if not len(near):
            found.append(i)
    return Modes(ends[found], values[found], owner[:n_components])


def _curvature(terms, x):
    """Mean of the terms' matrices, as they share in the sum at rows of x, and Hessians of its logarithm."""
    shares = softmax(terms.values(x), axis=1)
    return np.einsum("mn,nij->mij", shares, terms.A), terms.derivatives(x, shares)[1]


def _climb(terms, x, max_iter):
    """Ends and values of ascents from rows of x, then those from the other sides of the saddles that were met.

    An ascent that comes to rest on a saddle goes on to the higher side.
    """
    ends, values = ascend(terms, x, 0.0, max_iter)[:2]
    rows = np.arange(len(ends))
    for _ in range(MOST_SADDLES):
        matrix, hessian = _curvature(terms, ends[rows])
        inverse = np.linalg.inv(np.linalg.cholesky(matrix))
        upward, axes = np.linalg.eigh(inverse @ hessian @ np.swapaxes(inverse, 1, 2))
        saddle = upward[:, -1] > UPWARD
        rows, inverse, axis = rows[saddle], inverse[saddle], axes[saddle, :, -1]
        if not len(rows):
            break
        # an axis has no sign of its own: its largest coordinate shall be positive
        axis *= np.sign(np.take_along_axis(axis, np.abs(axis).argmax(axis=1)[:, None], axis=1))
        step = STEP * np.einsum("mji,mj->mi", inverse, axis)
        sides, heights = ascend(terms, np.concatenate([ends[rows] + step, ends[rows] - step]), 0.0, max_iter)[:2]
        sides, heights = sides.reshape(2, len(rows), -1), heights.reshape(2, -1)
        best, each = (heights[1] > heights[0] + LEVEL).astype(np.intp), np.arange(len(rows))
        ends[rows], values[rows] = sides[best, each], heights[best, each]
        rows = np.concatenate([rows, len(ends) + each])
        ends = np.concatenate([ends, sides[1 - best, each]])
        values = np.concatenate([values, heights[1 - best, each]])
    return ends, values


def _between(terms):
    """Starts between two terms, and between three."""
    A, centers = terms.A, terms.centers
    n, d = centers.shape
    if n == 1:
        return
    squared = np.stack([np.einsum("ni,ij,nj->n", centers - m, B, centers - m) for m, B in zip(centers, A, strict=True)])
    np.fill_diagonal(squared, np.inf)
    order = np.argsort(np.minimum(squared, squared.T), axis=1, kind="stable")[:, : n - 1]
    pairs = {(min(i, j), max(i, j)) for i in range(n) for j in order[i, :NEIGHBOURS].tolist()}
    yield from (_along_ridge(terms, i, j) for i, j in sorted(pairs))
    if d == 1:
        # one coordinate has no room for more modes than components
        return
    triples = {tuple(sorted((i, *two))) for i in range(n) for two in combinations(order[i, :CLOSEST].tolist(), 2)}
    if triples:
        weights = np.zeros((len(triples), n))
        # matrices of one size, so that none of the three draws the centre to itself
        np.put_along_axis(weights, np.array(sorted(triples)), 1.0, axis=1)
        weights *= np.exp(-np.linalg.slogdet(A)[1] / d)
        yield terms.maximize(weights)


def _along_ridge(terms, i, j):
    """Maxima of the whole sum along the curve of maxima of weighted sums of two terms."""
    lower = np.linalg.cholesky(terms.A[i])
    whitened = np.linalg.solve(lower, terms.A[j])
    ratio = np.log(np.linalg.eigvalsh(np.linalg.solve(lower, whitened.T)))
    # the curve turns in each of its directions where the two matrices weigh the same there
    logit = np.linspace(-ratio[-1] - RIDGE_ENDS, -ratio[0] + RIDGE_ENDS, RIDGE_POINTS)
    weights = np.zeros((RIDGE_POINTS, len(terms.c)))
    weights[:, i], weights[:, j] = expit(-logit), expit(logit)
    points = np.concatenate([terms.centers[[i]], terms.maximize(weights), terms.centers[[j]]])
    height = logsumexp(terms.values(points), axis=1)
    return points[1:-1][(height[1:-1] >= height[:-2]) & (height[1:-1] >= height[2:])]
