import numpy as np
from numpy.typing import NDArray

from skem._kernels.ascent import Convergence, Step
from skem._kernels.passes import Prepared, _Results

class Field:
    def __init__(self, p: Prepared, step: Step, n_runs: int) -> None: ...
    def begin(self, run: int, codes: NDArray[np.int32], share: float = ...) -> None: ...
    def go_on(
        self,
        run: int,
        n_updates: int,
        rest: float = ...,
        convergence: Convergence | None = ...,
        goal: float = ...,
        least: int = ...,
    ) -> tuple[float, int, bool]: ...
    def enter(self, run: int) -> None: ...
    def masses(self, runs: list[int]) -> NDArray[np.float64]: ...
    def results(self, run: int) -> _Results: ...
