"""Runs measurements one by one, each in a process of its own, and keeps their results."""

import argparse
import fnmatch
import json
import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

from benchmarks import limits
from benchmarks.machine import describe
from benchmarks.measurements import MEASUREMENTS
from benchmarks.peers import PEERS
from benchmarks.results import Results, build_of, empty
from benchmarks.summary import check, line
from benchmarks.timing import environment

HERE = Path(__file__).resolve().parent
DOCS = HERE.parent / "docs"
# A measurement that has stalled is ended after so many times the seconds that it may take.
PATIENCE = 6


def parse(arguments):
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--list", action="store_true", help="print the names of the measurements")
    parser.add_argument(
        "--only", nargs="+", default=["*"], metavar="NAME", help="names, beginnings of names or patterns with *"
    )
    parser.add_argument("--skip", nargs="+", default=["tiny/*"], metavar="NAME", help="the same, left out")
    parser.add_argument("--peers", nargs="+", choices=sorted(PEERS), help="the libraries to time; all by default")
    parser.add_argument("--pairs", type=int, default=5, help="pairs to have in the end; those kept count")
    parser.add_argument("--seconds", type=float, default=60.0, help="no new pair of a measurement after this long")
    parser.add_argument("--json", type=Path, default=HERE / "results.json", help="file of results, added to")
    parser.add_argument("--fresh", action="store_true", help="measure anew what is kept of this build, too")
    parser.add_argument("--native", metavar="FOLDER", help="for `native`: where its build is, or will be made")
    parser.add_argument("--build-native", action="store_true", help="make that build now, and nothing else")
    parser.add_argument("--report", type=Path, nargs="?", const=DOCS, metavar="FOLDER",
                        help="write table and plot from the results, by default to the docs")  # fmt: skip
    parser.add_argument("--note", default="", help="for the report: a sentence on how it was measured")
    parser.add_argument("--check", action="store_true", help="compare the results with the goals")
    return parser.parse_args(arguments)


def _matches(name, patterns):
    return any(name == p or name.startswith(p.rstrip("/") + "/") or fnmatch.fnmatch(name, p) for p in patterns)


def select(only, skip):
    """Measurements by name; what is asked for by its whole name is never skipped."""
    return [
        measurement
        for name, measurement in MEASUREMENTS.items()
        if name in only or (_matches(name, only) and not (_matches(name, skip) and only == ["*"]))
    ]


def run(measurement, record, options):
    """Run a measurement's process on a record, and return what it has become."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "record.json")
        path.write_text(json.dumps(record), encoding="utf-8")
        command = [
            sys.executable, "-m", "benchmarks.child", measurement.name, str(path),
            f"--pairs={options.pairs}", f"--seconds={options.seconds}",
        ]  # fmt: skip
        command += [f"--peers={','.join(options.peers)}"] if options.peers else []
        command += [f"--native={options.native}"] if options.native else []
        # the same skem as here, whatever folder this is run from
        paths = {"PYTHONPATH": os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path), "PYTHONSAFEPATH": "1"}
        try:
            done = subprocess.run(
                command, env={**os.environ, **environment(measurement.n_threads), **paths},
                timeout=PATIENCE * max(options.seconds, 60.0), check=False,
            )  # fmt: skip
            failure = f"ended with status {done.returncode}" if done.returncode else None
        except subprocess.TimeoutExpired:
            failure = "took too long, and was ended"
        record = json.loads(path.read_text(encoding="utf-8"))
    if failure:
        record["failed"]["process"] = failure
    return record


def main(arguments=None):
    """Measure, or report; returns the number of measurements that failed."""
    options = parse(arguments)
    chosen = select(options.only, options.skip)
    if options.list:
        print("\n".join(measurement.name for measurement in chosen))
        return 0
    if options.build_native:
        from benchmarks.measurements.native import build

        build(options.native)
        return 0
    results = Results(options.json)
    if options.report or options.check:
        if options.report:
            from benchmarks.plot import plot
            from benchmarks.table import table

            # one page tells of one build
            if old := results.keep_latest():
                print(f"left out, measured with an older build: {' '.join(old)}")
            options.report.mkdir(parents=True, exist_ok=True)
            (options.report / "benchmarks.md").write_text(table(results, options.note), encoding="utf-8")
            plot(results, options.report / "benchmarks.svg")
        if options.check:
            print("\n".join(check(results)))
        return 0
    import skem  # not before: the report needs results alone

    for name, peer in PEERS.items():
        if not peer.installed():
            print(f"{name} is not installed (pip install {peer.distribution}): left out", flush=True)
    results.content["machine"] = describe()
    build, failed = build_of(skem), 0
    rooflines = any(measurement.name.startswith("em/") for measurement in chosen)
    if rooflines and ("limits" not in results.content or options.fresh):
        results.content["limits"] = limits.measure() or limits.USUAL
    for measurement in chosen:
        kept = results.record(measurement.name)
        # pairs of another build of skem say nothing about this one
        if kept is None or options.fresh or kept["build"] != build:
            kept = empty(build)
        if len(kept["pairs"]) < min(options.pairs, measurement.most_pairs):
            kept["failed"] = {}
            begin = monotonic()
            kept = run(measurement, kept, options)
            kept["seconds"] = round(kept.get("seconds", 0.0) + monotonic() - begin, 1)
            kept["when"] = f"{datetime.now(UTC):%Y-%m-%d %H:%M}"
            results.add(measurement.name, kept)
        failed += "process" in kept["failed"]
        print(line(measurement.name, kept), flush=True)
    return failed
