"""Types of columns that are no numbers, by which bad input is named."""

import datetime as dt

import numpy as np

# How the names of types of dates, times and durations begin, in NumPy, pandas, polars and Arrow, and those of types
# whose values may be anything or text.
TIMES = ("date", "time", "duration", "period", "interval")
OTHERS = ("object", "str", "category", "categorical", "enum", "utf8")


def refuse_no_numbers(X):
    """Raise ValueError where X, or a column of a frame, holds text, dates, times or durations.

    scikit-learn takes text that spells numbers, and dates of arrays and of polars, and of pandas where all columns have
    one type, for the numbers that they are stored as.

    Parameters
    ----------
    X : array-like or data frame
    """
    is_frame = hasattr(X, "columns") and hasattr(X, "dtypes")
    names, dtypes = (X.columns, X.dtypes) if is_frame else ([None], [getattr(X, "dtype", None)])
    for position, (name, dtype) in enumerate(zip(names, dtypes, strict=True)):
        kind, what = str(dtype).lower(), None
        if kind.startswith(TIMES):
            what = f"values of dtype {dtype}"
        elif is_frame and kind.startswith(OTHERS):
            # by position, for names may repeat
            what = _text_or_times(X.iloc[:, position] if hasattr(X, "iloc") else X[name])
        if what is not None:
            where = f"column {name!r} of X" if is_frame else "X"
            text = "; mixtures take columns of text in family=Product()" if what == "text" else ""
            raise ValueError(
                f"{where} holds {what}, where numbers are needed: leave it out, or turn it into numbers{text}"
            )


def _text_or_times(column):
    """What a column holds that is no number, None where there is nothing of the kind."""
    for value in np.asarray(column).ravel():
        if isinstance(value, str):
            return "text"
        if isinstance(value, dt.date | dt.time | dt.timedelta):
            return f"values of type {type(value).__name__}"
    return None
