"""How near the search of `BayesianKMeans()` comes to the best of many full random restarts, and at what cost."""

import argparse
from pathlib import Path
from time import monotonic, perf_counter

import numpy as np

from benchmarks.studies.problems import gaussian, generator, real
from benchmarks.studies.store import PATH, Store, read
from skem import BayesianKMeans

STUDY = "optimality"
RESTARTS = 50
REAL = ("iris", "faithful", "acidity", "galaxies", "wine", "cancer")
# Least distance between clusters, the problems taking turns.
DISTANCES = (2.0, 3.0, 4.0, 5.0)


def problem_of(number):
    """The real ones first, then clusters from heavy overlap to none."""
    if number < len(REAL):
        return real(REAL[number])
    name = f"optimality/{number}"
    rng = generator(name)
    n_clusters, d = int(rng.integers(1, 11)), int(rng.integers(1, 9))
    return gaussian(name, rng, n_clusters, d, DISTANCES[number % len(DISTANCES)], mixed=number % 3 == 0)


def compare(problem, n_restarts=RESTARTS):
    """The search and the restarts at the number of components that it found."""
    begin = perf_counter()
    search = BayesianKMeans(n_components="auto", random_state=0).fit(problem.X)
    middle = perf_counter()
    restarts = BayesianKMeans(search.n_components_, init="random", n_init=n_restarts, random_state=0).fit(problem.X)
    end = perf_counter()
    return {
        "found": search.n_components_,
        # of rows and partition, labels dropped: both at one number of components
        "below": float(restarts.log_evidence_ - search.log_evidence_),
        "seconds": round(middle - begin, 4),
        "restarts": round(end - middle, 4),
    }


def parse(arguments):
    parser = argparse.ArgumentParser(prog="python -m benchmarks.studies.optimality", description=__doc__)
    parser.add_argument("--problems", type=int, default=200)
    parser.add_argument("--first", type=int, default=0, help="number of the first problem")
    parser.add_argument("--seconds", type=float, default=np.inf, help="no new problem after this long")
    parser.add_argument("--json", type=Path, default=PATH, help="file of results, added to")
    parser.add_argument("--fresh", action="store_true", help="find anew what another build of skem has found")
    parser.add_argument("--report", action="store_true", help="print the table of what is kept, and nothing else")
    return parser.parse_args(arguments)


def study(options):
    store, begin = Store(options.json, STUDY, options.fresh), monotonic()
    for number in range(options.first, options.first + options.problems):
        problem = problem_of(number)
        if monotonic() - begin > options.seconds:
            break
        if store.missing(problem.name, "search"):
            record = compare(problem)
            store.add(problem.name, problem.facts, "search", record)
            print(f"{problem.name}: {record}", flush=True)
    store.save()


def table(problems):
    records = [record["cells"]["search"] for record in problems.values()]
    if not records:
        return "nothing is kept"
    below = np.array([record["below"] for record in records])
    seconds = np.array([[record["seconds"], record["restarts"]] for record in records])
    shares = seconds[:, 0] / seconds[:, 1]
    # rounding may differ between two ways to one partition
    level, near = 100 * (below <= 1e-6).mean(), 100 * (below <= 1.0).mean()
    total = seconds[:, 0].sum() / seconds[:, 1].sum()
    return (
        "| problems | not below the best restart | at most 1 nat below | most nats below | cost, all | median |\n"
        "|---|---|---|---|---|---|\n"
        f"| {len(records)} | {level:.1f} % | {near:.1f} % | {max(below.max(), 0.0):.2f} | {total:.3f} | "
        f"{np.median(shares):.3f} |"
    )


def main(arguments=None):
    options = parse(arguments)
    if not options.report:
        study(options)
    print(table(read(options.json)["studies"].get(STUDY, {})))


if __name__ == "__main__":
    main()
