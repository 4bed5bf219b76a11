"""
Choosing the number and the shape of components
===============================================

How many components do the data support, and of which covariance?

Four answers to the same question on Fisher's irises: an information criterion, the density of rows left
out, and the evidences of Bayesian k-means and of variational Bayes.
"""

# %%
# The 150 flowers of four measurements are of three species, two of which overlap: *versicolor* and
# *virginica*.
import numpy as np
from sklearn.datasets import load_iris
from sklearn.metrics import adjusted_rand_score
from sklearn.model_selection import GridSearchCV, KFold

from skem import BayesianKMeans, EMMixture, MAPMixture, MixtureSelection, VariationalMixture
from skem.families import Gaussian

X, species = load_iris(return_X_y=True)
COMPONENTS = range(1, 5)
TYPES = ["full", "tied", "diag", "spherical"]


def show(title, table, best):
    """Print a table with one line a covariance type and one column a number of components."""
    print(f"\n{title}\n{'':10}" + "".join(f"{f'K={k}':>10}" for k in COMPONENTS))
    for kind, line in zip(TYPES, table, strict=True):
        print(f"{kind:<10}" + "".join(f"{value:10.1f}" for value in line))
    row, column = np.unravel_index(best(table), np.shape(table))
    print(f"best: {TYPES[row]}, K={COMPONENTS[column]}")


# %%
# BIC charges every free parameter half the logarithm of the number of rows. One call fits all candidates and
# behaves as the best; its table holds the criterion with the sign by which greater is better, as mclust has it.
families = [Gaussian(kind) for kind in TYPES]
selection = MixtureSelection(n_components=COMPONENTS, families=families, random_state=0).fit(X)
bic = -selection.results_["score"].reshape(len(TYPES), -1)
show("BIC of maximum likelihood (lower is better)", bic, np.argmin)
print(f"MixtureSelection takes {selection.best_params_}")

# %%
# A grid search asks instead how well rows left out are foretold. A mixture's ``score`` is the mean log
# density, and the family's own parameters are searched as ``family__...``. The flowers were measured to
# the millimetre and values repeat: maximum likelihood may put a spike on a repeated value, and left-out
# rows with the same value would reward it. The prior of ``MAPMixture`` forbids spikes.
search = GridSearchCV(
    MAPMixture(family=Gaussian(), n_init=3, random_state=0),
    {"family__covariance_type": TYPES, "n_components": COMPONENTS},
    cv=KFold(n_splits=5, shuffle=True, random_state=0),
)
search.fit(X)
scores = len(X) * search.cv_results_["mean_test_score"].reshape(len(TYPES), -1)
show("Log density of rows left out, x 150 (higher is better)", scores, np.argmax)

# %%
# Bayesian k-means integrates parameters and weights out, so that its objective is the log probability
# of the data and their partition. ``log_evidence_`` leaves out the names of the labels and can be
# compared across the number of components. Variational Bayes bounds the log probability of the data.
for cls in (BayesianKMeans, VariationalMixture):
    mixture = cls(n_init=3)
    judged = MixtureSelection(
        mixture, n_components=COMPONENTS, families=families, criterion="log_evidence", random_state=0
    ).fit(X)
    evidence = judged.results_["score"].reshape(len(TYPES), -1)
    show(f"Log evidence of {cls.__name__} (higher is better)", evidence, np.argmax)

# %%
# All four answers are two full components: *setosa* stands apart, and the measurements alone do not call
# for a split of the other two. Told that there are three, a mixture finds most of the species.
labels = EMMixture(n_components=3, n_init=5, random_state=0).fit_predict(X)
print(f"\nagreement of three components with the species: {adjusted_rand_score(species, labels):.3f}")
