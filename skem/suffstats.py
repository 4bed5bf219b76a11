"""Named arrays with one row a component: statistics, priors, posteriors and parameters."""

import functools

import numpy as np

from skem._kernels.linalg import cholesky


class NamedArrays:
    """Float64 arrays by name, read as attributes; rows are components.

    Parameters
    ----------
    arrays : dict of str to array-like
        Each of shape (n_components, ...), but those named in `shared`.
    shared : tuple of str, default=()
        Names of arrays without the component axis (a tied scatter, say).

    Notes
    -----
    Instances are values: no method changes one, and no caller may.
    """

    __slots__ = ("_arrays", "shared")

    def __init__(self, arrays, shared=()):
        self._arrays = {name: np.asarray(value, dtype=np.float64) for name, value in arrays.items()}
        self.shared = tuple(shared)

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self._arrays[name]
        except KeyError:
            raise AttributeError(f"no array named {name!r}; there are {sorted(self._arrays)}") from None

    def __repr__(self):
        shapes = ", ".join(f"{name}{value.shape}" for name, value in self._arrays.items())
        return f"{type(self).__name__}({shapes})"

    def __reduce__(self):
        return type(self), (self._arrays, self.shared)

    @property
    def n_components(self):
        """Number of rows of the arrays that are not shared."""
        return next(len(value) for name, value in self._arrays.items() if name not in self.shared)

    def _map(self, function):
        """Apply `function(name, value)` to every array."""
        arrays = {name: function(name, value) for name, value in self._arrays.items()}
        return type(self)(arrays, self.shared)

    def take(self, index):
        """Select components by position; shared arrays stay.

        Parameters
        ----------
        index : array-like of int or bool

        Returns
        -------
        taken : same type
        """
        index = np.asarray(index)
        if index.dtype != bool and np.array_equal(index, np.arange(self.n_components)):
            # wide matrices are the largest things that a fit holds
            return self
        return self._map(lambda name, value: value if name in self.shared else value[index])

    def concatenate(self, others):
        """Components of several sets of arrays, which share none, one after the other.

        Parameters
        ----------
        others : list of same type

        Returns
        -------
        concatenated : same type
        """
        return self._map(lambda name, value: np.concatenate([value, *(getattr(other, name) for other in others)]))

    def where_known(self, other):
        """Fill what is nan from arrays of the same form."""
        return self._map(lambda name, value: np.where(np.isnan(value), getattr(other, name), value))

    def to_dict(self):
        """Return {"arrays": {name: ndarray}, "shared": list of str}, plain enough for any file format."""
        return {"arrays": dict(self._arrays), "shared": list(self.shared)}

    @classmethod
    def from_dict(cls, state):
        """Rebuild from what `to_dict` returned."""
        return cls(state["arrays"], tuple(state["shared"]))


class Parameters(NamedArrays):
    """Parameters theta of the components: a point, an expectation or a draw, all of one shape."""

    __slots__ = ()


@functools.lru_cache(maxsize=8)
def _triangle(d):
    """Rows and columns of a lower triangle, and which of them lie on the diagonal."""
    rows, columns = np.tril_indices(d)
    return rows, columns, rows == columns


def _along(n_k, value):
    """Append axes to one number a component until it divides `value`."""
    return np.reshape(n_k, (-1,) + (1,) * (value.ndim - 1))


