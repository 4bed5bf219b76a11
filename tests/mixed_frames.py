"""A frame of mixed columns with planted groups, and a product made for it."""

import numpy as np
import pytest
from sklearn.base import clone

from skem.families import Bernoulli, Categorical, Gaussian, Poisson, Product

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")

KINDS = np.array(["ale", "beer", "cider"])
COLUMNS = ["kind", "width", "visits", "height", "member"]


def mixed(n=240, seed=0):
    """A frame of three groups that no block tells apart alone, and the groups."""
    rng = np.random.default_rng(seed)
    group = np.arange(n) % 3
    kind = np.where(rng.random(n) < 0.8, group, rng.integers(3, size=n))
    frame = {
        "kind": KINDS[kind],
        "width": rng.normal(size=n) + 4.0 * (group == 1),
        "visits": rng.poisson(np.array([1.0, 1.0, 9.0])[group]),
        "height": 1e4 * (rng.normal(size=n) + 4.0 * (group == 0)),
        "member": rng.random(n) < np.array([0.1, 0.9, 0.5])[group],
    }
    return pd.DataFrame(frame), group


def to_polars(frame):
    return pl.DataFrame({name: frame[name].to_list() for name in frame.columns})


def family(**changes):
    blocks = {
        "size": (Gaussian("diag"), ["width", "height"]),
        "kind": (Categorical(), ["kind"]),
        "visits": (Poisson(), "visits"),
        "member": (Bernoulli(), [4]),
    }
    return Product([(name, *block) for name, block in {**blocks, **changes}.items()])


def fit(cell, X, **params):
    return clone(cell).set_params(random_state=0, **params).fit(X)
