"""The number of clusters, found: how often each estimator finds it on problems with a known answer."""

import argparse
from pathlib import Path
from time import monotonic

import numpy as np

from benchmarks.studies.cells import CELLS, PEERS, SKEM, SWEEPS, timed
from benchmarks.studies.counts import COUNTS
from benchmarks.studies.problems import GROUPS
from benchmarks.studies.store import PATH, Store, read

STUDY = "recovery"
EVERY = GROUPS | COUNTS


def parse(arguments):
    parser = argparse.ArgumentParser(prog="python -m benchmarks.studies.recovery", description=__doc__)
    parser.add_argument("--groups", nargs="+", choices=list(EVERY), default=list(EVERY), help="kinds of problems")
    parser.add_argument("--problems", type=int, help="problems of each kind; by default all")
    parser.add_argument("--first", type=int, default=0, help="number of the first problem")
    parser.add_argument("--peers", type=int, default=0, help="problems of each kind that scikit-learn meets, too")
    parser.add_argument("--peer-rows", type=int, default=10_000, help="most rows of a problem that scikit-learn meets")
    parser.add_argument("--cells", nargs="*", choices=list(SKEM), default=list(SKEM), help="skem's estimators")
    parser.add_argument("--seconds", type=float, default=np.inf, help="no new problem after this long")
    parser.add_argument("--json", type=Path, default=PATH, help="file of results, added to")
    parser.add_argument("--fresh", action="store_true", help="find anew what another build of skem has found")
    parser.add_argument("--report", action="store_true", help="print the table of what is kept, and nothing else")
    return parser.parse_args(arguments)


def study(options):
    """Meet the problems, those of all kinds in turn, so that a study cut short has some of each."""
    store = Store(options.json, STUDY, options.fresh)
    begin, met = monotonic(), dict.fromkeys(EVERY, 0)
    most = options.problems or max(count for _, count in EVERY.values())
    for number in range(options.first, options.first + most):
        for group in options.groups:
            make, count = EVERY[group]
            if number >= count:
                continue
            problem = make(number)
            # scikit-learn has no mixtures of counts, and takes minutes where rows are many
            meets = met[group] < options.peers and group not in COUNTS and len(problem.X) <= options.peer_rows
            met[group] += meets
            cells = options.cells + ([*SWEEPS, *PEERS] if meets else [])
            cells = [cell for cell in cells if store.missing(problem.name, cell, cell not in PEERS)]
            for cell in cells:
                if monotonic() - begin > options.seconds:
                    store.save()
                    return
                record = timed(cell, problem)
                store.add(problem.name, problem.facts, cell, record)
                print(
                    f"{problem.name} K={problem.n_clusters} n={len(problem.X)} d={problem.X.shape[1]} {cell}: "
                    f"{record['found']} in {record['seconds']:.2f} s",
                    flush=True,
                )
    store.save()


def rates(records, cell):
    """Share of the problems with K found, with K found within one, mean ARI, median seconds, and how many."""
    met = [(record["truth"], record["cells"][cell]) for record in records if cell in record["cells"]]
    if not met:
        return None
    off = np.array([abs(found["found"] - truth) for truth, found in met])
    ari = [found["ari"] for _, found in met if "ari" in found]
    return {
        "exact": float((off == 0).mean()),
        "near": float((off <= 1).mean()),
        "ari": float(np.mean(ari)) if ari else None,
        "seconds": float(np.median([found["seconds"] for _, found in met])),
        "count": len(met),
    }


def by_group(problems):
    """Records of each kind, in the order of the kinds."""
    groups = {group: [record for name, record in problems.items() if name.split("/")[0] == group] for group in EVERY}
    return {group: records for group, records in groups.items() if records}


HEAD = """\
| problems | estimator | number | K found | within one | mean ARI | median seconds |
|---|---|---|---|---|---|---|"""


def _rows(group, records, cells):
    for cell in cells:
        if found := rates(records, cell):
            ari = "-" if found["ari"] is None else f"{found['ari']:.3f}"
            yield (
                f"| {group} | {cell} | {found['count']} | {100 * found['exact']:.1f} % | "
                f"{100 * found['near']:.1f} % | {ari} | {found['seconds']:.2f} |"
            )


def table(problems):
    """Markdown: all problems, then those that the other libraries met, so that each row stands beside its like."""
    everything, shared = [], []
    for group, records in by_group(problems).items():
        everything += _rows(group, records, SKEM)
        shared += _rows(group, [record for record in records if PEERS.keys() <= record["cells"].keys()], CELLS)
    told = ["", "The problems that scikit-learn met as well:", "", HEAD, *shared] if shared else []
    return "\n".join([HEAD, *everything, *told])


def main(arguments=None):
    options = parse(arguments)
    if not options.report:
        study(options)
    print(table(read(options.json)["studies"].get(STUDY, {})))


if __name__ == "__main__":
    main()
