"""Peak memory of a fit, above what the process held before it."""

import os
import sys
from pathlib import Path

from benchmarks.workloads import TINY, make_rows, make_start

MEBI = 2.0**20


def _status(field):
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise ValueError(f"/proc/self/status has no {field}")


def peak_of(function):
    """Bytes that the process's resident memory grew by at most while `function` ran."""
    if sys.platform == "linux" and os.access("/proc/self/clear_refs", os.W_OK):
        # 5 sets the peak back to what is resident now (man 5 proc)
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
        before = _status("VmRSS")
        function()
        return _status("VmHWM") - before
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    function()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit


def memory(run, workload, name):
    """Peak of two iterations, in MiB; one library a process, as what one frees another would not grow by."""
    peer = run.peers.get(name)
    if peer is None:
        return
    X = make_rows(workload)
    start = make_start(X, workload.n_components)
    tiny = make_rows(TINY)
    # libraries and their thread pools are loaded once
    peer.fit_mixture(tiny, make_start(tiny, TINY.n_components), "full", 2)
    try:
        peak = peak_of(lambda: peer.fit_mixture(X, start, "full", 2))
    except Exception as error:
        run.fail(name, error)
        return
    run.facts["labels_mib"] = 8.0 * workload.n / MEBI
    yield {name: {"peak_mib": peak / MEBI}}
