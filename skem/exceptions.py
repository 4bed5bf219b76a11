"""Warnings that skem issues, importable for filters, and the one way to issue them."""

import sys
import warnings

# Frames of these packages stand between the user's call and the place that warns.
_BETWEEN = {"skem", "sklearn", "joblib"}


class DegenerateComponentWarning(UserWarning):
    """A component's data are flat, so that its shape rests on a constraint or a prior, or it has no data at all."""


class FormatVersionWarning(UserWarning):
    """A pickled estimator was written by another version of skem."""


def warn(message, category):
    """Issue a warning that points at the line of the user's code that led to it.

    Parameters
    ----------
    message : str
    category : type
        Subclass of Warning.
    """
    # Python 3.12 has skip_file_prefixes for this; 3.11 has to count frames
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _BETWEEN:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def name_flat(flags):
    """Name the components whose data are flat, as the beginning of a sentence.

    Parameters
    ----------
    flags : bool ndarray of shape (n_components,)
        Of shape (1,) where the rows as a whole were judged.

    Returns
    -------
    clause : str
    """
    flat = [k for k, flag in enumerate(flags) if flag]
    who = f"components {flat} have" if len(flags) > 1 else "the rows as a whole have"
    return f"{who} data without spread in some direction (few distinct rows, constant or dependent columns)"
