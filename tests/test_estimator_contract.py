"""scikit-learn's contract, for every public estimator."""

import json
import pickle
import warnings

import joblib
import numpy as np
import pytest
import sklearn
from public_estimators import (
    CLASSES,
    COVARIANCES,
    MIXTURES,
    blobs,
    each,
    each_mixture,
    fitted_state,
    make,
    modes,
    run_python,
)
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, FitFailedWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks as checks

import skem
from skem.estimators import base, doclink, pickling
from skem.exceptions import FormatVersionWarning
from skem.families import Gaussian, Poisson

# Run by scikit-learn's own suite and left out of check_estimator.
FURTHER_CHECKS = [
    checks.check_dataframe_column_names_consistency,
    checks.check_transformer_get_feature_names_out,
    checks.check_transformer_get_feature_names_out_pandas,
    checks.check_get_feature_names_out_error,
    checks.check_param_validation,
    checks.check_set_output_transform,
    checks.check_set_output_transform_pandas,
    checks.check_global_output_transform_pandas,
    checks.check_set_output_transform_polars,
    checks.check_global_set_output_transform_polars,
    checks.check_inplace_ensure_writeable,
]
MODES = dict(modes())


def _further_checks():
    for cls in CLASSES:
        for check in FURTHER_CHECKS:
            of_transformers = "output" in check.__name__ or "feature_names_out" in check.__name__
            if hasattr(cls, "transform") or not of_transformers:
                yield pytest.param(cls, check, id=f"{cls.__name__}-{check.__name__}")


SCRIPT = """
import json, warnings
warnings.simplefilter("ignore")
from public_estimators import modes
from sklearn.utils.estimator_checks import check_estimator
outcome = {
    name: [(r["check_name"], r["status"], repr(r["exception"])) for r in check_estimator(e, on_fail=None, on_skip=None)]
    for name, e in modes()
}
print(json.dumps(outcome))
"""


@pytest.fixture(scope="module")
def outcomes():
    """Results of check_estimator from a process of its own: SCIPY_ARRAY_API must be set before scipy is imported."""
    return json.loads(run_python(SCRIPT, timeout=900, SCIPY_ARRAY_API="1"))


# These make up measurements whatever the tags ask for, and those of sparse rows look for a classifier's tags wherever
# there is `predict_proba`; other tests hold their laws with whole numbers.
OF_MEASUREMENTS = {
    "check_clustering",
    "check_estimator_sparse_array",
    "check_estimator_sparse_matrix",
    "check_sample_weight_equivalence_on_dense_data",
    "check_sample_weight_equivalence_on_sparse_data",
}


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_check_estimator(mode, outcomes):
    """All of scikit-learn's checks pass: none fails, none is expected to, none is skipped."""
    assert len(outcomes[mode]) >= 40
    domain = getattr(getattr(MODES[mode], "family", None), "domain", "real")
    beside = set() if domain == "real" else OF_MEASUREMENTS
    assert [outcome for outcome in outcomes[mode] if outcome[1] != "passed" and outcome[0] not in beside] == []


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning", "ignore::UserWarning")  # the checks' data
@pytest.mark.parametrize(("cls", "check"), list(_further_checks()))
def test_further_checks(cls, check):
    check(cls.__name__, make(cls))


@pytest.mark.parametrize("cls", CLASSES)
def test_defaults_construct_without_arguments(cls):
    assert vars(cls()) == cls().get_params(deep=False)


# -- metadata routing, output containers, representation ---------------------------------------------


@each_mixture
def test_weights_are_routed_through_a_pipeline(estimator):
    X, weight = blobs(), np.random.default_rng(0).integers(1, 4, size=300).astype(float)
    with sklearn.config_context(enable_metadata_routing=True):
        asked = clone(estimator).set_params(random_state=0)
        asked.set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        pipeline = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), asked)
        pipeline.fit(X, sample_weight=weight)
        routed = pipeline[-1]
    Z = StandardScaler().fit_transform(X)
    direct = clone(estimator).set_params(random_state=0).fit(Z, sample_weight=weight)
    np.testing.assert_array_equal(routed.means_, direct.means_)
    assert not np.array_equal(direct.means_, clone(direct).fit(Z).means_)


