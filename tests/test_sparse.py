"""CSR rows: the same results as dense ones in every cell, whatever the format, and never a dense matrix."""

import tracemalloc

import numpy as np
import pytest
from public_estimators import takes
from scipy import sparse
from sklearn.base import clone
from sklearn.preprocessing import normalize

from skem import (
    BayesianKMeans,
    EMMixture,
    GibbsMixture,
    ICMMixture,
    MAPMixture,
    MixtureSelection,
    VariationalMixture,
)
from skem._kernels.csr import PreparedCSR
from skem._kernels.parts import Linear
from skem._kernels.passes import run_pass
from skem.canonical import SUBSAMPLE, canonical_rows, subsample
from skem.families import Bernoulli, Categorical, Gaussian, Multinomial, Poisson, Product, VonMisesFisher
from skem.rows import SKETCH_COLUMNS, row_hash, sketch
from skem.summary import summarize

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def documents(n=240, d=30, n_groups=3, length=20, seed=0):
    """Counts of rows that belong to groups with vocabularies of their own."""
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.full(d, 0.3), size=n_groups)
    return np.stack([rng.multinomial(rng.poisson(length), shares[i % n_groups]) for i in range(n)]).astype(float)


FAMILIES = {
    "multinomial": Multinomial(), "bernoulli": Bernoulli(), "poisson": Poisson(),
    "directions": VonMisesFisher(), "directions of one spread": VonMisesFisher("common"),
}  # fmt: skip
ESTIMATORS = {
    "em": EMMixture(3),
    "moves": EMMixture(3, split_merge=True),
    "map": MAPMixture(3),
    "variational": VariationalMixture(4),
    "auto": BayesianKMeans(),
    "bayesian": BayesianKMeans(4),
    "icm": ICMMixture(3),
    "gibbs": GibbsMixture(3, n_draws=10, n_burn_in=5),
    "random": EMMixture(3, init="random"),
}


def rows_of(name, d=30):
    if name.startswith("directions"):
        # as of TfidfVectorizer: shares of terms, the frequent ones weighing less
        X = documents(d=d)
        return normalize(X * np.log(1.0 + len(X) / (1.0 + np.count_nonzero(X, axis=0))))
    if name != "bernoulli":
        return documents(d=d)
    rng = np.random.default_rng(0)
    # no column is sure in any group: the logarithm of a probability next to zero would be rounding
    shares = rng.choice([0.15, 0.85], size=(3, d))[np.arange(240) % 3]
    return (rng.random((240, d)) < shares).astype(float)


def attributes(fitted):
    """Numbers that a fit has published."""
    public = {name: getattr(fitted, name) for name in vars(fitted) if name.endswith("_")}
    return {name: value for name, value in public.items() if isinstance(value, int | float | np.ndarray)}


def cells(estimators, d):
    """Estimators with each family that they take."""
    pairs = [(estimator, family) for estimator in estimators for family in FAMILIES]
    return [(estimator, family, d) for estimator, family in pairs if takes(ESTIMATORS[estimator], FAMILIES[family])]


CELLS = cells(ESTIMATORS, 30)
WIDE = cells(("em", "auto", "icm"), SKETCH_COLUMNS + 44)


@pytest.mark.parametrize(("estimator", "family", "d"), CELLS + WIDE)
def test_csr_equals_dense(estimator, family, d):
    X = rows_of(family, d)
    weight = np.random.default_rng(1).integers(0, 3, size=len(X)).astype(float)
    ours = clone(ESTIMATORS[estimator]).set_params(family=FAMILIES[family], random_state=0)
    dense = clone(ours).fit(X, sample_weight=weight)
    S = sparse.csr_array(X)
    fitted = ours.fit(S, sample_weight=weight)
    # a search may number the same clusters in another order, where rounding chooses which split comes first
    order, other = (np.argsort(mixture.weights_, kind="stable") for mixture in (fitted, dense))
    np.testing.assert_array_equal(np.argsort(order)[fitted.labels_], np.argsort(other)[dense.labels_])
    expected = attributes(dense)
    for name, value in attributes(fitted).items():
        if name == "labels_":
            continue
        if np.ndim(value) and len(value) == len(order) and name != "lower_bounds_":
            value, expected[name] = value[order], expected[name][other]
        np.testing.assert_allclose(value, expected[name], rtol=1e-10, atol=1e-10, err_msg=name)
    for method in ("predict_proba", "predict_log_proba", "score_samples", "transform"):
        of_csr, of_dense = getattr(fitted, method)(S), getattr(dense, method)(X)
        if of_csr.ndim == 2:
            of_csr, of_dense = of_csr[:, order], of_dense[:, other]
        np.testing.assert_allclose(of_csr, of_dense, rtol=1e-10, atol=1e-9, err_msg=method)
    assert fitted.icl(S) == pytest.approx(dense.icl(X), rel=1e-10)


