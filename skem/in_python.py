"""A pass for families whose features, and perhaps densities, are NumPy code."""

from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import csr_array

from skem._kernels.csr import PreparedCSR
from skem._kernels.parts import Linear
from skem._kernels.passes import run_pass
from skem.rows import is_sparse

# Entries of sparse features that are kept from pass to pass, some 12 bytes each.
MOST_ENTRIES = 1 << 24


class Entries(NamedTuple):
    """Sparse features of a block of rows, without those that are zero in all of them.

    Attributes
    ----------
    n_features : int
    used : intp ndarray of shape (m,)
        The features that the block has.
    rows : CSR matrix of shape (n, m)
    """

    n_features: int
    used: np.ndarray
    rows: Any

    @classmethod
    def of(cls, features):
        """Take them from a CSR matrix of all features."""
        flags = np.zeros(features.shape[1], dtype=bool)
        flags[features.indices] = True
        used = np.flatnonzero(flags)
        indices = (np.cumsum(flags) - 1)[features.indices]
        rows = csr_array((features.data, indices, features.indptr), shape=(features.shape[0], len(used)))
        return cls(features.shape[1], used, rows)


class PassInPython:
    """Passes over one source, which keep what sparse features they have met."""

    def __init__(self):
        self._kept: dict[int, Entries] = {}
        self._n_kept = 0

    def run(self, source, log_weights, theta, collect, *, assign, weight, **rows):
        """Run one pass; see `skem.engine.Source.run`.

        Returns
        -------
        score : float
        moved : int
        n_k : ndarray of shape (n_components,)
        features : ndarray of shape (n_components, n_features of T), or 0.0 where nothing is collected
        """
        score, moved, n_k, total = 0.0, 0, np.zeros(len(log_weights)), 0.0
        for block in source.blocks():
            own: dict[str, Any] = {"assign": assign, "sample_weight": None if weight is None else weight[block]}
            for name, value in rows.items():
                stop = block.stop + (name == "uniform_start")
                own[name] = value if name == "uniforms" else value[block.start : stop]
            entries = self._kept.get(block.start)
            if entries is None:
                X = source.family.summary_.to_internal(source.take(block))
                features = source.family.features(X)
                entries = self._keep(block, features) if is_sparse(features) else None
            if entries is not None:
                found = _run_entries(source.family, entries, log_weights, theta, collect, own)
            else:
                found = _run_rows(source.family, X, features, log_weights, theta, collect, own)
            score, moved, n_k, total = score + found[0], moved + found[1], n_k + found[2], total + found[3]
        return score, moved, n_k, total

    def _keep(self, block, features):
        entries = Entries.of(features)
        if self._n_kept + features.nnz <= MOST_ENTRIES:
            self._kept[block.start] = entries
            self._n_kept += features.nnz
        return entries


def _run_entries(family, entries, log_weights, theta, collect, own):
    """A block's pass over sparse features."""
    weights = None
    if theta is not None:
        weights, offset = family.natural(theta, entries.used)
        log_weights = log_weights + offset
    score, moved, n_k, sums = PreparedCSR(entries.rows, len(log_weights), log_weights, weights, collect, **own).once()
    if not collect:
        return score, moved, n_k, 0.0
    total = np.zeros((len(log_weights), entries.n_features))
    total[:, entries.used] = sums[0]["features"]
    return score, moved, n_k, total


def _run_rows(family, X, features, log_weights, theta, collect, own):
    """A block's pass over whole features, scored by them or by the family's own densities."""
    features = np.ascontiguousarray(features, dtype=np.float64)
    m = features.shape[1]
    scorers: list[tuple[Any, int, int]] = []
    if theta is not None and hasattr(family, "log_prob"):
        scores = family.log_prob(X, theta)
        own["log_prior"] = np.ascontiguousarray(scores + own.get("log_prior", 0.0))
    elif theta is not None:
        part = family.scorer(theta)
        log_weights = log_weights + part.offset
        scorers = [(part, 0, m)]
    collectors = [(Linear("x"), 0, m)] if collect else []
    score, moved, n_k, sums = run_pass(
        features, np.zeros(m), np.ones(m), len(log_weights), log_weights, scorers, collectors, **own
    )
    return score, moved, n_k, sums[0]["features"] if collect else 0.0