@each_mixture
@pytest.mark.parametrize("method", ["fit_predict", "fit_transform"])
def test_combined_methods_pass_weights_on(estimator, method):
    X, weight = blobs(), np.random.default_rng(0).integers(1, 4, size=300).astype(float)
    one, two = (clone(estimator).set_params(random_state=0) for _ in range(2))
    result = getattr(one, method)(X, sample_weight=weight)
    two.fit(X, sample_weight=weight)
    np.testing.assert_array_equal(result, two.labels_ if method == "fit_predict" else two.transform(X))
    np.testing.assert_array_equal(one.weights_, two.weights_)


@each_mixture
@pytest.mark.parametrize("container", ["pandas", "polars"])
def test_set_output_names_columns(estimator, container):
    library = pytest.importorskip(container)
    frame = library.DataFrame(blobs(), **{"columns" if container == "pandas" else "schema": ["a", "b", "c"]})
    estimator = clone(estimator).set_output(transform=container).fit(frame)
    resp = estimator.transform(frame)
    assert isinstance(resp, library.DataFrame)
    names = [f"{type(estimator).__name__.lower()}{k}" for k in range(estimator.n_components_)]
    assert list(resp.columns) == names == list(estimator.get_feature_names_out())
    assert list(estimator.feature_names_in_) == ["a", "b", "c"]


@each()
def test_html_representation_links_to_the_docs_once_there_is_an_address(estimator, monkeypatch):
    assert estimator._get_doc_link() == doclink.DOC_LINK.format(name=type(estimator).__name__)
    monkeypatch.setattr(type(estimator), "_doc_link_template", "docs:{name}")
    assert f"docs:{type(estimator).__name__}" in estimator._repr_html_()


@pytest.mark.parametrize("family", [None, Gaussian("diag"), "no family at all"])
def test_representation_of_any_parameters(family):
    estimator = skem.EMMixture(family=family)
    assert "EMMixture" in repr(estimator)
    assert "EMMixture" in estimator._repr_html_()


def test_only_counts_are_tagged_positive():
    assert not skem.EMMixture().__sklearn_tags__().input_tags.positive_only
    assert skem.EMMixture(family=Poisson()).__sklearn_tags__().input_tags.positive_only


# -- copies ------------------------------------------------------------------------------------------


@each(random_state=0)
@pytest.mark.parametrize("how", ["pickle", "joblib", "memmap"])
def test_pickled_estimator_predicts_the_same(estimator, how, tmp_path):
    X = blobs()
    estimator = clone(estimator).fit(X)
    if how == "pickle":
        copy = pickle.loads(pickle.dumps(estimator))
    else:
        joblib.dump(estimator, tmp_path / "estimator")
        copy = joblib.load(tmp_path / "estimator", mmap_mode="r" if how == "memmap" else None)
    assert vars(copy).keys() == vars(estimator).keys()
    for method in ("predict", "predict_proba", "transform", "score_samples"):
        if hasattr(estimator, method):
            np.testing.assert_array_equal(getattr(copy, method)(X), getattr(estimator, method)(X))


@each()
def test_pickle_of_another_version_warns_and_of_a_later_format_is_refused(estimator):
    state = estimator.__getstate__()
    other = type(estimator).__new__(type(estimator))
    with pytest.warns(FormatVersionWarning, match=r"pickled by skem 0\.0\.1"):
        other.__setstate__(state | {"_skem_version": "0.0.1"})
    with pytest.raises(ValueError, match="install the newer"):
        other.__setstate__(state | {"_skem_format": pickling.FORMAT + 1})


@each()
def test_clone_forgets_the_fit(estimator):
    fitted = clone(estimator).fit(blobs())
    assert clone(fitted).get_params(deep=False).keys() == vars(clone(fitted)).keys()


# -- model selection ---------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", [cls for cls in MIXTURES if not cls._upper_bound])
def test_grid_search_gives_nan_to_an_infeasible_candidate(cls):
    grid = {"n_components": [2, 3, 250], "family__covariance_type": COVARIANCES}
    search = GridSearchCV(make(cls, family=Gaussian(), random_state=0), grid, cv=3, error_score=np.nan)
    # the end of the search warns twice, of the failed fits and of their scores
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        with pytest.warns(FitFailedWarning, match="n_components=250 needs at least as many rows"):
            search.fit(blobs())
    infeasible = np.array([params["n_components"] == 250 for params in search.cv_results_["params"]])
    scores = search.cv_results_["mean_test_score"]
    assert np.isnan(scores[infeasible]).all()
    assert np.isfinite(scores[~infeasible]).all()
    assert search.best_params_["n_components"] == 3


