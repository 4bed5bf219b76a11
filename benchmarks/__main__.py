"""`python -m benchmarks` measures the sources, `python benchmarks` the installed skem where there is one."""

import sys
from pathlib import Path

if not __package__:
    # run as a folder: its files must not stand for top-level modules, and an installed skem comes first
    here = Path(__file__).resolve().parent
    sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != here]
    sys.path.append(str(here.parent))

from benchmarks.driver import main

main()
