"""One picture: how many times longer an iteration takes elsewhere."""

import numpy as np

from benchmarks import workloads as w
from benchmarks.results import ratios

# Colours that the colour-blind can tell apart (Okabe & Ito).
COLOURS = {"scikit-learn": "#0072B2", "oneDAL": "#D55E00", "faiss": "#009E73"}
GROUPS = (
    ("EM, full", "em/full", w.EM, "iteration"),
    ("EM, diagonal", "em/diag", w.EM, "iteration"),
    ("EM, tied", "em/tied", w.EM, "iteration"),
    ("EM, spherical", "em/spherical", w.EM, "iteration"),
    ("Variational, full", "bayesian/full", w.EM, "iteration"),
    ("K-means", "kmeans/float64", w.KMEANS, "early"),
    ("K-means, float32", "kmeans/float32", w.KMEANS, "early"),
)


def _entries(results):
    """Group by group: title, and the workloads with their ratios by library."""
    for title, prefix, workloads, kind in GROUPS:
        rows = []
        for workload in workloads:
            record = results.record(f"{prefix}/{workload.name}")
            found = {} if record is None else {peer: ratios(record, peer, "skem", kind) for peer in COLOURS}
            found = {peer: values for peer, values in found.items() if len(values)}
            if found:
                rows.append((workload.title, found))
        if rows:
            yield title, rows


def plot(results, path):
    """Save a dot chart with a line from the least ratio to the largest."""
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt

    groups = list(_entries(results))
    n_rows = sum(len(rows) + 1 for _, rows in groups)
    # a fixed salt, so that equal results make an equal file; text stays text
    settings = {"svg.hashsalt": "skem", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9}
    with plt.rc_context(settings):
        figure, axes = plt.subplots(figsize=(7.5, 1.0 + 0.21 * max(n_rows, 4)), layout="constrained")
        ticks, labels, height = [], [], 0.0
        for title, rows in groups:
            place = {"transform": axes.get_yaxis_transform(), "va": "center", "ha": "right"}
            axes.text(-0.012, height, title, weight="bold", **place)
            height += 1
            for label, found in rows:
                if len(ticks) % 2 == 0:
                    axes.axhspan(height - 0.5, height + 0.5, color="#f4f5f7", zorder=0, linewidth=0)
                for peer, values in found.items():
                    colour = COLOURS[peer]
                    axes.plot([values.min(), values.max()], [height, height], color=colour, linewidth=2, alpha=0.35,
                              solid_capstyle="round")  # fmt: skip
                    axes.plot(np.median(values), height, "o", color=colour, markersize=5.5, markeredgecolor="white",
                              markeredgewidth=0.6)  # fmt: skip
                ticks.append(height)
                labels.append(label)
                height += 1
        axes.axvline(1.0, color="#444444", linewidth=1)
        axes.set_xscale("log")
        axes.set_ylim(height - 0.4, -0.8)
        axes.set_yticks(ticks, labels)
        low, high = axes.get_xlim()
        axes.set_xlim(min(low, 0.9), high)
        axes.set_xticks([x for x in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200) if min(low, 0.9) <= x <= high])
        axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}x")
        axes.xaxis.set_minor_locator(plt.NullLocator())
        axes.grid(axis="x", color="#dddddd", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.tick_params(length=0)
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)
        axes.set_xlabel("time of an iteration, as a multiple of skem's (one thread each)")
        handles = [
            plt.Line2D([], [], color=colour, marker="o", linewidth=2, markersize=5.5, label=peer)
            for peer, colour in COLOURS.items()
            if any(peer in found for _, rows in groups for _, found in rows)
        ]
        figure.legend(handles=handles, loc="outside upper right", ncols=len(handles) or 1, frameon=False)
        figure.savefig(path, metadata={"Date": None})
        plt.close(figure)
