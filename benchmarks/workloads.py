"""Seeded rows of overlapping Gaussians, and the start that all libraries share."""

from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array
from sklearn.cluster import kmeans_plusplus

# Typical distance between two means, in units of a component's spread: they overlap.
DISTANCE = 4.0
# Condition number of a component's covariance.
CONDITION = 10.0
SUBSAMPLE = 20_000


class Workload(NamedTuple):
    """So many rows, columns and components."""

    n: int
    d: int
    n_components: int

    @property
    def name(self):
        digits = f"{self.n:.0e}".replace("e+0", "e") if self.n >= 10_000 else str(self.n)
        return f"n{digits}_d{self.d}_k{self.n_components}"

    @property
    def title(self):
        return f"{self.n:,} x {self.d}, {self.n_components}"


class Start(NamedTuple):
    """Parameters that every library starts from."""

    weights: np.ndarray
    means: np.ndarray
    #: the data's variance, column by column: every component's covariance
    variance: np.ndarray

    def covariances(self, structure):
        """The diagonal start covariance in the shape of a covariance structure."""
        n_components = len(self.means)
        if structure == "full":
            return np.tile(np.diag(self.variance), (n_components, 1, 1))
        if structure == "tied":
            return np.diag(self.variance)
        if structure == "diag":
            return np.tile(self.variance, (n_components, 1))
        return np.full(n_components, self.variance.mean())

    def precisions(self, structure):
        """The inverse of that."""
        covariances = self.covariances(structure)
        return 1.0 / covariances if structure in ("diag", "spherical") else np.linalg.inv(covariances)


EM = tuple(
    Workload(*shape)
    for shape in (
        (1_000_000, 2, 8),
        (1_000_000, 8, 16),
        (200_000, 16, 32),
        (100_000, 10, 100),
        (100_000, 64, 16),
        (20_000, 256, 10),
    )
)
KMEANS = (Workload(1_000_000, 8, 100), Workload(100_000, 64, 100))
SMALL = (Workload(150, 4, 3), Workload(1_000, 2, 5))
MANY = Workload(200_000, 16, 2_000)
TINY = Workload(600, 3, 3)
LATENT = Workload(100_000, 20, 5)
DOCUMENTS = (Workload(20_000, 4_000, 20), Workload(20_000, 50_000, 50))
# Words of a document.
LENGTH = 150
DIRECTIONS = Workload(100_000, 384, 50)
# Spread of a direction's columns about its group's, of norm one: rows lie nearer to one another than to it.
SCATTER = 0.15


def make_rows(workload, dtype=np.float64, seed=0):
    """Rows drawn from Gaussians with random full covariances, of Dirichlet(5) weights.

    Returns
    -------
    X : ndarray of shape (n, d)
    """
    n, d, n_components = workload
    rng = np.random.default_rng(seed)
    weights = rng.dirichlet(np.full(n_components, 5.0))
    # two means lie DISTANCE apart in the root mean square
    means = rng.normal(size=(n_components, d)) * DISTANCE / np.sqrt(2.0 * d)
    scales = np.sqrt(np.geomspace(CONDITION**-0.5, CONDITION**0.5, d))
    X = np.empty((n, d), dtype=dtype)
    owners = np.split(rng.permutation(n), np.cumsum(rng.multinomial(n, weights))[:-1])
    for mean, rows in zip(means, owners, strict=True):
        basis = np.linalg.qr(rng.normal(size=(d, d)))[0] * scales
        X[rows] = mean + rng.normal(size=(len(rows), d)) @ basis.T
    return X


def make_answers(workload, seed=0):
    """Zeros and ones of latent classes, and the probabilities of ones that all libraries start from.

    Returns
    -------
    X : ndarray of shape (n, d)
    probabilities : ndarray of shape (n_components, d)
    """
    n, d, n_components = workload
    rng = np.random.default_rng(seed)
    classes = rng.uniform(0.1, 0.9, (n_components, d))
    X = (rng.random((n, d)) < classes[rng.integers(n_components, size=n)]).astype(np.float64)
    return X, rng.uniform(0.3, 0.7, (n_components, d))


def make_documents(workload, seed=0):
    """Counts of words by Zipf's law, and term probabilities that leave rows in doubt.

    Returns
    -------
    X : CSR array of shape (n, d)
    shares : ndarray of shape (n_components, d)
    """
    n, d, n_components = workload
    rng = np.random.default_rng(seed)
    usual = 1.0 / np.arange(1.0, d + 1.0)
    usual = rng.permutation(usual / usual.sum())
    words = rng.choice(d, size=n * LENGTH, p=usual)
    X = csr_array((np.ones(n * LENGTH), words, np.arange(0, n * LENGTH + 1, LENGTH)), shape=(n, d))
    X.sum_duplicates()
    shares = usual * np.exp(0.05 * rng.normal(size=(n_components, d)))
    return X, shares / shares.sum(axis=1, keepdims=True)


def make_directions(workload, seed=0):
    """Unit vectors about directions, as embeddings of texts are, and rows to start from.

    Returns
    -------
    X : float32 ndarray of shape (n, d)
    centers : float32 ndarray of shape (n_components, d)
    """
    n, d, n_components = workload
    rng = np.random.default_rng(seed)
    means = rng.normal(size=(n_components, d))
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    X = rng.normal(scale=SCATTER, size=(n, d)).astype(np.float32)
    X += means[rng.integers(n_components, size=n)]
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    return X, X[rng.choice(n, n_components, replace=False)]


def make_start(X, n_components, seed=0):
    """Rows chosen by k-means++ on a subsample as means, equal weights, the data's variance."""
    rng = np.random.default_rng(seed)
    rows = X if len(X) <= SUBSAMPLE else X[np.sort(rng.choice(len(X), SUBSAMPLE, replace=False))]
    means = kmeans_plusplus(rows, n_components, random_state=seed)[0]
    weights = np.full(n_components, 1.0 / n_components)
    return Start(weights, np.array(means, dtype=np.float64), X.var(axis=0, dtype=np.float64))
