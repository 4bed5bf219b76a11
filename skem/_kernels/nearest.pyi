from typing import Any

import numpy as np
from numpy.typing import NDArray

def assign_nearest(
    X: NDArray[np.floating],
    origin: NDArray[np.float64],
    scale: NDArray[np.float64],
    centers: NDArray[np.float64],
    labels: NDArray[np.int32],
    *,
    sample_weight: NDArray[np.float64] | None = ...,
    lower: NDArray[np.float32] | None = ...,
    drift: NDArray[np.float64] | None = ...,
    discount: NDArray[np.float64] | None = ...,
    slack: float = ...,
    collect: bool = ...,
    n_threads: int = ...,
) -> tuple[int, int, int, Any, Any]: ...
def squared_to_own(
    X: NDArray[np.floating],
    origin: NDArray[np.float64],
    scale: NDArray[np.float64],
    centers: NDArray[np.float64],
    labels: NDArray[np.int32],
    *,
    n_threads: int = ...,
) -> NDArray[np.float64]: ...
def squared_to_all(
    X: NDArray[np.floating],
    origin: NDArray[np.float64],
    scale: NDArray[np.float64],
    centers: NDArray[np.float64],
    *,
    n_threads: int = ...,
) -> NDArray[np.float64]: ...
