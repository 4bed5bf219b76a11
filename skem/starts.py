"""Where a run begins: seeds, k-means, or what the user gives.

A start depends on the data as a weighted set: rows are taken in canonical order, so neither their order nor
writing a row twice instead of giving it weight 2 changes anything.
"""

import numbers
from inspect import Parameter, signature
from typing import NamedTuple

import numpy as np

from skem._compat import check_numbers
from skem._kernels.chain_seeding import chain_seeds
from skem._kernels.nearest import assign_nearest
from skem._kernels.seeding import kmeans_plusplus
from skem.canonical import CanonicalRows, subsample
from skem.engine import BLOCK
from skem.memory import recall
from skem.rows import is_sparse, sketch
from skem.weights import safe_log

INITS = ("k-means", "k-means++", "random")
# Lloyd iterations of the "k-means" start: it only has to be near.
LLOYD_ITERATIONS = 20
# Beyond so many components k-means wants more rows than a subsample holds, so many for each, and takes its seeds from
# chains of such length: as many rows make up for seeds that are not the best of several.
MANY_COMPONENTS = 512
ROWS_EACH = 64
CHAIN = 32
# Where rows may lie far out: rows that distances are measured to, the share of them that a neighbourhood holds, and the
# usual radii of one beyond which a row leads no start.
N_REFERENCE = 256
NEIGHBOR_SHARE = 0.05
FAR_OUT = 1.5


def lloyd(X, sample_weight, centers, origin, scale, max_iter):
    """Lloyd's k-means from given centres.

    Parameters
    ----------
    X : ndarray of shape (n, d), float32 or float64
    sample_weight : ndarray of shape (n,) or None
    centers : ndarray of shape (n_clusters, d)
        In the coordinates (x - origin) / scale.
    origin, scale : ndarray of shape (d,)
    max_iter : int

    Returns
    -------
    centers : ndarray of shape (n_clusters, d)
    labels : int32 ndarray of shape (n,)
        Nearest of the returned centres.
    """
    labels = np.full(X.shape[0], -1, dtype=np.int32)
    for left in range(max_iter, -1, -1):
        n_moved, _, _, mass, sums = assign_nearest(
            X, origin, scale, centers, labels, sample_weight=sample_weight, collect=left > 0
        )
        if n_moved == 0 or left == 0:
            break
        centers = np.where(mass[:, None] > 0, sums / np.where(mass > 0, mass, 1.0)[:, None], centers)
    return centers, labels


