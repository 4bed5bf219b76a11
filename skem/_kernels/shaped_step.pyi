import numpy as np
from numpy.typing import NDArray

from skem._kernels.gaussian import MaximumLikelihood

def is_worse(
    structure: str,
    n_k: NDArray[np.float64],
    scatter: NDArray[np.float64],
    before: tuple[NDArray[np.float64], NDArray[np.float64]],
    after: tuple[NDArray[np.float64], NDArray[np.float64]],
    held: bool = False,
) -> bool: ...

class ShapedMaximumLikelihood(MaximumLikelihood):
    def __init__(
        self,
        model: str,
        structure: str,
        n_components: int,
        variance: NDArray[np.float64],
        floor: float,
        reach: float,
    ) -> None: ...
