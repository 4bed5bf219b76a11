"""The page of the documentation that shows the results."""

import numpy as np

from benchmarks import workloads as w
from benchmarks.limits import USUAL, roofline
from benchmarks.results import median, ratios, values
from benchmarks.summary import seconds, spread

HEAD = """\
# Benchmarks

`python -m benchmarks` in the repository measures what stands here, and writes this page: `--list` names the
measurements, `--only` picks some, `--report` makes the page. Other libraries are optional.

Speed is quoted as a ratio to another library in one process, on the same rows, from the same start, both for the same
number of iterations, in turn: a ratio is taken within a pair, and what stands here is the median of the pairs with the
least and the largest behind it. An iteration costs (t(high) - t(low)) / (high - low); a whole fit is one of 50
iterations, start given, everything else included (of the slower libraries fewer are run, and the rest added by their
time per iteration). Where nothing else is said it is float64, and one thread next to one thread on one processor. The
parameters found after equal iterations are judged by one referee, plain NumPy: mean log-likelihoods that agree show
that the work was the same. A ratio above 1 says that skem is faster.

The rows are drawn from Gaussians with random full covariances (condition number 10), with weights from a Dirichlet
distribution and a typical distance of 4 standard deviations between means, so that they overlap. All start from the
same rows as means, chosen by k-means++, with equal weights and the data's variances.
"""
TITLES = {"full": "Full covariances", "diag": "Diagonal", "tied": "Tied", "spherical": "Spherical"}
LIMIT = """\
The limit is the time that an iteration takes at least, of one thread: 4 n K D floating-point operations (D numbers a
component's score is linear in), n K exponentials and one read of the rows, one after the other, at what a probe reached
on this machine: {gflops:.0f} GFLOP/s of fused multiply-adds, {exp_ns:.2f} ns an exponential, {read_gbytes:.0f} GB/s.
The share of it tells how much faster skem could be at most.
"""


def _rows(head, body):
    """A markdown table, or nothing without a body."""
    if not body:
        return []
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    return [*lines, *(f"| {' | '.join(row)} |" for row in body), ""]


def _section(title, text, head, body):
    """A section, left out without results."""
    table = _rows(head, body)
    return [f"## {title}", "", *([text, ""] if text else []), *table] if table else []


def _ratio(record, slow, fast, kind):
    return spread(ratios(record, slow, fast, kind))


def _agreement(record):
    """Largest difference between log-likelihoods."""
    found = record["facts"].get("log_likelihood", {})
    return f"{max(found.values()) - min(found.values()):.0e}" if len(found) > 1 else "-"


def _records(results, group, workloads):
    """Pairs of workload and record, of those with results."""
    for workload in workloads:
        record = results.record(f"{group}/{workload.name}")
        if record is not None and record["pairs"]:
            yield workload, record


