"""Directions: rows of norm one."""

import numbers

import numpy as np
from scipy.special import gammaln

from skem._compat import Interval, StrOptions, check_numbers
from skem.families.base import Family, Parameters, SuffStats
from skem.families.counts import BLOCK
from skem.families.merging import merge_groups
from skem.families.sphere import concentration_of, log_mean_exp, log_partition, resultant_length, sample_directions
from skem.rows import squared_norms

# The largest concentration: standard deviations of a fiftieth of a degree. Rows that are all equal would have no end.
MOST_CONCENTRATED = 1e7
# Norms may differ from one by this: rows that were normalized in half precision pass.
NORM_SLACK = 1e-3


class VonMisesFisher(Family):
    """Unit vectors with p(x | mu, kappa) = c_d(kappa) exp(kappa mu'x): text embeddings, tf-idf rows, directions.

    mu, of norm one, is the mean direction, and 1 / kappa is near the variance in each direction across it; kappa = 0 is
    the uniform distribution on the sphere. Concentrations are held at or below 1e7.

    The conjugate prior has `rows_prior` pseudo-rows spread evenly over the sphere, p(mu, kappa) proportional to
    c_d(kappa)^rows_prior. Modes are taken in (mu, kappa). The prior's expectations have no closed form: the family
    offers maximum likelihood and modes.

    Parameters
    ----------
    concentration : {"free", "common"} or float, default="free"
        "free": one kappa a component; "common": one for all; a number: this one. With hard assignments and a large
        number the mixture is spherical k-means.
    rows_prior : float, default=0.1
        Weight > 0 of the prior, in pseudo-rows.

    References
    ----------
    Banerjee, Dhillon, Ghosh & Sra (2005), Clustering on the unit hypersphere using von Mises-Fisher distributions.
    Mardia & Jupp (2000), Directional Statistics, sections 9.3 and 10.3.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.preprocessing import normalize
    >>> from skem import EMMixture
    >>> from skem.families import VonMisesFisher
    >>> X = normalize([[5.0, 1.0, 0.0], [4.0, 0.0, 1.0], [6.0, 1.0, 1.0], [0.0, 3.0, 9.0], [1.0, 2.0, 8.0]])
    >>> mixture = EMMixture(n_components=2, family=VonMisesFisher("common"), random_state=0).fit(X)
    >>> mixture.labels_
    array([1, 1, 1, 0, 0], dtype=int32)
    >>> mixture.means_.shape, np.linalg.norm(mixture.means_, axis=1).round(12), mixture.concentrations_.shape
    ((2, 3), array([1., 1.]), (2,))
    """

    feature_map = "x"
    domain = "unit vectors"
    sparse = True
    location = "means"

    _parameter_constraints = {
        "concentration": [StrOptions({"free", "common"}), Interval(numbers.Real, 0, None, closed="left")],
        "rows_prior": [Interval(numbers.Real, 0, None, closed="neither")],
    }

    def __init__(self, concentration="free", *, rows_prior=0.1):
        self.concentration = concentration
        self.rows_prior = rows_prior

    def structures(self, n_features):
        if not isinstance(self.concentration, str):
            return [self]
        return [type(self)(name, rows_prior=self.rows_prior) for name in ("free", "common")]

    # -- data side -------------------------------------------------------------------------------

    def validate(self, X):
        for start in range(0, X.shape[0], BLOCK):
            norm = np.sqrt(squared_norms(X[start : start + BLOCK]))
            bad = np.flatnonzero(~(np.abs(norm - 1.0) <= NORM_SLACK))
            if bad.size:
                raise ValueError(
                    f"row {start + bad[0]} of X has norm {norm[bad[0]]:.6g}: VonMisesFisher() takes unit vectors; use "
                    "sklearn.preprocessing.normalize, and leave rows of zeros out"
                )

    def _bind(self):
        # where a component never had a row, the data as a whole tell its direction and concentration
        mean, self.origin_ = self.summary_.mean, np.eye(1, self.summary_.n_features)
        length = np.linalg.norm(mean)
        if length > 0:
            self.origin_ = mean[None] / length
        self.typical_ = self._concentrations(np.array([length]))

    def coordinates(self, X):
        """Rows as places: distances between unit vectors mean something as they are.

        Parameters
        ----------
        X : ndarray or CSR matrix of shape (n, d)

        Returns
        -------
        X : ndarray or CSR matrix of shape (n, d)
        """
        return X

    def natural(self, theta):
        return theta.concentration[:, None] * theta.mean, theta.offset

    def log_base_measure(self, X):
        d = self.summary_.n_features
        return gammaln(0.5 * d) - np.log(2.0) - 0.5 * d * np.log(np.pi)

    # -- parameter side --------------------------------------------------------------------------

    def _concentrations(self, length):
        """Most likely concentrations given lengths of mean vectors."""
        d = self.summary_.n_features
        if not isinstance(self.concentration, str):
            return np.full(len(length), float(self.concentration))
        most = resultant_length(MOST_CONCENTRATED, d)
        kappa = concentration_of(np.where(length < most, length, 0.0), d)
        return np.where(length < most, kappa, MOST_CONCENTRATED)

    def _point(self, mean, concentration):
        offset = -log_mean_exp(concentration, self.summary_.n_features)
        return Parameters({"mean": mean, "concentration": concentration, "offset": offset})

    def _lengths(self, stats):
        """Length of each component's mean vector, or of all their sums over all rows where they share kappa."""
        length, n = np.linalg.norm(stats.total, axis=1), stats.n
        if self.concentration == "common":
            length, n = np.full_like(length, length.sum()), np.full_like(n, n.sum())
        return length / np.where(n > 0, n, 1.0)

    def mle(self, stats, theta=None):
        length = np.linalg.norm(stats.total, axis=1)[:, None]
        mean = np.where(length > 0, stats.total / np.where(length > 0, length, 1.0), self.origin_)
        concentration = self._concentrations(self._lengths(stats))
        empty = stats.n <= 0
        if empty.any():
            # a component without mass keeps its place
            before = self.origin_ if theta is None else theta.mean
            mean = np.where(empty[:, None], before, mean)
            if self.concentration == "free":
                concentration = np.where(empty, self.typical_ if theta is None else theta.concentration, concentration)
        return self._point(mean, concentration)

    def prior(self, n_components):
        d = self.summary_.n_features
        return SuffStats({"n": np.full(n_components, self.rows_prior), "total": np.zeros((n_components, d))})

    def mode(self, posterior):
        return self.mle(posterior)

    def log_density(self, prior, theta):
        # of mu on the sphere, and of kappa up to its bound
        density = prior.n_components * self.log_base_measure(None)
        if not isinstance(self.concentration, str):
            return float(density)
        n, offset = prior.n, theta.offset
        if self.concentration == "common":
            n, offset = n.sum(keepdims=True), offset[:1]
        norms = [log_partition(float(m), self.summary_.n_features, MOST_CONCENTRATED) for m in n]
        return float(density + n @ offset - sum(norms))

    def degenerate(self, stats):
        most = resultant_length(MOST_CONCENTRATED, self.summary_.n_features)
        return isinstance(self.concentration, str) & (stats.n > 0) & (self._lengths(stats) >= most)

    def worth(self, stats):
        concentration = self._concentrations(self._lengths(stats))
        offset = -log_mean_exp(concentration, self.summary_.n_features)
        return concentration * np.linalg.norm(stats.total, axis=1) + offset * stats.n

    def agglomerate(self, stats, n_left):
        # at any one concentration the loss is that of the lengths of the sums
        family = self
        if self.concentration == "common":
            family = type(self)(1.0).bind(self.summary_)
        if stats.n_components < self.summary_.n_features:
            # lengths are those of coordinates in the span of the sums, of which there are far fewer
            total = np.ascontiguousarray(np.asarray(np.linalg.qr(stats.total.T, mode="r")).T)
            stats = SuffStats({"n": stats.n, "total": total})
        return merge_groups(family, stats, n_left)

    def sample(self, theta, counts, rng):
        rows = theta.take(np.repeat(np.arange(len(counts)), counts))
        return sample_directions(rows.mean, rows.concentration, rng)

    def n_parameters(self, n_features, n_components):
        free = {"free": n_components, "common": 1}.get(self.concentration, 0)
        return (n_features - 1) * n_components + free

    def attributes(self, theta):
        return {"means_": theta.mean, "concentrations_": theta.concentration}

    def parameters(self, means, concentrations):  # type: ignore[override] # public names of this family
        means = check_numbers(means, "means")
        concentrations = check_numbers(concentrations, "concentrations", (len(means),))
        norm = np.linalg.norm(means, axis=1)
        if not (np.abs(norm - 1.0) <= NORM_SLACK).all():
            raise ValueError("means must be unit vectors")
        if not ((concentrations >= 0) & (concentrations <= MOST_CONCENTRATED)).all():
            raise ValueError(f"concentrations must lie within 0 and {MOST_CONCENTRATED:g}")
        return self._point(means / norm[:, None], concentrations)
