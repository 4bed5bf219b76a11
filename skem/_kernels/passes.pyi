from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from skem._kernels.parts import Centred, Linear

_Results = tuple[float, int, NDArray[np.float64], list[Mapping[str, NDArray[np.float64]]]]

simd_width: int
has_openmp: bool
ASSIGNMENTS: dict[str, int]
FEATURE_MAPS: dict[str, int]

def set_thread_cap(cap: int) -> None: ...
def max_threads() -> int: ...

class Prepared:
    def __init__(self, *args: Any, **named: Any) -> None: ...
    @property
    def n_undecided(self) -> int: ...
    def once(self) -> _Results: ...
    def results(
        self,
        sums: NDArray[np.float64] | None = ...,
        means: Sequence[NDArray[np.float64] | None] | None = ...,
    ) -> _Results: ...

def run_pass(
    X: NDArray[np.floating],
    origin: NDArray[np.float64],
    scale: NDArray[np.float64],
    n_components: int,
    log_weights: NDArray[np.float64],
    scorers: Sequence[tuple[Linear | Centred, int, int]],
    collectors: Sequence[tuple[Linear | Centred, int, int]],
    *,
    assign: Literal["soft", "hard", "draw", "given"] = ...,
    index: NDArray[np.intp] | None = ...,
    sample_weight: NDArray[np.float64] | None = ...,
    log_prior: NDArray[np.float64] | None = ...,
    codes: NDArray[np.int32] | None = ...,
    labels_in: NDArray[np.int32] | None = ...,
    uniforms: NDArray[np.float64] | None = ...,
    uniform_start: NDArray[np.intp] | None = ...,
    labels: NDArray[np.int32] | None = ...,
    lse: NDArray[np.float64] | None = ...,
    resp: NDArray[np.float64] | None = ...,
    scores: NDArray[np.float64] | None = ...,
    coding: Any = ...,
    n_threads: int = ...,
) -> _Results: ...
