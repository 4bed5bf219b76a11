"""Independent Gamma columns: positive numbers whose spread grows with their size."""

import numpy as np
from scipy.special import gammaln

from skem._compat import check_numbers
from skem._kernels.digammas import excess, gamma_shapes
from skem.families.base import Family, Parameters
from skem.families.margins import take_columns
from skem.families.positive import check_positive, log_coordinates, summary_of_means

# Largest shape: standard deviations are held at or above 3e-4 of the mean.
LARGEST_SHAPE = 1e7
# From this shape on Stirling's series has all digits of the log Gamma function.
STIRLING_FROM = 100.0


def log_peak(shape):
    """Shape x log shape - shape - log Gamma(shape), with all its digits where these cancel one another.

    Parameters
    ----------
    shape : ndarray

    Returns
    -------
    terms : ndarray
    """
    large = np.maximum(shape, STIRLING_FROM)
    series = (1.0 / 12.0 - (1.0 / 360.0 - 1.0 / (1260.0 * large**2)) / large**2) / large
    series = 0.5 * np.log(large / (2.0 * np.pi)) - series
    return np.where(shape < STIRLING_FROM, shape * np.log(shape) - shape - gammaln(shape), series)


class Gamma(Family):
    """Positive numbers with p(x | a, b) = prod_j b_j^a_j x_j^(a_j - 1) exp(-b_j x_j) / Gamma(a_j).

    Shapes a and rates b are free in every component and column. There is no prior of which posterior and normaliser
    are known: the family offers maximum likelihood (`EMMixture`, ``ICMMixture(update="mle")``).

    Notes
    -----
    With m the mean of a component's column, the rate is a / m and the shape solves log a - digamma(a) =
    log m - (mean of log x), by Newton's method for 1 / a (Minka 2002). Shapes are held at or below 1e7: a column
    that is constant within a component has its standard deviation at 3e-4 of the mean, and a warning tells.

    References
    ----------
    Minka (2002), Estimating a Gamma distribution.

    Examples
    --------
    >>> import numpy as np
    >>> from skem import EMMixture
    >>> from skem.families import Gamma
    >>> rng = np.random.default_rng(0)
    >>> X = rng.gamma([[2.0]] * 500 + [[20.0]] * 500, [[1.0]] * 500 + [[5.0]] * 500)
    >>> mixture = EMMixture(n_components=2, family=Gamma(), random_state=0).fit(X)
    >>> np.sort((mixture.shapes_ / mixture.rates_).ravel()).round()
    array([  2., 101.])
    """

    feature_map = "x_log"
    domain = "positive numbers"
    location = "shapes"
    equivariance = "scale"
    least_mass = 1.0
    # half the log of the bound on the shapes
    spike = 8.1

    def validate(self, X):
        check_positive(X, self)

    def coordinates(self, X):
        """Return logarithms, in which columns are even."""
        return log_coordinates(X, self.summary_)

    def _point(self, shape, mean):
        return Parameters({"shape": shape, "mean": mean})

    def natural(self, theta):
        shape, mean = theta.shape, theta.mean
        offset = log_peak(shape) + shape * (1.0 - np.log(mean))
        return np.hstack([-shape / mean, shape - 1.0]), offset.sum(axis=1)

    def _means(self, stats):
        """Means of x and of log x, and which components have none."""
        empty = stats.n <= 0
        first, logs = np.split(stats.total / np.where(empty, 1.0, stats.n)[:, None], 2, axis=1)
        return np.where(first > 0, first, np.finfo(np.float64).tiny), logs, empty

    def mle(self, stats, theta=None):
        mean, logs, empty = self._means(stats)
        shape = gamma_shapes(np.where(empty[:, None], 1.0, np.log(mean) - logs), LARGEST_SHAPE)
        if empty.any():
            # a component without mass keeps its place, or spreads over the data where it never had one
            summary = self.summary_
            whole = (summary.mean**2 / summary.variance, summary.mean) if theta is None else (theta.shape, theta.mean)
            shape, mean = (np.where(empty[:, None], *pair) for pair in zip(whole, (shape, mean), strict=True))
        return self._point(shape, mean)

    def degenerate(self, stats):
        mean, logs, empty = self._means(stats)
        return ~empty & (np.log(mean) - logs <= excess(np.full(1, LARGEST_SHAPE))).any(axis=1)

    def sample(self, theta, counts, rng):
        shape, mean = (np.repeat(value, counts, axis=0) for value in (theta.shape, theta.mean))
        return self.summary_.to_user(rng.gamma(shape, mean / shape))

    def marginal(self, theta, columns, rest):
        return take_columns(theta, columns)

    def conditional(self, theta, given, rest, values):
        return take_columns(theta, rest)

    def n_parameters(self, n_features, n_components):
        return 2 * n_features * n_components

    def attributes(self, theta):
        return {"shapes_": theta.shape, "rates_": theta.shape / theta.mean / self.summary_.scale}

    def _checked(self, shapes, rates):
        shapes = check_numbers(shapes, "shapes")
        rates = check_numbers(rates, "rates", shapes.shape)
        for values, name in ((shapes, "shapes"), (rates, "rates")):
            if not (values > 0).all():
                raise ValueError(f"{name} must be > 0")
        return shapes, rates

    def summary_of_parameters(self, summary, attributes):
        if "rates" not in attributes:
            raise ValueError("Gamma() is built from shapes and rates; there are no rates")
        shapes, rates = self._checked(attributes["shapes"], attributes["rates"])
        return summary_of_means(summary, shapes / rates)

    def parameters(self, shapes, rates):  # type: ignore[override] # public names of this family
        shapes, rates = self._checked(shapes, rates)
        return self._point(shapes, shapes / (rates * self.summary_.scale))