def inner_rows(Z, weight):
    """Flags of rows that do not lie far out: near enough to others, by what is usual.

    A row's distance to its neighbours is the radius about it that holds a share of some reference rows.

    Parameters
    ----------
    Z : ndarray of shape (m, d)
        Canonical rows in units that make the columns alike.
    weight : ndarray of shape (m,)

    Returns
    -------
    flags : bool ndarray of shape (m,)
    """
    reference = np.arange(0, len(Z), -(-len(Z) // N_REFERENCE))
    own, mass = Z[reference], weight[reference]
    # the centre of most rows, so that far ones cost no digits
    centre = np.median(own, axis=0)
    Z, own = Z - centre, own - centre
    radius = np.empty(len(Z))
    for first in range(0, len(Z), BLOCK):
        rows = Z[first : first + BLOCK]
        squares = (rows**2).sum(axis=1)[:, None] + (own**2).sum(axis=1) - 2.0 * (rows @ own.T)
        order = np.argsort(squares, axis=1, kind="stable")
        held = np.cumsum(mass[order], axis=1) > NEIGHBOR_SHARE * mass.sum()
        at = np.take_along_axis(order, held.argmax(axis=1)[:, None], axis=1)
        radius[first : first + BLOCK] = np.sqrt(np.maximum(np.take_along_axis(squares, at, axis=1)[:, 0], 0.0))
    order = np.argsort(radius, kind="stable")
    middle = np.searchsorted(np.cumsum(weight[order]), 0.5 * weight.sum())
    usual = radius[order[middle]]
    return radius <= FAR_OUT * usual if usual > 0 else np.ones(len(Z), dtype=bool)


def label_rest(Z, weight, flags, labels, n_components):
    """Labels of all rows from those of the flagged ones: the others go to the nearest mean.

    Parameters
    ----------
    Z : ndarray of shape (m, d)
    weight : ndarray of shape (m,)
    flags : bool ndarray of shape (m,)
    labels : int32 ndarray of shape (flags.sum(),)
    n_components : int

    Returns
    -------
    labels : int32 ndarray of shape (m,)
    """
    mass = np.bincount(labels, weight[flags], n_components)
    inner = Z[flags] * weight[flags, None]
    sums = np.stack([np.bincount(labels, column, n_components) for column in inner.T], axis=1)
    used = np.flatnonzero(mass > 0)
    unit = np.ones(Z.shape[1])
    everywhere = used[lloyd(Z, None, sums[used] / mass[used, None], 0.0 * unit, unit, 0)[1]].astype(np.int32)
    everywhere[flags] = labels
    return everywhere


def choose_seeds(Z, weight, n_components, init, rng):
    """Positions of the seeds among canonical rows in standard coordinates."""
    if init == "k-means" and n_components > MANY_COMPONENTS and len(Z) >= ROWS_EACH // 2 * n_components:
        return np.asarray(chain_seeds(Z, weight, n_components, rng.random((n_components, CHAIN, 2))))
    n_trials = 2 + int(np.log(n_components)) if init != "random" else 1
    uniforms = rng.random((n_components, n_trials))
    if init == "random":
        # rows by weight, without repeats while there are distinct ones left
        keys = np.log(rng.random(len(Z))) / weight
        chosen = np.argsort(-keys, kind="stable")[:n_components]
        return np.resize(chosen, n_components)
    return np.asarray(kmeans_plusplus(Z, weight, n_components, uniforms, n_trials))


class StandardRows(NamedTuple):
    """Canonical rows, or a subsample of them, in units that make the columns alike.

    Attributes
    ----------
    rows : CanonicalRows
    Z : ndarray of shape (m, d)
        (x - origin) / (scale * unit), origin and scale being the summary's; or the family's own coordinates.
    unit : ndarray of shape (d,)
    """

    rows: CanonicalRows
    Z: np.ndarray
    unit: np.ndarray

    @classmethod
    def of(cls, source, rows=None, least=0):
        """Take them from a source: the canonical rows given, or a subsample of at least so many."""
        summary = source.family.summary_
        rows = subsample(source.X, source.weight, least=least) if rows is None else rows
        if source.family.has("coordinates"):
            Z = _own_coordinates(source, rows.index, None)
            return cls(rows, Z, np.ones(Z.shape[1]))
        unit = source.family.unit()
        if source.family.sparse:
            return cls(rows, _own_coordinates(source, rows.index, unit), unit)
        Z = np.ascontiguousarray(summary.to_internal(source.X[rows.index], copy=False))
        Z /= unit
        return cls(rows, Z, unit)


def _own_coordinates(source, rows, unit):
    """Rows of a source where distances mean something: the family's coordinates, or those in these units; dense.

    Of wide rows that may come as CSR it is a sketch, whichever way they come.
    """
    family = source.family
    X = family.summary_.to_internal(source.X[rows])
    if family.has("coordinates"):
        X = family.coordinates(X)
    else:
        X = X.multiply(1.0 / unit).tocsr() if is_sparse(X) else X * (1.0 / unit)
    return np.ascontiguousarray(sketch(X) if family.sparse else X)


def find_centers(Z, weight, n_components, init, rng, max_iter=LLOYD_ITERATIONS):
    """Seeds, moved by k-means where `init` says so.

    Parameters
    ----------
    Z : ndarray of shape (m, d)
        Canonical rows in units that make the columns alike.
    weight : ndarray of shape (m,)
    n_components : int
    init : {"k-means", "k-means++", "random"}
    rng : numpy.random.Generator
    max_iter : int, default=20
        Lloyd iterations at most.

    Returns
    -------
    centers : ndarray of shape (n_components, d)
    """
    centers = Z[choose_seeds(Z, weight, n_components, init, rng)]
    if init == "k-means":
        unit = np.ones(Z.shape[1])
        centers = lloyd(Z, weight, centers, np.zeros_like(unit), unit, max_iter)[0]
    return centers


def seed_labels(source, n_components, init, rng, rows=None):
    """Labels of every row of X by the nearest seed, or by k-means from the seeds.

    Parameters
    ----------
    source : Source
    n_components : int
    init : {"k-means", "k-means++", "random"}
    rng : numpy.random.Generator
    rows : CanonicalRows, default=None
        Where seeds are chosen; None means a subsample.

    Returns
    -------
    labels : int32 ndarray of shape (n,)
    """
    summary = source.family.summary_
    about = source.X, source.weight, source.index, summary, rows
    # families that see the rows in the same units have the same seeds
    alike = not (source.family.has("coordinates") or source.family.sparse)

    least = ROWS_EACH * n_components if init == "k-means" and n_components > MANY_COMPONENTS else 0

    def seeds():
        chosen, Z, unit = StandardRows.of(source, rows, least)
        weight = chosen.weight
        if source.family.heavy_tails:

            def flags():
                return inner_rows(Z, weight)

            # they do not depend on the number of components
            inner = recall(flags, about) if alike else flags()
            Z, weight = Z[inner], weight[inner]
        return find_centers(Z, weight, n_components, init, rng), unit

    def labels_and_state():
        centers, unit = seeds()
        labels = lloyd(source.X, None, centers, summary.origin, summary.scale * unit, 0)[1]
        return labels, rng.bit_generator.state

    if alike:
        state = repr(rng.bit_generator.state)
        labels, rng.bit_generator.state = recall(
            labels_and_state, about, (n_components, init, state, source.family.heavy_tails)
        )
        return labels.copy()
    centers, unit = seeds()
    labels, ones = np.empty(source.X.shape[0], dtype=np.int32), np.ones(centers.shape[1])
    for first in range(0, len(labels), BLOCK):
        block = slice(first, first + BLOCK)
        own = _own_coordinates(source, block, unit)
        labels[block] = lloyd(own, None, centers, np.zeros_like(ones), ones, 0)[1]
    return labels


def assign_labels(source, n_components, labels, assign):
    """Statistics of the labels of a start.

    Parameters
    ----------
    source : Source
    n_components : int
    labels : int32 ndarray of shape (n,)
    assign : {"soft", "hard", "draw"}
        How the algorithm assigns; the statistics of hard labels are theirs exactly, of others see `Family.share_out`.

    Returns
    -------
    given : Pass
    """
    given = source.assign_given(n_components, codes=labels)
    return given if assign == "hard" else given._replace(stats=source.family.share_out(given.stats, given.n_k))


def _check_labels(init, n, n_components):
    labels = np.asarray(init)
    if labels.shape != (n,):
        raise ValueError(f"init has shape {labels.shape}; labels need one for each of the {n} rows of X")
    if labels.dtype.kind not in "biuf":
        raise ValueError(
            "init holds labels that are not numbers: give numpy.unique(labels, return_inverse=True)[1], say"
        )
    if labels.dtype.kind == "f" and not (labels == np.floor(labels)).all():
        raise ValueError("init holds labels that are not whole numbers")
    bad = np.flatnonzero((labels < -1) | (labels >= n_components))
    if bad.size:
        raise ValueError(
            f"init[{bad[0]}] = {labels[bad[0]]}: labels run from 0 to n_components - 1 = {n_components - 1}, -1 for "
            "rows of unknown label"
        )
    return labels.astype(np.int32)


def _check_resp(init, n, n_components):
    try:
        resp = np.asarray(init, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"init holds responsibilities that are not numbers: {error}") from None
    if resp.shape != (n, n_components):
        raise ValueError(f"init has shape {resp.shape}; responsibilities need ({n}, {n_components})")
    bad = np.flatnonzero(~(np.isfinite(resp).all(axis=1) & (resp >= 0).all(axis=1) & (resp.sum(axis=1) > 0)))
    if bad.size:
        raise ValueError(f"row {bad[0]} of init is no set of responsibilities: they are >= 0 with a positive sum")
    return resp


def theta_from_parameters(family, n_components, given):
    """Log weights and theta from a dict of public parameters.

    Parameters
    ----------
    family : Family
        Bound.
    n_components : int
    given : dict
        "weights" (optional, equal where left out) and the family's parameters, "means" and "covariances", say.

    Returns
    -------
    log_weights : ndarray of shape (n_components,)
    theta : Parameters
    """
    given = {name: check_numbers(value, name, infinite=name in family.unbounded) for name, value in given.items()}
    weights = given.pop("weights", np.full(n_components, 1.0 / n_components))
    if weights.shape != (n_components,) or not (weights >= 0).all() or abs(weights.sum() - 1.0) > 1e-5:
        raise ValueError(f"weights must be {n_components} numbers >= 0 that sum to one")
    shape = family.shape_of_parameters(given)
    if shape[1] != family.summary_.n_features:
        raise ValueError(
            f"{family.location} has {shape[1]} columns, the data have {family.summary_.n_features} features"
        )
    try:
        theta = family.parameters(**given)
    except TypeError as error:
        own = signature(family.parameters).parameters.values()
        wanted = ", ".join(one.name for one in own if one.kind is not Parameter.VAR_KEYWORD)
        why = f"it takes all of {wanted}, and weights if there are any" if wanted else str(error)
        raise ValueError(f"parameters {sorted(given)} do not fit {type(family).__name__}(): {why}") from None
    if theta.n_components != n_components:
        raise ValueError(f"parameters describe {theta.n_components} components, n_components={n_components}")
    return safe_log(weights / weights.sum()), theta


def start(source, n_components, init, rng, assign="soft"):
    """Statistics of the start that `init` describes.

    Parameters
    ----------
    source : Source
    n_components : int
    init : {"k-means", "k-means++", "random"}, array-like or dict
        A name; labels (n,), -1 where unknown; responsibilities (n, n_components); or parameters by name.
    rng : numpy.random.Generator or None
        None where `init` is given, and nothing is drawn.
    assign : {"soft", "hard"}, default="soft"
        How rows are assigned under given parameters.

    Returns
    -------
    given : Pass
    """
    n = len(source)
    if isinstance(init, str):
        return assign_labels(source, n_components, seed_labels(source, n_components, init, rng), assign)
    if isinstance(init, dict):
        log_weights, theta = theta_from_parameters(source.family, n_components, init)
        return source.run(log_weights, theta, assign=assign)
    if np.ndim(init) == 1:
        return source.assign_given(n_components, codes=_check_labels(init, n, n_components))
    if np.ndim(init) == 2:
        return source.assign_given(n_components, resp=_check_resp(init, n, n_components))
    raise ValueError(
        f"init must be one of {INITS}, labels (n,), responsibilities (n, n_components) or a dict of parameters; "
        f"got {init!r}"
    )


def is_given(init):
    """Whether `init` fixes the start, so that several runs would be one."""
    return not isinstance(init, str | numbers.Number)
