"""One measurement in a process of its own, started by the driver."""

import argparse
import json
import sys
import warnings
from pathlib import Path
from time import monotonic

from benchmarks.measurements import MEASUREMENTS
from benchmarks.measurements.run import Run
from benchmarks.peers import PEERS
from benchmarks.timing import pin


def main():
    """Add pairs to the record in a file, which is written after each so that a run that is cut short keeps its own."""
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("record", type=Path)
    parser.add_argument("--pairs", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--peers", default="")
    parser.add_argument("--native")
    arguments = parser.parse_args()
    measurement = MEASUREMENTS[arguments.name]
    begin = monotonic()
    # stops short of convergence are what is asked for
    warnings.simplefilter("ignore")
    pin(measurement.n_threads)
    record = json.loads(arguments.record.read_text(encoding="utf-8"))
    wanted = arguments.peers.split(",") if arguments.peers else measurement.peers
    peers = {}
    for name in measurement.peers:
        peer = PEERS[name]
        if name not in wanted:
            continue
        if not peer.installed():
            print(f"  {name}: {peer.distribution} is not installed", file=sys.stderr)
            continue
        peer.use_threads(measurement.n_threads)
        peers[name] = peer
    run = Run(peers, record, measurement.n_threads, arguments.native)
    enough = min(arguments.pairs, measurement.most_pairs)
    generator = measurement.function(run, *measurement.arguments)
    while len(record["pairs"]) < enough:
        pair = next(generator, None)
        if pair is None:
            break
        record["pairs"].append(pair)
        arguments.record.write_text(json.dumps(record), encoding="utf-8")
        if monotonic() - begin > arguments.seconds:
            break
    arguments.record.write_text(json.dumps(record), encoding="utf-8")


if __name__ == "__main__":
    main()
