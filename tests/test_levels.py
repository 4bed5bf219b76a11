"""Categorical columns: levels from codes, strings and data frames, and rows that the fit has no level for."""

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from skem import EMMixture, ICMMixture, MAPMixture
from skem.families import Bernoulli, Categorical
from skem.selection.neighbors import Neighbors

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")

NAMES = np.array(["ale", "beer", "cider"])
PROBABILITIES = np.array([[0.9, 0.05, 0.05], [0.05, 0.9, 0.05], [0.05, 0.05, 0.9]])


def planted(n=300, d=8, seed=0):
    """Codes of three groups, and the groups."""
    rng = np.random.default_rng(seed)
    group = np.arange(n) % 3
    codes = (PROBABILITIES.cumsum(axis=1)[group][:, None, :] < rng.random((n, d, 1))).sum(axis=2)
    return codes, group


def fit(X, **parameters):
    return EMMixture(3, family=Categorical(), n_init=3, random_state=0, **parameters).fit(X)


def frames(codes):
    columns = {f"q{j}": NAMES[codes[:, j]].tolist() for j in range(codes.shape[1])}
    return {
        "codes": codes,
        "codes from 1": codes + 1,
        "floats": 0.5 * codes.astype(np.float32),
        "strings": NAMES[codes],
        "objects": NAMES[codes].astype(object),
        "pandas strings": pd.DataFrame(columns),
        "pandas categoricals": pd.DataFrame(columns).astype(pd.CategoricalDtype(NAMES)),
        "polars strings": pl.DataFrame(columns),
        "polars enums": pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.Enum(NAMES.tolist()))),
    }


@pytest.mark.parametrize("kind", frames(planted()[0]))
def test_levels_of_any_kind_are_one_fit(kind):
    codes, group = planted()
    plain, X = fit(codes), frames(codes)[kind]
    mixture = fit(X)
    np.testing.assert_array_equal(mixture.probabilities_, plain.probabilities_)
    np.testing.assert_array_equal(mixture.predict(X), plain.labels_)
    assert adjusted_rand_score(group, mixture.labels_) > 0.95
    expected = {"codes": [0, 1, 2], "codes from 1": [1, 2, 3], "floats": [0.0, 0.5, 1.0]}.get(kind, NAMES.tolist())
    assert [levels.tolist() for levels in mixture.family_.categories] == [expected] * 8
    if hasattr(X, "columns"):
        assert mixture.feature_names_in_.tolist() == list(X.columns)
    rows, labels = mixture.sample(500, random_state=0)
    if not hasattr(X, "columns"):
        assert adjusted_rand_score(labels, mixture.predict(rows)) > 0.9
    assert mixture.family.categories == "auto"


def test_declared_levels_keep_their_order_and_those_not_seen():
    codes, _ = planted()
    levels = ["water", *NAMES[::-1]]
    X = pd.DataFrame(NAMES[codes]).astype(pd.CategoricalDtype(levels)).rename(columns=str)
    mixture = fit(X)
    assert mixture.family_.categories[0].tolist() == levels
    assert (mixture.probabilities_[:, ::4] == 0).all()
    same = EMMixture(3, family=Categorical(categories=[levels] * 8), n_init=3, random_state=0).fit(NAMES[codes])
    np.testing.assert_array_equal(same.probabilities_, mixture.probabilities_)


def test_columns_may_have_different_numbers_of_levels():
    codes, group = planted()
    codes[:, 0], codes[:, 1], codes[:, 2] = 7, np.minimum(codes[:, 1], 1), 10 * codes[:, 2]
    mixture = fit(codes)
    assert mixture.probabilities_.shape == (3, 1 + 2 + 6 * 3)
    np.testing.assert_array_equal(mixture.probabilities_[:, 0], 1.0)
    np.testing.assert_allclose(mixture.probabilities_[:, 1:3].sum(axis=1), 1.0)
    assert adjusted_rand_score(group, mixture.labels_) > 0.9
    assert mixture._n_parameters() == 2 + 3 * (0 + 1 + 6 * 2)


def test_two_levels_are_bernoullis():
    codes, _ = planted()
    X = np.minimum(codes, 1).astype(float)
    for cls in (EMMixture, MAPMixture, ICMMixture):
        one = cls(3, family=Categorical(), init=codes[:, 0]).fit(X)
        two = cls(3, family=Bernoulli(), init=codes[:, 0]).fit(X)
        assert one.lower_bound_ == pytest.approx(two.lower_bound_, rel=1e-9)
        np.testing.assert_allclose(one.probabilities_[:, 1::2], two.probabilities_, atol=1e-6)


