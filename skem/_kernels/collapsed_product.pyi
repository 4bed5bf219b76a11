from numpy.typing import ArrayLike

from skem._kernels.moves import Moves

class ProductMoves(Moves):
    def __init__(self, kind: str, first: Moves, second: Moves, n_k: ArrayLike, alpha: ArrayLike) -> None: ...
