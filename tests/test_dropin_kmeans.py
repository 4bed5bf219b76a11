"""KMeans against scikit-learn's, dense and CSR, and what skem promises beyond it."""

import pickle
import warnings

import numpy as np
import pytest
import sklearn.cluster
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import adjusted_rand_score
from sklearn.utils.estimator_checks import check_estimator
from threadpoolctl import threadpool_limits

from skem import KMeans
from skem._kernels.nearest import assign_nearest
from skem._kernels.sparse import row_hash, run_csr_pass, squared_distances


@pytest.fixture(autouse=True)
def one_thread():
    """On a busy machine the threads of so small fits would wait for each other, scikit-learn's above all."""
    with threadpool_limits(1, "openmp"):
        yield


def clouds(seed=0, n=100, d=4, K=5, spread=3.0):
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(K), n)
    return spread * rng.normal(size=(K, d))[y] + rng.normal(size=(K * n, d)), y


def counts(seed=0, n=600, d=80, density=0.08, dtype=np.float64, index=np.int32):
    X = sparse.random(n, d, density=density, format="csr", rng=np.random.default_rng(seed)).astype(dtype)
    return sparse.csr_array((X.data, X.indices.astype(index), X.indptr.astype(index)), shape=X.shape)


def near(a, b, tol=1e-6):
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=tol, atol=tol)


def agree(own, theirs, X, tol=1e-9):
    assert own.n_iter_ == theirs.n_iter_
    np.testing.assert_array_equal(own.labels_, theirs.labels_)
    near(own.inertia_, theirs.inertia_, tol)
    near(own.cluster_centers_, theirs.cluster_centers_, tol)
    np.testing.assert_array_equal(own.predict(X), theirs.predict(X))
    near(own.transform(X), theirs.transform(X), max(tol, 1e-7))
    near(own.score(X), theirs.score(X), tol)


# -- agreement ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["lloyd", "elkan"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_agrees_with_scikit_learn(seed, weighted, algorithm):
    X, _ = clouds(seed, spread=1.5)
    rng = np.random.default_rng(seed)
    weight = rng.random(len(X)) if weighted else None
    settings = {"n_clusters": 5, "init": X[rng.permutation(len(X))[:5]], "algorithm": algorithm}
    own, theirs = (cls(**settings).fit(X, sample_weight=weight) for cls in (KMeans, sklearn.cluster.KMeans))
    agree(own, theirs, X)
    assert own.n_iter_ > 3


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("index", [np.int32, np.int64])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_agrees_on_csr(dtype, index, weighted):
    X = counts(dtype=dtype, index=index)
    theirs_X = counts(dtype=np.float64)
    theirs_X.data = X.data.astype(np.float64)
    weight = np.random.default_rng(1).random(X.shape[0]) if weighted else None
    theirs_X.indices, theirs_X.indptr = X.indices.astype(np.int32), X.indptr.astype(np.int32)
    init = theirs_X[[3, 77, 200, 310, 444, 590]].toarray()
    own = KMeans(6, init=init).fit(X, sample_weight=weight)
    theirs = sklearn.cluster.KMeans(6, init=init).fit(theirs_X, sample_weight=weight)
    assert own.cluster_centers_.dtype == dtype
    agree(own, theirs, theirs_X, 1e-9 if dtype == np.float64 else 1e-6)
    dense = KMeans(6, init=init).fit(theirs_X.toarray(), sample_weight=weight)
    np.testing.assert_array_equal(own.labels_, dense.labels_)
    near(own.inertia_, dense.inertia_, 1e-9)


@pytest.mark.parametrize("max_iter", [1, 300])
@pytest.mark.parametrize("as_sparse", [False, True])
def test_empty_clusters_move_to_the_farthest_rows(as_sparse, max_iter):
    X, _ = clouds(1)
    init = np.vstack([X[:3], np.full((2, 4), 1e3), np.full((1, 4), -1e3)])
    X = sparse.csr_array(X) if as_sparse else X
    own, theirs = (cls(6, init=init, max_iter=max_iter).fit(X) for cls in (KMeans, sklearn.cluster.KMeans))
    agree(own, theirs, X)
    assert len(set(own.labels_)) == 6


