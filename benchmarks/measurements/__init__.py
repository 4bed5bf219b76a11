"""What is measured: a table of names, each with the function that measures it.

A measurement is a generator of pairs: dicts of times by library and kind, measured in turn so that a ratio is taken
within a pair. It is resumed until there are enough of them. What is said once, as log-likelihoods are, goes to
`run.facts`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from benchmarks import workloads as w
from benchmarks.measurements.counts import counts
from benchmarks.measurements.directions import directions
from benchmarks.measurements.hard import hard, kmeans
from benchmarks.measurements.imports import imports
from benchmarks.measurements.many import many
from benchmarks.measurements.memory import memory
from benchmarks.measurements.mixture import bayesian, classes, mixture
from benchmarks.measurements.native import native
from benchmarks.measurements.predict import one_row, predict
from benchmarks.measurements.quality import quality
from benchmarks.measurements.scaling import scaling
from benchmarks.measurements.small import small
from benchmarks.measurements.start import start
from benchmarks.measurements.threads import threads

STRUCTURES = ("full", "diag", "tied", "spherical")
USUAL = ("skem", "scikit-learn", "oneDAL")
OTHERS = ("skem", "pomegranate", "StepMix")


class Measurement(NamedTuple):
    """A generator function of a run and of `arguments`, and what it needs."""

    name: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...] = ()
    peers: tuple[str, ...] = ("skem", "scikit-learn")
    n_threads: int = 1
    #: pairs that are enough where more would take long or tell nothing
    most_pairs: int = 1_000


def _table():
    for structure in STRUCTURES:
        for workload in w.EM:
            yield Measurement(f"em/{structure}/{workload.name}", mixture, (workload, structure), USUAL)
    for workload in w.EM:
        yield Measurement(f"em32/full/{workload.name}", mixture, (workload, "full", "float32"))
    for structure in ("full", "diag"):
        for workload in w.EM:
            yield Measurement(f"bayesian/{structure}/{workload.name}", bayesian, (workload, structure))
    for workload in w.KMEANS:
        yield Measurement(f"kmeans/float64/{workload.name}", kmeans, (workload, "float64"))
        yield Measurement(
            f"kmeans/float32/{workload.name}", kmeans, (workload, "float32"), ("skem", "scikit-learn", "faiss")
        )
    for workload in (w.EM[1], w.EM[2], w.EM[4]):
        yield Measurement(f"hard/full/{workload.name}", hard, (workload,), ("skem",))
    for structure in STRUCTURES:
        for workload in w.SMALL:
            yield Measurement(f"small/{structure}/{workload.name}", small, (workload, structure), USUAL)
    for structure in ("full", "diag"):
        for workload in (*w.EM, *w.SMALL):
            yield Measurement(
                f"threads/{structure}/{workload.name}", threads, (workload, structure), ("skem",), n_threads=2
            )
    yield Measurement(f"threads/kmeans/{w.KMEANS[0].name}", threads, (w.KMEANS[0], "kmeans"), ("skem",), n_threads=2)
    for workload in w.EM:
        for peer in USUAL:
            yield Measurement(f"memory/full/{workload.name}/{peer}", memory, (workload, peer), (peer,), most_pairs=1)
    yield Measurement("imports", imports)
    for axis in ("n", "d", "K"):
        yield Measurement(f"scaling/{axis}", scaling, (axis,), ("skem",), most_pairs=5)
    for workload in w.EM:
        yield Measurement(f"start/{workload.name}", start, (workload,), ("skem",))
    yield Measurement("predict/one-row", one_row)
    yield Measurement(f"predict/{w.EM[1].name}", predict, (w.EM[1],), ("skem",))
    yield Measurement(f"many/diag/{w.MANY.name}", many, (w.MANY,), ("skem",), most_pairs=3)
    yield Measurement("quality/full/n1e5_d8_k16", quality, (w.Workload(100_000, 8, 16),), most_pairs=3)
    yield Measurement("native", native, (), ("skem",))
    for workload in (w.EM[3], w.EM[4]):
        yield Measurement(f"others/full/{workload.name}", mixture, (workload, "full"), OTHERS)
    yield Measurement(f"latent/binary/{w.LATENT.name}", classes, (w.LATENT,), ("skem", "StepMix"))
    for workload in w.DOCUMENTS:
        yield Measurement(f"counts/sparse/{workload.name}", counts, (workload,), ("skem",))
    yield Measurement(f"directions/{w.DIRECTIONS.name}", directions, (w.DIRECTIONS,))
    yield Measurement(f"tiny/full/{w.TINY.name}", mixture, (w.TINY, "full"), USUAL)


MEASUREMENTS = {measurement.name: measurement for measurement in _table()}
