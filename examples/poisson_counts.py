"""
Counts with their frequencies as weights
========================================

How many kinds of buyers stand behind a table of counts?

A survey asked 456 households how many packages of a new candy they had bought (Dillon & Kumar 1994).
Mixtures of Poisson distributions tell light from heavy buyers.
"""

# %%
# The data are a table of 21 lines: a number of packages and how many households bought it. There is no
# need to write it out as 456 rows: the frequencies are ``sample_weight``.
from pathlib import Path

import numpy as np

from skem import EMMixture
from skem.families import Poisson

DATA = Path(__file__).parent.parent / "tests" / "data" / "candy.csv"
packages, frequency = np.loadtxt(DATA, delimiter=",", skiprows=1).T
X = packages[:, None]
print(f"{len(X)} lines stand for {frequency.sum():.0f} households")

# %%
# Every criterion counts weights: the number of observations in BIC is their sum, not the number of
# lines. The log-likelihoods are total ones and include all constants.
fits = {}
print(f"\n{'K':>2}{'log-likelihood':>16}{'BIC':>10}  rates")
for k in range(1, 5):
    fit = EMMixture(n_components=k, family=Poisson(), n_init=5, tol=0, max_iter=20000, random_state=0)
    fits[k] = fit.fit(X, sample_weight=frequency)
    log_likelihood = fit.score(X, sample_weight=frequency) * frequency.sum()
    bic = fit.bic(X, sample_weight=frequency)
    rates = " ".join(f"{rate:.3f}" for rate in np.sort(fit.rates_.ravel()))
    print(f"{k:2d}{log_likelihood:16.5f}{bic:10.2f}  {rates}")

best = min(fits, key=lambda k: fits[k].bic(X, sample_weight=frequency))
print(f"BIC chooses K = {best}")

# %%
# The choice read as kinds of buyers, and what the mixture makes of a household with five packages.
chosen = fits[best]
for k in np.argsort(chosen.rates_.ravel()):
    print(f"{chosen.weights_[k]:6.1%} of households buy {chosen.rates_[k, 0]:.2f} packages on average")
resp = chosen.predict_proba([[5.0]])[0]
heaviest = np.argmax(chosen.rates_)
print(f"a household with 5 packages is a heaviest buyer with probability {resp[heaviest]:.3f}")

# %%
# Writing the table out changes nothing but the time it takes.
rows = np.repeat(X, frequency.astype(int), axis=0)
same = EMMixture(**chosen.get_params(deep=False)).fit(rows)
print(f"log-likelihood from the {len(rows)} rows written out: {same.score(rows) * len(rows):.5f}")
