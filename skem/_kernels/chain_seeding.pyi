import numpy as np
from numpy.typing import NDArray

def chain_seeds(
    X: NDArray[np.float64], w: NDArray[np.float64], n_seeds: int, uniforms: NDArray[np.float64]
) -> NDArray[np.int64]: ...