@pytest.mark.parametrize("family", ["multinomial", "directions"])
def test_selection_takes_csr(family):
    X = rows_of(family)
    S = sparse.csr_array(X)
    estimator = EMMixture(family=FAMILIES[family], init="k-means")
    options = {"n_components": (2, 3) if family == "directions" else (1, 2, 3), "families": [FAMILIES[family]]}
    chosen = [MixtureSelection(estimator, random_state=0, **options).fit(rows) for rows in (X, S)]
    np.testing.assert_allclose(chosen[0].results_["score"], chosen[1].results_["score"], rtol=1e-10)
    left_out = [clone(chosen[0]).set_params(criterion="held_out", cv=3).fit(rows) for rows in (X, S)]
    np.testing.assert_allclose(left_out[0].results_["score"], left_out[1].results_["score"], rtol=1e-10)


def test_streams_take_csr():
    X = documents()
    S = sparse.csr_array(X)
    streams = [VariationalMixture(3, family=Multinomial(), random_state=0) for _ in range(2)]
    for mixture, rows in zip(streams, (X, S), strict=True):
        for batch in range(3):
            mixture.partial_fit(rows[80 * batch : 80 * batch + 80])
    np.testing.assert_allclose(streams[0].probabilities_, streams[1].probabilities_, rtol=1e-10)


@pytest.mark.parametrize("form", [np.float32, np.float64])
def test_directions_of_another_norm_are_named(form):
    X = rows_of("directions").astype(form)
    X[7] *= 1.01
    with pytest.raises(ValueError, match=r"row 7 of X has norm 1\.01"):
        EMMixture(2, family=VonMisesFisher()).fit(sparse.csr_array(X))
    X[7] = 0.0
    with pytest.raises(ValueError, match=r"row 7 of X has norm 0: .*rows of zeros"):
        EMMixture(2, family=VonMisesFisher()).fit(sparse.csr_array(X))


def test_given_starts():
    X = documents()
    S, labels = sparse.csr_array(X), np.arange(len(X)) % 3
    for init in (labels, np.eye(3)[labels] + 0.1, {"probabilities": X[:3] + 1.0 / 30}):
        if isinstance(init, dict):
            init["probabilities"] /= init["probabilities"].sum(axis=1, keepdims=True)
        fits = [EMMixture(3, family=Multinomial(), init=init).fit(rows) for rows in (X, S)]
        np.testing.assert_allclose(fits[0].probabilities_, fits[1].probabilities_, atol=1e-10)


def shuffled_entries(S):
    """The same rows with duplicates, explicit zeros and columns in disorder."""
    data, rows, columns = [], [], []
    for i in range(S.shape[0]):
        own = slice(S.indptr[i], S.indptr[i + 1])
        for value, column in reversed(list(zip(S.data[own], S.indices[own], strict=True))):
            data += [value - 1.0, 0.0, 1.0]
            rows += [i] * 3
            columns += [column, (column + 1) % S.shape[1], column]
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=S.shape[0]))])
    return sparse.csr_array((np.array(data), np.array(columns), indptr), shape=S.shape)