class SuffStats(NamedArrays):
    """Additive sufficient statistics; a conjugate prior and a posterior are of the same type."""

    __slots__ = ()

    def merge(self, other):
        """Statistics of the union of two sets of rows; a prior merged with data is the posterior."""
        return type(self)({name: value + other._arrays[name] for name, value in self._arrays.items()}, self.shared)

    def scale(self, factor):
        """Statistics of the same rows with every weight multiplied by `factor`."""
        return self._map(lambda _, value: factor * value)

    def pool(self):
        """Statistics of all components taken as one."""
        return self._map(lambda name, value: value if name in self.shared else value.sum(axis=0, keepdims=True))

    def join(self, first, second):
        """Statistics with pairs of components taken as one each, which has the place of the first.

        Parameters
        ----------
        first, second : array-like of int
            No component twice.

        Returns
        -------
        joined : same type, of fewer components
        """
        # what is shared is there once
        others = self.take(second)._map(lambda name, value: 0.0 * value if name in self.shared else value)
        merged = self.take(first).merge(others)

        def joined(name, value):
            if name in self.shared:
                return merged._arrays[name]
            value = value.copy()
            value[first] = merged._arrays[name]
            return np.delete(value, second, axis=0)

        return self._map(joined)

    def extend(self, n_more):
        """Statistics with so many components without a row after the others."""

        def extended(name, value):
            return value if name in self.shared else np.concatenate([value, np.zeros((n_more, *value.shape[1:]))])

        return self._map(extended)

    def put(self, index, other):
        """Statistics with other components in some places, and what the others share.

        Parameters
        ----------
        index : list of int
        other : SuffStats
            Of len(index) components.
        """

        def replaced(name, value):
            if name not in self.shared:
                value = value.copy()
                value[index] = other._arrays[name]
                return value
            return other._arrays[name]

        return self._map(replaced)

    def condition(self, arrays):
        """Return the same with something added to the shared arrays: a prior given other components' rows, say.

        Parameters
        ----------
        arrays : SuffStats
            Only its shared arrays count.
        """
        return self._map(lambda name, value: value + arrays._arrays[name] if name in self.shared else value)

    def to_chart(self, n_k):
        """Coordinates without constraints of statistics of rows: logarithms of means, where all sums are positive.

        Parameters
        ----------
        n_k : ndarray of shape (n_components,)
            Component masses.

        Returns
        -------
        chart : NamedArrays
            Not finite where a coordinate has no place in the interior: no mass, a sum of zero, a flat scatter.
        unit : NamedArrays
            What to measure each coordinate in, so that the units of the rows do not matter.
        """
        chart = NamedArrays({name: np.log(value / _along(n_k, value)) for name, value in self._arrays.items()})
        # about the square root of information in counts, whatever the units of others
        root_of_share = self._map(
            lambda _, value: np.sqrt(value.sum(axis=0) / n_k.sum() / (value / _along(n_k, value)))
        )
        return chart, root_of_share

    def from_chart(self, chart, n_k):
        """Statistics, of the form of these, with the coordinates of `chart` and masses `n_k`."""
        return self._map(lambda name, value: _along(n_k, value) * np.exp(getattr(chart, name)))


