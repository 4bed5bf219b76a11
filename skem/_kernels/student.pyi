import numpy as np
from numpy.typing import NDArray

from skem._kernels.gaussian import MaximumLikelihood

def log_tail(dof: NDArray[np.float64], d: int) -> NDArray[np.float64]: ...
def log_scales(
    n_k: NDArray[np.float64], latent: NDArray[np.float64], dof: NDArray[np.float64], d: int
) -> NDArray[np.float64]: ...
def most_likely_dof(
    mass: NDArray[np.float64],
    weight: NDArray[np.float64],
    log_scale: NDArray[np.float64],
    bounds: tuple[float, float],
    common: bool,
    tied: bool,
    expand: bool,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...

class StudentMaximumLikelihood(MaximumLikelihood):
    def __init__(
        self,
        structure: str,
        n_components: int,
        variance: NDArray[np.float64],
        floor: float,
        bounds: tuple[float, float],
        common: bool,
    ) -> None: ...
