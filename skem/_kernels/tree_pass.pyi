from typing import Any

import numpy as np
from numpy.typing import NDArray

from skem._kernels.tree import Tree

def assign_by_tree(
    tree: Tree,
    mean: NDArray[np.float64],
    factor: NDArray[np.float64],
    offset: NDArray[np.float64],
    thin: NDArray[np.uint8],
    own: NDArray[np.int32],
    labels: NDArray[np.int32],
    n_threads: int = ...,
) -> tuple[float, int, Any]: ...
