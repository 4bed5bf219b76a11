"""Whether the default start reaches the best optimum known, and what it costs next to plain fits."""

import argparse
import warnings
from pathlib import Path
from time import process_time

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from sklearn.datasets import load_iris
from sklearn.mixture import GaussianMixture

from skem import EMMixture
from skem.families import Gaussian

DATA = Path(__file__).parents[2] / "tests" / "data"
STRUCTURES = ("full", "tied", "diag", "spherical")
NUMBERS = (2, 3)
PLAIN = ("k-means", "k-means++", "random")
# Plain starts of each name that the best optimum known comes from, beside hierarchical ones.
N_EACH = 8
# Nats that count as reached.
NEAR = 0.01
# rows, columns, groups, typical distance of two means, condition of a covariance, largest over smallest size and scale
SIMULATED = {
    "apart": (300, 2, 3, 6.0, 4.0, 1.0),
    "overlapping": (400, 2, 3, 2.5, 4.0, 1.0),
    "elongated": (300, 3, 3, 4.0, 50.0, 1.0),
    "unequal": (400, 3, 3, 4.0, 10.0, 10.0),
    "more groups": (500, 4, 5, 4.0, 10.0, 3.0),
    "wide": (500, 8, 4, 4.0, 10.0, 3.0),
}


def parse(arguments):
    parser = argparse.ArgumentParser(prog="python -m benchmarks.studies.starts", description=__doc__)
    parser.add_argument("--seeds", type=int, default=5, help="fits of each kind")
    parser.add_argument("--big", action="store_true", help="time the fit of 100,000 rows of 8 columns, too")
    return parser.parse_args(arguments)


def simulate(number, n, d, n_groups, distance, condition, unequal):
    """Rows of Gaussian groups with covariances turned at random."""
    rng = np.random.default_rng(number)
    share = np.geomspace(1.0, unequal, n_groups)
    means = rng.standard_normal((n_groups, d)) * distance / np.sqrt(2.0 * d)
    shape = np.geomspace(condition**-0.25, condition**0.25, d)
    rows = []
    for k, size in enumerate(np.maximum(10 * d, n * share / share.sum()).astype(int)):
        basis = np.linalg.qr(rng.standard_normal((d, d)))[0]
        rows.append(means[k] + share[k] ** 0.25 * (rng.standard_normal((size, d)) * shape) @ basis.T)
    return np.concatenate(rows)


def data_sets():
    """Rows by name: four real sets and six simulated ones."""
    sets = {"iris": load_iris().data}
    for name in ("faithful", "acidity", "galaxies"):
        sets[name] = np.loadtxt(DATA / f"{name}.csv", delimiter=",", skiprows=1, ndmin=2)
    for number, (name, made) in enumerate(SIMULATED.items()):
        sets[name] = simulate(number, *made)
    return sets


def is_healthy(mixture, X):
    """Whether every component has more rows than there are columns, and none is flat."""
    n_k = mixture.weights_ * len(X)
    return not mixture.degenerate_ and len(n_k) == mixture.n_components and bool((n_k > X.shape[1]).all())


def hierarchical(X, n_components):
    """Labels by Ward's criterion, in units of the columns and of the covariance."""
    centred = X - X.mean(axis=0)
    for Z in (centred / centred.std(axis=0), np.linalg.svd(centred, full_matrices=False)[0]):
        yield fcluster(linkage(Z, "ward"), n_components, "maxclust") - 1


def best_known(X, family, n_components):
    """Largest log-likelihood of a healthy optimum that plain and hierarchical starts reach."""
    starts = [(name, seed) for name in PLAIN for seed in range(N_EACH)]
    starts += [(labels, None) for labels in hierarchical(X, n_components)]
    values = []
    for init, seed in starts:
        mixture = EMMixture(n_components, family=family, init=init, tol=1e-12, max_iter=50_000, random_state=seed)
        mixture.fit(X)
        if is_healthy(mixture, X):
            values.append(mixture.lower_bound_ * len(X))
    return max(values)


def timed(make, X, n_seeds):
    """Fits by seed, and the median of their seconds on the processor."""
    fits, seconds = [], []
    for seed in range(n_seeds):
        begin = process_time()
        fits.append(make(seed).fit(X))
        seconds.append(process_time() - begin)
    return fits, float(np.median(seconds))


def study(n_seeds):
    """Meet every problem, and print a line of each and a summary."""
    reached, ratios = {"portfolio": [], "k-means": [], "scikit-learn": []}, []
    for name, X in data_sets().items():
        for structure in STRUCTURES:
            for n_components in NUMBERS:
                family = Gaussian(structure)
                best = best_known(X, family, n_components)

                def ours(init, family=family, n_components=n_components):
                    return lambda seed: EMMixture(n_components, family=family, init=init, random_state=seed)

                def theirs(seed, structure=structure, n_components=n_components):
                    return GaussianMixture(n_components, covariance_type=structure, random_state=seed)

                plain, plain_seconds = timed(ours("k-means"), X, n_seeds)
                fits, seconds = timed(ours("portfolio"), X, n_seeds)
                values = {
                    "portfolio": [fit.lower_bound_ * len(X) * is_healthy(fit, X) or -np.inf for fit in fits],
                    "k-means": [fit.lower_bound_ * len(X) for fit in plain],
                    "scikit-learn": [fit.score(X) * len(X) for fit in timed(theirs, X, n_seeds)[0]],
                }
                for kind, found in values.items():
                    reached[kind].append(np.mean(np.array(found) > best - NEAR))
                ratios.append(seconds / plain_seconds)
                short = max(0.0, best - min(values["portfolio"]))
                print(
                    f"{name} {structure} {n_components}: best known {best:.3f}, share of seeds that reach it "
                    f"{reached['portfolio'][-1]:.1f}, short by at most {short:.2f}, {ratios[-1]:.2f} plain fits",
                    flush=True,
                )
    totals = {kind: round(float(sum(shares)), 1) for kind, shares in reached.items()}
    print(f"of {len(ratios)} fits reached, mean over {n_seeds} seeds:", totals)
    print(f"cost in plain fits: median {np.median(ratios):.2f}, mean {np.mean(ratios):.2f}, worst {max(ratios):.2f}")


def big():
    """Time the default and the plain start on many rows."""
    X = simulate(0, 100_000, 8, 16, 4.0, 10.0, 1.0)
    seconds = {}
    for init in ("k-means", "portfolio"):
        fits, seconds[init] = timed(lambda seed, init=init: EMMixture(16, init=init, random_state=seed), X, 3)
        print(init, f"{seconds[init]:.2f} s", [round(fit.lower_bound_ * len(X), 2) for fit in fits], flush=True)
    print(f"100,000 x 8, 16 components: {seconds['portfolio'] / seconds['k-means']:.2f} plain fits")


def main(arguments=None):
    options = parse(arguments)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study(options.seeds)
        if options.big:
            big()


if __name__ == "__main__":
    main()
