"""A portable build next to one with -march=native, process by process in turn."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.measurements.run import in_turn

ROOT = Path(__file__).resolve().parents[2]
# What a build reads, and the benchmarks that time it.
SOURCES = ("skem", "benchmarks", "setup.py", "pyproject.toml", "README.md", "LICENSE")
PROGRAM = """
import json, sys
sys.path.insert(0, sys.argv[1])
from benchmarks.measurements.native import time_passes
print(json.dumps(time_passes()))
"""


def build(folder):
    """Compile a copy of the sources for this processor alone, unless it is there."""
    folder = Path(folder)
    if list(folder.glob("skem/_kernels/passes*.so")):
        return
    folder.mkdir(parents=True, exist_ok=True)
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(
                source, folder / name, ignore=shutil.ignore_patterns("*.so", "*.c", "__pycache__"), dirs_exist_ok=True
            )
        else:
            shutil.copy(source, folder / name)
    flags = f"{os.environ.get('CFLAGS', '')} -march=native".strip()
    subprocess.run(
        [sys.executable, "setup.py", "-q", "build_ext", "--inplace"],
        cwd=folder, env={**os.environ, "CFLAGS": flags}, check=True,
    )  # fmt: skip


def time_passes():
    """Seconds of an iteration of some workloads, with the skem that is imported."""
    from benchmarks.peers.ours import Skem
    from benchmarks.timing import find_pace, time_pace
    from benchmarks.workloads import Workload, make_rows, make_start

    ours, times = Skem(), {}
    for structure, workload in (
        ("full", Workload(200_000, 8, 16)),
        ("diag", Workload(200_000, 8, 16)),
        ("full", Workload(50_000, 16, 32)),
        ("full", Workload(20_000, 64, 16)),
    ):
        X = make_rows(workload)
        start = make_start(X, workload.n_components)

        def fit(n_iter, X=X, start=start, structure=structure):
            return ours.fit_mixture(X, start, structure, n_iter)

        times[f"{structure}/{workload.name}"] = time_pace(fit, find_pace(fit, 0.5, 0.5))[0]["iteration"]
    return times


def native(run):
    """Both builds time the same passes."""
    if run.native is None:
        run.fail("skem", "give a folder with --native")
        return
    build(run.native)
    folders = {"portable": str(ROOT), "native": str(Path(run.native).resolve())}

    def measure(folder):
        printed = subprocess.run(
            [sys.executable, "-c", PROGRAM, folder], cwd=folder, capture_output=True, text=True, check=True
        ).stdout
        return json.loads(printed.splitlines()[-1])

    turn = 0
    while True:
        yield {name: measure(folders[name]) for name in in_turn(folders, turn)}
        turn += 1
