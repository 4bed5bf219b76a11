"""
The table on one data set
=========================

What changes when hidden labels and parameters are treated differently?

A mixture has hidden labels z and parameters theta. Each can be kept as a distribution, pinned to a
point or sampled, and every algorithm is a cell of the table of these choices. Here seven cells look
at the same 272 eruptions of the Old Faithful geyser.
"""

# %%
# The columns are the length of an eruption and the wait until the next, in minutes. Eruptions come in
# two kinds; three components are asked for on purpose, to see how each cell deals with one too many.
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from skem import (
    BayesianKMeans,
    EMMixture,
    GibbsMixture,
    ICMMixture,
    MAPMixture,
    MixtureDisplay,
    VariationalMixture,
)

HERE = Path(__file__).parent
X = np.loadtxt(HERE / "data" / "faithful.csv", delimiter=",", skiprows=1)

# %%
# Rows of the table say what becomes of the labels, columns what becomes of the parameters. All cells
# take the same arguments: ten starts each, of which the best objective is kept. The two that
# keep a distribution over the parameters leave the third component empty: it does not pay for itself.
LABELS = ["soft labels", "hard labels", "drawn labels"]
PARAMETERS = ["maximum likelihood", "posterior mode", "distribution", "draws"]
starts = {"n_components": 3, "n_init": 10, "random_state": 0}
table = {
    (0, 0): ("EM", EMMixture(**starts)),
    (0, 1): ("MAP-EM", MAPMixture(**starts)),
    (0, 2): ("variational Bayes", VariationalMixture(**starts)),
    (1, 0): ("classification EM", ICMMixture(update="mle", **starts)),
    (1, 1): ("ICM", ICMMixture(**starts)),
    (1, 2): ("Bayesian k-means", BayesianKMeans(**starts)),
    (2, 3): ("Gibbs sampling", GibbsMixture(n_components=3, random_state=0)),
}

# %%
# Objectives of different cells are different quantities, each with all of its constants: the
# log-likelihood, the log posterior density, a bound on the log evidence, log p(x, z). They compare fits
# of one cell (see ``model_choice.py``), not cells; the log density of the data is what all can give.
# Gibbs sampling has no objective: in its place stands the largest log p(x, z) that it met.
print(f"{'cell':<18}{'objective':>10}{'K':>3}  {'weights':<16}{'means':<40}{'log density':>11}{'seconds':>8}")
figure, axes = plt.subplots(3, 4, figsize=(13, 9), sharex=True, sharey=True, layout="constrained")
for place, ax in np.ndenumerate(axes):
    if place not in table:
        ax.set_axis_off()
        continue
    name, estimator = table[place]
    begin = time.perf_counter()
    estimator.fit(X)
    seconds = time.perf_counter() - begin
    order = np.argsort(-estimator.weights_)
    weights = " ".join(f"{w:.2f}" for w in estimator.weights_[order])
    means = " ".join(f"({a:.2f}, {b:.1f})" for a, b in estimator.means_[order])
    gibbs = isinstance(estimator, GibbsMixture)
    objective = estimator.log_joint_ if gibbs else estimator.lower_bound_ * len(X)
    print(
        f"{name:<18}{objective:10.1f}{estimator.n_components_:3d}  "
        f"{weights:<16}{means:<40}{estimator.score(X) * len(X):11.1f}{seconds:8.2f}"
    )
    MixtureDisplay.from_estimator(estimator, X, ax=ax, name=name)
    ax.set(xlabel="", ylabel="")
    ax.tick_params(labelbottom=True, labelleft=True)

# %%
# The picture is laid out as the table is. Points between two components carry a mixed colour.
CAPTION = """Points take the colours of their components,
mixed by responsibility; ellipses hold
50 % and 90 % of a component."""
at = {"ha": "center", "va": "center", "xycoords": "axes fraction"}
for ax, text in zip(axes[0], PARAMETERS, strict=True):
    ax.annotate(text, (0.5, 1.22), weight="bold", **at)
for ax, text in zip(axes[:, 0], LABELS, strict=True):
    ax.annotate(text, (-0.3, 0.5), weight="bold", rotation=90, **at)
axes[2, 1].annotate(CAPTION, (0.5, 0.5), **at).set_in_layout(False)
figure.supxlabel("length of the eruption (minutes)")
figure.supylabel("wait until the next (minutes)")
figure.savefig(HERE / "table.png", dpi=120)
print(f"picture: {HERE / 'table.png'}")
