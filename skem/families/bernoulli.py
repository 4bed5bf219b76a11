"""Independent binary columns."""

import numbers

import numpy as np

from skem._compat import Interval, check_numbers
from skem._kernels.shares import natural_of_pairs, with_zeros
from skem.families.base import SuffStats
from skem.families.counts import check_rows
from skem.families.dirichlet import DirichletFamily
from skem.families.margins import take_columns


class Bernoulli(DirichletFamily):
    """Zeros and ones with p(x | p) = prod_j p_j^x_j (1 - p_j)^(1 - x_j); latent classes of binary items.

    The conjugate prior is p_j ~ Beta(a0, b0).

    Parameters
    ----------
    concentration_prior : float or pair of floats, default=1.0
        The pseudo-counts a0 of ones and b0 of zeros, > 0; one number stands for both. Modes need at least 1, where they
        are the maximum of the likelihood: below, an outcome that is not seen goes to probability zero, with a
        warning.

    References
    ----------
    Bernardo & Smith (1994), Bayesian Theory, appendix A: the binomial-beta pair.

    Examples
    --------
    >>> import numpy as np
    >>> from skem import EMMixture
    >>> from skem.families import Bernoulli
    >>> X = np.array([[1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1], [1, 0, 1, 1]])
    >>> mixture = EMMixture(n_components=2, family=Bernoulli(), random_state=0).fit(X)
    >>> mixture.probabilities_.round(2)
    array([[0.33, 0.  , 1.  , 1.  ],
           [1.  , 1.  , 0.33, 0.  ]])
    """

    feature_map = "x"
    collapsed_kind = "bernoulli"
    domain = "zeros and ones"
    sparse = True
    of_pairs = True

    _parameter_constraints = {"concentration_prior": [Interval(numbers.Real, 0, None, closed="neither"), "array-like"]}

    def __init__(self, concentration_prior=1.0):
        self.concentration_prior = concentration_prior

    def validate(self, X):
        check_rows(
            X,
            lambda block: (block == 0) | (block == 1),
            "Bernoulli() takes zeros and ones; use Multinomial() or Poisson() for counts, Gaussian() for measurements",
        )

    def _bind(self):
        d = self.summary_.n_features
        shape = (2,) if np.ndim(self.concentration_prior) else ()
        pair = np.broadcast_to(check_numbers(self.concentration_prior, "concentration_prior", shape), (2,))
        if not (pair > 0).all():
            raise ValueError("concentration_prior must be > 0")
        # outcomes in halves: a one in each column, then a zero in each
        self.concentration_ = np.repeat(pair, d)
        self.group_starts_ = np.arange(d)

    def _groups(self, values):
        ones, zeros = np.split(values, 2, axis=1)
        return ones + zeros

    def _sums(self, values):
        return np.tile(self._groups(values), 2)

    def statistics(self, n_k, sums):
        return SuffStats({"total": with_zeros(n_k, np.ascontiguousarray(sums["features"]))})

    def natural(self, theta):
        return natural_of_pairs(np.ascontiguousarray(theta.log_probability))

    @property
    def _group(self):
        return np.tile(np.arange(len(self.group_starts_)), 2)

    def log_predictive(self, posterior, X):
        # a row sees each column once, so that its density is the plug-in one at the mean
        slope, offset = self.natural(self._point(self._mean(posterior)))
        return X @ slope.T + offset

    def sample(self, theta, counts, rng):
        probability = np.repeat(np.split(theta.probability, 2, axis=1)[0], counts, axis=0)
        return (rng.random(probability.shape) < probability).astype(np.float64)

    def marginal(self, theta, columns, rest):
        d = len(columns) + len(rest)
        return take_columns(theta, [*columns, *(d + j for j in columns)])

    def conditional(self, theta, given, rest, values):
        return self.marginal(theta, rest, given)

    def responses(self, theta):
        """Levels of each column with their probabilities."""
        ones, zeros = np.split(theta.probability, 2, axis=1)
        return [(np.array([0, 1]), np.stack([zeros[:, j], ones[:, j]], axis=1)) for j in range(ones.shape[1])]

    def attributes(self, theta):
        return {"probabilities_": np.split(theta.probability, 2, axis=1)[0]}

    def parameters(self, probabilities):  # type: ignore[override] # public names of this family
        ones = check_numbers(probabilities, "probabilities")
        if not ((ones >= 0) & (ones <= 1)).all():
            raise ValueError("probabilities must lie within 0 and 1")
        return self._point(np.concatenate([ones, 1.0 - ones], axis=1))