@pytest.mark.parametrize(
    "form",
    [
        sparse.csr_matrix, sparse.csc_array, sparse.coo_matrix, shuffled_entries,
        lambda S: sparse.csr_array((S.data, S.indices.astype(np.int64), S.indptr.astype(np.int64)), shape=S.shape),
        lambda S: S.astype(np.int64), lambda S: S.astype(np.float32),
    ],
    ids=["csr_matrix", "csc", "COO", "disorder", "int64", "integers", "float32"],
)  # fmt: skip
def test_formats_are_one(form):
    S = sparse.csr_array(documents())
    given = form(S)
    before = given.copy()
    mixture = EMMixture(3, family=Multinomial(), random_state=0)
    np.testing.assert_array_equal(clone(mixture).fit(given).probabilities_, mixture.fit(S).probabilities_)
    np.testing.assert_array_equal(before.data, given.data)


def test_what_is_refused():
    S = sparse.csr_array(documents())
    for estimator in (EMMixture(), MixtureSelection(), EMMixture(family=Gaussian("diag"))):
        with pytest.raises(TypeError, match=r"Gaussian\(\) takes dense rows, and X is sparse: pass X.toarray\(\)"):
            estimator.fit(S)
    with pytest.raises(ValueError, match="n_active=2 needs dense rows, and X is sparse"):
        EMMixture(3, family=Multinomial(), n_active=2).fit(S)
    bad = S.copy()
    bad.data[S.indptr[7]] = 0.5
    with pytest.raises(ValueError, match=rf"X\[7, {S.indices[S.indptr[7]]}\] = 0.5: Multinomial\(\) takes counts"):
        EMMixture(2, family=Multinomial()).fit(bad)
    bad.data[S.indptr[7]] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        EMMixture(2, family=Multinomial()).fit(bad)
    assert EMMixture(family=Multinomial()).__sklearn_tags__().input_tags.sparse
    assert not EMMixture().__sklearn_tags__().input_tags.sparse


def signed_rows(n, d, seed=0):
    rng = np.random.default_rng(seed)
    return np.round(rng.normal(size=(n, d)) * (rng.random((n, d)) < 0.3), 1) + 0.0


@pytest.mark.parametrize("rows", [documents(d=12, length=4), signed_rows(300, 4)], ids=["counts", "signed"])
def test_rows_are_known_as_dense_ones(rows):
    S = sparse.csr_array(rows)
    low, span = rows.min(axis=0), 1.0 / np.ptp(rows, axis=0)
    np.testing.assert_array_equal(row_hash(S), row_hash(rows))
    np.testing.assert_array_equal(row_hash(S, low, span), row_hash(rows, low, span))
    weight = np.random.default_rng(2).integers(0, 3, size=len(rows)).astype(float)
    for own, dense in zip(canonical_rows(S, weight), canonical_rows(rows, weight), strict=True):
        np.testing.assert_array_equal(own, dense)
    for own, dense in zip(summarize(S, weight, None), summarize(rows, weight, None), strict=True):
        if dense is not None:
            np.testing.assert_allclose(own, dense, rtol=1e-12)


def test_a_subsample_is_that_of_dense_rows():
    rows = signed_rows(SUBSAMPLE + 4000, 8, seed=3)
    S = sparse.csr_array(rows)
    np.testing.assert_array_equal(subsample(S).index, subsample(rows).index)
    np.testing.assert_array_equal(canonical_rows(S).index, canonical_rows(rows).index)


def test_a_sketch_keeps_distances():
    Z = sparse.csr_array(documents(60, 3000, length=200))
    narrow = sketch(Z)
    assert narrow.shape == (60, SKETCH_COLUMNS)
    np.testing.assert_allclose(narrow, sketch(Z.toarray()), rtol=1e-12, atol=1e-12)
    first, second = np.triu_indices(60, 1)
    whole = Z.toarray()
    ratio = ((narrow[first] - narrow[second]) ** 2).sum(axis=1) / ((whole[first] - whole[second]) ** 2).sum(axis=1)
    assert abs(ratio.mean() - 1.0) < 0.1
    assert ratio.min() > 0.4
    assert ratio.max() < 1.6


