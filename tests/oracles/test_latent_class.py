"""Latent class models of published data: log-likelihoods of their best optima, and what is said of a fit."""

import csv
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from skem import EMMixture
from skem.families import Bernoulli, Categorical

pd = pytest.importorskip("pandas")
DATA = Path(__file__).parents[1] / "data"


def read(name):
    with (DATA / f"{name}.csv").open(newline="") as file:
        return np.array(list(csv.reader(file))[1:])


def fit(X, k, family=None, **parameters):
    given = {"n_init": 5, "tol": 1e-9, "max_iter": 20_000, "random_state": 0} | parameters
    return EMMixture(k, family=Categorical() if family is None else family, **given).fit(X)


@pytest.mark.parametrize(
    ("k", "expected"), [(1, -524.464817939), (2, -317.256837299), (3, -293.704978781), (4, -289.285848794)]
)
def test_carcinoma(k, expected):
    X = read("carcinoma")
    assert len(X) * fit(X, k).lower_bound_ == pytest.approx(expected, abs=1e-5)


def test_gss82():
    X = read("gss82")
    assert len(X) * fit(X, 3).lower_bound_ == pytest.approx(-2754.545405, abs=1e-5)


@pytest.fixture(scope="module")
def carcinoma():
    X = pd.read_csv(DATA / "carcinoma.csv")
    return X, fit(X, 3)


def test_goodness_of_fit_is_that_of_the_whole_table(carcinoma):
    X, mixture = carcinoma
    fitted = mixture.goodness_of_fit(X)
    cells = pd.DataFrame(list(product([1, 2], repeat=7)), columns=X.columns)
    expected = len(X) * np.exp(mixture.score_samples(cells))
    assert expected.sum() == pytest.approx(len(X), rel=1e-9)
    counts = X.value_counts()
    observed = np.array([counts.get(tuple(cell), 0) for cell in cells.to_numpy()])
    seen = observed > 0
    assert pytest.approx(2 * (observed[seen] * np.log(observed[seen] / expected[seen])).sum(), rel=1e-9) == fitted.G2
    assert pytest.approx(((observed - expected) ** 2 / expected).sum(), rel=1e-6) == fitted.X2
    assert fitted.degrees_of_freedom == 127 - (3 * 7 + 2)
    assert fitted.n_patterns == seen.sum() == 20
    assert 0 < fitted.G2_pvalue <= 1
    distinct = X.drop_duplicates()
    weight = [counts[tuple(row)] for row in distinct.to_numpy()]
    assert mixture.goodness_of_fit(distinct, sample_weight=weight) == pytest.approx(fitted, rel=1e-9)
    assert np.isnan(fit(X.iloc[:, :2], 3, n_init=1).goodness_of_fit(X.iloc[:, :2]).X2_pvalue)


def test_response_probabilities_are_a_tidy_table(carcinoma):
    X, mixture = carcinoma
    table = pd.DataFrame(mixture.response_probabilities())
    assert table.shape == (7 * 2 * 3, 4)
    assert set(table["item"]) == set(X.columns)
    assert set(table["level"]) == {1, 2}
    np.testing.assert_allclose(table.groupby(["item", "component"])["probability"].sum(), 1.0)
    wide = table.pivot(index="component", columns=["item", "level"], values="probability")
    np.testing.assert_array_equal(wide.to_numpy(), mixture.probabilities_)
    binary = fit((X == 2).astype(float), 3, Bernoulli(), init=mixture.labels_)
    same = fit((X == 2).astype(int), 3, init=mixture.labels_)
    one, two = (pd.DataFrame(m.response_probabilities()) for m in (binary, same))
    assert one["item"].tolist() == two["item"].tolist()
    assert one["level"].tolist() == two["level"].tolist()
    np.testing.assert_allclose(one["probability"], two["probability"], atol=1e-6)


def test_how_sure_the_classes_are(carcinoma):
    X, mixture = carcinoma
    resp, labels = mixture.predict_proba(X), mixture.predict(X)
    weight = np.arange(len(X)) % 3
    table = mixture.classification_table(X, sample_weight=weight)
    for k in range(3):
        np.testing.assert_allclose(table[k], weight[labels == k] @ resp[labels == k], rtol=1e-12)
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = -np.nansum(resp * np.log(resp), axis=1)
    expected = 1 - weight @ entropy / (weight.sum() * np.log(3))
    assert mixture.entropy_r2(X, sample_weight=weight) == pytest.approx(expected, rel=1e-12)
    assert fit(X, 1, n_init=1).entropy_r2(X) == 1.0
    log_likelihood = len(X) * mixture.score(X)
    assert mixture.sabic(X) == pytest.approx(-2 * log_likelihood + 23 * np.log(120 / 24), rel=1e-12)


def test_columns_of_measurements_have_no_patterns():
    mixture = EMMixture(1).fit(np.random.default_rng(0).normal(size=(20, 2)))
    for method in (mixture.goodness_of_fit, lambda _: mixture.response_probabilities()):
        with pytest.raises(TypeError, match=r"Gaussian\(\) has none: fit Categorical\(\) or Bernoulli\(\)"):
            method(np.zeros((3, 2)))
    assert mixture.classification_table(np.zeros((3, 2))) == [[3.0]]
