from numpy.typing import ArrayLike

from skem._kernels.ascent import WeightStep

class ModeOfShares(WeightStep):
    def __init__(self, alpha: ArrayLike) -> None: ...

class ExpectedShares(WeightStep):
    def __init__(self, alpha: ArrayLike) -> None: ...

class ExpectedSticks(WeightStep):
    def __init__(self, a: ArrayLike, b: ArrayLike) -> None: ...
