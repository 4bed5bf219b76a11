"""Products: blocks of mixed columns, how they are declared, read from frames, and what is refused."""

import pickle
import warnings

import numpy as np
import pytest
from mixed_frames import COLUMNS, KINDS, family, fit, mixed, to_polars
from sklearn.base import clone
from sklearn.compose import make_column_selector
from sklearn.metrics import adjusted_rand_score
from sklearn.model_selection import GridSearchCV

from skem import BayesianKMeans, EMMixture, GibbsMixture, ICMMixture, MAPMixture, MixtureSelection, VariationalMixture
from skem.families import Bernoulli, Categorical, Gaussian, Multinomial, Poisson, Product
from skem.families.merging import merge_groups
from skem.summary import summarize

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")

CELLS = [
    EMMixture(3),
    MAPMixture(3),
    VariationalMixture(3),
    VariationalMixture(3, weight_prior="dirichlet_process"),
    BayesianKMeans(3),
    BayesianKMeans(),
    ICMMixture(3),
    ICMMixture(3, update="mle"),
    GibbsMixture(3, n_chains=1, n_draws=30, n_burn_in=20),
]
cells = pytest.mark.parametrize("cell", CELLS, ids=lambda e: f"{type(e).__name__}-{e.n_components}")


# -- what it finds -----------------------------------------------------------------------------------


@cells
@pytest.mark.parametrize("structure", ["full", "tied"])
def test_planted_groups_are_found_in_every_cell(cell, structure):
    X, group = mixed()
    mixture = fit(cell, X, family=family(size=(Gaussian(structure), ["width", "height"])))
    assert mixture.n_components_ == 3
    assert adjusted_rand_score(group, mixture.predict(X)) > 0.95
    assert mixture.size__means_.shape == (3, 2)
    assert mixture.visits__rates_.shape == mixture.member__probabilities_.shape == (3, 1)
    rows, labels = mixture.sample(400, random_state=0)
    assert adjusted_rand_score(labels, mixture.predict(pd.DataFrame(rows, columns=COLUMNS))) > 0.9
    assert set(rows[:, 0]) == set(KINDS)
    assert mixture.feature_names_in_.tolist() == COLUMNS


ONE_BLOCK = {
    "full": Gaussian(), "tied": Gaussian("tied"), "spherical": Gaussian("spherical"), "VVE": Gaussian("VVE"),
    "poisson": Poisson(), "bernoulli": Bernoulli(), "categorical": Categorical(), "multinomial": Multinomial(),
}  # fmt: skip


@pytest.mark.parametrize("name", ONE_BLOCK)
@pytest.mark.parametrize("cell", [EMMixture(3, accelerate=None), ICMMixture(3)], ids=lambda cell: type(cell).__name__)
def test_one_block_is_its_family(cell, name):
    rng = np.random.default_rng(1)
    labels = np.arange(200) % 3
    X = rng.poisson(1.0 + 3.0 * np.eye(3)[labels]).astype(float)
    X = np.minimum(X, 1.0) if name == "bernoulli" else X + rng.normal(size=X.shape) if name in CODES else X
    one, other = (
        clone(cell).set_params(family=own, init=labels).fit(X)
        for own in (ONE_BLOCK[name], Product([("all", ONE_BLOCK[name], slice(None))]))
    )
    np.testing.assert_array_equal(one.lower_bounds_, other.lower_bounds_)
    np.testing.assert_array_equal(one.labels_, other.labels_)
    np.testing.assert_array_equal(one.score_samples(X), other.score_samples(X))
    assert one.bic(X) == other.bic(X)
    for attribute in ("means_", "covariances_", "rates_", "probabilities_"):
        if hasattr(one, attribute):
            np.testing.assert_array_equal(getattr(one, attribute), getattr(other, "all__" + attribute))


CODES = {"full", "tied", "spherical", "VVE"}


