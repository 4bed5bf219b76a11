"""Every family finds planted groups in every cell that takes it, and draws rows that look like them.

A new public family adds its parameters to `PLANTED`; where they are missing, the first test says so.
"""

import numpy as np
import pytest
from public_estimators import MIXTURES, make, public_families, takes
from sklearn.metrics import adjusted_rand_score

import skem
from skem import families

GROUPS = np.array([[0.9, 0.9, 0.1, 0.1], [0.1, 0.9, 0.9, 0.1], [0.1, 0.1, 0.9, 0.9]])
MEANS = np.array([[0.0, 0.0, 0.0], [10.0, 0.0, 5.0], [0.0, 10.0, -5.0]])
SHAPES = {
    "one": 1.5,
    "columns": np.array([0.5, 1.0, 2.0]),
    "components": np.array([0.5, 1.0, 2.0]),
    "both": np.outer([1.0, 0.5, 2.0], [0.5, 1.0, 2.0]),
    "matrix": np.array([[1.0, 0.5, 0.0], [0.5, 1.0, 0.3], [0.0, 0.3, 1.0]]),
}
SHAPES["matrices"] = np.stack([SHAPES["matrix"]] * 3)


def gaussian(covariance_type):
    """Parameters of three round or oval groups far apart, in the shape of the structure."""
    shape = {"tied": "matrix", "diag": "both", "spherical": "components", "EII": "one", "EEI": "columns"}
    named = shape.get(covariance_type, "both" if covariance_type in ("VEI", "EVI") else "matrices")
    if covariance_type == "EVI":
        return {"means": MEANS, "covariances": np.array([[0.5, 1.0, 2.0], [1.0, 1.0, 1.0], [2.0, 0.5, 1.0]])}
    return {"means": MEANS, "covariances": SHAPES[named]}


ONES = np.tile(GROUPS, 6)
#: by the family's name, from the family: one that draws such rows, and public parameters of three separated groups
PLANTED = {
    "Bernoulli": lambda family: (family, {"probabilities": ONES}),
    "Beta": lambda family: (family, {"alphas": 20.0 * GROUPS, "betas": 20.0 * (1.0 - GROUPS)}),
    "Categorical": lambda family: (
        families.Categorical(categories=2),
        {"probabilities": np.stack([1.0 - ONES, ONES], axis=2).reshape(3, -1)},
    ),
    "Exponential": lambda family: (family, {"rates": 10.0 ** np.tile(GROUPS, 5)}),
    "Gamma": lambda family: (family, {"shapes": 3.0 + 5.0 * np.tile(GROUPS, 2), "rates": 30.0 ** np.tile(GROUPS, 2)}),
    "Gaussian": lambda family: (family, gaussian(family.covariance_type)),
    "LogNormal": lambda family: (
        family,
        {name: value * (0.1 if name == "means" else 0.01) for name, value in gaussian(family.covariance_type).items()},
    ),
    "Multinomial": lambda family: (
        families.Multinomial(n_trials=40),
        {"probabilities": GROUPS / GROUPS.sum(axis=1, keepdims=True)},
    ),
    "NegativeBinomial": lambda family: (
        (families.NegativeBinomial(0.1), {"means": 40.0 * np.tile(GROUPS, 2)})
        if family.has("draw")
        else (family, {"means": 40.0 * np.tile(GROUPS, 2), "dispersions": np.full((3, 8), 0.1)})
    ),
    "Poisson": lambda family: (family, {"rates": 40.0 * GROUPS}),
    "Product": lambda family: (
        families.Product([("answers", families.Bernoulli(), list(range(1, 25))), ("visits", families.Poisson(), 0)]),
        {"answers__probabilities": ONES, "visits__rates": [[1.0], [5.0], [20.0]]},
    ),
    "StudentT": lambda family: (
        family,
        {
            "means": MEANS,
            "scale_matrices": gaussian(family.covariance_type)["covariances"],
            "degrees_of_freedom": [5.0, 10.0, np.inf],
        },
    ),
    "VonMisesFisher": lambda family: (family, {"means": np.eye(4)[:3], "concentrations": np.full(3, 30.0)}),
}
#: how far moments of so few rows may be off, in standard deviations, where tails are long
SLACK = {"Exponential": 0.35}
FAMILIES = dict(public_families())
#: ways of a family that are no structures of it
FAMILIES |= {
    **{f"NegativeBinomial-{name}": families.NegativeBinomial(name) for name in ("free", "columns", "common")},
    "StudentT-common": families.StudentT("full", "common"),
    "StudentT-given": families.StudentT("diag", 5.0),
    "VonMisesFisher-given": families.VonMisesFisher(30.0),
}
PAIRS = [(cls, name) for name, family in FAMILIES.items() for cls in MIXTURES if takes(make(cls), family)]


def test_every_public_family_has_planted_groups():
    assert {type(family).__name__ for family in FAMILIES.values()} == set(PLANTED)


@pytest.mark.filterwarnings("ignore:.*R-hat.*", "ignore:.*effective.*")
@pytest.mark.parametrize(("cls", "name"), PAIRS)
def test_planted_groups_are_found(cls, name):
    family, parameters = PLANTED[type(FAMILIES[name]).__name__](FAMILIES[name])
    truth = skem.EMMixture.from_parameters(family=family, weights=[0.3, 0.3, 0.4], **parameters)
    X, group = truth.sample(300, random_state=0)
    order = np.random.default_rng(0).permutation(len(X))
    X, group = X[order], group[order]
    mixture = make(cls, family=family, n_components=3, n_init=3, random_state=0, n_draws=40, n_burn_in=20).fit(X)
    assert mixture.n_components_ == 3
    assert adjusted_rand_score(group, mixture.predict(X)) > 0.95
    rows, labels = mixture.sample(1000, random_state=1)
    assert rows.shape == (1000, X.shape[1])
    assert adjusted_rand_score(labels, truth.predict(rows)) > 0.95
    # what the mixture draws has the moments of what it was fitted to
    spread = X.std(axis=0)
    slack = SLACK.get(type(family).__name__, 0.15) * spread
    assert (np.abs(rows.mean(axis=0) - X.mean(axis=0)) <= slack).all()
    assert (np.abs(rows.std(axis=0) - spread) <= slack).all()
