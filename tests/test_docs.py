"""Public docstrings follow numpydoc, and the documentation names what is public."""

import importlib.util
import inspect
from pathlib import Path

import pytest

import skem
import skem.exceptions
import skem.families

DOCS = Path(__file__).parents[1] / "docs"
API = DOCS / "api.rst"
MODULES = (skem, skem.families, skem.exceptions)
CLASSES = {
    f"{value.__module__}.{value.__qualname__}": value
    for module in MODULES
    for name in getattr(module, "__all__", dir(module))
    if inspect.isclass(value := getattr(module, name)) and value.__module__.startswith("skem")
}

# numpydoc's checks that skem does not follow, each with its reason.
IGNORED = {
    "ES01",  # an extended summary is written where there is something to say
    "EX01",  # examples stand with classes; test_doctests demands them there
    "GL01",  # the text starts on the line of the quotes, as in scikit-learn
    "GL02",
    "PR07",  # X, y and sample_weight mean the same everywhere
    "RT02",  # what is returned has a name
    "RT03",
    "SA01",  # the table in the user guide relates the estimators to one another
}


def public_objects():
    """Classes, and the methods that they or a base of theirs in skem define.

    The verbs of families are left to base.py, whose class docstring is their contract.
    """
    for path, cls in CLASSES.items():
        yield path
        if issubclass(cls, skem.families.Family):
            continue
        for owner in cls.__mro__:
            for name, member in vars(owner).items():
                public = not name.startswith("_") and owner.__module__.startswith("skem.")
                if public and (inspect.isfunction(member) or isinstance(member, classmethod | property)):
                    yield f"{owner.__module__}.{owner.__qualname__}.{name}"


@pytest.mark.parametrize("path", sorted(set(public_objects())))
def test_numpydoc(path):
    validate = pytest.importorskip("numpydoc.validate")
    result = validate.validate(path)
    errors = [f"{code}: {message}" for code, message in result["errors"] if code not in IGNORED]
    assert not errors, "\n".join([path, *errors])


@pytest.mark.parametrize("path", sorted(CLASSES))
def test_listed_in_the_reference(path):
    lines = {line.strip() for line in API.read_text(encoding="utf-8").splitlines()}
    assert path.rsplit(".", 1)[1] in lines


@pytest.mark.parametrize("index", [0, 1], ids=["README.md", "families.md"])
def test_the_table_of_families_is_what_the_code_offers(index):
    """Where this fails, run ``python docs/family_table.py``."""
    spec = importlib.util.spec_from_file_location("family_table", DOCS / "family_table.py")
    family_table = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(family_table)
    text = family_table.FILES[index].read_text(encoding="utf-8")
    assert family_table.updated(text) == text
