import numpy as np
from numpy.typing import NDArray

CODES: dict[str, int]

def estimate(
    model: str,
    n_k: NDArray[np.float64],
    scatter: NDArray[np.float64],
    factor: NDArray[np.float64] | None = None,
    log_det: NDArray[np.float64] | None = None,
) -> NDArray[np.float64] | None: ...
