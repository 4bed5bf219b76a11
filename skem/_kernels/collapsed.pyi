from collections.abc import Mapping

from numpy.typing import ArrayLike

from skem._kernels.moves import Moves

KINDS: dict[str, type[Moves]]

def Collapsed(  # noqa: N802 # called as the class that it picks
    kind: str,
    posterior: Mapping[str, ArrayLike],
    n_k: ArrayLike,
    alpha: ArrayLike,
) -> Moves: ...