@pytest.mark.parametrize("cls", MIXTURES)
def test_parameters_of_the_default_family_are_set_and_searched(cls):
    plain = make(cls, random_state=0)
    assert clone(plain).set_params(family__covariance_type="diag").family.covariance_type == "diag"
    with pytest.raises(ValueError, match="Invalid parameter 'nonsense'"):
        plain.set_params(family__nonsense=1)
    assert plain.family is None
    search = GridSearchCV(plain, {"family__covariance_type": ["tied", "diag"]}, cv=2).fit(blobs())
    known = GridSearchCV(make(cls, family=Gaussian(), random_state=0), search.param_grid, cv=2).fit(blobs())
    np.testing.assert_array_equal(search.cv_results_["mean_test_score"], known.cv_results_["mean_test_score"])


@pytest.mark.parametrize("cls", [cls for cls in MIXTURES if "warm_start" in cls().get_params()])
class TestWarmStart:
    def test_goes_on_from_the_fit_before(self, cls):
        X = blobs(d=2)
        with pytest.warns(ConvergenceWarning):
            warm = cls(3, init="random", random_state=0, warm_start=True, max_iter=1, tol=0.0).fit(X)
        before = warm.lower_bound_
        warm.set_params(max_iter=1000, tol=1e-7).fit(X)
        assert warm.lower_bound_ >= before - 1e-9 * abs(before)
        rested = warm.lower_bound_
        warm.fit(X)
        assert warm.n_iter_ <= 5
        assert warm.lower_bound_ == pytest.approx(rested, rel=1e-6)

    def test_keeps_components_that_were_left_out(self, cls):
        X = np.repeat(np.arange(3.0), 20)[:, None] * 100.0 + np.random.default_rng(0).normal(size=(60, 1))
        labels = np.repeat(np.arange(3), 20)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warm = cls(5, init=labels, warm_start=True, random_state=0).fit(X)
            assert warm.n_components_ <= 5
            bound = warm.lower_bound_
            warm.fit(X)
        assert warm.lower_bound_ >= bound - 1e-6 * abs(bound)

    @pytest.mark.parametrize("change", ["n_components", "n_features", "family"])
    def test_changed_shape_is_refused_and_changes_nothing(self, cls, change):
        X = blobs()
        warm = cls(3, random_state=0, warm_start=True).fit(X)
        if change == "n_components":
            warm.set_params(n_components=4)
        elif change == "family":
            warm.set_params(family=Gaussian("diag"))
        else:
            X = X[:, :2]
        before = fitted_state(warm)
        with pytest.raises(ValueError, match={"n_components": "n_components=3", "n_features": "3 features",
                                              "family": "covariance"}[change]):  # fmt: skip
            warm.fit(X)
        assert fitted_state(warm) == before

    def test_after_a_fit_on_the_floor(self, cls):
        X = blobs(d=2)
        X = np.column_stack([X, X[:, 0]])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warm = cls(3, random_state=0, warm_start=True).fit(X)
            warm.fit(X)
        assert np.isfinite(warm.lower_bound_)


# -- dtypes, weights, parameters ---------------------------------------------------------------------


@each()
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_of_the_rows_is_that_of_the_responsibilities(estimator, dtype):
    X = blobs().astype(dtype)
    estimator = clone(estimator).fit(X)
    methods = ("predict_proba", "predict_log_proba", "transform")
    for method in (name for name in methods if hasattr(estimator, name)):
        if type(estimator) in MIXTURES:
            assert getattr(estimator, method)(X).dtype == dtype
    if type(estimator) in MIXTURES:
        assert estimator.labels_.dtype == estimator.predict(X).dtype == np.int32
        assert estimator.means_.dtype == np.float64


