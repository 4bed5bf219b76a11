"""Warnings that skem issues, importable for filters."""


class DegenerateComponentWarning(UserWarning):
    """A component's data are flat, so that its shape rests on a constraint or a prior, or it has no data at all."""


class FormatVersionWarning(UserWarning):
    """A pickled estimator was written by another version of skem."""