@pytest.mark.parametrize("assign", ["soft", "hard", "draw", "given"])
@pytest.mark.parametrize(("d", "K"), [(3, 1), (40, 5), (90, 37)])
def test_pass_equals_that_over_dense_rows(assign, d, K):
    rng = np.random.default_rng(K)
    n = 700
    X = rng.poisson(0.3, size=(n, d)).astype(float)
    index, codes = rng.integers(0, n, size=n).astype(np.intp), rng.integers(-1, K, size=n).astype(np.int32)
    named = {"sample_weight": rng.uniform(0.0, 2.0, size=n), "index": index, "log_prior": rng.normal(size=(n, K))}
    named["codes"] = np.maximum(codes, 0) if assign == "given" else codes
    if assign == "draw":
        named.update(uniforms=rng.random(n), uniform_start=np.arange(n + 1, dtype=np.intp))
    weights, log_weights = None if assign == "given" else rng.normal(size=(K, d)), rng.normal(size=K)

    def outputs():
        arrays = {"lse": np.zeros(n), "labels": np.zeros(n, dtype=np.int32)}
        return arrays | ({"resp": np.zeros((n, K))} if assign in ("soft", "draw") else {})

    expected, found = outputs(), outputs()
    scorers = [] if weights is None else [(Linear("x", weights, np.zeros(K)), 0, d)]
    score, moved, n_k, (sums,) = run_pass(
        X, np.zeros(d), np.ones(d), K, log_weights, scorers, [(Linear("x"), 0, d)], assign=assign, **named, **expected
    )
    S = sparse.csr_array(X)
    first = None
    for dtype in (np.float64, np.float32):
        for n_threads in (1, 2, 3):
            prepared = PreparedCSR(
                S.astype(dtype), K, log_weights, weights, True, assign=assign, n_threads=n_threads, **named, **found
            )
            own = prepared.once()
            assert own[0] == pytest.approx(score, rel=1e-12)
            assert own[1] == moved
            np.testing.assert_allclose(own[2], n_k, rtol=1e-11, atol=1e-12)
            np.testing.assert_allclose(own[3][0]["features"], sums["features"], rtol=1e-11, atol=1e-11)
            for name, value in expected.items():
                np.testing.assert_allclose(found[name], value, rtol=1e-10, atol=1e-10, err_msg=name)
            bits = own[0], own[2].tobytes(), own[3][0]["features"].tobytes()
            first = first or bits
            assert bits == first
            assert prepared.once()[0] == own[0]


@pytest.mark.parametrize(("family", "init"), [(Multinomial(), "portfolio"), (VonMisesFisher("common"), "k-means")])
def test_rows_are_never_made_dense(family, init):
    n, d, length = 2000, 40_000, 100
    rng = np.random.default_rng(0)
    # two vocabularies, their first words the most frequent
    words = [d // 2 * (rng.random(n // 2 * length) ** 3 + half) for half in (0, 1)]
    columns = np.concatenate(words).astype(np.int32)
    S = sparse.csr_array((np.ones(n * length), columns, np.arange(0, n * length + 1, length)), shape=(n, d))
    S.sum_duplicates()
    S = normalize(S) if isinstance(family, VonMisesFisher) else S
    mixture = EMMixture(2, family=family, init=init, random_state=0, max_iter=5)
    tracemalloc.start()
    try:
        mixture.fit(S)
        mixture.score_samples(S)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(np.unique(mixture.labels_[: n // 2])) == 1
    # dense rows would take 640 MB; the starts of a race hold some tables of (n_components, n_features) each
    assert peak < 200e6


def test_a_sketch_keeps_lengths():
    """Columns of counts, all of one sign, would add up without the sketch's own signs."""
    X = np.random.default_rng(0).poisson(0.3, size=(40, 8 * SKETCH_COLUMNS)).astype(float)
    ratio = (sketch(X) ** 2).sum(axis=1) / (X**2).sum(axis=1)
    # the standard deviation of a ratio is about sqrt(2 / SKETCH_COLUMNS) = 0.09
    assert (np.abs(ratio - 1.0) < 0.4).all()
    assert ratio.mean() == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("family", [Categorical(), Product()], ids=["categorical", "product"])
def test_columns_read_one_by_one_are_dense(family):
    with pytest.raises(TypeError, match=r"Sparse data.* Categorical\(\) and Product\(\) .* pass X.toarray\(\)"):
        EMMixture(2, family=family).fit(sparse.csr_array(np.eye(6)))
