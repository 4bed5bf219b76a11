"""Independent negative binomial counts: counts more spread than Poisson's."""

import numbers

import numpy as np
from scipy.special import digamma, gammaln

from skem._compat import Interval, StrOptions, check_numbers
from skem.families.base import Parameters, SuffStats
from skem.families.counts import check_counts, check_rows, entries
from skem.families.dispersion import (
    LEAST_DISPERSION,
    MOST_COUNT,
    N_PLACES,
    PLACES,
    Profile,
    excess,
    histograms,
    log_prior,
    per_dispersion,
)
from skem.families.poisson import Poisson
from skem.families.rates import RATE_FLOOR, RateFamily
from skem.families.stirling import log_beta

# Verbs that need the dispersion known, and those that need it fitted.
KNOWN = {"expect", "draw", "log_normalizer", "log_predictive"}
FITTED = {"features", "nested"}


class NegativeBinomial(RateFamily):
    """Counts with mean m and variance m + dispersion m^2, columns independent given the component.

    ``p(x | m) = prod_j C(x_j + r_j - 1, x_j) p_j^r_j (1 - p_j)^x_j`` with r = 1 / dispersion and p = r / (r + m): a
    Poisson count whose rate varies by a Gamma distribution of shape r. As the dispersion tends to 0 the counts tend to
    `Poisson`'s.

    With the dispersion known this is an exponential family, in every cell. The conjugate prior is
    p_j ~ Beta(1 + r_j b0, a0), with a0 and b0 of the meaning that they have for `Poisson`. Modes are taken in p, where
    they give the means that Poisson's modes are: (a0 - 1 + sum of x) / (b0 + n).

    A fitted dispersion is found by maximum likelihood, or with a flat prior beside that of p as the mode in
    (mean, dispersion), where means are (a0 - 1 + sum of x) / (b0 + n + 2 dispersion). There is no conjugate prior of
    it, hence neither variational Bayes nor Gibbs sampling.

    Parameters
    ----------
    dispersion : {"free", "columns", "common"}, float or array-like of shape (n_features,), default=1.0
        Above 0, known: 1 is the geometric distribution. Or fitted: "free", one a component and column; "columns", one a
        column in all components; "common", one for all.
    shape_prior : float, default=1.0
        Number a0 > 0, in pseudo-counts. Modes need a0 >= 1: below it the mean of a component without counts goes to its
        floor, 1e-12 of the column's mean, with a warning.
    rate_prior : float or None, default=None
        Number b0 > 0, in pseudo-rows. None means shape_prior / (mean of the column).
    bounds : tuple of (low, high), default=(0.0, 100.0)
        Where dispersions are kept that are fitted, 0 <= low <= high < inf. With low = 0 a fit also starts from the
        converged Poisson fit, so that its likelihood is never lower; `dispersions_` is 0 where no count is more spread
        than Poisson's.

    Notes
    -----
    What a fitted dispersion needs of the rows is a histogram of the counts. That of small ones is plain; those above
    128 share their weight out among 18 places an octave, by which log Gamma(x + r) is known to rounding whatever r is.
    The sums are additive as any family's, and an update given the responsibilities ends at the optimum. Fitted
    dispersions take counts below 2^31.

    References
    ----------
    Bernardo & Smith (1994), Bayesian Theory, appendix A: the negative binomial-Beta pair.
    Levin & Reeds (1977), Compound multinomial likelihood functions are unimodal, Annals of Statistics 5: the likelihood
    of one dispersion has one peak, above 0 where the variance exceeds the mean.

    Examples
    --------
    >>> import numpy as np
    >>> from skem import EMMixture
    >>> from skem.families import NegativeBinomial
    >>> rng = np.random.default_rng(0)
    >>> X = rng.poisson(rng.gamma(4.0, np.repeat([[1.0, 2.0], [10.0, 20.0]], 300, axis=0)))
    >>> mixture = EMMixture(n_components=2, family=NegativeBinomial(0.25), random_state=0).fit(X)
    >>> mixture.means_[np.argsort(mixture.means_[:, 0])].round()
    array([[ 4.,  8.],
           [43., 77.]])
    >>> fitted = EMMixture(n_components=2, family=NegativeBinomial("common"), random_state=0).fit(X)
    >>> fitted.dispersions_.round(2).tolist()
    [[0.26, 0.26], [0.26, 0.26]]
    """

    feature_map = "x"
    domain = "counts"
    positive_only = True
    sparse = True
    location = "means"
    _events, _exposure = "total", "n"

    _parameter_constraints = {
        "dispersion": [
            StrOptions({"free", "columns", "common"}),
            Interval(numbers.Real, 0, None, closed="neither"),
            "array-like",
        ],
        **RateFamily._parameter_constraints,
        "bounds": ["array-like"],
    }

    def __init__(self, dispersion=1.0, shape_prior=1.0, rate_prior=None, bounds=(0.0, 100.0)):
        self.dispersion = dispersion
        super().__init__(shape_prior, rate_prior)
        self.bounds = bounds

    @property
    def _fitted(self):
        return isinstance(self.dispersion, str)

    def has(self, verb):
        if verb == "nested":
            return self._fitted and np.min(self.bounds) == 0.0
        return verb not in (KNOWN if self._fitted else FITTED) and super().has(verb)

    @property
    def collapsed_kind(self):  # type: ignore[override] # where there is a conjugate prior
        """Kind of sequential sweep."""
        return None if self._fitted else "negative_binomial"

    def collapsed_arrays(self, posterior):
        return super().collapsed_arrays(posterior) | {"size": self.size_}

    # -- data side -------------------------------------------------------------------------------

    def validate(self, X):
        check_counts(X, self)
        if self._fitted:
            limit = (
                f"a fitted dispersion takes counts up to {MOST_COUNT - 1:.0f}; give NegativeBinomial() the dispersion"
            )
            check_rows(X, lambda block: block < MOST_COUNT, limit)

    def _bind(self):
        d, mean = self.summary_.n_features, np.maximum(self.summary_.mean, 0.0)
        # an all-zero column says nothing of its scale: one count in the whole data set stands in
        self.typical_rate_ = np.where(mean > 0, mean, 1.0 / max(self.summary_.total_weight, 1.0))
        if self._fitted:
            bounds = np.asarray(self.bounds, dtype=np.float64)
            if bounds.shape != (2,) or not 0 <= bounds[0] <= bounds[1] < np.inf:
                raise ValueError(f"bounds={self.bounds!r} must be two numbers, 0 <= low <= high, and finite")
            self.bounds_ = tuple(bounds.tolist())
            # that of all rows taken as one
            spread = (self.summary_.variance - self.typical_rate_) / self.typical_rate_**2
            dispersion = np.clip(np.maximum(spread, LEAST_DISPERSION), *self.bounds_)
        else:
            dispersion = check_numbers(self.dispersion, "dispersion", (d,) if np.ndim(self.dispersion) else ())
            if not (dispersion > 0).all():
                raise ValueError("dispersion must be > 0; Poisson() is the family without")
        self.dispersion_ = np.broadcast_to(dispersion, (d,))
        self.size_ = 1.0 / np.maximum(self.dispersion_, LEAST_DISPERSION)

    def of_columns(self, columns):
        if self._fitted:
            return type(self)(self.dispersion, bounds=self.bounds)
        return type(self)(self.dispersion if np.ndim(self.dispersion) == 0 else np.take(self.dispersion, columns))

    def features(self, X):
        """Histograms of each row's counts, where the dispersion is fitted.

        Parameters
        ----------
        X : ndarray or CSR matrix of shape (n, d)

        Returns
        -------
        T : CSR matrix of shape (n, m)
        """
        return histograms(X)

    def natural(self, theta, columns=None):
        if not self._fitted:
            return theta.log_failure, theta.log_success @ self.size_
        mean, dispersion = theta.mean, theta.dispersion
        places = np.arange(mean.shape[1] * N_PLACES) if columns is None else columns
        own, counts = places // N_PLACES, PLACES[places % N_PLACES]
        log_rate = np.log(mean) - np.log1p(dispersion * mean)
        weights = counts * log_rate[:, own] + excess(dispersion[:, own], counts)
        return weights, -per_dispersion(dispersion, mean).sum(axis=1)

    def log_base_measure(self, X):
        rows, columns, counts = entries(X)
        terms = -gammaln(counts + 1.0)
        if not self._fitted:
            terms += gammaln(counts + self.size_[columns]) - gammaln(self.size_)[columns]
        return np.bincount(rows, terms, minlength=X.shape[0])

    def statistics(self, n_k, sums):
        if not self._fitted:
            return super().statistics(n_k, sums)
        places = sums["features"].reshape(len(n_k), -1, N_PLACES)
        n = np.broadcast_to(n_k[:, None], places.shape[:2])
        return SuffStats({"n": n, "total": places @ PLACES, "places": places})

    # -- parameter side --------------------------------------------------------------------------

    def log_likelihood(self, theta, stats):
        if self._fitted:
            return Profile(stats).values(theta.dispersion, theta.mean).sum(axis=1)
        return (theta.log_failure * stats.total + theta.log_success * (self.size_ * stats.n)).sum(axis=1)

    def _point(self, rate, dispersion=None):
        mean = np.maximum(rate, RATE_FLOOR * self.typical_rate_)
        if dispersion is not None:
            return Parameters({"mean": mean, "dispersion": dispersion})
        log_success = -np.log1p(mean / self.size_)
        return Parameters({"mean": mean, "log_success": log_success, "log_failure": -np.log1p(self.size_ / mean)})

    def _pool(self, values):
        """Sums over the components, and columns, that have one dispersion."""
        if self.dispersion == "free":
            return values
        return values.sum(axis=0 if self.dispersion == "columns" else (0, 1), keepdims=True)

    def _fit(self, profile, theta):
        """Means and dispersions of largest density, no smaller than that of theta."""
        start = None if theta is None else theta.dispersion
        dispersion = profile.best(self._pool, self.bounds_, start)
        return profile.mean(dispersion), dispersion

    def mle(self, stats, theta=None):
        if not self._fitted:
            return super().mle(stats, theta)
        mean, dispersion = self._fit(Profile(stats, least=RATE_FLOOR * self.typical_rate_), theta)
        empty = stats.n <= 0
        if empty.any():
            # a component without mass keeps its place
            before = (self.typical_rate_, self.dispersion_) if theta is None else (theta.mean, theta.dispersion)
            mean = np.where(empty, before[0], mean)
            if self.dispersion == "free":
                dispersion = np.where(empty, before[1], dispersion)
        return self._point(mean, dispersion)

    def prior(self, n_components):
        prior = super().prior(n_components)
        if not self._fitted:
            return prior
        return SuffStats({**prior.to_dict()["arrays"], "places": np.zeros((*prior.n.shape, N_PLACES))})

    def mle_step(self, n_components):
        """None: its parameters and scores are not those of plain rates."""

    def mode_step(self, prior):
        """None, as for maximum likelihood."""

    def mode(self, posterior):
        return self.mode_from(posterior, None)

    def mode_from(self, posterior, theta):
        if not self._fitted:
            return super().mode(posterior)
        self._warn_of_prior(posterior)
        least = RATE_FLOOR * self.typical_rate_
        return self._point(*self._fit(Profile(posterior, super().prior(1), least), theta))

    def agglomerate(self, stats, n_left):
        if not self._fitted:
            return super().agglomerate(stats, n_left)
        # at the dispersion of all rows: which groups are alike hardly depends on it
        known = type(self)(np.maximum(self.dispersion_, LEAST_DISPERSION)).bind(self.summary_)
        return known.agglomerate(SuffStats({"n": stats.n, "total": stats.total}), n_left)

    def nested(self):
        """Poisson family that a fitted dispersion contains, bound to the same data.

        Returns
        -------
        family : Poisson
        """
        return Poisson(self.shape_prior, self.rate_prior).bind(self.summary_)

    def embed(self, theta):
        """Theta without dispersion, with the densities of the Poisson family's.

        Parameters
        ----------
        theta : Parameters
            Of the Poisson family.

        Returns
        -------
        theta : Parameters
        """
        return self._point(theta.rate, np.zeros_like(theta.rate))

    def widen(self, theta, stats):
        """Where else to start from, given where the Poisson family has ended: nowhere.

        Parameters
        ----------
        theta : Parameters
        stats : SuffStats

        Returns
        -------
        starts : list of Parameters
        """
        return []

    def limit(self, before, theta):
        """None: updates find the dispersion of largest density, 0 or not, at once."""

    def _beta(self, posterior):
        """Parameters of the Beta distributions of p."""
        return 1.0 + self.size_ * posterior.n, posterior.total

    def expect(self, posterior):
        first, second = self._beta(posterior)
        whole = digamma(first + second)
        arrays = {"log_success": digamma(first) - whole, "log_failure": digamma(second) - whole}
        return Parameters({"mean": posterior.total / posterior.n, **arrays})

    def draw(self, posterior, rng):
        first, second = self._beta(posterior)
        return self._point(self.size_ * rng.gamma(second) / rng.gamma(first))

    def log_normalizer(self, posterior):
        return log_beta(*self._beta(posterior)).sum(axis=1)

    def log_density(self, prior, theta):
        if self._fitted:
            return float(log_prior(prior.total, prior.n, theta.mean, theta.dispersion).sum())
        first, second = self._beta(prior)
        terms = (first - 1.0) * theta.log_success + (second - 1.0) * theta.log_failure
        return float(terms.sum() - self.log_normalizer(prior).sum())

    def log_predictive(self, posterior, X):
        """Beta negative binomial log density of each row under each component, base measure left out."""
        first, second = self._beta(posterior)
        zeros = (log_beta(first + self.size_, second) - log_beta(first, second)).sum(axis=1)
        rows, columns, counts = entries(X)
        scores = np.empty((X.shape[0], len(zeros)))
        for k, (a, b) in enumerate(zip(first + self.size_, second, strict=True)):
            rise = log_beta(a[columns], b[columns] + counts) - log_beta(a, b)[columns]
            # what a row of zeros scores, and what entries add
            scores[:, k] = zeros[k] + np.bincount(rows, rise, minlength=len(scores))
        return scores

    def sample(self, theta, counts, rng):
        mean = np.repeat(theta.mean, counts, axis=0)
        if not self._fitted:
            return rng.poisson(rng.gamma(self.size_, mean / self.size_)).astype(np.float64)
        dispersion = np.repeat(theta.dispersion, counts, axis=0)
        spread = np.where(dispersion > 0, dispersion, 1.0)
        rate = np.where(dispersion > 0, rng.gamma(1.0 / spread, mean * spread), mean)
        return rng.poisson(rate).astype(np.float64)

    # -- for the user ----------------------------------------------------------------------------

    def n_parameters(self, n_features, n_components):
        fitted = {"free": n_features * n_components, "columns": n_features, "common": 1}
        return n_features * n_components + (fitted[self.dispersion] if self._fitted else 0)

    def attributes(self, theta):
        return {"means_": theta.mean} | ({"dispersions_": theta.dispersion} if self._fitted else {})

    def parameters(self, means, dispersions=None):  # type: ignore[override] # public names of this family
        means = check_numbers(means, "means")
        if not (means >= 0).all():
            raise ValueError("means must be >= 0")
        if not self._fitted:
            if dispersions is not None:
                raise ValueError("dispersions go with a fitted dispersion; this NegativeBinomial() has a known one")
            return self._point(means)
        if dispersions is None:
            raise ValueError(f"NegativeBinomial({self.dispersion!r}) is built from means and dispersions")
        dispersions = check_numbers(dispersions, "dispersions", means.shape)
        if not (dispersions >= 0).all():
            raise ValueError("dispersions must be >= 0")
        return self._point(means, dispersions)
