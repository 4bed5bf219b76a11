import numpy as np
from numpy.typing import NDArray

CRITERIA: dict[str, int]

def ward(X: NDArray[np.float64], weight: NDArray[np.float64], n_groups: int) -> NDArray[np.int32]: ...

class Groups:
    n_groups: int
    d: int
    def __init__(
        self,
        criterion: str,
        n_k: NDArray[np.float64],
        mean: NDArray[np.float64],
        scatter: NDArray[np.float64] | None,
        ridge: NDArray[np.float64] | float | None,
    ) -> None: ...
    def merge(self, n_left: int) -> NDArray[np.int32]: ...