@pytest.mark.parametrize("cell", CELLS[:5] + CELLS[6:8], ids=lambda e: type(e).__name__)
def test_two_diagonal_blocks_are_one(cell):
    X, group = mixed()
    X = X[["width", "height"]].to_numpy()
    # the prior in numbers: by default each block would choose the scale of its own
    plain = Gaussian("diag", covariance_prior=[0.1, 1e7])
    blocks = [
        ("a", Gaussian("diag", covariance_prior=[1e7]), [1]),
        ("b", Gaussian("diag", covariance_prior=[0.1]), [0]),
    ]
    two = Product(blocks)
    how = {"init": group, "tol": 0.0, "max_iter": 30}
    how.update({name: False for name in cell.get_params() if name == "split_merge"})
    how.update({name: None for name in cell.get_params() if name == "accelerate"})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        one, other = (fit(cell, X, family=own, **how) for own in (plain, two))
    np.testing.assert_allclose(one.means_, np.hstack([other.b__means_, other.a__means_]), rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(one.covariances_, np.hstack([other.b__covariances_, other.a__covariances_]), rtol=1e-10)
    assert one.lower_bound_ == pytest.approx(other.lower_bound_, rel=1e-10)
    np.testing.assert_allclose(one.score_samples(X), other.score_samples(X), rtol=1e-10)
    np.testing.assert_allclose(one.predict_proba(X), other.predict_proba(X), atol=1e-10)


# -- how it is declared --------------------------------------------------------------------------------


def test_columns_may_be_named_in_many_ways():
    X, _ = mixed()
    expected = fit(EMMixture(3), X, family=family())
    for changes in (
        {"size": (Gaussian("diag"), [1, 3])},
        {"size": (Gaussian("diag"), slice(1, 4, 2)), "visits": (Poisson(), [-3])},
        {"size": (Gaussian("diag"), [False, True, False, True, False])},
        {"size": (Gaussian("diag"), make_column_selector(dtype_include=float)), "kind": (Categorical(), 0)},
    ):
        same = fit(EMMixture(3), X, family=family(**changes))
        np.testing.assert_array_equal(same.lower_bounds_, expected.lower_bounds_)
        assert [columns for _, _, columns in same.family_.blocks] == [[1, 3], [0], [2], [4]]


def test_frames_and_arrays_are_one_fit():
    X, _ = mixed()
    by_position = Product([
        ("size", Gaussian("diag"), [1, 3]), ("kind", Categorical(), [0]), ("visits", Poisson(), [2]),
        ("member", Bernoulli(), [4]),
    ])  # fmt: skip
    expected = fit(EMMixture(3), X, family=by_position)
    nullable = X.convert_dtypes()
    rows = X.to_numpy(dtype=object)
    for same in (to_polars(X), nullable, rows, rows.tolist(), X.astype({"kind": "category", "member": int})):
        mixture = fit(EMMixture(3), same, family=by_position)
        np.testing.assert_array_equal(mixture.lower_bounds_, expected.lower_bounds_)
        np.testing.assert_array_equal(mixture.predict_proba(same), expected.predict_proba(X))


def test_the_order_of_blocks_changes_nothing_for_the_columns():
    X, _ = mixed()
    mixture = fit(EMMixture(3), X, family=family())
    blocks = family().blocks
    turned = fit(EMMixture(3), X, family=Product(blocks[::-1]), init=mixture.labels_)
    np.testing.assert_allclose(turned.predict_proba(X), mixture.predict_proba(X), atol=1e-5)
    rows, _ = turned.sample(20, random_state=0)
    assert set(rows[:, 0]) <= set(KINDS)
    numeric = ["height", "visits", "width"]
    alone, same = (
        own.marginal(numeric).score_samples(X[numeric])
        for own in (
            fit(EMMixture(3), X[COLUMNS[1:]], init=mixture.labels_, family=Product(order))
            for order in ([*blocks[:1], ("visits", Poisson(), "visits"), ("member", Bernoulli(), "member")],
                          [("member", Bernoulli(), "member"), ("visits", Poisson(), "visits"), *blocks[:1]])
        )
    )  # fmt: skip
    np.testing.assert_allclose(alone, same, rtol=1e-9)


def test_some_of_the_columns():
    X, group = mixed()
    mixture = fit(EMMixture(3), X, family=family(size=(Gaussian(), ["width", "height"])))
    columns = ["height", "kind", "member"]
    alone, given = mixture.marginal(columns), mixture.conditional(columns, X[columns].head(6))
    assert [name for name, _, _ in alone.family_.blocks] == ["size", "kind", "member"]
    assert adjusted_rand_score(group, alone.predict(X[columns])) > 0.4
    others = [m.score_samples(X[["width", "visits"]].iloc[[i]])[0] for i, m in enumerate(given)]
    joint = alone.score_samples(X[columns].head(6)) + others
    np.testing.assert_allclose(joint, mixture.score_samples(X.head(6)), rtol=1e-10)
    counts = X[["visits", "member"]].astype(float) + 1.0
    mixture = fit(EMMixture(1), counts, family=Product([("counts", Multinomial(), slice(None))]))
    with pytest.raises(TypeError, match=r"offers no marginal: its rows are counts given their totals"):
        mixture.marginal([0])


def test_a_grid_search_over_blocks():
    X, _ = mixed()
    grid = {"n_components": [1, 3], "family__size__covariance_type": ["diag", "full"]}
    mixture = MAPMixture(family=family(), init="k-means", random_state=0)
    for frame in (X, to_polars(X)):
        search = GridSearchCV(mixture, grid, cv=2, error_score="raise").fit(frame)
        assert search.best_params_["n_components"] == 3
        assert len(search.cv_results_["params"]) == 4
    declared = family()
    other = clone(declared).set_params(size__covariance_type="full", visits=Poisson(shape_prior=2.0))
    assert declared.blocks[0][1].covariance_type == "diag"
    assert other.blocks[0][1].covariance_type == "full"
    assert other.get_params()["visits__shape_prior"] == 2.0
    assert "size__mean_prior" in MAPMixture(family=declared).get_params(deep=True)["family"].get_params()


def test_a_selection_reads_frames():
    X, _ = mixed()
    families = [family(), Product.from_dataframe(X)]
    for criterion in ("bic", "held_out"):
        selection = MixtureSelection(
            EMMixture(init="k-means"), families=families, n_components=[2, 3], criterion=criterion, cv=2, random_state=0
        ).fit(X)
        assert selection.best_params_["n_components"] == 3
        assert selection.predict(X).shape == (240,)


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ([("a", Gaussian(), ["depth"])], r"block 'a': there is no column 'depth' in X; it has \['kind', 'width'"),
        ([("a", Gaussian(), [7])], "block 'a': there is no column 7 in X; it has 5"),
        ([("a", Gaussian(), ["width"]), ("b", Poisson(), [1])], "column 'width' is in blocks 'a' and 'b'"),
        ([("a", Gaussian(), ["width", 1])], "block 'a'"),
        ([("a", Gaussian(), ["width", "width"])], "column 'width' is in block 'a' twice"),
        ([("a", Gaussian(), ["width"])], r"columns \['kind', 'visits', 'height', 'member'\] are in no block"),
        ([("a", Gaussian(), [])], "block 'a' has no column"),
        ([("a", Gaussian())], r"blocks holds \('a', Gaussian\(\)\), which is not \(name, family, columns\)"),
        ([("a", "gaussian", [0])], "block 'a' has the family 'gaussian'"),
        ([("a", Product(), [0])], "block 'a' has the family Product"),
        ([("a__b", Gaussian(), [0])], "must not contain __"),
        ([("a", Gaussian(), [0]), ("a", Gaussian(), [1])], "not unique"),
        ([], "blocks is empty"),
        (3, "'blocks' parameter of Product"),
        ([("a", Gaussian("round"), slice(None))], "'covariance_type' parameter of Gaussian"),
    ],
)
def test_bad_blocks_are_refused(blocks, message):
    with pytest.raises(ValueError, match=message):
        EMMixture(2, family=Product(blocks)).fit(mixed()[0])


