"""Guesses: which blocks `Product.from_dataframe` makes of columns."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from mixed_frames import KINDS, fit, mixed, to_polars
from sklearn.metrics import adjusted_rand_score

from skem import EMMixture
from skem.families import Product

pd = pytest.importorskip("pandas")


def test_the_rule_of_guesses():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({
        "share": rng.random(40), "count": np.arange(40) % 7, "flag": np.arange(40) % 2 == 0, "bit": np.arange(40) % 2,
        "rating": 1 + np.arange(40) % 5, "age": 20 + np.arange(40), "balance": np.arange(40) - 20,
        "days": 70 * np.arange(40),
        "word": KINDS[np.arange(40) % 3], "tier": pd.Categorical(KINDS[np.arange(40) % 3], categories=["mead", *KINDS]),
    })  # fmt: skip
    guessed = Product.from_dataframe(X)
    assert {name: columns for name, _, columns in guessed.blocks} == {
        "measurements": ["share", "age", "balance", "days"],
        "counts": ["count"],
        "flags": ["flag", "bit"],
        "levels": ["rating", "word", "tier"],
    }
    assert guessed.blocks[3][1].categories == [[1, 2, 3, 4, 5], KINDS.tolist(), ["mead", *KINDS]]
    as_polars = to_polars(X)
    other = Product.from_dataframe(as_polars)
    assert [(name, columns) for name, _, columns in other.blocks] == [
        (name, columns) for name, _, columns in guessed.blocks
    ]
    nullable = Product.from_dataframe(X.convert_dtypes())
    assert [(name, columns) for name, _, columns in nullable.blocks] == [
        (name, columns) for name, _, columns in guessed.blocks
    ]
    floats = X.astype(dict.fromkeys(("count", "bit", "rating", "age", "balance", "days"), "float64"))
    assert [(name, columns) for name, _, columns in Product.from_dataframe(floats).blocks] == [
        (name, columns) for name, _, columns in guessed.blocks
    ]
    for endless in (np.inf, -np.inf):
        assert Product.from_dataframe(floats[["rating"]].replace(1.0, endless)).blocks[0][0] == "measurements"
    with pytest.raises(ValueError, match="column 'when' has values of dtype datetime64"):
        Product.from_dataframe(pd.DataFrame({"when": pd.to_datetime(["2020-01-01", "2021-01-01"])}))


def test_names_of_rows_are_warned_of():
    X, _ = mixed()
    named = X.assign(person=[f"person {i}" for i in range(len(X))])
    with pytest.warns(UserWarning, match="a value of their own in 'person': "):
        guessed = Product.from_dataframe(named)
    assert "person" in guessed.blocks[-1][2]
    Product.from_dataframe(named.astype({"person": "category"}))  # as declared


@pytest.mark.parametrize("number", [Decimal, Fraction])
def test_exact_numbers_are_measurements(number):
    X, _ = mixed()
    exact = X.assign(width=[number(value) for value in X["width"]])
    assert Product.from_dataframe(exact).blocks[0][2] == Product.from_dataframe(X).blocks[0][2]
    np.testing.assert_array_equal(
        fit(EMMixture(3), exact, family=Product()).labels_, fit(EMMixture(3), X, family=Product()).labels_
    )


def test_columns_called_by_numbers_are_guessed_by_position():
    """A number means a position, whatever the frame calls the column."""
    X, _ = mixed()
    expected = fit(EMMixture(3), X, family=Product()).labels_
    for called in (range(5, 5 + X.shape[1]), range(X.shape[1])[::-1]):
        numbered = X.set_axis(list(called), axis=1)
        mixture = fit(EMMixture(3), numbered, family=Product())
        np.testing.assert_array_equal(mixture.labels_, expected)
        np.testing.assert_array_equal(mixture.predict(numbered), expected)


def test_a_guess_can_be_looked_at_and_changed():
    X, group = mixed()
    guessed = Product.from_dataframe(X)
    assert repr(guessed).replace("\n", "").startswith("Product(blocks=[('measurements',")
    guessed.set_params(measurements__covariance_type="tied")
    assert fit(EMMixture(3), X, family=guessed).measurements__covariances_.shape == (2, 2)
    mixture = fit(EMMixture(3), X, family=Product())
    assert adjusted_rand_score(group, mixture.labels_) > 0.95
    np.testing.assert_array_equal(fit(EMMixture(3), X, family=Product.from_dataframe(X)).labels_, mixture.labels_)
