"""Columns of levels to codes: what the levels are, and where each row's stand."""

import numbers

import numpy as np

from skem.families.frames import columns_of, is_missing


def _values(column, name):
    """Distinct values of a column in order, and where each row's stands among them."""
    values = np.asarray(column)
    missing = [is_missing(value) for value in values] if values.dtype == object else values != values
    if np.any(missing):
        raise ValueError(
            f"column {name!r} of X holds a missing value (NaN or None) in row {int(np.argmax(missing))}: Categorical() "
            "knows none; drop the row, or write a level of its own"
        )
    if values.dtype.kind == "c":
        raise ValueError(f"Complex data not supported: {name} of X holds {values[0]!r}")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        row = int(np.argmin(np.isfinite(values)))
        raise ValueError(f"{name} of X holds infinity in row {row}, which is no level; write a level of its own")
    try:
        return np.unique(values, return_inverse=True)
    except TypeError:
        raise ValueError(f"column {name!r} of X mixes types that have no order; turn its values into strings") from None


def declared_levels(column):
    """Levels that a column's type declares, in their order, or None."""
    declared = getattr(getattr(column, "cat", None), "categories", None)
    if declared is None and type(getattr(column, "dtype", None)).__name__ == "Enum":
        declared = column.dtype.categories
    return None if declared is None else np.asarray(declared)


def find_levels(X, categories):
    """Levels of each column.

    Parameters
    ----------
    X : array-like or data frame of shape (n, d)
    categories : "auto", int or list of array-like
        See `Categorical`.

    Returns
    -------
    categories : int or list of ndarray
        An int as it is.
    """
    if isinstance(categories, numbers.Integral):
        return categories
    columns, names = columns_of(X)
    if not isinstance(categories, str):
        if len(categories) != len(columns):
            raise ValueError(f"categories names the levels of {len(categories)} columns, X has {len(columns)}")
        levels = [np.asarray(given) for given in categories]
        for given, name in zip(levels, names, strict=True):
            if given.ndim != 1 or len(given) == 0 or len(set(given.tolist())) < len(given):
                raise ValueError(f"categories of column {name!r} must be distinct levels, at least one")
        return levels
    found = []
    for column, name in zip(columns, names, strict=True):
        declared = declared_levels(column)
        found.append(_values(column, name)[0] if declared is None else declared)
    return found


def encode_columns(X, categories):
    """Rows of levels as codes.

    Parameters
    ----------
    X : array-like or data frame of shape (n, d)
    categories : int or list of ndarray

    Returns
    -------
    codes : float64 ndarray of shape (n, d)
        From 0 to the number of the column's levels - 1.

    Raises
    ------
    ValueError
        Where a row has no level, or one that is not among the column's, naming both.
    """
    columns, names = columns_of(X)
    if not isinstance(categories, numbers.Integral) and len(columns) != len(categories):
        raise ValueError(f"X has {len(columns)} features, but the levels of {len(categories)} are known")
    codes = np.empty((len(columns[0]) if columns else 0, len(columns)))
    for j, (column, name) in enumerate(zip(columns, names, strict=True)):
        values, inverse = _values(column, name)
        levels = range(categories) if isinstance(categories, numbers.Integral) else categories[j].tolist()
        place = {level: code for code, level in enumerate(levels)}
        known = [place.get(value, -1) for value in values.tolist()]
        if -1 in known:
            row = int(np.argmax(inverse == known.index(-1)))
            shown = ", ".join(map(repr, list(levels)[:10])) + (", ..." if len(levels) > 10 else "")
            raise ValueError(
                f"column {name!r} of X holds {values.tolist()[known.index(-1)]!r} in row {row}, which is not among its "
                f"levels {shown}; add it to Categorical(categories=...) or drop the row"
            )
        codes[:, j] = np.asarray(known, dtype=np.float64)[inverse]
    return codes


__all__ = ["declared_levels", "encode_columns", "find_levels"]
