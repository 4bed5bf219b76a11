import numpy as np
from numpy.typing import NDArray

from skem._kernels.ascent import Step

def shares(
    total: NDArray[np.float64], group: NDArray[np.intp], otherwise: NDArray[np.float64]
) -> NDArray[np.float64]: ...
def log_or_least(probability: NDArray[np.float64]) -> NDArray[np.float64]: ...
def with_zeros(n_k: NDArray[np.float64], ones: NDArray[np.float64]) -> NDArray[np.float64]: ...
def natural_of_pairs(
    log_probability: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...

class ShareStep(Step):
    def __init__(
        self,
        n_components: int,
        group: NDArray[np.intp],
        pairs: bool,
        prior: NDArray[np.float64] | None = None,
        log_constant: float = 0.0,
    ) -> None: ...
