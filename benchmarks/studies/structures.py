"""The covariance structure, found: `family="auto"` next to fits that are told the truth."""

import argparse
from pathlib import Path
from time import monotonic, perf_counter

import numpy as np
from sklearn.metrics import adjusted_rand_score

from benchmarks.studies.problems import structured
from benchmarks.studies.store import PATH, Store, read
from skem import BayesianKMeans
from skem.families import Gaussian

STUDY = "structures"
# One sphere for all is a structure without a name in scikit-learn.
STRUCTURES = ("full", "tied", "diag", "spherical", "EII")


def compare(problem):
    """The structure found, and what knowing it would have given."""
    begin = perf_counter()
    found = BayesianKMeans(n_components="auto", family="auto", random_state=0).fit(problem.X)
    middle = perf_counter()
    told = BayesianKMeans(n_components="auto", family=Gaussian(problem.structure), random_state=0).fit(problem.X)
    return {
        "structure": found.family_.covariance_type,
        "found": found.n_components_,
        "told": told.n_components_,
        "ari": float(adjusted_rand_score(problem.labels, found.labels_)),
        "ari_told": float(adjusted_rand_score(problem.labels, told.labels_)),
        "evidence": found.log_evidence_,
        "evidence_told": told.log_evidence_,
        "seconds": round(middle - begin, 4),
        "seconds_told": round(perf_counter() - middle, 4),
    }


def parse(arguments):
    parser = argparse.ArgumentParser(prog="python -m benchmarks.studies.structures", description=__doc__)
    parser.add_argument("--problems", type=int, default=20, help="problems of each structure")
    parser.add_argument("--seconds", type=float, default=np.inf, help="no new problem after this long")
    parser.add_argument("--json", type=Path, default=PATH, help="file of results, added to")
    parser.add_argument("--fresh", action="store_true", help="find anew what another build of skem has found")
    parser.add_argument("--report", action="store_true", help="print the table of what is kept, and nothing else")
    return parser.parse_args(arguments)


def study(options):
    store, begin = Store(options.json, STUDY, options.fresh), monotonic()
    for number in range(options.problems):
        for structure in STRUCTURES:
            name = f"{structure}/{number}"
            if monotonic() - begin > options.seconds:
                break
            if store.missing(name, "auto"):
                problem = structured(structure)(number)
                record = compare(problem)
                store.add(name, problem.facts, "auto", record)
                print(f"{name}: {record}", flush=True)
    store.save()


def table(problems):
    lines = [
        "| truth | number | structure found | K found | mean ARI | ARI, structure told | times the cost |",
        "|---|---|---|---|---|---|---|",
    ]
    for structure in (*STRUCTURES, "all"):
        met = [record for record in problems.values() if structure in ("all", record["structure"])]
        if not met:
            continue
        cells = [record["cells"]["auto"] for record in met]
        right = np.mean([cell["structure"] == record["structure"] for cell, record in zip(cells, met, strict=True)])
        exact = np.mean([cell["found"] == record["truth"] for cell, record in zip(cells, met, strict=True)])
        ari, told, cost = (np.array([cell[key] for cell in cells]) for key in ("ari", "ari_told", "seconds"))
        cost = np.median(cost / [cell["seconds_told"] for cell in cells])
        lines.append(
            f"| {structure} | {len(met)} | {100 * right:.0f} % | {100 * exact:.0f} % | {ari.mean():.4f} | "
            f"{told.mean():.4f} | {cost:.1f} |"
        )
    return "\n".join(lines)


def main(arguments=None):
    options = parse(arguments)
    if not options.report:
        study(options)
    print(table(read(options.json)["studies"].get(STUDY, {})))


if __name__ == "__main__":
    main()
