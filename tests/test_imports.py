"""Arrows only down: a room imports the rooms below it, and names nothing of those beside it."""

import ast
import re
from pathlib import Path

import pytest
from public_estimators import run_python

import skem

ROOT = Path(skem.__file__).parent
# from the ground up; rooms of one floor do not import one another
FLOORS = [
    {"column_types"}, {"_version", "_compat", "exceptions", "memory", "_kernels"}, {"rows", "rounding"}, {"canonical"},
    {"suffstats", "summary", "log_sum_exp"},
    {"modes", "tailed_terms", "joint", "coding", "in_python", "labels_in_float", "rough_passes"}, {"weights"},
    {"families"}, {"engine"}, {"distinct", "truncated", "tree"}, {"starts"}, {"inference"}, {"proposals"},
    {"portfolio"}, {"estimators"}, {"selection"}, {"displays"}, {"__init__"},
]  # fmt: skip
LEVEL = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}
FILES = sorted(path for path in ROOT.rglob("*.py"))


def room_of(path):
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(path):
    """Dotted names of everything a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_arrows_run_down(path):
    room = room_of(path)
    for name in imported(path):
        parts = name.split(".")
        if parts[0] == "skem" and len(parts) > 1 and parts[1] in LEVEL and parts[1] != room:
            assert LEVEL[parts[1]] < LEVEL[room], f"{room} imports {name}"
        if parts[0] == "sklearn" and any(part.startswith("_") for part in parts[1:]):
            assert room == "_compat", f"{room} imports the private {name}"


def words(folder):
    """Code of a folder without comments and strings: names and attributes."""
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            for field in ("id", "attr", "name"):
                if isinstance(value := getattr(node, field, None), str):
                    yield path.name, value


def test_inference_names_no_family_and_families_name_no_algorithm():
    families = {path.stem for path in (ROOT / "families").glob("*.py")} - {"__init__", "base"}
    algorithms = {"em", "mapem", "variational", "icm", "gibbs", "kmeans", "hard"}
    for folder, forbidden in (("inference", families), ("families", algorithms)):
        for file, word in words(folder):
            named = {part.lower() for part in re.findall("[A-Za-z]+", word)} & forbidden
            assert not named, f"{folder}/{file} names {word}"


def test_import_loads_nothing_heavy():
    """What only some users need is imported where it is used; scikit-learn's callbacks bring rich."""
    loaded = run_python(
        "import sys, sklearn.base, scipy.linalg\n"
        "before = set(sys.modules)\n"
        "import skem\n"
        "print(*sorted(set(sys.modules) - before))"
    ).split()
    heavy = {
        "arviz", "joblib", "matplotlib", "pandas", "polars", "rich", "scipy.optimize", "scipy.spatial", "scipy.stats",
        "sklearn.callback", "sklearn.cluster", "sklearn.linear_model", "sklearn.metrics", "sklearn.mixture",
        "sklearn.model_selection", "sklearn.pipeline",
    }  # fmt: skip
    assert not heavy & set(loaded)
