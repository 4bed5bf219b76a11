"""Log Gamma functions of counts plus 1 / dispersion, summed over rows before the dispersion is known.

With r = 1 / dispersion a negative binomial density has the factor Gamma(x + r) / Gamma(r). Its logarithm depends on x
and r together, so that no finite sums over rows serve every r exactly. They do to rounding: between two powers of 2 the
logarithm is smooth in x, and its values at a few places there tell it everywhere, by interpolation that has the same
coefficients for every r. A row thus gives its weight to the small count that it is, or shares it out among the
`NODES` of an octave; a histogram of these places is all that the dispersion is found from.
"""

import numpy as np
from numpy.polynomial import chebyshev
from scipy.sparse import csr_array
from scipy.special import gammaln

from skem.families.counts import entries
from skem.families.stirling import log_rise, psi_excess

# Counts up to here have a place each; above, each octave has so many. The nearest singularity of log Gamma(x + r) is
# three half-widths from an octave's middle, so that the error is about 6 ** -NODES of a count.
DIRECT = 128
NODES = 18
# Counts end at 2^31: further octaves would make the histograms longer for everybody.
OCTAVES = 24
MOST_COUNT = DIRECT * 2.0**OCTAVES
N_PLACES = DIRECT + NODES * OCTAVES

# Dispersions below this are none: the density differs from Poisson's by rounding.
LEAST_DISPERSION = 1e-8
# A root that has moved by so much of itself at last is exact to rounding, for moves shrink faster than by a factor.
LAST_MOVE = 1e-9
MAX_STEPS = 100
# How far from the start a root is looked for first, in logarithms.
FIRST_STEP = 0.1

_NODES = 0.5 * (1.0 + chebyshev.chebpts1(NODES))
_NODE_WEIGHTS = (-1.0) ** np.arange(NODES) * np.sin((2 * np.arange(NODES) + 1) * np.pi / (2 * NODES))
#: the count at each place
PLACES = np.concatenate([
    np.arange(1.0, DIRECT + 1.0),
    (DIRECT * 2.0 ** np.arange(OCTAVES)[:, None] * (1.0 + _NODES)).ravel(),
])  # fmt: skip


def _shares(t):
    """What each node has of a row that stands at t in its octave, 0 <= t < 1: ndarray of shape (n, NODES)."""
    away = t[:, None] - _NODES
    hit = away == 0.0
    terms = _NODE_WEIGHTS / np.where(hit, 1.0, away)
    shares = terms / terms.sum(axis=1, keepdims=True)
    return np.where(hit.any(axis=1, keepdims=True), hit, shares)


def histograms(X):
    """Places of each row's counts, column after column; zeros have none.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n, d)
        Counts up to `MOST_COUNT`.

    Returns
    -------
    T : CSR matrix of shape (n, d * N_PLACES)
    """
    rows, columns, counts = entries(X)
    shape = (X.shape[0], X.shape[1] * N_PLACES)
    first = columns.astype(np.int64) * N_PLACES
    large = counts > DIRECT
    if not large.any():
        indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=shape[0]))])
        return csr_array((np.ones(len(rows)), first + counts.astype(np.int64) - 1, indptr), shape=shape)
    fraction, exponent = np.frexp(counts[large] / DIRECT)
    length = np.where(large, NODES, 1)
    start = np.concatenate([[0], np.cumsum(length)])
    data, indices = np.ones(start[-1]), np.empty(start[-1], dtype=np.int64)
    indices[start[:-1][~large]] = (first + counts.astype(np.int64) - 1)[~large]
    own = start[:-1][large, None] + np.arange(NODES)
    data[own] = _shares(2.0 * fraction - 1.0)
    indices[own] = (first[large] + DIRECT + NODES * (exponent - 1))[:, None] + np.arange(NODES)
    indptr = start[np.searchsorted(rows, np.arange(shape[0] + 1))]
    return csr_array((data, indices, indptr), shape=shape)


def excess(dispersion, counts):
    """Log Gamma(x + r) - log Gamma(r) - x log r, what a count's density has beside Poisson's.

    Parameters
    ----------
    dispersion : ndarray of shape (...)
        1 / r, from 0 up.
    counts : ndarray of shape (...)

    Returns
    -------
    excess : ndarray of shape (...)
    """
    with np.errstate(divide="ignore"):
        return log_rise(1.0 / dispersion, counts)


