import numpy as np
from numpy.typing import NDArray

from skem._kernels.ascent import Step

def row_sums(values: NDArray[np.float64]) -> NDArray[np.float64]: ...

class RateStep(Step):
    def __init__(
        self,
        n_components: int,
        typical: NDArray[np.float64],
        least: float,
        of_counts: bool,
        prior: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None,
        constant: float = 0.0,
    ) -> None: ...