def test_a_family_in_python_is_refused():
    from toy_family import Rayleigh

    with pytest.raises(ValueError, match=r"block 'a': Product\(\) needs families whose features are compiled"):
        EMMixture(2, family=Product([("a", Rayleigh(), slice(None))])).fit(np.ones((5, 2)))


# -- rows that do not fit ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("width", np.nan, "column 'width' of X holds NaN in row 7"),
        ("height", np.inf, "column 'height' of X holds infinity in row 7"),
        ("kind", None, "column 'kind' of X holds a missing value .* in row 7"),
        ("kind", "mead", "column 'kind' of X holds 'mead' in row 7"),
        ("visits", -1, r"X\[7, 'visits'\] = -1.0: .*Poisson\(\) takes counts"),
        ("member", 2, r"X\[7, 'member'\] = 2.0: Bernoulli\(\) takes zeros and ones"),
        ("width", "wide", "column 'width' of X holds text, where its family takes numbers"),
    ],
)
def test_an_entry_is_named_by_row_and_column(column, value, message):
    X, _ = mixed()
    mixture = fit(EMMixture(3), X, family=family())
    bad = X.astype(object)
    bad.loc[7, column] = value
    with pytest.raises(ValueError, match=message):
        mixture.predict(bad)
    if value != "mead":
        with pytest.raises(ValueError, match=message):
            EMMixture(3, family=family()).fit(bad)