def _beyond(t):
    """Return t - log(1 + t), for t >= 0."""
    small = np.minimum(t, 0.03)
    series = np.zeros_like(small)
    for k in range(9, 1, -1):
        series = small * ((-1) ** k / k + series)
    return np.where(t < 0.03, small * series, t - np.log1p(t))


def slope_of_excess(dispersion, counts):
    """Slope of `excess` in the dispersion; see there.

    Returns
    -------
    slope : ndarray of shape (...)
    """
    r = 1.0 / dispersion
    return (_beyond(counts * dispersion) + psi_excess(r) - psi_excess(counts + r)) * r**2


def find_root(slope, low, high, start):
    """Where functions that fall through zero do so, many at a time, on a logarithmic scale.

    Parameters
    ----------
    slope : callable
        Maps points to values, both of shape (m,).
    low, high : float
        Ends, 0 < low <= high. A function that is not positive at `low` has its root there, one that is not negative at
        `high` there.
    start : ndarray of shape (m,)
        Where roots are sought first, within the ends.

    Returns
    -------
    roots : ndarray of shape (m,)

    References
    ----------
    Dowell & Jarratt (1971), A modified regula falsi method for computing the root of an equation: the Illinois rule.
    """
    ends = np.log([low, high])
    near = far = np.log(start)
    value = slope(start)
    # uphill, by growing steps, until the root is passed
    ahead, at_near, at_far = np.where(value > 0, 1.0, -1.0), value, value
    step = FIRST_STEP * ahead
    while True:
        going = (at_far * ahead > 0) & (np.where(ahead > 0, far < ends[1], far > ends[0]))
        if not going.any():
            break
        new = np.where(going, np.clip(far + step, *ends), far)
        value = slope(np.exp(new))
        near, at_near = np.where(going, far, near), np.where(going, at_far, at_near)
        far, at_far = new, np.where(going, value, at_far)
        step = 4.0 * step
    # of heavy rows a product of two values would overflow
    open_ = np.sign(at_far) * ahead < 0
    for _ in range(MAX_STEPS):
        if not open_.any():
            break
        with np.errstate(divide="ignore", invalid="ignore"):
            new = np.where(open_, far - at_far / (at_far - at_near) * (far - near), far)
        value = slope(np.exp(new))
        passed = np.sign(value) * np.sign(at_far) < 0
        near, at_near = (
            np.where(open_ & passed, far, near),
            np.where(open_, np.where(passed, at_far, 0.5 * at_near), at_near),
        )
        moved = np.abs(new - far)
        far, at_far = new, np.where(open_, value, at_far)
        open_ = open_ & (moved > LAST_MOVE) & (at_far != 0)
    return np.exp(far)


def per_dispersion(dispersion, mean):
    """Log(1 + dispersion * mean) / dispersion, what a row of zeros loses; the mean where the dispersion is 0."""
    spread = np.where(dispersion > 0, dispersion, 1.0)
    return np.where(dispersion > 0, np.log1p(spread * mean) / spread, mean)


def log_prior(events, exposure, mean, dispersion):
    """Log density of means m whose p = 1 / (1 + dispersion m) are Beta(1 + exposure / dispersion, events).

    Parameters
    ----------
    events, exposure, mean, dispersion : ndarray
        Of shapes that broadcast. Where the dispersion is 0 the density is Gamma(events, exposure)'s.

    Returns
    -------
    log_density : ndarray
    """
    norm = log_rise(_size(dispersion, exposure), events) + events * np.log(dispersion + exposure)
    powers = (events - 1.0) * np.log(mean) - (events + 1.0) * np.log1p(dispersion * mean)
    return norm - gammaln(events) + powers - exposure * per_dispersion(dispersion, mean)


def _size(dispersion, exposure):
    """First parameter of the Beta distribution of p."""
    with np.errstate(divide="ignore"):
        return 1.0 + exposure / dispersion


