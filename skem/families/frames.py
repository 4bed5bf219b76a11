"""Columns of data frames and arrays, whatever they hold."""

import contextlib
from typing import Any, NamedTuple

import numpy as np

from skem._compat import check_table, column_indices


class Columns(NamedTuple):
    """Columns with what to call them.

    Attributes
    ----------
    values : list of array-like of shape (n,)
    names : list of int or str
        Names of a data frame's columns, positions of an array's.
    """

    values: list[Any]
    names: list[Any]

    def take(self, positions):
        """Some of the columns."""
        return Columns([self.values[j] for j in positions], [self.names[j] for j in positions])


def columns_of(X):
    """Columns of a data frame or a two-dimensional array.

    Parameters
    ----------
    X : array-like or data frame of shape (n, d), or Columns

    Returns
    -------
    columns : Columns
    """
    if isinstance(X, Columns):
        return X
    check_table(X)
    if hasattr(X, "columns") and hasattr(X, "__getitem__"):
        names = list(X.columns)
        return Columns([X[name] for name in names], names)
    if hasattr(X, "toarray"):
        raise TypeError(
            "Sparse data was passed, but Categorical() and Product() read columns one by one: pass X.toarray(), or "
            "take a family whose zeros are zeros, as Multinomial(), Bernoulli() and Poisson()"
        )
    given, X = X, np.asarray(X)
    if X.dtype.kind in "US" and X is not given:
        # lists of rows, of which numbers must not be made text
        X = np.asarray(given, dtype=object)
    return Columns(list(X.T), list(range(X.shape[1])))


def positions_of(X, chosen, names):
    """Positions of the columns that a user has chosen.

    Parameters
    ----------
    X : array-like or data frame of shape (n, d)
    chosen : int, str, slice, sequence of int, str or bool, or callable
        As in scikit-learn's ColumnTransformer.
    names : list of int or str
        What X calls its columns.

    Returns
    -------
    positions : list of int

    Raises
    ------
    ValueError
        Where a column is not there, naming it.
    """
    if callable(chosen):
        chosen = chosen(X)
    if isinstance(chosen, slice) and all(end is None or isinstance(end, int) for end in (chosen.start, chosen.stop)):
        return list(range(len(names)))[chosen]
    several = isinstance(chosen, list | tuple | range | np.ndarray)
    each = np.asarray(chosen).tolist() if several else [] if isinstance(chosen, slice) else [chosen]
    for column in each:
        if isinstance(column, str) and column not in names:
            has = f"it has {names}" if any(isinstance(name, str) for name in names) else "its columns have no names"
            raise ValueError(f"there is no column {column!r} in X; {has}")
        if isinstance(column, int) and not isinstance(column, bool) and not -len(names) <= column < len(names):
            raise ValueError(f"there is no column {column} in X; it has {len(names)}")
    X = X if hasattr(X, "columns") else np.empty((1, len(names)))
    return [int(j) % len(names) for j in column_indices(X, each if several else chosen)]


def numbers_of(column, name):
    """A column as numbers.

    Parameters
    ----------
    column : array-like of shape (n,)
    name : int or str

    Returns
    -------
    values : float32 or float64 ndarray of shape (n,)

    Raises
    ------
    ValueError
        Where it holds anything else, or NaN or infinity, naming row and column.
    """
    values = np.asarray(column)
    if values.dtype == object and not any(isinstance(value, str) for value in values):
        with contextlib.suppress(TypeError, ValueError):
            values = np.array([np.nan if is_missing(value) else float(value) for value in values])
    if values.dtype.kind not in "biuf":
        what = "text" if values.dtype.kind in "OUST" else f"values of dtype {values.dtype}"
        raise ValueError(
            f"column {name!r} of X holds {what}, where its family takes numbers: give it to Categorical(), or turn it "
            "into numbers"
        )
    values = values if values.dtype == np.float32 else values.astype(np.float64, copy=False)
    if not np.isfinite(values).all():
        row = int(np.argmin(np.isfinite(values)))
        what = "NaN" if np.isnan(values[row]) else "infinity"
        raise ValueError(f"column {name!r} of X holds {what} in row {row}: drop the row, or impute the value")
    return values


def is_missing(value):
    """Whether a value stands for none: None, NaN, or the like of pandas."""
    try:
        return value is None or bool(value != value)
    except TypeError:  # pandas' NA is neither true nor false
        return True


__all__ = ["Columns", "columns_of", "is_missing", "numbers_of", "positions_of"]