def test_a_level_that_the_fit_has_not_seen_is_named():
    codes, _ = planted()
    mixture = fit(pd.DataFrame(NAMES[codes], columns=list("abcdefgh")))
    bad = pd.DataFrame(NAMES[codes[:5]], columns=list("abcdefgh"))
    bad.loc[3, "c"] = "mead"
    with pytest.raises(ValueError, match=r"column 'c' of X holds 'mead' in row 3, .* 'ale', 'beer', 'cider'; add it"):
        mixture.predict(bad)
    with pytest.raises(ValueError, match=r"column 2 of X holds 5.0 in row 1"):
        fit(codes).predict(np.where(np.arange(16).reshape(2, 8) == 10, 5.0, 0.0))
    with pytest.raises(ValueError, match="features"):
        fit(codes).predict(codes[:, :3])
    with pytest.raises(ValueError, match="names"):
        mixture.predict(bad.rename(columns={"a": "z"}))


@pytest.mark.parametrize("nothing", [None, float("nan"), pd.NA], ids=["None", "nan", "NA"])
def test_a_missing_value_is_named(nothing):
    X = NAMES[planted()[0]].astype(object)
    X[7, 2] = nothing
    with pytest.raises(ValueError, match=r"column 2 of X holds a missing value \(NaN or None\) in row 7"):
        fit(X)


def test_bad_levels_are_refused():
    codes, _ = planted()
    mixed = codes.astype(object)
    mixed[0, 1] = "ale"
    with pytest.raises(ValueError, match="column 1 of X mixes types"):
        fit(mixed)
    for categories, message in (
        ([[0, 1, 2]], "levels of 1 columns, X has 8"),
        ([[0, 1, 1]] * 8, "categories of column 0 must be distinct"),
        (2, "column 0 of X holds 2 in row"),
        (0, "'categories'"),
    ):
        with pytest.raises(ValueError, match=message):
            EMMixture(3, family=Categorical(categories=categories)).fit(codes)
    with pytest.raises(ValueError, match="2D array"):
        fit(codes[0])
    with pytest.raises(ValueError, match="minimum of 2"):
        fit(codes[:1])


def test_known_parameters_need_known_levels():
    p = np.hstack([PROBABILITIES] * 2)
    mixture = EMMixture.from_parameters(family=Categorical(categories=[NAMES, NAMES]), probabilities=p)
    assert mixture.predict([["ale", "ale"], ["cider", "cider"]]).tolist() == [0, 2]
    assert mixture.score([["ale", "beer"]]) == pytest.approx(np.log((0.9 * 0.05 * 2 + 0.05**2) / 3))
    assert set(mixture.sample(50, random_state=0)[0].ravel()) == set(NAMES)
    coded = EMMixture.from_parameters(family=Categorical(categories=3), probabilities=p)
    assert coded.predict([[0, 0], [2, 2]]).tolist() == [0, 2]
    with pytest.raises(ValueError, match="give categories"):
        EMMixture.from_parameters(family=Categorical(), probabilities=p)
    with pytest.raises(ValueError, match="levels of all columns are 3"):
        EMMixture.from_parameters(family=Categorical(categories=[NAMES]), probabilities=p)
    with pytest.raises(ValueError, match="must sum to one"):
        EMMixture.from_parameters(family=Categorical(categories=3), probabilities=2 * p)


def test_batches_and_weights():
    codes, group = planted()
    X = NAMES[codes]
    # under maximum likelihood a level that the first batch lacks would stay impossible
    mixture = MAPMixture(3, family=Categorical(concentration_prior=2.0), n_init=3, random_state=0)
    mixture.partial_fit(X[:150]).partial_fit(X[150:])
    assert adjusted_rand_score(group, mixture.predict(X)) > 0.95
    weight = np.arange(300) % 3
    weighted = mixture.set_params(n_init=1).fit(X, sample_weight=weight)
    again = type(mixture)(3, family=mixture.family, random_state=0).fit(np.repeat(X, weight, axis=0))
    assert weighted.lower_bound_ == pytest.approx(again.lower_bound_, rel=1e-9)


@pytest.mark.parametrize("called", [[0, 1, 2, 3], [0, 2, 1, 3]])
def test_cuts_do_not_depend_on_what_levels_are_called(called):
    # groups that use levels 0 and 2, and 1 and 3: no threshold on the codes tells them apart, as called first
    group = np.arange(300) % 2
    codes = 2 * np.random.default_rng(0).integers(2, size=(300, 6)) + group[:, None]
    X = np.array(called, dtype=float)[codes]
    fitted = EMMixture(1, family=Categorical()).fit(X)
    start = Neighbors(X, None, fitted.family_).splits(fitted.labels_, 2, 1)[0]
    np.testing.assert_array_equal(np.bincount(start.labels, start.source.weight), [150, 150])
