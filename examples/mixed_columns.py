"""
Voters by columns of every kind
===============================

A data frame of 944 Americans asked before the election of 1996: numbers, a count, flags and categories, in one mixture.
The data, which are in the public domain, come with statsmodels: ``pip install "skem[examples]"``.
"""

# %%
# The answers are codes in the file, and become the words that they stand for.
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.model_selection import GridSearchCV

from skem import MAPMixture
from skem.families import Bernoulli, Categorical, Gaussian, Poisson, Product

package = find_spec("statsmodels").submodule_search_locations[0]
codes = pd.read_csv(Path(package) / "datasets" / "anes96" / "anes96.csv", sep=r"\s+", quotechar="'")
PARTY = ["strong Dem.", "weak Dem.", "Ind.-Dem.", "Ind.", "Ind.-Rep.", "weak Rep.", "strong Rep."]
# middles of brackets, in thousands of dollars
INCOME = [1.5, 4, 6, 8, 9.5, 10.5, 11.5, 12.5, 13.5, 14.5, 16, 18.5, 21, 23.5, 27.5, 32.5, 37.5, 42.5, 47.5, 55, 67.5]
INCOME += [82.5, 97.5, 120]
SCHOOL = ["grades", "some high school", "high school", "some college", "college", "master", "doctorate"]
voters = pd.DataFrame({
    "age": codes["age"],
    "log_income": np.log(np.array(INCOME)[codes["income"] - 1]),
    "news": codes["TVnews"],
    "party": np.array(PARTY)[codes["PID"]],
    "school": pd.Categorical.from_codes(codes["educ"] - 1, SCHOOL, ordered=True),
    "dole": codes["vote"] == 1,
})  # fmt: skip
print(voters.head(3).to_string())

# %%
# A product can be guessed from the columns' types, looked at and changed.
guessed = Product.from_dataframe(voters)
for name, family, columns in guessed.blocks:
    print(f"guessed {name}: {type(family).__name__} of {columns}")

# %%
# Or each block is declared, as in a ColumnTransformer. Levels are given, for a part of the rows may lack some of them.
family = Product([
    ("person", Gaussian("diag"), ["age", "log_income"]),
    ("news", Poisson(), ["news"]),
    ("party", Categorical(categories=[PARTY, SCHOOL]), ["party", "school"]),
    ("dole", Bernoulli(), ["dole"]),
])  # fmt: skip

# %%
# A block's hyperparameters can be searched beside the number of components, rows left out being the judges. The prior
# keeps a level that a part of the rows lacks from being impossible.
family.set_params(party__concentration_prior=1.5)
mixture = MAPMixture(family=family, init="k-means", tol=1e-5, accelerate="anderson", random_state=0)
grid = {"n_components": [1, 2, 3, 4, 5, 6], "family__person__covariance_type": ["diag", "full"]}
search = GridSearchCV(mixture, grid, cv=5, error_score="raise").fit(voters)
table = search.cv_results_["mean_test_score"].reshape(2, -1)
print(" K      diag      full")
for n_components, (diag, full) in zip(grid["n_components"], table.T, strict=True):
    print(f"{n_components:2d}  {diag:8.4f}  {full:8.4f}")
best = search.best_estimator_
print(f"chosen: K = {best.n_components_}, {search.best_params_['family__person__covariance_type']}")

# %%
# What a fit publishes of a block is called after it.
person, dole = best.person__means_, best.dole__probabilities_[:, 0]
for k in np.argsort(dole):
    age, income = person[k, 0], 1000 * np.exp(person[k, 1])
    party = PARTY[np.argmax(best.party__probabilities_[k, : len(PARTY)])]
    print(
        f"{best.weights_[k]:4.0%} of voters: age {age:2.0f}, ${income:6,.0f}, "
        f"news on {best.news__rates_[k, 0]:.1f} days, {party}, {dole[k]:4.0%} for Dole"
    )

# %%
# The vote of somebody of whom three answers are known, all others summed out.
known = best.conditional(["age", "party", "news"], [30, "Ind.", 1]).marginal("dole")
dole = known.weights_ @ known.dole__probabilities_[:, 0]
print(f"an independent of 30 who sees the news once a week votes for Dole with probability {dole:.2f}")
