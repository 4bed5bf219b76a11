"""Independent categorical columns."""

import numbers

import numpy as np

from skem._compat import Interval, StrOptions, check_numbers
from skem._kernels.parts import Linear
from skem.families.base import SuffStats
from skem.families.dirichlet import DirichletFamily
from skem.families.levels import encode_columns, find_levels
from skem.families.margins import take_columns


class Categorical(DirichletFamily):
    """Columns of levels with p(x | p) = prod_j p_(j, x_j): the latent class model.

    The conjugate prior is p_j ~ Dirichlet(concentration_prior, ...), over the levels of each column.

    Parameters
    ----------
    concentration_prior : float, default=1.0
        Dirichlet parameter of each level, in pseudo-counts, > 0. Modes need at least 1, where they are the maximum of
        the likelihood: below, a level that is not seen goes to probability zero, with a warning.
    categories : "auto", int or list of array-like, default="auto"
        The levels of each column. "auto" takes those of a pandas categorical or a polars enum in their order, and of
        any other column, be it numbers or strings, the sorted distinct values. A number stands for the codes
        0, ..., categories - 1 in every column. A fit keeps the levels in ``family_.categories``, and its predictions
        refuse rows with others.

    Notes
    -----
    `probabilities_` has shape (n_components, n_levels), the levels of all columns side by side in the order of
    ``family_.categories``; those of each column sum to one. No indicator matrix is made.

    References
    ----------
    Lazarsfeld & Henry (1968), Latent structure analysis. Goodman (1974), Exploratory latent structure analysis using
    both identifiable and unidentifiable models.

    Examples
    --------
    >>> import numpy as np
    >>> from skem import EMMixture
    >>> from skem.families import Categorical
    >>> X = np.array([["tea", "no"], ["tea", "no"], ["tea", "yes"], ["milk", "yes"], ["wine", "yes"], ["wine", "yes"]])
    >>> mixture = EMMixture(n_components=2, family=Categorical(), random_state=0).fit(X)
    >>> [levels.tolist() for levels in mixture.family_.categories]
    [['milk', 'tea', 'wine'], ['no', 'yes']]
    >>> mixture.probabilities_.shape
    (2, 5)
    """

    feature_map = "one_hot"
    collapsed_kind = "categorical"
    domain = "levels"
    #: the rows' own columns are levels, which the family turns into numbers
    encodes = True

    _parameter_constraints = {
        "concentration_prior": [Interval(numbers.Real, 0, None, closed="neither")],
        "categories": [StrOptions({"auto"}), Interval(numbers.Integral, 1, None, closed="left"), "array-like"],
    }

    def __init__(self, concentration_prior=1.0, categories="auto"):
        self.concentration_prior = concentration_prior
        self.categories = categories

    # -- levels ----------------------------------------------------------------------------------

    def learn(self, X):
        return type(self)(self.concentration_prior, find_levels(X, self.categories))

    def encode(self, X):
        return encode_columns(X, self.categories)

    def _n_levels(self, d):
        """Number of levels of each of d columns."""
        if isinstance(self.categories, str):
            raise ValueError('Categorical() needs its levels where there are no data: give categories, not "auto"')
        if isinstance(self.categories, numbers.Integral):
            return np.full(d, self.categories)
        return np.array([len(levels) for levels in self.categories])

    def _bind(self):
        n_levels = self._n_levels(self.summary_.n_features)
        self.group_starts_ = np.cumsum(n_levels) - n_levels
        self.concentration_ = np.full(n_levels.sum(), float(self.concentration_prior))
        # internal coordinates count on through the columns: each value names one outcome of all
        self.summary_ = self.summary_._replace(origin=-self.group_starts_.astype(np.float64))

    # -- data side -------------------------------------------------------------------------------

    def scorer(self, theta):
        weights, offset = self.natural(theta)
        return Linear(self.feature_map, weights, offset, n_codes=len(self.concentration_))

    def start_collector(self, n_components, before=None):
        return Linear(self.feature_map, n_codes=len(self.concentration_))

    def coordinates(self, X):
        """Return indicators of the outcomes, for a few rows: codes are names, not numbers."""
        indicators = np.zeros((len(X), len(self.concentration_)))
        np.put_along_axis(indicators, X.astype(np.intp), 1.0, axis=1)
        return indicators

    def statistics(self, n_k, sums):
        total = sums["features"]
        return SuffStats({"n": self._groups(total), "total": total})

    # -- parameter side --------------------------------------------------------------------------

    def prior(self, n_components):
        total = np.tile(self.concentration_, (n_components, 1))
        return SuffStats({"n": self._groups(total), "total": total})

    def log_predictive(self, posterior, X):
        # a row sees each column once, so that its density is the plug-in one at the mean
        log_mean, codes = np.log(self._mean(posterior)), X.astype(np.intp)
        return np.stack([component[codes].sum(axis=1) for component in log_mean], axis=1)

    def sample(self, theta, counts, rng):
        codes = np.empty((int(np.sum(counts)), len(self.group_starts_)))
        levels = np.split(theta.probability, self.group_starts_[1:], axis=1)
        for j, probability in enumerate(levels):
            cumulative = np.repeat(np.cumsum(probability, axis=1), counts, axis=0)
            uniforms = rng.random((len(codes), 1)) * cumulative[:, -1:]
            codes[:, j] = (cumulative <= uniforms).sum(axis=1)
        if isinstance(self.categories, numbers.Integral):
            return codes
        columns = [np.asarray(names)[codes[:, j].astype(np.intp)] for j, names in enumerate(self.categories)]
        if all(column.dtype.kind in "biuf" for column in columns):
            return np.stack(columns, axis=1).astype(np.float64)
        return np.stack([column.astype(object) for column in columns], axis=1)

    def marginal(self, theta, columns, rest):
        ends = np.append(self.group_starts_, theta.probability.shape[1])
        return take_columns(theta, [v for j in columns for v in range(ends[j], ends[j + 1])])

    def conditional(self, theta, given, rest, values):
        return self.marginal(theta, rest, given)

    def of_columns(self, columns):
        alike = isinstance(self.categories, numbers.Integral)
        return type(self)(categories=self.categories if alike else [self.categories[j] for j in columns])

    def responses(self, theta):
        """Levels of each column with their probabilities."""
        alike = isinstance(self.categories, numbers.Integral)
        probabilities = np.split(theta.probability, self.group_starts_[1:], axis=1)
        names = [np.arange(p.shape[1]) for p in probabilities] if alike else self.categories
        return list(zip(names, probabilities, strict=True))

    def attributes(self, theta):
        return {"probabilities_": theta.probability}

    def shape_of_parameters(self, parameters):
        n_components, n_outcomes = super().shape_of_parameters(parameters)
        alike = isinstance(self.categories, numbers.Integral)
        n_levels = self._n_levels(n_outcomes // int(self.categories) if alike else 0)
        if n_levels.sum() != n_outcomes:
            raise ValueError(f"probabilities has {n_outcomes} columns; the levels of all columns are {n_levels.sum()}")
        return n_components, len(n_levels)

    def parameters(self, probabilities):  # type: ignore[override] # public names of this family
        return self._checked(check_numbers(probabilities, "probabilities"))
