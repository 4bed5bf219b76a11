"""The benchmarks run: on tiny data, for the libraries that the tests have anyway."""

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# What runs in a second or so.
NAMES = ("tiny/full/n600_d3_k3", "small/diag/n150_d4_k3")
OPTIONS = ("--pairs", "2", "--peers", "skem", "scikit-learn")


@pytest.fixture(scope="module")
def main():
    """The driver; its folder comes last, for an installed skem to stay the one that is measured."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [*sys.path, str(ROOT)])
        from benchmarks.driver import main

        yield main


@pytest.fixture(scope="module")
def results(main, tmp_path_factory):
    path = tmp_path_factory.mktemp("benchmarks") / "results.json"
    assert main(["--only", *NAMES, *OPTIONS, "--json", str(path)]) == 0
    return path


def measurements(path):
    return json.loads(path.read_text(encoding="utf-8"))["measurements"]


def test_libraries_did_the_same_work(results):
    record = measurements(results)[NAMES[0]]
    found = record["facts"]["log_likelihood"]
    assert found["skem"] == pytest.approx(found["scikit-learn"], rel=1e-9)
    assert record["failed"] == {}
    assert len(record["pairs"]) == 2
    assert all(pair[peer]["whole"] > 0 for pair in record["pairs"] for peer in ("skem", "scikit-learn"))


def test_kept_pairs_are_not_measured_again(main, results):
    before = measurements(results)
    assert main(["--only", *NAMES, *OPTIONS, "--json", str(results)]) == 0
    assert measurements(results) == before


def test_pairs_of_another_build_are_dropped(main, results, monkeypatch, tmp_path):
    content = json.loads(results.read_text(encoding="utf-8"))
    content["measurements"][NAMES[0]]["build"] = "another"
    path = tmp_path / "results.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    seen = []
    monkeypatch.setattr("benchmarks.driver.run", lambda measurement, record, options: seen.append(record) or record)
    main(["--only", NAMES[0], *OPTIONS, "--json", str(path)])
    assert [record["pairs"] for record in seen] == [[]]


def test_report(main, results, tmp_path):
    assert main(["--report", str(tmp_path), "--json", str(results)]) == 0
    assert "| 150 x 4, 3 | diag |" in (tmp_path / "benchmarks.md").read_text(encoding="utf-8")
    assert (tmp_path / "benchmarks.svg").stat().st_size > 1000


def test_goals_name_measurements(main, results, capsys):
    from benchmarks.measurements import MEASUREMENTS

    assert main(["--check", "--json", str(results)]) == 0
    told = {line.split(":")[0].split()[-1] for line in capsys.readouterr().out.splitlines()[1:]}
    assert told
    assert told <= set(MEASUREMENTS)