class Moments(SuffStats):
    """Weighted mean and scatter about it, merged by Chan's formula; also the Gaussian's prior and posterior.

    Arrays: kappa (K,), the weight behind the mean; mean (K, d); nu (K,), the weight behind the scatter; scatter
    (K, d, d), (K, d) or (K,). Where `shared` names them, nu is a number and scatter one for all, (d, d), (d,) or ().
    """

    __slots__ = ()

    def _spread(self, weight, deviation):
        """Scatter of `deviation` (K, d) with `weight` (K,), in the shape of `scatter`."""
        weighted = weight[:, None] * deviation
        shared = "scatter" in self.shared
        ndim = self.scatter.ndim + shared
        if ndim == 3:
            return weighted.T @ deviation if shared else weighted[:, :, None] * deviation[:, None, :]
        squares = weighted * deviation
        if ndim == 1:
            squares = squares.sum(axis=1)
        return squares.sum(axis=0) if shared else squares

    def merge(self, other):
        own, added = self._arrays, other._arrays
        kappa = own["kappa"] + added["kappa"]
        # components without a row have none to share
        share = added["kappa"] / np.where(kappa > 0, kappa, 1.0)
        deviation = added["mean"] - own["mean"]
        between = self._spread(own["kappa"] * share, deviation)
        arrays = {
            "kappa": kappa,
            "mean": own["mean"] + share[:, None] * deviation,
            "nu": own["nu"] + added["nu"],
            "scatter": own["scatter"] + added["scatter"] + between,
        }
        return type(self)(arrays, self.shared)

    def scale(self, factor):
        return self._map(lambda name, value: value if name == "mean" else factor * value)

    def pool(self):
        kappa = self.kappa.sum(keepdims=True)
        mean = (self.kappa @ self.mean / kappa)[None] if kappa[0] > 0 else self.mean[:1]
        between = self._spread(self.kappa, self.mean - mean)
        if "scatter" in self.shared:
            arrays = {"nu": self.nu, "scatter": self.scatter + between}
        else:
            arrays = {
                "nu": self.nu.sum(keepdims=True),
                "scatter": (self.scatter + between).sum(axis=0, keepdims=True),
            }
        return type(self)({"kappa": kappa, "mean": mean} | arrays, self.shared)

    def to_chart(self, n_k):
        """Means, and covariances as logarithms of variances or log-Cholesky factors; see `SuffStats.to_chart`."""
        d, shared = self.mean.shape[1], ("spread",) if self.shared else ()
        covariance = self.scatter / (self.nu if self.shared else _along(self.nu, self.scatter))
        if self._matrices:
            root, ok = cholesky(np.ascontiguousarray(covariance.reshape(-1, d, d)))
            rows, columns, diagonal = _triangle(d)
            spread = root[:, rows, columns]
            spread[:, diagonal] = np.log(spread[:, diagonal])
            spread[~np.asarray(ok, dtype=bool)] = np.nan
            deviation = np.sqrt((root**2).sum(axis=2))
            unit = np.where(diagonal, 1.0, deviation[:, rows])
            spread, unit = (spread[0], unit[0]) if self.shared else (spread, unit)
        else:
            deviation = np.sqrt(covariance if self.shared else covariance.reshape(len(self.mean), -1))
            spread, unit = np.log(covariance), np.ones_like(covariance)
        deviation = np.broadcast_to(deviation, self.mean.shape)
        chart = NamedArrays({"mean": self.mean, "spread": spread}, shared)
        return chart, NamedArrays({"mean": deviation, "spread": unit}, shared)

    def from_chart(self, chart, n_k):
        mass = n_k.sum() if self.shared else n_k
        # what nu counts is rows, or rows times columns
        nu = mass * round(float(np.sum(self.nu) / np.sum(self._rows)))
        if self._matrices:
            d = self.mean.shape[1]
            rows, columns, diagonal = _triangle(d)
            packed = np.atleast_2d(chart.spread)
            root = np.zeros((len(packed), d, d))
            root[:, rows, columns] = np.where(diagonal, np.exp(np.where(diagonal, packed, 0.0)), packed)
            covariance = root @ np.swapaxes(root, 1, 2)
            covariance = covariance[0] if self.shared else covariance
        else:
            covariance = np.exp(chart.spread)
        scatter = covariance * (nu if self.shared else _along(nu, covariance))
        return type(self)({"kappa": n_k, "mean": chart.mean, "nu": nu, "scatter": scatter}, self.shared)

    @property
    def _rows(self):
        """Weight of the rows (K,)."""
        return self.kappa

    @property
    def _matrices(self):
        """Whether scatters are matrices."""
        return self.scatter.ndim + ("scatter" in self.shared) == 3


class ScaledMoments(Moments):
    """Moments of rows x with latent scales u, x | u ~ N(mean, covariance / u), each of which weighs as u rows.

    Of rows alone kappa is the sum of the scales and nu the weight of the rows. Further arrays (K,), zero in a prior:
    mass, the weight of the rows; weight, the sum of the scales, and log_scale, that of their expected logarithms;
    slope, a sum over rows that the family may want.
    """

    __slots__ = ()

    latent = ("mass", "weight", "log_scale", "slope")

    def _with(self, moments, more):
        return type(self)(moments.to_dict()["arrays"] | more, self.shared)

    def merge(self, other):
        more = {name: getattr(self, name) + getattr(other, name) for name in self.latent}
        return self._with(super().merge(other), more)

    def pool(self):
        return self._with(super().pool(), {name: getattr(self, name).sum(keepdims=True) for name in self.latent})

    def to_chart(self, n_k):
        chart, unit = super().to_chart(n_k)
        log_mean = np.log(self.weight / n_k)
        # positive by Jensen's inequality; without tails 0, which has no place in a chart
        more = {"log_mean": log_mean, "excess": np.log(log_mean - self.log_scale / n_k)}
        ones = {name: np.ones_like(value) for name, value in more.items()}
        chart = NamedArrays(chart.to_dict()["arrays"] | more, chart.shared)
        return chart, NamedArrays(unit.to_dict()["arrays"] | ones, unit.shared)

    def from_chart(self, chart, n_k):
        weight = n_k * np.exp(chart.log_mean)
        more = {
            "kappa": weight,
            "mass": n_k,
            "weight": weight,
            "log_scale": n_k * (chart.log_mean - np.exp(chart.excess)),
            "slope": self.slope,
        }
        return self._with(super().from_chart(chart, n_k), more)

    @property
    def _rows(self):
        return self.mass