@pytest.mark.parametrize("max_iter", [1, 2, 5])
@pytest.mark.parametrize("tol", [0.0, 1e-2])
def test_stops_where_scikit_learn_stops(max_iter, tol):
    X, _ = clouds(2, spread=1.0)
    settings = {"n_clusters": 5, "init": X[:5], "max_iter": max_iter, "tol": tol}
    agree(KMeans(**settings).fit(X), sklearn.cluster.KMeans(**settings).fit(X), X)


def test_signature_and_attributes_are_scikit_learns():
    theirs = sklearn.cluster.KMeans
    assert KMeans().get_params() == theirs().get_params()
    public = {name for name in dir(theirs) if name[0] != "_"} - {"set_inverse_transform_request"}
    assert public <= set(dir(KMeans))
    X, _ = clouds()
    names = [{name for name in vars(cls(3).fit(X)) if name[0] != "_"} for cls in (KMeans, theirs)]
    assert names[0] == names[1]


# -- parameters --------------------------------------------------------------------------------------


@pytest.mark.parametrize("as_sparse", [False, True])
@pytest.mark.parametrize("init", ["k-means++", "random", "callable"])
def test_finds_clear_clusters(init, as_sparse):
    X, y = clouds(3, spread=20.0)

    def some_rows(X, n_clusters, random_state):
        return X[random_state.permutation(X.shape[0])[:n_clusters]]

    given = some_rows if init == "callable" else init
    X = sparse.csr_array(X) if as_sparse else X
    own = KMeans(5, init=given, n_init=20, random_state=0).fit(X)
    assert adjusted_rand_score(y, own.labels_) == 1.0
    assert own.labels_.dtype == np.int32


@pytest.mark.parametrize("as_sparse", [False, True])
def test_seeds_are_as_good_as_scikit_learns(as_sparse):
    X, _ = clouds(4, K=12, spread=2.0)
    X = sparse.csr_array(X) if as_sparse else X
    inertia = [
        np.mean([cls(12, random_state=seed).fit(X).inertia_ for seed in range(15)])
        for cls in (KMeans, sklearn.cluster.KMeans)
    ]
    assert inertia[0] <= 1.03 * inertia[1]


@pytest.mark.parametrize("as_sparse", [False, True])
def test_seeds_spread_over_clear_clusters(as_sparse):
    X, y = clouds(4, n=25, K=12, spread=50.0)
    X = sparse.csr_array(X) if as_sparse else X
    found = [adjusted_rand_score(y, KMeans(12, random_state=seed).fit(X).labels_) == 1.0 for seed in range(20)]
    # rows drawn at random, in place of k-means++, find them in fewer than 1 of 20
    assert np.mean(found) >= 0.8


def test_more_starts_are_never_worse():
    X, _ = clouds(5, spread=1.0)
    inertia = [KMeans(5, init="random", n_init=n, random_state=0).fit(X).inertia_ for n in (1, 3, 10, "auto")]
    assert inertia[0] >= inertia[1] >= inertia[2] == inertia[3]


def test_explicit_centres_with_many_starts_warn():
    X, _ = clouds()
    with pytest.warns(RuntimeWarning, match="only one init"):
        KMeans(2, init=X[:2], n_init=5).fit(X)


def test_too_few_distinct_rows_warn():
    X = np.repeat([[0.0, 0.0], [1.0, 1.0]], 10, axis=0)
    for rows in (X, sparse.csr_array(X)):
        with pytest.warns(ConvergenceWarning, match=r"distinct clusters \(2\)"):
            own = KMeans(3, random_state=0).fit(rows)
        assert own.inertia_ == 0.0
        assert np.isfinite(own.cluster_centers_).all()


