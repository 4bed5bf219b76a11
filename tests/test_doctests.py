"""The examples in docstrings, in the README and in the user guide give what they print."""

import doctest
import inspect
import re
from pathlib import Path

import pytest

import skem
import skem.families

ROOT = Path(__file__).parents[1]
PAGES = [
    page
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    if "```pycon" in page.read_text(encoding="utf-8")
]
CLASSES = sorted(
    {
        value
        for module in (skem, skem.families)
        for name in module.__all__
        if inspect.isclass(value := getattr(module, name))
    },
    key=lambda cls: cls.__qualname__,
)
# The contract that families are written to: it computes nothing of its own.
ABSTRACT = {"Family"}


@pytest.fixture(autouse=True)
def agg():
    """Draw into memory, and close what was drawn."""
    pytest.importorskip("matplotlib").use("Agg")
    pyplot = pytest.importorskip("matplotlib.pyplot")
    yield
    pyplot.close("all")


def run(test):
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    report = []
    runner.run(test, out=report.append)
    assert runner.failures == 0, "".join(report)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_docstring_examples(cls):
    tests = [test for test in doctest.DocTestFinder().find(cls, cls.__name__, globs={}) if test.examples]
    if cls.__name__ not in ABSTRACT:
        assert any(test.name == cls.__name__ for test in tests), f"{cls.__name__} has no example"
    for test in tests:
        run(test)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages(page):
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^```pycon\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    # blocks of a page are one session
    test = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, page.name, str(page), 0)
    assert test.examples
    run(test)
