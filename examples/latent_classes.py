"""
Latent classes of answers
=========================

What do seven pathologists agree about, and how many kinds of slides are there?

Seven pathologists looked at the same 118 slides and said of each whether they saw carcinoma of the uterine cervix
(Landis & Koch 1977, in the coding of Agresti: 1 no, 2 yes). A latent class model explains their agreement by a few
kinds of slides, on each of which the pathologists answer independently.
"""

# %%
# Answers may be codes, strings or a data frame's categories: ``Categorical`` learns the levels of each
# column. Many starts cost little, since equal rows are joined, and the best of them is run on to a
# hundredth of the tolerance.
from pathlib import Path

import numpy as np

from skem import EMMixture
from skem.families import Categorical

DATA = Path(__file__).parent.parent / "tests" / "data" / "carcinoma.csv"
names = DATA.read_text(encoding="utf-8").splitlines()[0].replace('"', "").split(",")
X = np.loadtxt(DATA, delimiter=",", skiprows=1, dtype=int)

fits = {}
print(f"{'K':>2}{'log-likelihood':>16}{'BIC':>9}{'SABIC':>9}{'ICL':>9}{'G2':>9}{'df':>5}{'entropy R2':>12}")
for k in range(1, 5):
    fit = fits[k] = EMMixture(n_components=k, family=Categorical(), n_init=50, random_state=0).fit(X)
    table = fit.goodness_of_fit(X)
    print(
        f"{k:2d}{fit.score(X) * len(X):16.5f}{fit.bic(X):9.2f}{fit.sabic(X):9.2f}{fit.icl(X):9.2f}"
        f"{table.G2:9.2f}{table.degrees_of_freedom:5d}{fit.entropy_r2(X):12.3f}"
    )
best = min(fits, key=lambda k: fits[k].bic(X))
print(f"BIC chooses K = {best}")

# %%
# What the classes answer: a tidy table, which ``pandas.DataFrame`` and ``polars.DataFrame`` read as it
# is. Classes are listed from those with few positive answers to those with many.
chosen = fits[best]
responses = chosen.response_probabilities()
yes = responses["level"] == 2
positive = responses["probability"][yes].reshape(len(names), best)
order = np.argsort(positive.mean(axis=0))
print("\nprobability of yes" + "".join(f"{name:>6}" for name in names))
for k in order:
    print(f"{chosen.weights_[k]:5.1%} of slides   " + "".join(f"{p:6.2f}" for p in positive[:, k]))

# %%
# How sure the classes are. Each row of the table is a label, each column the class that the slides
# with that label belong to by their probabilities: what is off the diagonal is expected to be wrong.
table = chosen.classification_table(X)[np.ix_(order, order)]
print("\n" + np.array2string(table, precision=2, suppress_small=True))
print(f"expected share of wrong labels: {1 - np.trace(table) / table.sum():.3f}")

# %%
# A pathologist's opinion of a slide that only some have seen: the mixture of the other columns, given
# the answers that are known.
given = chosen.conditional([0, 1], [2, 1])
opinion = given.response_probabilities()
seen = (opinion["item"] == 2) & (opinion["level"] == 2)  # the third of the other five
print(f"after yes by A and no by B, {names[4]} says yes with probability "
      f"{given.weights_ @ opinion['probability'][seen]:.2f}")  # fmt: skip