@pytest.mark.parametrize(
    ("params", "match"),
    [
        ({"n_clusters": 1000}, "should be >= n_clusters"),
        ({"init": np.zeros((3, 4))}, "number of clusters"),
        ({"init": np.zeros((2, 3))}, "number of features"),
        ({"init": "bad"}, "init"),
        ({"tol": -1.0}, "tol"),
        ({"algorithm": "full"}, "algorithm"),
        ({"max_iter": 0}, "max_iter"),
        ({"n_init": 0}, "n_init"),
    ],
)
def test_bad_parameters_leave_the_object_alone(params, match):
    X, _ = clouds()
    own = KMeans(2, random_state=0).fit(X)
    before = {name: value for name, value in vars(own).items() if name not in params}
    with pytest.raises(ValueError, match=match):
        own.set_params(**params).fit(X)
    assert all(vars(own)[name] is value for name, value in before.items())


def test_verbose_tells(capsys):
    KMeans(3, verbose=1, random_state=0).fit(clouds()[0])
    assert "Iteration 1, inertia" in capsys.readouterr().out


# -- public centres ----------------------------------------------------------------------------------


def test_centres_set_by_hand_are_used():
    X, _ = clouds()
    theirs = sklearn.cluster.KMeans(5, random_state=0).fit(X)
    own = KMeans(5)
    with pytest.raises(NotFittedError):
        own.predict(X)
    own.cluster_centers_ = theirs.cluster_centers_
    near(own.transform(X), theirs.transform(X), 1e-9)
    np.testing.assert_array_equal(own.predict(sparse.csr_array(X)), theirs.labels_)
    fitted = KMeans(5, random_state=0).fit(X)
    fitted.cluster_centers_[:] = theirs.cluster_centers_
    np.testing.assert_array_equal(fitted.predict(X), theirs.labels_)
    with pytest.raises(ValueError, match="features"):
        own.predict(X[:, :2])


@pytest.mark.parametrize("first", ["dense", "sparse"])
def test_dense_and_csr_queries_agree(first):
    X = counts()
    own = KMeans(4, random_state=0).fit(X if first == "sparse" else X.toarray())
    np.testing.assert_array_equal(own.predict(X), own.predict(X.toarray()))
    near(own.transform(X), own.transform(X.toarray()), 1e-7)
    near(own.score(X), own.score(X.toarray()), 1e-9)
    np.testing.assert_array_equal(own.labels_, own.predict(X))


def test_pickle_and_output_names():
    X, _ = clouds()
    own = KMeans(3, random_state=0).fit(X)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(own)).transform(X), own.transform(X))
    assert list(own.get_feature_names_out()) == ["kmeans0", "kmeans1", "kmeans2"]
    np.testing.assert_array_equal(KMeans(3, random_state=0).fit_transform(X), own.transform(X))


# -- beyond scikit-learn -----------------------------------------------------------------------------


@pytest.mark.parametrize("as_sparse", [False, True])
@pytest.mark.parametrize("init", ["k-means++", "random"])
@pytest.mark.parametrize("seed", range(5))
def test_weights_are_repetition_in_any_order(seed, init, as_sparse):
    X, _ = clouds(seed, n=30, spread=1.0)
    rng = np.random.default_rng(seed)
    weight = rng.integers(0, 3, size=len(X))
    rows = rng.permutation(np.repeat(np.arange(len(X)), weight))
    X = sparse.csr_array(X) if as_sparse else X
    settings = {"n_clusters": 6, "init": init, "random_state": seed}
    own, repeated = KMeans(**settings).fit(X, sample_weight=weight), KMeans(**settings).fit(X[rows])
    near(own.cluster_centers_, repeated.cluster_centers_, 1e-9)
    near(own.inertia_, repeated.inertia_, 1e-9)
    near(own.score(X, sample_weight=weight), repeated.score(X[rows]), 1e-9)


