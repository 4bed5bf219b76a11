from collections.abc import Mapping

from numpy.typing import ArrayLike

from skem._kernels.moves import Moves

KINDS: dict[str, int]

class GaussianMoves(Moves):
    def __init__(self, kind: str, posterior: Mapping[str, ArrayLike], n_k: ArrayLike, alpha: ArrayLike) -> None: ...
