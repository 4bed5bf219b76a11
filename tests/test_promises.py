"""The table of docs/promises.md, skem's column: groups that rivals lose by units, offset or precision are found."""

import numpy as np
import pytest
from sklearn.datasets import make_blobs
from sklearn.metrics import adjusted_rand_score

from skem import EMMixture
from skem.families import Gaussian

X, GROUPS = make_blobs(600, n_features=3, centers=[[0, 0, 0], [6, 6, 0], [0, 6, 6]], random_state=0)

DATA = {
    "as they are": X,
    "x 1e-4": X * 1e-4,
    "x 1e-160": X * 1e-160,
    "x (1, 1e-6, 1e6)": X * [1.0, 1e-6, 1e6],
    "+ 1e8": X + 1e8,
    "float32, + 1e4": (X + 1e4).astype(np.float32),
}


@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
def test_groups_are_found(name, covariance_type):
    mixture = EMMixture(n_components=3, family=Gaussian(covariance_type), random_state=0)
    agreement = adjusted_rand_score(GROUPS, mixture.fit_predict(DATA[name]))
    if name == "x (1, 1e-6, 1e6)" and covariance_type == "spherical":
        # a sphere means one unit for all columns: the widest column decides, and that is no fault
        assert agreement == pytest.approx(0.507, abs=1e-3)
    else:
        assert agreement == 1.0
