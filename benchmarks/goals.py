"""What skem wants to reach, as numbers by measurement."""

import numpy as np

from benchmarks import workloads as w
from benchmarks.results import median, ratios

GOALS = {}


def _ratio(slow, fast, kind):
    def measure(record):
        found = ratios(record, slow, fast, kind)
        return float(np.median(found)) if len(found) else None

    return measure


def _quotient(record, above, below):
    upper, lower = (median(record, *which) for which in (above, below))
    return None if upper is None or not lower else upper / lower


def _goal(name, what, value, measure):
    GOALS[f"{name}@{what}"] = (what, value, measure)


def _em(group, structure, peer, values, share=1.0):
    for workload, value in zip(w.EM, values, strict=True):
        if value:
            name = f"{group}/{structure}/{workload.name}"
            measure = _ratio(peer, "skem", "iteration")
            _goal(name, f"times {peer} per iteration, at least", round(share * value, 2), measure)

            def kept(record, measure=measure, peer=peer):
                whole, one = _ratio(peer, "skem", "whole")(record), measure(record)
                return None if whole is None or not one else whole / one

            _goal(name, f"share of that ratio to {peer} kept in the whole fit, at least", 0.8, kept)


FULL, DIAG = (50, 40, 15, 25, 8, 3.2), (35, 22, 9, 12, 5, 3)
_em("em", "full", "scikit-learn", FULL)
_em("em", "diag", "scikit-learn", DIAG)
_em("em", "tied", "scikit-learn", (20, 20, 20, 20, 40, 20))
_em("em", "spherical", "scikit-learn", (10, 10, 10, 10, 5, None))
_em("em", "full", "oneDAL", (4, 5, 4.5, 5, 4, None))
_em("em", "diag", "oneDAL", (3, 3, 3, 3, 2, 2))
_em("bayesian", "full", "scikit-learn", FULL, 0.9)
_em("bayesian", "diag", "scikit-learn", DIAG, 0.9)
_em("em32", "full", "scikit-learn", (40, 25, 15, 25, 4.5, 2.2))

for dtype, workload, peer, kind, value in (
    ("float64", w.KMEANS[0], "scikit-learn", "early", 1.7),
    ("float32", w.KMEANS[0], "scikit-learn", "early", 2.7),
    ("float64", w.KMEANS[0], "scikit-learn", "late", 3.0),
    ("float64", w.KMEANS[1], "scikit-learn", "early", 1.3),
    ("float32", w.KMEANS[0], "faiss", "early", 2.0),
    ("float32", w.KMEANS[1], "faiss", "early", 3.0),
):
    name = f"kmeans/{dtype}/{workload.name}"
    _goal(name, f"times {peer} per {kind} iteration, at least", value, _ratio(peer, "skem", kind))
for workload in (w.EM[1], w.EM[2], w.EM[4]):
    _goal(
        f"hard/full/{workload.name}", "of an EM iteration, at most", 0.65,
        _ratio("BayesianKMeans", "EMMixture", "iteration"),
    )  # fmt: skip
for workload, milliseconds in zip(w.SMALL, (3.0, 4.0), strict=True):
    name = f"small/full/{workload.name}"
    _goal(
        name, "ms a fit of 100, at most", milliseconds, lambda record: 1e3 * (median(record, "skem", "whole") or np.nan)
    )
    _goal(name, "times scikit-learn, at least", 12, _ratio("scikit-learn", "skem", "whole"))
for structure in ("full", "diag"):
    for workload in (*w.EM, *w.SMALL):
        much = structure == "full" and workload in (w.EM[2], w.EM[4])
        _goal(
            f"threads/{structure}/{workload.name}", "two threads against one, at least", 1.7 if much else 0.95,
            _ratio("one", "more", "iteration"),
        )  # fmt: skip
_goal(
    f"threads/kmeans/{w.KMEANS[0].name}", "two threads against one, at least", 0.95, _ratio("one", "more", "iteration")
)
_goal(f"many/diag/{w.MANY.name}", "times full EM's speed, at least", 15, _ratio("full", "truncated", "whole"))
_goal(
    f"many/diag/{w.MANY.name}", "nats a row below full EM, at most", 1e-3,
    lambda record: (
        record["facts"]["log_likelihood"]["full"] - record["facts"]["log_likelihood"]["truncated"]
        if record["pairs"]
        else None
    ),
)  # fmt: skip
for workload in w.EM:
    _goal(
        f"memory/full/{workload.name}/skem", "MiB above X, at most",
        round((16 if workload.d == 256 else 8) + workload.n * 8 / 2**20, 1),
        lambda record: median(record, "skem", "peak_mib"),
    )  # fmt: skip
    _goal(
        f"start/{workload.name}", "passes that a k-means++ start costs, at most", 10,
        lambda record: _quotient(record, ("skem", "start"), ("skem", "iteration")),
    )  # fmt: skip
_goal(
    "imports",
    "seconds beyond sklearn.base and scipy.linalg, at most",
    0.15,
    lambda record: median(record, "skem", "extra"),
)
_goal("scaling/n", "slope in n, at most", 1.03, lambda record: median(record, "skem", "slope"))
_goal("scaling/n", "slope in n, at least", 0.97, lambda record: median(record, "skem", "slope"))
_goal(
    f"latent/binary/{w.LATENT.name}", "times StepMix per iteration, at least", 30,
    _ratio("StepMix", "skem", "iteration"),
)  # fmt: skip
for workload in w.DOCUMENTS:
    _goal(
        f"counts/sparse/{workload.name}", "of SciPy's two products' time, at most", 1.3,
        _ratio("pass", "products", "iteration"),
    )  # fmt: skip
for kind, value in (("hard", 1.3), ("soft", 2.2)):
    _goal(
        f"directions/{w.DIRECTIONS.name}", f"of scikit-learn's KMeans, {kind}, at most", value,
        _ratio(kind, "KMeans", "iteration"),
    )  # fmt: skip
_goal("predict/one-row", "times scikit-learn, one row, at least", 1.7, _ratio("scikit-learn", "skem", "predict"))
_goal(
    f"predict/{w.EM[1].name}", "of an EM iteration, at most", 1.0,
    lambda record: _quotient(record, ("skem", "predict"), ("skem", "iteration")),
)  # fmt: skip


def _least_share(record):
    if not record["pairs"]:
        return None
    return min(
        float(np.median([pair["native"][kind] / pair["portable"][kind] for pair in record["pairs"]]))
        for kind in record["pairs"][0]["portable"]
    )


_goal("native", "of a -march=native build's speed, at least", 0.95, _least_share)
