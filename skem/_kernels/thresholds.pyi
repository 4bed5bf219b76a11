import numpy as np
from numpy.typing import NDArray

def best_thresholds(
    values: NDArray[np.float64],
    order: NDArray[np.intp],
    weight: NDArray[np.float64],
    least: NDArray[np.float64],
    pseudo_rows: float,
    pseudo_variance: float,
) -> tuple[NDArray[np.intp], NDArray[np.float64]]: ...
