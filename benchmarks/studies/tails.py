"""Heavy tails: whether a Student-t is chosen where clusters have them, and a Gaussian where they have none."""

import argparse
from time import perf_counter

import numpy as np
from sklearn.metrics import adjusted_rand_score

from skem import MixtureSelection
from skem.families import Gaussian

APART = 6.0
ROWS = 2000
TAILS = {"heavy": (2.0, 3.0), "cauchy": (1.0,), "gaussian": (np.inf,)}
CLASSIC = [Gaussian(name) for name in ("full", "tied", "diag", "spherical")]


def make(kind, number):
    """A set of spherical clusters: centres `APART` scale units apart, sizes up to 1 : 3.

    Parameters
    ----------
    kind : {"heavy", "cauchy", "gaussian"}
    number : int

    Returns
    -------
    X : ndarray of shape (ROWS, d)
    labels : ndarray of shape (ROWS,)
    dof : float
    """
    rng = np.random.default_rng([number, sorted(TAILS).index(kind)])
    dof = TAILS[kind][number % len(TAILS[kind])]
    n_clusters, d = int(rng.integers(2, 6)), int(2 ** rng.integers(1, 7))
    centres = np.zeros((n_clusters, d))
    while True:
        # in few columns at random, no two of them nearer than APART
        centres = rng.normal(size=(n_clusters, d)) * APART * n_clusters / np.sqrt(2.0 * d)
        gaps = np.linalg.norm(centres[:, None] - centres, axis=2)[np.triu_indices(n_clusters, 1)]
        if gaps.min() > 0.2 * APART:
            centres *= APART / gaps.min()
            break
    share = rng.uniform(1.0, 3.0, size=n_clusters)
    labels = rng.choice(n_clusters, size=ROWS, p=share / share.sum())
    scale = np.ones(ROWS) if np.isinf(dof) else np.sqrt(rng.chisquare(dof, size=ROWS) / dof)
    return centres[labels] + rng.normal(size=(ROWS, d)) / scale[:, None], labels, dof


def meet(kind, number, most):
    """Choose a model for a set, and the best Gaussian one beside it."""
    X, labels, dof = make(kind, number)
    begin = perf_counter()
    selection = MixtureSelection(n_components=range(1, most + 1), random_state=0).fit(X)
    seconds = perf_counter() - begin
    chosen = selection.results_["family"][selection.best_index_]
    gaussian = MixtureSelection(n_components=range(1, most + 1), families=CLASSIC, random_state=0).fit(X)
    return {
        "dof": dof,
        "K": int(labels.max()) + 1,
        "d": X.shape[1],
        "student": "Student" in str(chosen),
        "found": selection.n_components_,
        "chosen": str(chosen),
        "ari": adjusted_rand_score(labels, selection.labels_),
        "gaussian": adjusted_rand_score(labels, gaussian.labels_),
        "seconds": seconds,
    }


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m benchmarks.studies.tails", description=__doc__)
    parser.add_argument("--kinds", nargs="+", choices=list(TAILS), default=list(TAILS))
    parser.add_argument("--problems", type=int, default=60, help="sets of each kind")
    parser.add_argument("--first", type=int, default=0, help="number of the first set")
    parser.add_argument("--most", type=int, default=6, help="most components")
    options = parser.parse_args(arguments)
    for kind in options.kinds:
        met = []
        for number in range(options.first, options.first + options.problems):
            met.append(meet(kind, number, options.most))
            print(kind, number, met[-1], flush=True)
        mean = {name: np.mean([one[name] for one in met]) for name in ("student", "ari", "gaussian", "seconds")}
        print(f"{kind}: " + ", ".join(f"{name} {value:.3f}" for name, value in mean.items()), flush=True)


if __name__ == "__main__":
    main()