def _machine(results, note):
    machine = results.content["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    where = f"Measured on {machine['processor']}, {machine['cores']} processors, {machine['system']}; {versions}."
    n_pairs = [len(record["pairs"]) for record in results.content["measurements"].values() if record["pairs"]]
    return f"{where} Pairs: {min(n_pairs)} to {max(n_pairs)} of each measurement. {note}".rstrip()


def _mixtures(results):
    limits = results.content.get("limits", USUAL)
    lines = []
    for structure, title in TITLES.items():
        # one library that has none of a structure has no columns there
        peers = ("scikit-learn", "oneDAL") if structure in ("full", "diag") else ("scikit-learn",)
        body = []
        for workload, record in _records(results, f"em/{structure}", w.EM):
            time = median(record, "skem", "iteration")
            row = [workload.title, seconds(time)]
            for peer in peers:
                failed = peer in record["failed"] and not len(ratios(record, peer, "skem", "iteration"))
                row += ["fails" if failed else _ratio(record, peer, "skem", kind) for kind in ("iteration", "whole")]
            row += [f"{100 * roofline(workload, structure, limits) / time:.0f} %", _agreement(record)]
            body.append(row)
        head = ["rows x columns, components", "skem"]
        for peer in peers:
            head += [f"{peer} / skem", "whole fit"]
        lines += _rows([*head, "of the limit", "log-likelihoods differ by"], body) and [
            f"### {title}", "", *_rows([*head, "of the limit", "log-likelihoods differ by"], body),
        ]  # fmt: skip
    return ["## EM, an iteration and a fit", "", LIMIT.format(**limits), *lines] if lines else []


def _mixture_group(results, group, title, text):
    body = []
    for structure in ("full", "diag"):
        for workload, record in _records(results, f"{group}/{structure}", w.EM):
            body.append(
                [TITLES[structure].split()[0].lower(), workload.title, seconds(median(record, "skem", "iteration"))]
                + [_ratio(record, "scikit-learn", "skem", kind) for kind in ("iteration", "whole")]
                + [_agreement(record)]
            )
    head = ["covariances", "rows x columns, components", "skem", "scikit-learn / skem", "whole fit"]
    return _section(title, text, [*head, "log-likelihoods differ by"], body)


def _kmeans(results):
    body = []
    for dtype in ("float64", "float32"):
        for workload, record in _records(results, f"kmeans/{dtype}", w.KMEANS):
            row = [workload.title, dtype]
            for kind in ("early", "late"):
                row += [
                    seconds(median(record, "skem", kind)),
                    _ratio(record, "scikit-learn", "skem", kind),
                    _ratio(record, "faiss", "skem", kind),
                ]
            body.append(row)
    head = ["rows x columns, clusters", "dtype"]
    for kind in ("iterations 2-9", "31-38"):
        head += [f"skem, {kind}", "scikit-learn / skem", "faiss / skem"]
    text = "scikit-learn's Lloyd and faiss, which has float32 only, from the same centres."
    return _section("K-means", text, head, body)


def _hard(results):
    body = [
        [workload.title, seconds(median(record, "BayesianKMeans", "iteration")),
         _ratio(record, "BayesianKMeans", "EMMixture", "iteration")]
        for workload, record in _records(results, "hard/full", w.EM)
    ]  # fmt: skip
    text = "A batch iteration of `BayesianKMeans` with full covariances, and its share of one of `EMMixture`."
    return _section("Bayesian k-means", text, ["rows x columns, components", "skem", "of an EM iteration"], body)


def _directions(results):
    body = [
        [workload.title, seconds(median(record, "hard", "iteration")), _ratio(record, "hard", "KMeans", "iteration"),
         seconds(median(record, "soft", "iteration")), _ratio(record, "soft", "KMeans", "iteration")]
        for workload, record in _records(results, "directions", (w.DIRECTIONS,))
    ]  # fmt: skip
    text = (
        "Float32 rows of norm one under von Mises-Fisher components: an iteration of spherical k-means (`ICMMixture`) "
        "and one of EM, and their share of an iteration of scikit-learn's `KMeans` on the same rows."
    )
    head = ["rows x columns, components", "spherical k-means", "of KMeans", "EM", "of KMeans"]
    return _section("Unit vectors", text, head, body)


def _small(results):
    body = []
    for structure in TITLES:
        for workload, record in _records(results, f"small/{structure}", w.SMALL):
            row = [workload.title, structure]
            for kind in ("whole", "one"):
                row += [
                    seconds(median(record, "skem", kind)),
                    _ratio(record, "scikit-learn", "skem", kind),
                    _ratio(record, "oneDAL", "skem", kind),
                ]
            body.append(row)
    head = ["rows x columns, components", "covariances"]
    for kind in ("100 iterations", "one"):
        head += [f"skem, {kind}", "scikit-learn / skem", "oneDAL / skem"]
    return _section("Small data, whole fits", "", head, body)


def _threads(results):
    body, busy = [], []
    for work in ("full", "diag", "kmeans"):
        for workload, record in _records(results, f"threads/{work}", (*w.EM, *w.SMALL, *w.KMEANS)):
            body.append(
                [workload.title, work, seconds(median(record, "one", "iteration"))]
                + [_ratio(record, "one", "more", kind) for kind in ("iteration", "whole")]
            )
            busy += list(values(record, "more", "others_busy"))
    told = [share for share in busy if np.isfinite(share)]
    text = "An iteration on one thread, and how many times faster it is on two (`OMP_WAIT_POLICY=passive`)."
    if told:
        text += f" Right after the pairs others kept the machine {100 * np.median(told):.0f} % busy (median)."
    head = ["rows x columns, components", "work", "one thread", "two, iteration", "whole fit"]
    return _section("Two threads", text, head, body)


def _scaling(results):
    lines = []
    for axis, name in (("n", "rows, 8 columns, 16 components"), ("d", "columns, 50,000 rows, 16 components"),
                       ("K", "components, 100,000 rows, 8 columns")):  # fmt: skip
        record = results.record(f"scaling/{axis}")
        if record is None or not record["pairs"]:
            continue
        along = record["facts"]["along"]
        lines += _rows(
            [name, *(f"{x:,}" for x in along)],
            [["an iteration", *(seconds(median(record, "skem", str(x))) for x in along)]],
        )
        if axis == "n":
            slope = np.median(values(record, "skem", "slope"))
            lines += [f"The slope of log time on log rows is {slope:.3f}.", ""]
    return ["## Growth with rows, columns and components", "", "Full covariances.", "", *lines] if lines else []


def _memory(results):
    body = []
    for workload in w.EM:
        row = [workload.title]
        for peer in ("skem", "scikit-learn", "oneDAL"):
            record = results.record(f"memory/full/{workload.name}/{peer}")
            value = None if record is None else median(record, peer, "peak_mib")
            row.append("-" if value is None else f"{value:.1f}")
        if row[1] != "-":
            body.append(row)
    text = "Peak above the rows themselves, MiB, full covariances. The labels of skem's fit are part of it."
    return _section("Memory", text, ["rows x columns, components", "skem", "scikit-learn", "oneDAL"], body)


def _starts(results):
    body = []
    for workload, record in _records(results, "start", w.EM):
        passes = np.median(values(record, "skem", "start") / values(record, "skem", "iteration"))
        # a difference of two fits, each of which may take longer by chance than a start does
        start = (
            [seconds(median(record, "skem", "start")), f"{passes:.1f}"] if passes > 0 else ["too little to tell", "-"]
        )
        body.append([workload.title, *start])
    text = 'What `init="k-means++"` takes, and how many iterations with full covariances take as long.'
    return _section("Starts", text, ["rows x columns, components", "k-means++", "iterations"], body)


def _predictions(results):
    body = []
    record = results.record("predict/one-row")
    if record and record["pairs"]:
        peers = ("skem", "skem drop-in", "scikit-learn")
        body = [
            [f"`{kind}`", *(seconds(median(record, peer, kind)) for peer in peers),
             _ratio(record, "scikit-learn", "skem", kind)]
            for kind in record["pairs"][0]["skem"]
        ]  # fmt: skip
    head = ["one row of 4 columns, 3 components", "skem", "drop-in", "scikit-learn", "scikit-learn / skem"]
    lines = _section("Prediction", "", head, body)
    for workload, record in _records(results, "predict", w.EM):
        kinds = [kind for kind in record["pairs"][0]["skem"] if kind != "iteration"]
        lines += _rows(
            [workload.title, *(f"`{kind}`" for kind in kinds), "an iteration of EM"],
            [["skem", *(seconds(median(record, "skem", kind)) for kind in (*kinds, "iteration"))]],
        )
        lines += [f"`predict` held {record['facts']['peak_mib']:.1f} MiB beside its labels.", ""]
    return lines


def _many(results):
    record = results.record(f"many/diag/{w.MANY.name}")
    if record is None or not record["pairs"]:
        return []
    found = record["facts"]["log_likelihood"]
    lost = found["full"] - found["truncated"]
    truncated, full = (seconds(median(record, kind, "whole")) for kind in ("truncated", "full"))
    text = (
        f"{w.MANY.title} components, diagonal covariances, 30 iterations from one start: with "
        f"`n_active={record['facts']['n_active']}` a fit takes {truncated}, without {full}, "
        f"{_ratio(record, 'full', 'truncated', 'whole')} times as long. Its log-likelihood, all components counted, "
        f"ends {abs(lost):.1e} nats a row {'lower' if lost > 0 else 'higher'}."
    )
    return ["## Many components", "", text, ""]


def _quality(results):
    lines = []
    for name, record in results.content["measurements"].items():
        if not name.startswith("quality/") or not record["pairs"]:
            continue
        passes = record["facts"]["passes"]
        body = [
            [peer, str(passes[peer]), seconds(median(record, peer, "whole")),
             "" if peer == "scikit-learn" else _ratio(record, "scikit-learn", peer, "whole")]
            for peer in passes
        ]  # fmt: skip
        text = (
            "100,000 x 8 rows, 16 full components, until the log-likelihood at which scikit-learn stops with tol=1e-5."
        )
        lines += _section("Time to equal log-likelihood", text, ["", "iterations", "time", "scikit-learn / skem"], body)
    return lines


def _others(results):
    body = []
    for workload, record in _records(results, "others/full", w.EM):
        row = [workload.title]
        row += [_ratio(record, peer, "skem", "iteration") for peer in ("pomegranate", "StepMix")]
        body.append(row)
    text = "An iteration of EM with full covariances. StepMix takes no start of ours, so that only its time compares."
    return _section(
        "Other libraries", text, ["rows x columns, components", "pomegranate / skem", "StepMix / skem"], body
    )


def _rest(results):
    lines = []
    record = results.record("imports")
    if record and record["pairs"]:
        ours, theirs = (seconds(median(record, peer, "extra")) for peer in ("skem", "scikit-learn"))
        text = (
            f"`import skem` takes {ours} beyond `sklearn.base` and `scipy.linalg`; `import sklearn.mixture` {theirs}."
        )
        lines += [text, ""]
    record = results.record("native")
    if record and record["pairs"]:
        kinds = record["pairs"][0]["portable"]
        shares = [
            np.median([pair["native"][kind] / pair["portable"][kind] for pair in record["pairs"]]) for kind in kinds
        ]
        text = (
            f"One build serves all x86 processors: it reaches {min(shares):.2f} to {max(shares):.2f} of the speed of "
            "one made with `-march=native` for this processor alone."
        )
        lines += [text, ""]
    return ["## Imports and builds", "", *lines] if lines else []


def table(results, note=""):
    """The whole page as markdown, with a note on how it was measured."""
    lines = [HEAD, _machine(results, note), "", "![Ratios to other libraries](benchmarks.svg)", ""]
    lines += _mixtures(results)
    lines += _mixture_group(
        results, "bayesian", "Variational Bayes",
        "The drop-in `BayesianGaussianMixture`; both libraries go on from one fitted mixture.",
    )  # fmt: skip
    lines += _mixture_group(results, "em32", "EM in float32", "Rows in float32, sums in float64 in skem.")
    for section in (_kmeans, _hard, _directions, _small, _many, _quality, _threads, _starts, _predictions, _memory,
                    _scaling, _rest, _others):  # fmt: skip
        lines += section(results)
    return "\n".join(lines).rstrip() + "\n"