@each()
@pytest.mark.parametrize("order", ["C", "F", "strided", "readonly"])
def test_fit_leaves_the_callers_rows_alone(estimator, order):
    X = blobs()
    given = {"C": X, "F": np.asfortranarray(X), "strided": np.repeat(X, 2, axis=0)[::2], "readonly": X}[order].copy("K")
    given.flags.writeable = order != "readonly"
    kept = given.copy()
    estimator = clone(estimator).set_params(random_state=0).fit(given)
    estimator.predict(given)
    np.testing.assert_array_equal(given, kept)
    plain = clone(estimator).fit(X)
    np.testing.assert_array_equal(estimator.predict(given), plain.predict(X))
    if type(estimator) in MIXTURES:
        assert fitted_state(estimator) == fitted_state(plain)


@each_mixture
def test_rows_are_validated_once(estimator, monkeypatch):
    calls = []
    original = base.validate_rows
    monkeypatch.setattr(base, "validate_rows", lambda *args, **kwargs: calls.append(1) or original(*args, **kwargs))
    clone(estimator).fit(blobs())
    assert len(calls) == 1


@each_mixture
def test_criteria_take_lists_and_weights(estimator):
    X = blobs(120)
    estimator = clone(estimator).set_params(random_state=0).fit(X)
    rows, weight = X.tolist(), np.arange(1.0, 121.0)
    log_likelihood = estimator.score_samples(X)
    p = estimator._n_parameters()
    assert estimator.score(rows) == pytest.approx(log_likelihood.mean())
    assert estimator.score(rows, sample_weight=weight.tolist()) == pytest.approx(
        np.average(log_likelihood, weights=weight)
    )
    assert estimator.aic(rows) == pytest.approx(-2 * log_likelihood.sum() + 2 * p)
    bic = -2 * weight @ log_likelihood + p * np.log(weight.sum())
    assert estimator.bic(rows, weight.tolist()) == pytest.approx(bic)
    entropy = -2 * weight @ np.log(estimator.predict_proba(X).max(axis=1))
    assert estimator.icl(rows, weight.tolist()) == pytest.approx(bic + entropy)


@each_mixture
def test_sample_follows_the_mixture(estimator):
    X = blobs()
    estimator = clone(estimator).set_params(random_state=0).fit(X)
    rows, labels = estimator.sample(4000, random_state=1)
    assert rows.shape == (4000, 3)
    assert labels.dtype == np.int32
    assert (np.diff(labels) >= 0).all()
    np.testing.assert_allclose(np.bincount(labels) / 4000, estimator.weights_, atol=0.05)
    means = [rows[labels == k].mean(axis=0) for k in range(estimator.n_components_)]
    np.testing.assert_allclose(means, estimator.means_, atol=0.5)
    np.testing.assert_array_equal(estimator.sample(5)[0], estimator.sample(5)[0])


@pytest.mark.parametrize("covariance_type", COVARIANCES)
def test_from_parameters_restores_the_density(covariance_type):
    X = blobs() * 1e-5 + 1e3
    fitted = skem.EMMixture(3, family=Gaussian(covariance_type), random_state=0).fit(X)
    built = skem.EMMixture.from_parameters(
        family=Gaussian(covariance_type), covariances=fitted.covariances_, weights=fitted.weights_, means=fitted.means_
    )
    np.testing.assert_allclose(built.score_samples(X), fitted.score_samples(X), rtol=1e-6)
    np.testing.assert_allclose(built.predict_proba(X), fitted.predict_proba(X), atol=1e-6)
    assert built.sample(3, random_state=0)[0].shape == (3, 3)
    assert built.bic(X) == pytest.approx(fitted.bic(X), rel=1e-6)
    again = built.set_params(warm_start=True).fit(X)
    assert again.lower_bound_ == pytest.approx(fitted.lower_bound_, rel=1e-6)


# -- warnings ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["fit", "fit_predict", "fit_transform"])
def test_warnings_point_at_the_users_line(method):
    estimator = skem.EMMixture(3, max_iter=1, tol=0.0, random_state=0)
    with pytest.warns(ConvergenceWarning, match="max_iter=1") as caught:
        getattr(estimator, method)(blobs())
    assert caught[0].filename == __file__


def test_numbers_of_checks():
    """The discovery finds what is public."""
    assert {"EMMixture", "MAPMixture", "VariationalMixture", "BayesianKMeans", "ICMMixture"} <= {
        cls.__name__ for cls in CLASSES
    }