@pytest.mark.parametrize("offset", [0.0, 2.0**20, 2.0**40])
@pytest.mark.parametrize("factor", [2.0**-400, 1.0, 2.0**400])
def test_offset_and_unit_change_nothing(offset, factor):
    X, _ = clouds(6)
    X = np.ldexp(np.round(np.ldexp(X, 8)), -8)
    plain = KMeans(5, random_state=0).fit(X)
    moved = KMeans(5, random_state=0).fit((X + offset) * factor)
    np.testing.assert_array_equal(plain.labels_, moved.labels_)
    near(moved.inertia_ / factor / factor, plain.inertia_, 1e-12)
    near(moved.transform((X + offset) * factor) / factor, plain.transform(X), 1e-12)


def test_float32_rows_far_from_zero():
    X, _ = clouds(7)
    X = (X + 1e4).astype(np.float32)
    single, double = KMeans(5, random_state=0).fit(X), KMeans(5, random_state=0).fit(X.astype(np.float64))
    np.testing.assert_array_equal(single.labels_, double.labels_)
    np.testing.assert_array_equal(single.predict(X), single.labels_)
    assert single.cluster_centers_.dtype == single.transform(X).dtype == np.float32


def test_clusters_much_nearer_than_the_data_are_wide():
    """Centres 1e-9 apart in data of width 1: the shortcut by inner products would lose them."""
    rng = np.random.default_rng(8)
    near_rows = np.repeat([5.0, 5.0 + 1e-9], 40) + 1e-11 * rng.normal(size=80)
    X = np.concatenate([rng.normal(size=200), near_rows])
    own = KMeans(3, init=[[0.0], [5.0], [5.0 + 1e-9]], tol=0.0).fit(X[:, None])
    np.testing.assert_array_equal(own.labels_, np.repeat([0, 1, 2], [200, 40, 40]))


def test_far_queries_have_finite_answers():
    own = KMeans(3, random_state=0).fit(clouds()[0])
    far = np.array([[1e200, 0, 0, 0], [-1e300, 1e300, 0, 0]])
    assert np.isfinite(own.transform(far)).all()
    assert np.isfinite(own.score(far))
    np.testing.assert_array_equal(own.predict(far), own.predict(far * 1e-150))


def test_csr_entries_beyond_the_range_are_refused():
    X = counts()
    X.data[3] = 1e200
    with pytest.raises(ValueError, match="overflow"):
        KMeans(3).fit(X)


@pytest.mark.parametrize("kind", ["dense", "F", "csr", "unsorted"])
def test_rows_are_never_written_to(kind):
    X = counts()
    X = {"dense": X.toarray(), "F": np.asfortranarray(X.toarray()), "csr": X, "unsorted": X}[kind]
    if kind == "unsorted":
        X.indices[X.indptr[0] : X.indptr[1]] = X.indices[X.indptr[0] : X.indptr[1]][::-1].copy()
        X.has_sorted_indices = False
        X.has_canonical_format = False
    values = X.data if sparse.issparse(X) else X
    before = values.copy()
    values.flags.writeable = False
    own = KMeans(3, random_state=0, copy_x=False).fit(X)
    np.testing.assert_array_equal(values, before)
    dense = X.toarray() if sparse.issparse(X) else X
    near(own.transform(X), np.sqrt(((dense[:, None] - own.cluster_centers_) ** 2).sum(axis=2)), 1e-6)


