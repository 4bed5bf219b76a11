"""The results kept between runs, and the build of skem that they belong to."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np


def build_of(package):
    """Short digest of an installed skem's sources and compiled modules."""
    digest = hashlib.sha256()
    root = Path(package.__file__).parent
    for path in sorted(path for path in root.rglob("*") if path.suffix in (".py", ".so", ".pyd")):
        digest.update(path.relative_to(root).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def empty(build):
    """A record without pairs."""
    return {"build": build, "pairs": [], "facts": {}, "failed": {}}


class Results:
    """Records by name in a JSON file, written after each measurement."""

    def __init__(self, path):
        self.path = Path(path)
        self.content: dict[str, Any] = {"machine": {}, "measurements": {}}
        if self.path.exists():
            self.content = json.loads(self.path.read_text(encoding="utf-8"))

    def record(self, name):
        return self.content["measurements"].get(name)

    def add(self, name, record):
        self.content["measurements"][name] = record
        self.save()

    def keep_latest(self):
        """Forget, but in the file, what builds measured that are older than the last one; returns the names."""
        records = self.content["measurements"]
        last = max(records.values(), key=lambda record: record.get("when", ""), default=None)
        old = [name for name, record in records.items() if record["build"] != last["build"]]
        for name in old:
            del records[name]
        return old

    def save(self):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_suffix(".new")
        fresh.write_text(json.dumps(self.content, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        fresh.replace(self.path)


def values(record, peer, what):
    """One number a pair; NaN where the peer has none."""
    return np.array([pair.get(peer, {}).get(what, np.nan) for pair in record["pairs"]], dtype=np.float64)


def median(record, peer, what):
    """Median over the pairs, or None without any."""
    found = values(record, peer, what)
    found = found[np.isfinite(found)]
    return float(np.median(found)) if len(found) else None


def ratios(record, slow, fast, what):
    """Ratio of each pair, of those in which both took time that could be measured."""
    above, below = values(record, slow, what), values(record, fast, what)
    good = (above > 0) & (below > 0)
    return above[good] / below[good]
