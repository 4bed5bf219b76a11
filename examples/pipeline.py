"""
A mixture inside a pipeline
===========================

Does a description by components help a simple classifier?

Mixtures are transformers: ``transform`` gives the responsibilities, one feature a component. Here they
stand between a scaler and a logistic regression that tells cultivars of wine apart.
"""

# %%
# Thirteen chemical measurements of 178 wines of three cultivars, as a data frame.
from sklearn.datasets import load_wine
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skem import MAPMixture
from skem.families import Gaussian

X, cultivar = load_wine(return_X_y=True, as_frame=True)

# %%
# ``set_output`` makes every step hand on data frames, and the mixture names its columns.
mixture = MAPMixture(n_components=3, family=Gaussian("diag"), n_init=3, random_state=0)
steps = make_pipeline(StandardScaler(), mixture).set_output(transform="pandas")
resp = steps.fit_transform(X)
print(resp.head(3).round(3))

# %%
# Column by column, the components found without the labels against the cultivars.
print(resp.groupby(cultivar.rename("cultivar")).sum().round(1))

# %%
# One search goes over the mixture's size and the family's covariance type. Scaler and mixture see the
# training rows of each fold only.
pipeline = make_pipeline(StandardScaler(), mixture, LogisticRegression())
grid = {
    "mapmixture__n_components": [2, 3, 4],
    "mapmixture__family__covariance_type": ["tied", "diag"],
}
search = GridSearchCV(pipeline, grid, cv=5).fit(X, cultivar)
for name, value in search.best_params_.items():
    print(f"{name} = {value}")
print(f"accuracy from responsibilities alone: {search.best_score_:.3f}")

# %%
# Two principal components are as short a description as three responsibilities, which sum to one.
rival = make_pipeline(StandardScaler(), PCA(n_components=2), LogisticRegression())
print(f"accuracy from two principal components: {cross_val_score(rival, X, cultivar, cv=5).mean():.3f}")
