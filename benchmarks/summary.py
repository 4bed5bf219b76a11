"""One line a measurement, and the goals it is held to."""

import numpy as np

from benchmarks.goals import GOALS
from benchmarks.results import median, ratios


def spread(found):
    """Median of ratios with the least and the largest."""
    if not len(found):
        return "-"
    middle, least, most = np.median(found), np.min(found), np.max(found)
    digits = 2 if middle < 3 else 1
    return f"{middle:.{digits}f} [{least:.{digits}f}, {most:.{digits}f}]"


def seconds(value):
    """A time with a unit that suits it."""
    if value is None:
        return "-"
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if abs(value) >= scale:
            return f"{value / scale:.3g} {unit}"
    return f"{value / 1e-6:.2g} us"


def line(name, record):
    """Say in one line what a record holds."""
    parts = []
    kinds = sorted({kind for pair in record["pairs"] for times in pair.values() for kind in times})
    peers = sorted({peer for pair in record["pairs"] for peer in pair}, key=lambda peer: (peer != "skem", peer))
    for kind in kinds:
        first = peers[0]
        value = median(record, first, kind)
        if len(peers) == 1:
            parts.append(f"{kind} {value:.4g}" if value is not None else kind)
            continue
        others = [f"{peer}/{first} {spread(ratios(record, peer, first, kind))}" for peer in peers[1:]]
        parts.append(f"{kind} {seconds(value)}, {', '.join(others)}")
    likelihoods = record["facts"].get("log_likelihood")
    if isinstance(likelihoods, dict) and likelihoods:
        parts.append("log-likelihoods " + ", ".join(f"{peer} {value:.9f}" for peer, value in likelihoods.items()))
    parts += [f"{peer}: {reason}" for peer, reason in record["failed"].items()]
    return f"{name} ({len(record['pairs'])}): " + "; ".join(parts)


def check(results):
    """Lines that compare what was measured with the goals."""
    yield f"{'measured':>10} {'goal':>8}  "
    for name, (what, goal, measure) in GOALS.items():
        record = results.record(name.split("@")[0])
        value = None if record is None else measure(record)
        if value is None or not np.isfinite(value):
            yield f"{'-':>10} {goal:>8g}  {name.split('@')[0]}: {what}"
            continue
        met = value <= goal if what.endswith("at most") else value >= goal
        yield f"{value:>10.3g} {goal:>8g}  {'met   ' if met else 'MISSED'} {name.split('@')[0]}: {what}"
