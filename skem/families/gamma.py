"""Independent Gamma columns: positive numbers whose spread grows with their size."""

import numpy as np

from skem._kernels.digammas import gamma_shapes
from skem.families.base import Parameters
from skem.families.independent import LogarithmFamily, positive_parameters
from skem.families.positive import check_positive, log_coordinates, summary_of_means
from skem.families.stirling import log_peak

# Largest shape: standard deviations are held at or above 3e-4 of the mean.
LARGEST_SHAPE = 1e7


class Gamma(LogarithmFamily):
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
    positive_only = True
    location = "shapes"
    equivariance = "scale"
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

    def _solve(self, first, second):
        # the mean of subnormal numbers may be zero
        mean = np.maximum(first, np.finfo(np.float64).tiny)
        return self._point(gamma_shapes(np.log(mean) - second, LARGEST_SHAPE), mean)

    def _whole(self):
        mean, variance = self.summary_.mean[None], self.summary_.variance[None]
        return self._point(np.minimum(mean**2 / variance, LARGEST_SHAPE), mean)

    def _flat(self, first, second):
        return self._solve(first, second).shape >= LARGEST_SHAPE

    def sample(self, theta, counts, rng):
        shape, mean = (np.repeat(value, counts, axis=0) for value in (theta.shape, theta.mean))
        return self.summary_.to_user(rng.gamma(shape, mean / shape))

    def attributes(self, theta):
        return {"shapes_": theta.shape, "rates_": theta.shape / theta.mean / self.summary_.scale}

    def summary_of_parameters(self, summary, attributes):
        if "rates" not in attributes:
            raise ValueError("Gamma() is built from shapes and rates; there are no rates")
        shapes, rates = positive_parameters(shapes=attributes["shapes"], rates=attributes["rates"])
        return summary_of_means(summary, shapes / rates)

    def parameters(self, shapes, rates):  # type: ignore[override] # public names of this family
        shapes, rates = positive_parameters(shapes=shapes, rates=rates)
        return self._point(shapes, shapes / (rates * self.summary_.scale))
