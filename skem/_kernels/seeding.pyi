from typing import Any

import numpy as np
from numpy.typing import NDArray

def row_hash(
    X: NDArray[np.floating[Any]],
    low: NDArray[np.float64] | None = None,
    inv_span: NDArray[np.float64] | None = None,
) -> NDArray[np.uint64]: ...
def column_range(
    X: NDArray[np.floating[Any]], weights: NDArray[np.float64] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...
def column_moments(
    X: NDArray[np.floating[Any]],
    origin: NDArray[np.float64],
    inv_scale: NDArray[np.float64],
    weights: NDArray[np.float64] | None,
    clip: float,
    index: NDArray[np.intp] | None = ...,
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]: ...
def kmeans_plusplus(
    X: NDArray[np.float64],
    w: NDArray[np.float64],
    n_seeds: int,
    uniforms: NDArray[np.float64],
    n_trials: int,
) -> NDArray[np.int64]: ...
