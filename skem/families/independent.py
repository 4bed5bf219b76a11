"""What families of columns that are independent given the component share."""

import numpy as np

from skem._compat import check_numbers
from skem.families.base import Family
from skem.families.margins import take_columns


class IndependentColumns(Family):
    """Base of families of which every array of theta has the columns for its second axis."""

    #: free parameters of a component's column
    n_free = 1

    def marginal(self, theta, columns, rest):
        return take_columns(theta, columns)

    def conditional(self, theta, given, rest, values):
        return take_columns(theta, rest)

    def n_parameters(self, n_features, n_components):
        return self.n_free * n_features * n_components


class LogarithmFamily(IndependentColumns):
    """Base of families with two shapes a column whose statistics have logarithms: maximum likelihood alone.

    A subclass has ``_solve(first, second)``, theta of largest likelihood from the means of both halves of T(x);
    ``_whole()``, theta of all rows taken as one; and ``_flat(first, second)``, which columns are all but constant.
    """

    n_free = 2
    # a component of one row is flat, and another row next to it hardly less so
    least_mass = 1.0

    def _solve(self, first, second):
        raise NotImplementedError

    def _whole(self):
        raise NotImplementedError

    def _flat(self, first, second):
        raise NotImplementedError

    def _means(self, stats):
        """Components without mass, and the means of both halves of T(x) of the others."""
        empty = stats.n <= 0
        return empty, *np.split(stats.total[~empty] / stats.n[~empty, None], 2, axis=1)

    def mle(self, stats, theta=None):
        empty, first, second = self._means(stats)
        found = self._solve(first, second)
        if not empty.any():
            return found
        # a component without mass keeps its place, or spreads over the data where it never had one
        theta = self._whole().take(np.zeros(len(empty), dtype=np.intp)) if theta is None else theta
        places = np.cumsum(~empty) - 1
        kept = {
            name: np.where(empty[:, None], getattr(theta, name), value[places] if len(value) else np.nan)
            for name, value in found.to_dict()["arrays"].items()
        }
        return type(theta)(kept)

    def degenerate(self, stats):
        empty, first, second = self._means(stats)
        flags = np.zeros(len(empty), dtype=bool)
        flags[~empty] = self._flat(first, second).any(axis=1)
        return flags


def positive_parameters(**parameters):
    """Arrays of one shape, of which every number must be positive.

    Parameters
    ----------
    **parameters : array-like

    Returns
    -------
    arrays : list of ndarray
        In the order given.
    """
    arrays: list[np.ndarray] = []
    for name, value in parameters.items():
        array = check_numbers(value, name, arrays[0].shape if arrays else None)
        if not (array > 0).all():
            raise ValueError(f"{name} must be > 0")
        arrays.append(array)
    return arrays