class Profile:
    """What histograms say of the dispersion, means being the best for it.

    Parameters
    ----------
    stats : SuffStats
        n (K, d), total (K, d) and places (K, d, N_PLACES); those of a posterior for its mode.
    prior : SuffStats, default=None
        n (1, d) and total (1, d) of the prior that the posterior holds; None for the likelihood.
    least : ndarray of shape (d,), default=0
        Where means are kept from below.
    """

    def __init__(self, stats, prior=None, least=0.0):
        used = np.flatnonzero((stats.places != 0).any(axis=(0, 1)))
        n_small = int(used[used < DIRECT].max(initial=-1)) + 1
        # the excess of a small count x is the sum over j < x of log(1 + dispersion j): so many rows lie beyond j
        self.beyond = np.cumsum(stats.places[:, :, :n_small][:, :, :0:-1], axis=2)[:, :, ::-1]
        self.steps = np.arange(1.0, max(n_small, 1))
        used = used[used >= DIRECT]
        self.places, self.counts = stats.places[:, :, used], PLACES[used]
        self.second = stats.places @ (PLACES**2 - PLACES)
        self.n, self.total, self.prior, self.least = stats.n, stats.total, prior, least

    def mean(self, dispersion):
        """Best means at these dispersions, (K, d)."""
        total, n = self.total, self.n
        if self.prior is not None:
            total, n = total - 1.0, n + 2.0 * dispersion
        return np.maximum(total / np.where(n > 0, n, 1.0), self.least)

    def _sum(self, of_steps, of_counts, dispersion):
        """Sum over the rows of what small counts have step by step, and large ones as a whole."""
        total = np.einsum("kjx,kjx->kj", self.beyond, of_steps)
        if self.counts.size:
            total += np.einsum("kjx,kjx->kj", self.places, of_counts(dispersion[..., None], self.counts))
        return total

    def values(self, dispersion, mean=None):
        """Log-likelihood or log density (K, d), but for what depends on neither mean nor dispersion."""
        mean = self.mean(dispersion) if mean is None else mean
        value = self._sum(np.log1p(dispersion[..., None] * self.steps), excess, dispersion)
        total, n = self.total, self.n
        if self.prior is not None:
            events, exposure = self.prior.total, self.prior.n
            value = value + log_prior(events, exposure, mean, dispersion)
            total, n = total - events, n - exposure
        value = value + total * (np.log(mean) - np.log1p(dispersion * mean))
        return value - n * per_dispersion(dispersion, mean)

    def slopes(self, dispersion):
        """Slopes of `values` in the dispersion."""
        mean, t = self.mean(dispersion), dispersion
        slope = self._sum(self.steps / (1.0 + t[..., None] * self.steps), slope_of_excess, t)
        total = self.total
        if self.prior is not None:
            events, exposure = self.prior.total, self.prior.n
            total = total + 1.0
            slope = slope + exposure * slope_of_excess(t / (t + exposure), events) / (t + exposure) ** 2
            slope = slope + events / (t + exposure)
        return slope - self.n * _beyond(t * mean) / t**2 + mean * (self.n * mean - total) / (1.0 + t * mean)

    def best(self, pool, bounds, start):
        """Best dispersions, found among those that `pool` makes one.

        Parameters
        ----------
        pool : callable
            Sums (K, d) over what has one dispersion, the axes kept.
        bounds : tuple of (low, high)
        start : ndarray of shape (K, d) or None
            Dispersions to start from; what is found is no worse.

        Returns
        -------
        dispersion : ndarray of shape (K, d)
        """
        shape = self.n.shape
        low, high = max(bounds[0], LEAST_DISPERSION), bounds[1]
        if high <= low:
            return np.full(shape, high)
        # from the moments where nothing better is known
        mean = self.mean(np.zeros(shape))
        guess = pool(self.second - self.n * mean**2) / np.maximum(pool(self.n * mean**2), 1e-300)
        if start is not None:
            before = pool(start) / pool(np.ones(shape))
            guess = np.where(before > low, before, guess)
        form = guess.shape

        def slope(dispersion):
            return pool(self.slopes(np.broadcast_to(dispersion.reshape(form), shape))).ravel()

        found = find_root(slope, low, high, np.clip(guess, low, high).ravel()).reshape(form)
        # at the lower end of the search there is none left
        found = np.where((found <= low) & (bounds[0] < low), bounds[0], found)
        if start is not None:
            worse = pool(self.values(np.broadcast_to(found, shape))) < pool(self.values(start))
            found = np.where(worse, before, found)
        return np.array(np.broadcast_to(found, shape))
