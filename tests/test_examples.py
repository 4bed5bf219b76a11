"""Every example runs from an empty folder, without a warning, and says what it should."""

import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import skem

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))

# What the output of each must hold, as regular expressions, one a line.
KEY_LINES = {
    "plot_table": [
        r"^EM +-1114\.4 +3  0\.64 ",
        r"^MAP-EM +-\d+\.\d +3  0\.64 ",
        r"^variational Bayes +-1172\.\d +2 ",
        r"^classification EM +-\d",
        r"^ICM +-\d",
        r"^Bayesian k-means +-1174\.4 +2 ",
        r"^Gibbs sampling +-\d",
        r"^picture: .*table\.png$",
    ],
    "model_choice": [
        r"^full +830\.0 +574\.0 +580\.8 ",
        r"^agreement of three components with the species: 0\.904$",
    ],
    "pipeline": [r"^accuracy from responsibilities alone: 0\.9\d\d$", r"mapmixture0 +mapmixture1 +mapmixture2$"],
    "plot_modes": [
        r"^mode 0: 4\.45 min, 80\.8 min; components \[. .\]$",
        r"^mode 1: 2\.04 min, 54\.5 min; components \[.\]$",
        r"suggested: 2$",
        r"^after 4\.5 min: \d\d \+- \d min$",
        r"^picture: .*modes\.png$",
    ],
    "latent_classes": [
        # optima of many starts, computed elsewhere
        r"^ 1 +-524\.46482 ",
        r"^ 2 +-317\.25684 ",
        r"^ 3 +-293\.70498 ",
        r"^ 4 +-289\.28585 ",
        r"^BIC chooses K = 3$",
        r"^expected share of wrong labels: 0\.032$",
        r"^after yes by A and no by B, E says yes with probability 0\.\d\d$",
    ],
    "documents": [
        r"^300 articles, 1544 terms, 17688 counts that are not zero$",
        r"^Bayesian k-means: 3[45] topics$",
        r"^  29  palestinian, israeli, arafat, ",
        r"^EM: \d+% of the articles belong to one topic",
        r"^spherical k-means on tf-idf$",
        r"^log evidence: -76[34]\d\d of the topics found$",
        r"^-77[0-5]\d\d of spherical k-means, which agrees with them at an adjusted Rand index of 0\.[67]\d$",
        r"^-(77[6-9]|780)\d\d of k-means, ",
    ],
    "mixed_columns": [
        r"^guessed counts: Poisson of \['news'\]$",
        r"^ 1 +-13\.539\d +-13\.539\d$",
        r"^ 4 +-12\.96\d\d +-12\.94\d\d$",
        r"^chosen: K = 4, full$",
        r"^an independent of 30 .* probability 0\.[12]\d$",
    ],
    "poisson_counts": [
        # optima of many starts, computed elsewhere
        r"^ 1 +-1544\.99639 ",
        r"^ 2 +-1188\.83283 ",
        r"^ 3 +-1132\.04298 ",
        r"^ 4 +-1130\.07059 ",
        r"^BIC chooses K = 3$",
        r"456 rows written out: -1132\.04298$",
    ],
}

# Packages of the extra "examples" that an example reads its data from.
NEEDS = {"documents": "gensim", "mixed_columns": "statsmodels"}


@pytest.fixture
def folder(tmp_path):
    """A copy of what examples read, so that what they write lands there, too."""
    ignore = shutil.ignore_patterns("*.png", "__pycache__")
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=ignore)
    shutil.copytree(ROOT / "tests" / "data", tmp_path / "tests" / "data")
    return tmp_path


def test_every_example_has_key_lines():
    assert {example.stem for example in EXAMPLES} == set(KEY_LINES)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.stem)
def test_example_runs(example, folder):
    if example.stem in NEEDS and find_spec(NEEDS[example.stem]) is None:
        pytest.skip(f"reads data of {NEEDS[example.stem]}, see the extra 'examples'")
    environment = os.environ | {"MPLBACKEND": "Agg", "PYTHONPATH": str(Path(skem.__file__).parents[1])}
    command = [sys.executable, "-W", "error::UserWarning", "-W", "error::RuntimeWarning"]
    done = subprocess.run(
        [*command, str(folder / "examples" / example.name)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for pattern in KEY_LINES[example.stem]:
        assert re.search(pattern, done.stdout, re.MULTILINE), f"{pattern!r} is not in\n{done.stdout}"
    if example.stem == "plot_table":
        assert (folder / "examples" / "table.png").stat().st_size > 20_000


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.stem)
def test_example_keeps_house_style(example):
    text = example.read_text(encoding="utf-8")
    cells = text.split("\n# %%\n")[1:]
    assert len(text.splitlines()) < 100
    assert text.startswith('"""\n')
    assert cells
    # each cell opens with a paragraph
    assert all(cell.startswith("# ") for cell in cells)
