import numpy as np
from numpy.typing import NDArray

max_features: int

class Tree:
    n_samples: int
    n_features: int
    n_levels: int
    order: NDArray[np.int32]
    def __init__(
        self,
        X: NDArray[np.floating],
        origin: NDArray[np.float64],
        scale: NDArray[np.float64],
        sample_weight: NDArray[np.float64] | None = ...,
        n_threads: int = ...,
    ) -> None: ...