def test_extreme_columns_are_named_by_position():
    X = np.column_stack([np.arange(20.0) % 2, np.arange(20.0), np.arange(20.0)])
    blocks = Product([("flags", Bernoulli(), [0]), ("last", Gaussian(), [2]), ("first", Gaussian(), [1])])
    X[3, 1] = 1e301
    with pytest.raises(ValueError, match="column 1 of X runs from"):
        EMMixture(2, family=blocks).fit(X)


def test_rows_far_out_keep_their_levels():
    X, _ = mixed()
    mixture = fit(EMMixture(3), X, family=family())
    far = X.head(4).copy()
    far["width"] = [1e200, -1e200, 1e250, 1.0]
    assert np.isfinite(mixture.score_samples(far)).all()
    np.testing.assert_allclose(mixture.predict_proba(far).sum(axis=1), 1.0)
    np.testing.assert_array_equal(mixture.predict_proba(far)[3:], mixture.predict_proba(far[3:]))


def test_what_a_product_cannot_do_is_told():
    X, _ = mixed()
    with pytest.raises(ValueError, match="n_active=2 needs a family that scores all columns in one"):
        EMMixture(3, family=family(), n_active=2).fit(X)
    with pytest.raises(TypeError, match="offers no expect"):
        VariationalMixture(3, family=family(size=(Gaussian("VVE"), ["width", "height"]))).fit(X)
    with pytest.raises(TypeError, match="offers no log_terms, which modes needs"):
        fit(EMMixture(3), X, family=family()).modes()
    mixture = fit(EMMixture(3), X, family=family())
    with pytest.raises(TypeError, match=r"has others beside them: take it of marginal\(columns\)"):
        mixture.response_probabilities()
    assert set(mixture.marginal(["kind", "member"]).response_probabilities()["item"]) == {"kind", "member"}
    with pytest.raises(ValueError, match="noise goes with Gaussian"):
        EMMixture(3, family=family(), noise=0.1).fit(X)


# -- around a fit --------------------------------------------------------------------------------------


