import numpy as np
from numpy.typing import NDArray

from skem._kernels.ascent import Step

CODES: dict[str, int]

def moments(
    structure: str,
    n_k: NDArray[np.float64],
    features: NDArray[np.float64],
    about: NDArray[np.float64] | None,
    shared: NDArray[np.float64] | None,
    d: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]: ...
def constrain(
    structure: str, covariance: NDArray[np.float64], variance: NDArray[np.float64], floor: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]: ...
def natural(
    structure: str,
    mean: NDArray[np.float64],
    factor: NDArray[np.float64],
    offset: NDArray[np.float64],
    variance: NDArray[np.float64],
    reach: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | tuple[None, None]: ...

class MaximumLikelihood(Step):
    def __init__(
        self,
        structure: str,
        n_components: int,
        variance: NDArray[np.float64],
        floor: float,
        reach: float,
        added: NDArray[np.float64] | None = None,
    ) -> None: ...
