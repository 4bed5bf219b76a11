"""Seeded Gaussian clusters whose number, distances and shapes are known."""

from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

# Ratio of the largest to the smallest eigenvalue that a covariance may have.
CONDITION = 10.0
# Places tried for a mean before the region that they are drawn from grows.
TRIES = 30
GROWTH = 1.1
# Largest ratio of sizes, and of scales, of mixed clusters.
MIXED = 10.0


class Problem(NamedTuple):
    """Rows, and what is true of them.

    Attributes
    ----------
    name : str
    X : ndarray of shape (n, d)
    labels : int ndarray of shape (n,) or None
        None where nobody knows.
    n_clusters : int
    family : str
        Name of the family in `skem.families`.
    structure : str
        Covariance structure of the truth.
    """

    name: str
    X: np.ndarray
    labels: np.ndarray | None
    n_clusters: int
    family: str = "Gaussian"
    structure: str = "full"

    @property
    def facts(self):
        n, d = self.X.shape
        return {"truth": self.n_clusters, "n": n, "d": d, "structure": self.structure}


def random_covariance(rng, d):
    """Random axes, eigenvalues log-uniform about 1."""
    axes = np.linalg.qr(rng.normal(size=(d, d)))[0]
    return axes * CONDITION ** rng.uniform(-0.5, 0.5, size=d) @ axes.T


def mahalanobis(means, covariances, mean, covariance):
    """Distances of clusters to another, under the mean of the two covariances."""
    difference = means - mean
    solved = np.linalg.solve(0.5 * (covariances + covariance), difference[:, :, None])[:, :, 0]
    return np.sqrt((difference * solved).sum(axis=1))


def place(rng, covariances, distance):
    """Means that keep at least `distance` from one another, packed as a region that grows allows.

    Parameters
    ----------
    rng : numpy.random.Generator
    covariances : ndarray of shape (n_clusters, d, d)
    distance : float
        Mahalanobis distance under the mean of the two covariances.

    Returns
    -------
    means : ndarray of shape (n_clusters, d)
    """
    n_clusters, d, _ = covariances.shape
    means = np.zeros((n_clusters, d))
    typical = np.sqrt(np.trace(covariances, axis1=1, axis2=2).mean() / d)
    # two means would be `distance` apart in the root mean square
    spread = typical * distance / np.sqrt(2.0 * d)
    for k in range(n_clusters):
        tries = 0
        while True:
            mean = spread * rng.normal(size=d)
            if k == 0 or mahalanobis(means[:k], covariances[:k], mean, covariances[k]).min() >= distance:
                break
            tries += 1
            spread *= GROWTH if tries % TRIES == 0 else 1.0
        means[k] = mean
    return means


def draw(rng, means, covariances, sizes):
    """Rows in random order, and the clusters that they are from."""
    labels = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    factors = np.linalg.cholesky(covariances)
    X = np.empty((len(labels), means.shape[1]))
    for k, (mean, factor) in enumerate(zip(means, factors, strict=True)):
        rows = labels == k
        X[rows] = mean + rng.normal(size=(rows.sum(), len(mean))) @ factor.T
    return X, labels


def enough(d):
    """Rows of the smallest cluster."""
    return max(50 * d, 4 * d * d)


def gaussian(name, rng, n_clusters, d, distance, mixed=False):
    """Clusters with covariances of their own; mixed ones differ in size and in scale."""
    covariances = np.array([random_covariance(rng, d) for _ in range(n_clusters)])
    sizes = np.full(n_clusters, enough(d))
    if mixed:
        covariances *= (MIXED ** rng.uniform(size=n_clusters))[:, None, None] ** 2
        sizes = np.rint(sizes * MIXED ** rng.uniform(size=n_clusters)).astype(int)
    means = place(rng, covariances, distance)
    return Problem(name, *draw(rng, means, covariances, sizes), n_clusters)


def of_distance(group, distance=None, mixed=False, most_clusters=20):
    """Generator of a group: problem by number."""

    def make(number):
        name = f"{group}/{number}"
        rng = generator(name)
        n_clusters, d = int(rng.integers(1, most_clusters + 1)), int(rng.integers(2, 17))
        apart = distance or (5.0 if d <= 8 else 6.0)
        return gaussian(name, rng, n_clusters, d, apart, mixed)

    return make


def generator(name):
    """Random numbers that belong to a name."""
    return np.random.default_rng(list(name.encode()))


def structured(structure):
    """Generator of clusters with one covariance structure, d in 2..32."""

    def make(number):
        name = f"{structure}/{number}"
        rng = generator(name)
        n_clusters, d = int(rng.integers(2, 9)), int(np.rint(2.0 ** rng.uniform(1, 5)))
        covariances = covariances_of(structure, rng, n_clusters, d)
        means = place(rng, covariances, 5.0 if d <= 8 else 6.0)
        sizes = np.full(n_clusters, enough(d))
        return Problem(name, *draw(rng, means, covariances, sizes), n_clusters, structure=structure)

    return make


def covariances_of(structure, rng, n_clusters, d):
    """Covariances of a structure, as matrices: ndarray of shape (n_clusters, d, d)."""
    if structure == "full":
        return np.array([random_covariance(rng, d) for _ in range(n_clusters)])
    if structure == "tied":
        return np.tile(random_covariance(rng, d), (n_clusters, 1, 1))
    if structure == "diag":
        return np.array([np.diag(CONDITION ** rng.uniform(-0.5, 0.5, size=d)) for _ in range(n_clusters)])
    variances = (
        CONDITION ** rng.uniform(-0.5, 0.5, size=n_clusters) if structure == "spherical" else np.ones(n_clusters)
    )
    return variances[:, None, None] * np.eye(d)


@cache
def _columns(path):
    return np.loadtxt(path, delimiter=",", skiprows=1, ndmin=2)


def real(name, folder=None):
    """Public data: what a person would call its clusters is known of none, so that labels are None."""
    from sklearn.datasets import load_breast_cancer, load_iris, load_wine

    folder = Path(__file__).resolve().parents[2] / "tests" / "data" if folder is None else Path(folder)
    bundled = {"iris": (load_iris, 4), "wine": (load_wine, 13), "cancer": (load_breast_cancer, 10)}
    if name in bundled:
        load, d = bundled[name]
        X = load().data[:, :d]
    else:
        X = _columns(folder / f"{name}.csv")
    return Problem(f"real/{name}", np.ascontiguousarray(X), None, 2)


# What the default is to find with full covariances.
REAL = ("iris", "faithful", "acidity")


def of_real(number):
    """Problem by number."""
    return real(REAL[number])


# Group of problems: how one is made, and how many there are.
GROUPS: dict[str, tuple[Any, int]] = {
    "equal": (of_distance("equal"), 100),
    "mixed": (of_distance("mixed", mixed=True), 100),
    "one": (of_distance("one", most_clusters=1), 200),
    "distance-4": (of_distance("distance-4", 4.0), 100),
    "distance-3": (of_distance("distance-3", 3.0), 100),
    "real": (of_real, len(REAL)),
}