def test_known_parameters():
    blocks = Product([("size", Gaussian("diag"), [2, 0]), ("kind", Categorical(categories=[KINDS]), [1])])
    parameters = {
        "size__means": [[0.0, 5.0], [1.0, -5.0]], "size__covariances": [[1.0, 4.0], [2.0, 1.0]],
        "kind__probabilities": [[0.8, 0.1, 0.1], [0.1, 0.1, 0.8]], "weights": [0.4, 0.6],
    }  # fmt: skip
    mixture = EMMixture.from_parameters(family=blocks, **parameters)
    one = EMMixture.from_parameters(
        family=Gaussian("diag"), means=parameters["size__means"], covariances=parameters["size__covariances"],
        weights=parameters["weights"],
    )  # fmt: skip
    X = np.array([[5.0, "ale", 0.1], [-4.0, "cider", 1.0]], dtype=object)
    labels = one.predict(X[:, [2, 0]].astype(float))
    assert mixture.predict(X).tolist() == labels.tolist() == [0, 1]
    joint = np.log(0.4 * np.exp(-0.5 * 0.01) / (2 * np.pi * 2.0) * 0.8)
    assert mixture.score_samples(X[:1])[0] == pytest.approx(joint, rel=1e-4)
    again = clone(mixture).set_params(init={**parameters}, max_iter=0)
    assert again.get_params()["init"].keys() == parameters.keys()
    for bad, message in (
        ({"size__means": [[0.0], [1.0]]}, "block 'size'"),
        ({"size_means": [[0.0]]}, "there is no parameter 'size_means'"),
        ({"kind__probabilities": [[0.8, 0.1, 0.1]]}, "block 'kind' describe 1 components"),
    ):
        with pytest.raises(ValueError, match=message):
            EMMixture.from_parameters(family=blocks, **{**parameters, **bad})
    with pytest.raises(ValueError, match=r"block 'kind': Categorical\(\) is built from probabilities"):
        EMMixture.from_parameters(family=blocks, **{k: v for k, v in parameters.items() if "kind" not in k})
    with pytest.raises(ValueError, match="by position where there are no data"):
        EMMixture.from_parameters(family=family(), **parameters)
    with pytest.raises(ValueError, match="needs its blocks where there are no data"):
        EMMixture.from_parameters(family=Product(), **parameters)


def test_pickles_warm_starts_and_batches():
    X, group = mixed()
    mixture = fit(MAPMixture(3), X, family=family(), warm_start=True)
    twin = pickle.loads(pickle.dumps(mixture))
    np.testing.assert_array_equal(twin.predict_proba(X), mixture.predict_proba(X))
    before = mixture.lower_bound_
    assert mixture.fit(X).n_iter_ <= 3
    assert mixture.lower_bound_ == pytest.approx(before, rel=1e-6)
    online = MAPMixture(3, family=Product.from_dataframe(X), random_state=0)
    for part in np.split(np.arange(240), 3):
        online.partial_fit(X.iloc[part])
    assert adjusted_rand_score(group, online.predict(X)) > 0.9


def test_all_discrete_blocks_are_latent_classes():
    X, _ = mixed()
    blocks = Product([("member", Bernoulli(), ["member"]), ("kind", Categorical(), ["kind"])])
    mixture = fit(EMMixture(2), X[["kind", "member"]], family=blocks)
    table = mixture.response_probabilities()
    assert table["item"].tolist() == ["kind"] * 6 + ["member"] * 4
    assert table["level"].tolist()[::2] == ["ale", "beer", "cider", 0, 1]
    assert mixture.goodness_of_fit(X[["kind", "member"]]).n_patterns == 6


def test_groups_are_merged_by_the_likelihood_of_all_blocks():
    """One block has two of the groups alike, the other two others: only both tell all three apart."""
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(3), 40)
    X = np.column_stack([8.0 * (group == 0), 8.0 * (group == 1)]) + rng.normal(size=(120, 2))
    codes = (4 * group + rng.integers(4, size=120)).astype(np.int32)
    for structure in ("full", "tied", "spherical", "EII", "VVE"):
        own = Product([("a", Gaussian(structure), [0]), ("b", Gaussian(structure), [1])])
        bound = own.bind(summarize(X, None, own.equivariance))
        from skem.engine import Source

        stats = Source(X, None, bound).assign_given(12, codes=codes).stats
        np.testing.assert_array_equal(bound.agglomerate(stats, 3), np.repeat(np.arange(3), 4))
        plain = Gaussian(structure).bind(summarize(X, None, Gaussian(structure).equivariance))
        stats = Source(X, None, plain).assign_given(12, codes=codes).stats
        np.testing.assert_array_equal(merge_groups(plain, stats, 3), plain.agglomerate(stats, 3))


def test_columns_of_a_block_are_drawn_where_they_belong():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 3)) + np.array([100.0, 0.0, -100.0])
    blocks = [("outer", Gaussian("diag"), [2, 0]), ("middle", Gaussian("diag"), [1])]
    drawn = EMMixture(1, family=Product(blocks)).fit(X).sample(400, random_state=0)[0]
    np.testing.assert_allclose(drawn.mean(axis=0), X.mean(axis=0), atol=0.3)
