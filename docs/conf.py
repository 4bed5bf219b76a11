"""Configuration of Sphinx; build with ``nox -s docs``."""

from importlib.metadata import version as installed_version

project = "skem"
author = "skem developers"
project_copyright = "skem developers"
release = installed_version("skem")
version = ".".join(release.split(".")[:2])

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
]
exclude_patterns = ["_build"]
myst_enable_extensions = ["dollarmath"]

autosummary_generate = True
autodoc_typehints = "none"
# Single backticks in docstrings hold code.
default_role = "literal"
# The members are listed by the template of autosummary; numpydoc would list them twice.
numpydoc_show_class_members = False

html_theme = "pydata_sphinx_theme"
html_title = f"skem {release}"
html_show_sourcelink = False
