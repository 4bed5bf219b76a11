"""
Modes, clusters and predictions from one density
================================================

What does a fitted mixture know beside its components?

Three Gaussians are fitted to the 272 eruptions of the Old Faithful geyser, more than there are kinds of
eruption. The density has fewer bumps than components; components can be joined; and the mixture of the
wait given the length of an eruption is a forecast.
"""

# %%
# Three components of one shape, which BIC prefers here.
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from skem import EMMixture, MergeDisplay
from skem.families import Gaussian

HERE = Path(__file__).parent
X = np.loadtxt(HERE / "data" / "faithful.csv", delimiter=",", skiprows=1)
mixture = EMMixture(n_components=3, family=Gaussian("tied"), n_init=10, random_state=0).fit(X)

# %%
# Bumps of the density, and the components that make them up.
modes = mixture.modes()
for number, (length, wait) in enumerate(modes.modes):
    print(f"mode {number}: {length:.2f} min, {wait:.1f} min; components {np.flatnonzero(modes.labels == number)}")

# %%
# Components joined by the entropy of their responsibilities: a steep rise means that from there on
# components share a cluster.
merged = mixture.merge_components(X)
print(f"entropies of 1, 2 and 3 clusters: {merged.entropies.round(1)}; suggested: {merged.n_clusters}")

# %%
# The wait after a short and after a long eruption: each a mixture, with a mean and a spread of its own.
lengths = np.array([[2.0], [4.5]])
for length, given in zip(lengths[:, 0], mixture.conditional([0], lengths), strict=True):
    means, variance = given.means_[:, 0], given.covariances_[0, 0]
    mean = given.weights_ @ means
    spread = np.sqrt(variance + given.weights_ @ (means - mean) ** 2)
    print(f"after {length} min: {mean:.0f} +- {spread:.0f} min")

# %%
# The picture: density and modes, rows by bump, the entropies, and the forecasts.
figure, axes = plt.subplots(1, 3, figsize=(13, 4), layout="constrained")
margin = np.array([0.3, 4.0])
low, high = X.min(axis=0) - margin, X.max(axis=0) + margin
grid = np.stack(np.meshgrid(*(np.linspace(a, b, 120) for a, b in zip(low, high, strict=True))), axis=-1)
density = mixture.score_samples(grid.reshape(-1, 2)).reshape(grid.shape[:2])
axes[0].contour(
    grid[..., 0],
    grid[..., 1],
    density,
    levels=density.max() - np.arange(6.0, 0.0, -0.5),
    colors="0.7",
    linestyles="solid",
)
axes[0].scatter(*X.T, c=modes.labels[mixture.predict(X)], s=10, cmap="Set1", vmax=8)
axes[0].scatter(*modes.modes.T, marker="X", s=90, color="black")
axes[0].set(xlabel="length (minutes)", ylabel="wait (minutes)", title="modes, and rows by mode")
MergeDisplay.from_estimator(mixture, X, ax=axes[1], name="components combined")
waits = np.linspace(low[1], high[1], 300)
for length, given in zip(lengths[:, 0], mixture.conditional([0], lengths), strict=True):
    axes[2].plot(waits, np.exp(given.score_samples(waits[:, None])), label=f"after {length} minutes")
axes[2].set(xlabel="wait (minutes)", ylabel="density", title="the wait, given the length")
axes[2].legend(frameon=False)
figure.savefig(HERE / "modes.png", dpi=120)
print(f"picture: {HERE / 'modes.png'}")
