"""Columns of a fitted estimator, by position or by name."""

import numbers
from collections.abc import Mapping

import numpy as np


def column_positions(estimator, columns):
    """Positions of columns, each named once.

    Parameters
    ----------
    estimator : estimator
        Fitted; knows its number of features, and their names if it was given any.
    columns : int, str, sequence of these, slice or mask
        Positions, from the end where negative, or names; a mask has a truth value a column.

    Returns
    -------
    positions : list of int

    Raises
    ------
    ValueError
        Where a column is not there or comes twice.
    """
    names = list(getattr(estimator, "feature_names_in_", ()))
    d = estimator.n_features_in_
    if isinstance(columns, str | numbers.Integral):
        columns = [columns]
    elif isinstance(columns, slice):
        columns = range(d)[columns]
    elif isinstance(columns, Mapping):
        raise ValueError("columns: a mapping is ambiguous; pass a list of positions or names, and values on their own")
    elif np.asarray(columns).dtype == bool:
        if np.shape(columns) != (d,):
            raise ValueError(f"columns: a mask of shape {np.shape(columns)} does not fit the mixture's {d} features")
        columns = np.flatnonzero(columns)
    positions: list[int] = []
    for column in columns:
        if isinstance(column, str):
            if column not in names:
                raise ValueError(f"columns: the mixture was fitted without a column {column!r}; it knows {names}")
            position = names.index(column)
        elif isinstance(column, numbers.Integral):
            position = int(column)
        else:
            raise ValueError(f"columns: {column!r} is neither a position nor a name")
        if not -d <= position < d:
            raise ValueError(f"columns: there is no column {column}; the mixture has {d} features")
        if position % d in positions:
            raise ValueError(f"columns: column {column} comes twice")
        positions.append(position % d)
    return positions


def column_names(estimator, positions):
    """Names of columns, "feature 0" and the like where they have none.

    Parameters
    ----------
    estimator : estimator
    positions : list of int

    Returns
    -------
    names : list of str
    """
    names = getattr(estimator, "feature_names_in_", None)
    return [f"feature {position}" if names is None else names[position] for position in positions]
