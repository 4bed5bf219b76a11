"""Warnings and errors that skem issues, importable for filters, and the one way to warn."""

import sys
import warnings
from contextlib import contextmanager
from contextvars import ContextVar

# Frames of these packages stand between the user's call and the place that warns.
_BETWEEN = {"skem", "sklearn", "joblib"}
# Of more names than this a message gives the first ones.
MOST_NAMED = 8


class DegenerateComponentWarning(UserWarning):
    """A component's data are flat, so that its shape rests on a constraint or a prior, or it has no data at all."""


class FormatVersionWarning(UserWarning):
    """A pickled estimator was written by another version of skem."""


class ColumnError(ValueError):
    """A column of X, or an entry of it, is not what it must be.

    Parameters
    ----------
    message : str
        With "{column}" where the column's name goes.
    column : int or str
        Position, or name.
    """

    def __init__(self, message, column):
        super().__init__(message.replace("{column}", repr(column)))
        self.message = message
        self.column = column

    def __reduce__(self):
        return type(self), (self.message, self.column)

    def among(self, columns):
        """Return the same error about columns that are some of more.

        Parameters
        ----------
        columns : sequence of int or str
            What the column's position stands for.

        Returns
        -------
        error : ColumnError
        """
        return type(self)(self.message, columns[self.column])


_silent: ContextVar[bool] = ContextVar("silent", default=False)


@contextmanager
def silent_warnings():
    """Context in which skem's own warnings are not issued; unlike filters, it is one thread's alone."""
    token = _silent.set(True)
    try:
        yield
    finally:
        _silent.reset(token)


def warn(message, category):
    """Issue a warning that points at the line of the user's code that led to it.

    Parameters
    ----------
    message : str
    category : type
        Subclass of Warning.
    """
    if _silent.get():
        return
    # Python 3.12 has skip_file_prefixes for this; 3.11 has to count frames
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _BETWEEN:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def name_flat(flags, constant=()):
    """Name the components whose data are flat, as the beginning of a sentence.

    Parameters
    ----------
    flags : bool ndarray of shape (n_components,)
        Of shape (1,) where the rows as a whole were judged.
    constant : sequence of str
        Names of columns that never change.

    Returns
    -------
    clause : str
    """
    flat = [k for k, flag in enumerate(flags) if flag]
    who = f"components {flat} have" if len(flags) > 1 else "the rows as a whole have"
    return f"{who} data without spread in some direction ({reason_of_flat(constant)})"


def reason_of_flat(constant=()):
    """Why data may be flat.

    Parameters
    ----------
    constant : sequence of str
        Names of columns that never change.

    Returns
    -------
    clause : str
    """
    if not len(constant):
        return "few distinct rows, or columns that are constant or depend on one another"
    return f"constant: {listed(constant)}"


def listed(names):
    """Names in a row, the first few of many.

    Parameters
    ----------
    names : sequence of str

    Returns
    -------
    phrase : str
    """
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more
