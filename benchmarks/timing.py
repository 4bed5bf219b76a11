"""Seconds per iteration and per fit, and how a process is held to its threads."""

import gc
import os
from time import perf_counter
from typing import NamedTuple

LOW = 1
WHOLE = 50
# Seconds that a fit of all 50 iterations may take; beyond that fewer are timed and the rest is added by rule of three.
WHOLE_LIMIT = 4.0
# Seconds of iterations that a difference should rest on.
SPAN = 1.5


class Pace(NamedTuple):
    """Iterations of the two fits whose difference is timed."""

    low: int
    high: int


def environment(n_threads):
    """Variables that hold the usual thread pools; read when their libraries are loaded."""
    count = str(n_threads)
    return {
        "OMP_NUM_THREADS": count,
        "OPENBLAS_NUM_THREADS": count,
        "MKL_NUM_THREADS": count,
        # threads that spin while they wait would take the processor from the library measured next
        "OMP_WAIT_POLICY": "passive",
    }


def pin(n_threads):
    """Keep a process of one thread on one processor, where the system lets us."""
    if n_threads == 1 and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def find_pace(fit, span=SPAN, whole_limit=WHOLE_LIMIT):
    """Choose the pace of `fit(n_iter)`, a function that returns an object with `seconds`; this warms it up, too."""
    first = fit(LOW).seconds
    # an upper bound: a fit has more to do than its iterations
    cost = first / LOW
    if cost < 4 * span:
        cost = max((fit(LOW + 2).seconds - first) / 2, cost / 100)
    if cost * WHOLE <= whole_limit:
        return Pace(LOW, WHOLE)
    return Pace(LOW, LOW + max(2, min(WHOLE - LOW - 1, round(span / cost))))


def time_pace(fit, pace):
    """Times of one pair of fits, and the result of the longer one.

    Returns
    -------
    times : dict
        "iteration" and "whole", the fit of 50 iterations, in seconds.
    result : object
    """
    gc.collect()
    low = fit(pace.low).seconds
    gc.collect()
    high = fit(pace.high)
    iteration = (high.seconds - low) / (pace.high - pace.low)
    return {"iteration": iteration, "whole": high.seconds + (WHOLE - pace.high) * iteration}, high.result


def seconds_of(function):
    """Seconds of one call."""
    begin = perf_counter()
    function()
    return perf_counter() - begin


def median_time(clock, at_least=0.2):
    """Median of what `clock()` returns in seconds, asked until `at_least` seconds have passed."""
    gc.collect()
    times = []
    while sum(times) < at_least or len(times) < 3:
        times.append(clock())
    return sorted(times)[len(times) // 2]


def others_busy(seconds=0.3):
    """Share of all processors that others use while this process sleeps; None where the system does not tell."""
    from pathlib import Path
    from time import sleep

    stat = Path("/proc/stat")
    if not stat.exists():
        return None

    def read():
        fields = [int(field) for field in stat.read_text(encoding="utf-8").split("\n", 1)[0].split()[1:]]
        return sum(fields[:8]), fields[3] + fields[4]

    total, idle = read()
    sleep(seconds)
    total, idle = (new - old for new, old in zip(read(), (total, idle), strict=True))
    return 1.0 - idle / total if total else None
