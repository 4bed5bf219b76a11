from typing import Any

import numpy as np
from numpy.typing import NDArray

from skem._kernels.passes import Prepared, _Results

LOG_ZERO: float

class Convergence:
    def __init__(self, tol: float, total_weight: float) -> None: ...
    def update(self, value: float) -> bool: ...
    def slow(self, patience: float) -> bool: ...
    def contraction(self) -> float: ...
    def restart(self) -> None: ...

class Change(Convergence):
    def __init__(self, tol: float, total_weight: float, value: float) -> None: ...

class Step:
    def begin(self, theta: Any, second: NDArray[np.float64] | None, factor: NDArray[np.float64] | None) -> None: ...
    def before(self, theta: Any) -> Any: ...

class WeightStep: ...

def spread(factor: NDArray[np.float64], second: NDArray[np.float64]) -> float: ...
def log_share(n_k: NDArray[np.float64]) -> NDArray[np.float64]: ...
def ascend(
    p: Prepared,
    step: Step,
    weights: WeightStep,
    convergence: Convergence,
    begin: NDArray[np.float64],
    penalty: float,
    constant: float,
    max_updates: int,
    patience: float,
    labels: NDArray[np.int32],
    late: bool = ...,
) -> tuple[list[float], bool, bool, _Results | None]: ...
