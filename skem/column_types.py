"""Types of columns that are no numbers, by which bad input is named."""

import datetime as dt

import numpy as np

# How the names of types of dates, times and durations begin, in NumPy, pandas, polars and Arrow.
TIMES = ("date", "time", "duration", "period", "interval")


def refuse_times(X):
    """Raise ValueError where X, or a column of a frame, has a type of dates, times or durations.

    scikit-learn takes those of arrays and polars, and of pandas where all columns have one type, for the numbers that
    they are stored as.

    Parameters
    ----------
    X : array-like or data frame
    """
    if hasattr(X, "columns"):
        typed = [(f"column {name!r} of X", dtype) for name, dtype in zip(X.columns, X.dtypes, strict=True)]
    else:
        typed = [("X", getattr(X, "dtype", None))]
    for where, dtype in typed:
        if str(dtype).lower().startswith(TIMES):
            raise ValueError(
                f"{where} holds values of dtype {dtype}, where numbers are needed: leave it out, or turn it into "
                "numbers, as days since some day"
            )


def column_of_no_numbers(X):
    """Name of a data frame's first column of text, dates or times, and what it holds; None where there is none."""
    for name in getattr(X, "columns", ()):
        column = np.asarray(X[name])
        kind = column.dtype.kind
        if kind in "UST" or (kind == "O" and any(isinstance(value, str) for value in column.ravel())):
            return name, "text"
        for value in column.ravel() if kind == "O" else ():
            if isinstance(value, dt.date | dt.time | dt.timedelta):
                return name, f"values of type {type(value).__name__}"
    return None
