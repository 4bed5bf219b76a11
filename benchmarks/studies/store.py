"""Records by study and problem in a JSON file, written as a study goes on."""

import json
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

from benchmarks.machine import describe
from benchmarks.results import build_of

PATH = Path(__file__).resolve().parents[1] / "studies.json"
# Seconds between two writes of the file.
PAUSE = 10.0


class Store:
    """What a study has found so far.

    Parameters
    ----------
    path : path-like
    study : str
    fresh : bool, default=False
        Whether what another build of skem has found is found anew.
    """

    def __init__(self, path, study, fresh=False):
        import skem  # not before: reports need results alone

        self.path, self.study = Path(path), study
        self.build = build_of(skem)
        self.written = monotonic()
        self.fresh = fresh
        self.content = read(self.path)

    @property
    def problems(self):
        return self.content["studies"].setdefault(self.study, {})

    def missing(self, name, cell, of_skem=True):
        """Whether a cell has not met a problem yet; of another build nothing is kept where `fresh` says so."""
        record = self.problems.get(name, {}).get("cells", {}).get(cell)
        return record is None or (of_skem and self.fresh and record["build"] != self.build)

    def add(self, name, facts, cell, record):
        problem = self.problems.setdefault(name, {"cells": {}})
        problem.update(facts)
        problem["cells"][cell] = record | {"build": self.build}
        if monotonic() - self.written > PAUSE:
            self.save()

    def save(self):
        """Write the study; what others have written since stays."""
        studies = read(self.path)["studies"] | {self.study: self.problems}
        self.content["studies"] = studies
        content = {"machine": describe(), "when": f"{datetime.now(UTC):%Y-%m-%d %H:%M}", "studies": studies}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_suffix(".new")
        fresh.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        fresh.replace(self.path)
        self.written = monotonic()


def read(path):
    """The file's content, empty where there is none."""
    if not Path(path).exists():
        return {"machine": {}, "studies": {}}
    return json.loads(Path(path).read_text(encoding="utf-8"))
