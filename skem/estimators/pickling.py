"""Pickles that know which skem wrote them."""

from typing import Any

from skem._version import __version__
from skem.exceptions import FormatVersionWarning, warn

# Raised when pickles change shape; those of a later format are refused with a clear sentence.
FORMAT = 1


class PickleMixin:
    """Writes skem's version and a format number into pickles; scikit-learn does so for its own estimators only."""

    def __getstate__(self):
        state: Any = super().__getstate__()
        return {**state, "_skem_version": __version__, "_skem_format": FORMAT}

    def __setstate__(self, state):
        state = dict(state)
        version, written = state.pop("_skem_version", None), state.pop("_skem_format", None)
        if written is not None and written > FORMAT:
            raise ValueError(
                f"this {type(self).__name__} was pickled by skem {version} in format {written}; "
                f"skem {__version__} reads formats up to {FORMAT}: install the newer one"
            )
        if version is not None and version != __version__:
            warn(
                f"this {type(self).__name__} was pickled by skem {version}; it is read by skem {__version__}, "
                "fit it again if results differ",
                FormatVersionWarning,
            )
        super().__setstate__(state)  # type: ignore[misc]  # scikit-learn's, which mypy does not see
