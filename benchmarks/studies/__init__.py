"""Whether clusters are found: seeded problems with a known answer, skem's cells and other libraries side by side.

Each module is a study of its own, `python -m benchmarks.studies.recovery --help` say. Results are kept by problem in a
JSON file, so that a study may be run in parts; `--report` prints the tables of what is kept.
"""
