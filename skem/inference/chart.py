"""Coordinates in which iterates can be extrapolated: without constraints, and with lengths that have no units."""

import math

import numpy as np

from skem.suffstats import NamedArrays


def filled(x):
    """Zeros in place of nan."""
    return np.where(np.isnan(x), 0.0, x)


class Chart:
    """The statistics behind a state as one vector without constraints, nan where it has no place in the interior."""

    def __init__(self):
        self.layout: list[tuple[str, tuple[int, ...]]] = []
        self.shared: tuple[str, ...] = ()

    def read(self, state):
        """Coordinates of a state, and their weights in a length, about the square roots of information.

        Parameters
        ----------
        state : State

        Returns
        -------
        x, weight : ndarray of shape (m,)
        """
        n_k = state.n_k
        with np.errstate(all="ignore"):
            # a noise component, last of the masses, has no statistics
            return self._read(n_k, *state.stats.to_chart(n_k[: state.stats.n_components]))

    def _read(self, n_k, chart, unit):
        log_mass = np.log(n_k)
        arrays, self.shared = chart.to_dict()["arrays"], chart.shared
        self.layout = [(name, value.shape) for name, value in arrays.items()]
        xs, weights = [log_mass], [np.sqrt(n_k)]
        for name, value in arrays.items():
            if name in self.shared:
                xs.append(value.ravel())
                weights.append(np.sqrt(n_k.sum()) / getattr(unit, name).ravel())
            else:
                K = len(value)
                rows = value.reshape(K, -1)
                # without mass a component has no place at all
                xs.append((rows + 0.0 * log_mass[:K, None]).ravel())
                weights.append((weights[0][:K, None] / getattr(unit, name).reshape(rows.shape)).ravel())
        x, weight = np.concatenate(xs), np.concatenate(weights)
        inside = np.isfinite(x) & np.isfinite(weight)
        return np.where(inside, x, np.nan), np.where(inside, weight, 0.0)

    def write(self, x, state):
        """Statistics and masses at coordinates `x`; what is nan there is as in `state`, the plain step's.

        Returns
        -------
        stats : SuffStats
        n_k : ndarray of shape (n_components,)
        """
        n_k, end = state.n_k, len(state.n_k)
        held = np.isnan(x[:end])
        arrays: dict[str, np.ndarray] = {}
        with np.errstate(all="ignore"):
            mass = np.where(held, 0.0, np.exp(x[:end]))
            mass = np.where(held, n_k, mass * (n_k[~held].sum() / mass.sum()))
            for name, shape in self.layout:
                start, end = end, end + math.prod(shape)
                arrays[name] = x[start:end].reshape(shape)
            stats = state.stats.from_chart(NamedArrays(arrays, self.shared), mass[: state.stats.n_components])
        return stats.where_known(state.stats), mass
