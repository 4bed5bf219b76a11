from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

def pack(values: NDArray[np.float64], n_panels: int, fill: float) -> NDArray[np.float64]: ...
def positive(posterior: Mapping[str, Any], names: list[str]) -> list[NDArray[np.float64]]: ...
def unpack(panels: NDArray[np.float64], n_components: int, width: int) -> NDArray[np.float64]: ...

class Moves:
    n_components: int
    n_features: int
    n_repairs: int
    kind: str
    @property
    def posterior(self) -> dict[str, NDArray[np.float64]]: ...
    @property
    def n_k(self) -> NDArray[np.float64]: ...
    def observe(self, k: int, row: NDArray[np.float64], w: float = 1.0) -> None: ...
    def forget(self, k: int, row: NDArray[np.float64], w: float = 1.0) -> None: ...
    def log_predictive(self, row: NDArray[np.float64], w: float = 1.0) -> NDArray[np.float64]: ...
    def sweep(
        self,
        X: Any,
        w: NDArray[np.float64],
        labels: NDArray[np.int32],
        order: NDArray[np.intp],
        refill: bool = True,
        n_rows: NDArray[np.intp] | None = None,
        lead: NDArray[np.float64] | None = None,
        opening: NDArray[np.float64] | None = None,
        targets: NDArray[np.int32] | None = None,
    ) -> tuple[int, float]: ...
