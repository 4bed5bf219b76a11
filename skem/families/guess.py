"""Which family suits a column, by its values alone."""

import numbers

import numpy as np

from skem.exceptions import listed, warn
from skem.families.bernoulli import Bernoulli
from skem.families.categorical import Categorical
from skem.families.frames import columns_of, is_missing
from skem.families.gaussian import Gaussian
from skem.families.levels import declared_levels, find_levels
from skem.families.poisson import Poisson

# Whole numbers without a zero are codes where there are at most so many different ones.
MOST_CODES = 10
# Whole numbers with a zero are counts up to this one. Large ones that vary within a group as little as a Poisson law
# asks are rare, and a Gaussian is as good for those.
MOST_COUNTED = 100
# Strings name rows, not kinds of them, where a column has more different ones than these, and than half of the rows.
MOST_KINDS = 20


def _kind(column, name):
    """Kind of a column: "flags", "counts", "levels" or "measurements"."""
    if declared_levels(column) is not None:
        return "levels"
    values = np.asarray(column)
    if values.dtype == object:
        values = np.array([value for value in values if not is_missing(value)])
        if values.dtype == object and all(isinstance(value, numbers.Number) for value in values):
            values = values.astype(np.float64)  # decimals and fractions
    kind = values.dtype.kind
    if kind in "OUST":
        return "levels"
    if kind == "b":
        return "flags"
    if kind == "f":
        # read from a file, or next to missing values, whole numbers become floats
        values = values[~np.isnan(values)]
        if len(values) == 0 or not (np.isfinite(values) & (values == np.rint(values))).all():
            return "measurements"
        kind = "i"
    if kind not in "iu":
        raise ValueError(f"column {name!r} has values of dtype {values.dtype}, which no family takes: turn them into "
                         "numbers or strings, or leave the column out")  # fmt: skip
    distinct = np.unique(values)
    if set(distinct.tolist()) <= {0, 1}:
        return "flags"
    if len(distinct) and distinct[0] == 0:
        return "counts" if distinct[-1] <= MOST_COUNTED else "measurements"
    return "levels" if len(distinct) <= MOST_CODES and distinct[0] > 0 else "measurements"


def guess_blocks(X):
    """Blocks of columns of one kind, each with its family.

    Parameters
    ----------
    X : array-like or data frame of shape (n, d)

    Returns
    -------
    blocks : list of (name, family, columns)
        Columns by name where all names are text, else by position, for that is what a number means.
    """
    columns = columns_of(X)
    kinds: dict[str, list[int]] = {"measurements": [], "counts": [], "flags": [], "levels": []}
    for j, (column, name) in enumerate(zip(*columns, strict=True)):
        kinds[_kind(column, name)].append(j)
    named = all(isinstance(name, str) for name in columns.names)
    blocks = []
    for kind, positions in kinds.items():
        if not positions:
            continue
        own = columns.take(positions)
        if kind == "levels":
            # rows of a part, in a cross-validation say, need not have all of them
            levels = [np.asarray(level).tolist() for level in find_levels(own, "auto")]
            names = [
                name
                for name, column, found in zip(own.names, own.values, levels, strict=True)
                if declared_levels(column) is None and len(found) > max(MOST_KINDS, len(column) / 2)
            ]
            if names:
                warn(
                    f"most rows have a value of their own in {listed([repr(name) for name in names])}: such a column "
                    "names rows, tells of no groups and makes fits slow; leave it out",
                    UserWarning,
                )
            family = Categorical(categories=levels)
        else:
            family = {"measurements": Gaussian("diag"), "counts": Poisson(), "flags": Bernoulli()}[kind]
        blocks.append((kind, family, own.names if named else positions))
    return blocks


__all__ = ["guess_blocks"]
