"""What an automatic number of clusters costs, next to one fit of scikit-learn's that is told the number."""

import argparse
from pathlib import Path
from time import perf_counter

import numpy as np
from sklearn.mixture import GaussianMixture

from benchmarks.studies.problems import draw, generator, place, random_covariance
from benchmarks.studies.store import PATH, Store, read
from skem import BayesianKMeans

STUDY = "cost"
# Rows, columns, clusters, and whether scikit-learn fits them, too.
WORK = {"1e5 x 8, 20 clusters": (100_000, 8, 20, True), "1e6 x 2, 50 clusters": (1_000_000, 2, 50, False)}
DISTANCE = 5.0


def rows(n, d, n_clusters):
    """Clusters of equal size."""
    rng = generator(f"cost/{n}/{d}/{n_clusters}")
    covariances = np.array([random_covariance(rng, d) for _ in range(n_clusters)])
    return draw(rng, place(rng, covariances, DISTANCE), covariances, np.full(n_clusters, n // n_clusters))[0]


def measure(n, d, n_clusters, beside):
    """Seconds of the search, and of scikit-learn's fit in the same process."""
    X = rows(n, d, n_clusters)
    begin = perf_counter()
    fit = BayesianKMeans(n_components="auto", random_state=0).fit(X)
    record = {"found": fit.n_components_, "seconds": round(perf_counter() - begin, 3)}
    if beside:
        begin = perf_counter()
        mixture = GaussianMixture(n_clusters, covariance_type="full", random_state=0).fit(X)
        record |= {"scikit-learn": round(perf_counter() - begin, 3), "iterations": mixture.n_iter_}
    return record


def table(problems):
    lines = ["| rows | K found | seconds | scikit-learn, told K | ratio |", "|---|---|---|---|---|"]
    for name, record in problems.items():
        cell = record["cells"]["search"]
        other = cell.get("scikit-learn")
        told = f"{other:.1f} | {other / cell['seconds']:.2f}" if other else "- | -"
        lines.append(f"| {name} | {cell['found']} | {cell['seconds']:.1f} | {told} |")
    return "\n".join(lines)


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m benchmarks.studies.cost", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=list(WORK), default=list(WORK))
    parser.add_argument("--json", type=Path, default=PATH, help="file of results, added to")
    parser.add_argument("--report", action="store_true", help="print the table of what is kept, and nothing else")
    options = parser.parse_args(arguments)
    if not options.report:
        store = Store(options.json, STUDY)
        for name in options.only:
            store.add(name, {}, "search", measure(*WORK[name]))
        store.save()
    print(table(read(options.json)["studies"].get(STUDY, {})))


if __name__ == "__main__":
    main()
