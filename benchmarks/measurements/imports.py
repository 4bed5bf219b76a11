"""Import time on top of what any compatible package must import."""

import os
import subprocess
import sys

PROGRAM = """
import sys, time
begin = time.perf_counter()
import sklearn.base, scipy.linalg
middle = time.perf_counter()
import {module}
print(middle - begin, time.perf_counter() - middle)
"""


def _time(module):
    # an installed package has its bytecode beside it
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    program = [sys.executable, "-c", PROGRAM.format(module=module)]
    printed = subprocess.run(program, env=environment, capture_output=True, text=True, check=True).stdout
    floor, extra = map(float, printed.split())
    return {"floor": floor, "extra": extra}


def imports(run):
    """Fresh interpreters in turn; the first of each is left out, since it fills the disk's cache."""
    modules = {"skem": "skem", "scikit-learn": "sklearn.mixture"}
    for module in modules.values():
        _time(module)
    while True:
        yield {name: _time(module) for name, module in modules.items()}
