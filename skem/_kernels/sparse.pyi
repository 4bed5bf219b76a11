from typing import Any

import numpy as np
from numpy.typing import NDArray

def row_hash(
    data: NDArray[np.floating[Any]],
    indices: NDArray[np.signedinteger[Any]],
    indptr: NDArray[np.signedinteger[Any]],
    n_columns: int,
    low: NDArray[np.float64] | None = None,
    inv_span: NDArray[np.float64] | None = None,
) -> NDArray[np.uint64]: ...
def column_sums(
    data: NDArray[np.floating[Any]],
    indices: NDArray[np.signedinteger[Any]],
    indptr: NDArray[np.signedinteger[Any]],
    n_columns: int,
    weights: NDArray[np.float64] | None = None,
    index: NDArray[np.intp] | None = None,
) -> tuple[float, NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]: ...
def run_csr_pass(
    data: NDArray[np.floating[Any]],
    indices: NDArray[np.signedinteger[Any]],
    indptr: NDArray[np.signedinteger[Any]],
    centers_t: NDArray[np.float64],
    offset: NDArray[np.float64],
    *,
    sample_weight: NDArray[np.float64] | None = None,
    scores: NDArray[np.float64] | None = None,
    collect: bool = True,
    n_threads: int = 0,
) -> tuple[NDArray[np.int32], NDArray[np.float64], NDArray[np.float64]]: ...
def squared_distances(
    data: NDArray[np.floating[Any]],
    indices: NDArray[np.signedinteger[Any]],
    indptr: NDArray[np.signedinteger[Any]],
    centers: NDArray[np.float64],
    labels: NDArray[np.int32],
) -> NDArray[np.float64]: ...
