"""How components are laid out for the micro-kernels of a truncated pass (rows.h, scans.h)."""

import numpy as np


def pad_columns(values, length):
    """Values (K, width) with zeros up to `length` columns."""
    values = np.asarray(values, dtype=np.float64)
    padded = np.zeros((values.shape[0], length))
    padded[:, : values.shape[1]] = values
    return padded


def triangles_by_columns(factor, length):
    """Triangles (K or 1, d, d) stored by columns, each with zeros up to `length`."""
    columns = np.zeros((*factor.shape[:2], length))
    columns[:, :, : factor.shape[1]] = factor.transpose(0, 2, 1)
    return columns


def scan_numbers(part):
    """Float numbers (K, size) of each component, in the order in which a scan reads them."""
    with np.errstate(over="ignore", invalid="ignore"):
        if hasattr(part, "feature_map"):
            return np.asarray(part.weights, dtype=np.float32)
        mean, factor = part.mean, part.factor
        if factor.ndim == 2:
            pairs = np.stack([np.broadcast_to(factor, mean.shape), factor * mean], axis=2)
            return pairs.reshape(len(mean), -1).astype(np.float32)
        d = mean.shape[1]
        rows, columns = np.tril_indices(d)
        numbers = np.empty((len(mean), len(rows) + d), dtype=np.float32)
        ends = np.cumsum(np.arange(2, d + 2)) - 1
        numbers[:, ends] = np.matmul(factor, mean[:, :, None])[:, :, 0]
        numbers[:, np.setdiff1d(np.arange(numbers.shape[1]), ends)] = factor[:, rows, columns]
        return numbers


def pack_tiles(numbers, offset, tile):
    """The same by tiles (n_tiles, size, tile), and offsets; components that fill the last tile are out of reach."""
    n_components, size = numbers.shape
    n_tiles = -(-n_components // tile)
    packed = np.zeros((n_tiles * tile, size), dtype=np.float32)
    packed[:n_components] = numbers
    out_of_reach = np.full(n_tiles * tile, -1e37, dtype=np.float32)
    with np.errstate(over="ignore"):
        out_of_reach[:n_components] = np.maximum(offset, -1e37)
    return np.ascontiguousarray(packed.reshape(n_tiles, tile, size).transpose(0, 2, 1)), out_of_reach


def window_components(first_tile, n_tiles, n_components, tile):
    """Components of the tiles of a window, counted around the end; -1 for those that fill the last tile."""
    every = -(-n_components // tile) * tile
    window = (first_tile * tile + np.arange(n_tiles * tile)) % every
    return np.where(window < n_components, window, -1).astype(np.int32)