def test_scikit_learns_checks():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(KMeans(3), on_fail=None)
    assert not [r["check_name"] for r in results if r["status"] not in ("passed", "skipped")]
    assert [r["check_name"] for r in results if r["status"] == "skipped"] in ([], ["check_array_api_input"])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bounds_change_no_bit(dtype, monkeypatch):
    X, _ = clouds(9, n=300, d=3, K=60, spread=1.0)
    X = np.asarray(X, dtype=dtype)
    drifts = []

    def spy(*arguments, drift, **keywords):
        drifts.append(drift)
        return assign_nearest(*arguments, drift=drift, **keywords)

    monkeypatch.setattr("skem.estimators.kmeans_rows.assign_nearest", spy)
    fits = [KMeans(60, init=X[::300], tol=0.0).fit(X)]
    assert any(drift is not None for drift in drifts)
    monkeypatch.setattr("skem.estimators.lloyd.BOUNDED_CLUSTERS", 61)
    drifts.clear()
    fits.append(KMeans(60, init=X[::300], tol=0.0).fit(X))
    assert all(drift is None for drift in drifts)
    assert fits[0].n_iter_ == fits[1].n_iter_ > 20
    np.testing.assert_array_equal(fits[0].labels_, fits[1].labels_)
    np.testing.assert_array_equal(fits[0].cluster_centers_, fits[1].cluster_centers_)


# -- the CSR kernels ---------------------------------------------------------------------------------


@pytest.mark.parametrize("index", [np.int32, np.int64])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_csr_pass_is_its_numpy_twin(dtype, index):
    X = counts(n=700, dtype=dtype, index=index)
    rng = np.random.default_rng(0)
    centers_t, offset, weight = rng.normal(size=(80, 7)), rng.normal(size=7), rng.random(700)
    scores = np.empty((700, 7))
    labels, mass, sums = run_csr_pass(
        X.data, X.indices, X.indptr, centers_t, offset, sample_weight=weight, scores=scores
    )
    dense = X.toarray().astype(np.float64)
    near(scores, dense @ centers_t + offset, 1e-13)
    np.testing.assert_array_equal(labels, scores.argmax(axis=1))
    one_hot = np.eye(7)[labels] * weight[:, None]
    near(mass, one_hot.sum(axis=0), 1e-13)
    near(sums, one_hot.T @ dense, 1e-13)
    squared = squared_distances(X.data, X.indices, X.indptr, centers_t.T.copy(), labels)
    near(squared, ((dense - centers_t.T[labels]) ** 2).sum(axis=1), 1e-12)


def test_csr_pass_has_the_same_bits_for_any_number_of_threads():
    X = counts(n=5000)
    rng = np.random.default_rng(0)
    arguments = (X.data, X.indices, X.indptr, rng.normal(size=(80, 7)), np.zeros(7))
    results = [run_csr_pass(*arguments, sample_weight=rng.random(5000) * 0 + 0.1, n_threads=n) for n in (1, 2, 3, 8)]
    for result in results[1:]:
        for mine, first in zip(result, results[0], strict=True):
            np.testing.assert_array_equal(mine, first)


def test_row_hash_depends_on_contents_alone():
    X = sparse.csr_array(np.array([[0.0, 1.5, 2.0], [1.5, 0.0, 2.0], [0.0, 1.5, 2.0], [0.0, 0.0, 0.0]]))
    hashes = row_hash(X.data, X.indices, X.indptr, X.shape[1])
    assert hashes[0] == hashes[2]
    assert len(set(hashes.tolist())) == 3
    explicit = sparse.csr_array((np.array([2.0, 0.0, 1.5]), np.array([2, 0, 1]), np.array([0, 3])), shape=(1, 3))
    assert row_hash(explicit.data, explicit.indices, explicit.indptr, explicit.shape[1])[0] == hashes[0]
    single = X.astype(np.float32)
    np.testing.assert_array_equal(row_hash(single.data, single.indices, single.indptr, X.shape[1]), hashes)


def test_rows_without_entries():
    X = sparse.csr_array((5, 4))
    with pytest.warns(ConvergenceWarning):
        own = KMeans(2, random_state=0).fit(X)
    assert own.inertia_ == 0.0
    np.testing.assert_array_equal(own.transform(X), 0.0)
