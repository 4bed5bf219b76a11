from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skem._kernels.gaussian import MaximumLikelihood

class PosteriorStep(MaximumLikelihood): ...

class ModeStep(PosteriorStep):
    def __init__(
        self,
        structure: str,
        prior: Any,
        variance: NDArray[np.float64],
        floor: float,
        reach: float,
        more: float,
        power: ArrayLike,
        constant: float,
    ) -> None: ...

class ExpectStep(PosteriorStep):
    def __init__(
        self,
        structure: str,
        prior: Any,
        variance: NDArray[np.float64],
        floor: float,
        reach: float,
        log_normalizer: float,
        added: ArrayLike | None = ...,
    ) -> None: ...
