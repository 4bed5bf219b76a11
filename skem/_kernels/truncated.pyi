from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from skem._kernels.parts import Centred, Linear

tile_components: int

def run_truncated(
    X: NDArray[np.floating],
    origin: NDArray[np.float64],
    scale: NDArray[np.float64],
    n_components: int,
    log_weights: NDArray[np.float64],
    scorer: Linear | Centred | None,
    collector: Linear | Centred,
    sets: NDArray[np.int32],
    *,
    fresh: bool = ...,
    first_tile: int = ...,
    n_tiles: int = ...,
    near: int = ...,
    every: int = ...,
    due: int = ...,
    hard: bool = ...,
    order: NDArray[np.int32] | None = ...,
    sample_weight: NDArray[np.float64] | None = ...,
    labels_in: NDArray[np.int32] | None = ...,
    labels: NDArray[np.int32] | None = ...,
    n_threads: int = ...,
) -> tuple[float, int, NDArray[np.float64], list[Mapping[str, NDArray[np.float64]]]]: ...
