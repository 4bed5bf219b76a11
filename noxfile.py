#!/usr/bin/env -S uv run --script

# /// script
# dependencies = ["nox>=2025.5.1"]
# ///

"""The project's chores. ``nox -l`` lists them, ``nox -s tests`` runs one."""

import shutil

import nox

nox.needs_version = ">=2025.5.1"
nox.options.default_venv_backend = "uv|virtualenv"

PROJECT = nox.project.load_toml("pyproject.toml")

# The floors of pyproject.toml, and of what the tests need that goes with them.
OLDEST = (
    "joblib==1.4.0",
    "matplotlib==3.9.0",
    "numpy==2.0.0",
    "pandas==2.2.2",
    # Later ones deprecate what this matplotlib calls, and warnings are errors in the tests.
    "pyparsing==3.1.4",
    "scikit-learn==1.7.0",
    "scipy==1.13.0",
    "threadpoolctl==3.5.0",
)

# Those whose next release can break something here.
NEWEST = ("numpy", "pandas", "scikit-learn", "scipy")

# Keeps the sources in the current folder from hiding the installed, compiled package; see the
# comment on pytest in pyproject.toml.
INSTALLED_ONLY = {"PYTHONSAFEPATH": "1"}


def run_tests(session, *options):
    session.run("python", "-m", "pytest", *options, *session.posargs, env=INSTALLED_ONLY)


@nox.session
def lint(session):
    """Run all checks of style and types."""
    session.install("pre-commit>=4")
    session.run("pre-commit", "run", "--all-files", "--show-diff-on-failure", *session.posargs)


@nox.session
def tests(session):
    """Run the tests with the newest released dependencies and measure their coverage."""
    session.install(".[test,examples]")
    run_tests(session, "--cov", "--cov-report=term")


@nox.session(python="3.11", default=False)
def oldest(session):
    """Run the tests with the oldest dependencies that are supported."""
    session.install(".[test]", *OLDEST)
    run_tests(session)


@nox.session(default=False)
def newest(session):
    """Run the tests with pre-releases of the dependencies."""
    session.install(".[test]")
    session.install("--upgrade", "--pre", "--only-binary=:all:", *NEWEST)
    run_tests(session)


@nox.session(default=False)
def docs(session):
    """Build the documentation into docs/_build."""
    session.install(".", *nox.project.dependency_groups(PROJECT, "docs"))
    session.run("sphinx-build", "-W", "--keep-going", "docs", "docs/_build", *session.posargs)


@nox.session(default=False)
def build(session):
    """Build the sdist, and from it the wheel, into dist."""
    shutil.rmtree("dist", ignore_errors=True)
    session.install("build")
    session.run("python", "-m", "build")


if __name__ == "__main__":
    nox.main()
