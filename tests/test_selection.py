"""MixtureSelection: what it chooses, what its table says, and that it is its best estimator."""

import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
from public_estimators import blobs, fitted_state, quietly
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning, FitFailedWarning
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture as Rival
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skem import BayesianKMeans, EMMixture, GaussianMixture, MAPMixture, MixtureSelection, VariationalMixture
from skem.exceptions import DegenerateComponentWarning
from skem.families import Gaussian, Poisson
from skem.selection.folds import make_folds
from skem.selection.hierarchy import MOST_MERGED, Hierarchy
from skem.selection.neighbors import Neighbors

DATA = Path(__file__).parent / "data"
COLUMNS = {"full": "VVV", "tied": "EEE", "diag": "VVI", "spherical": "VII"}
CLASSIC = [Gaussian(kind) for kind in COLUMNS]


def rows(name):
    if name == "iris":
        return load_iris().data
    return np.genfromtxt(DATA / f"{name}.csv", delimiter=",", skip_header=1)


def mclust(name):
    """Array (9, 4) of mclust's BIC in our order of structures."""
    table = np.genfromtxt(
        DATA / f"mclust_BIC_{name}.csv", delimiter=",", names=True, missing_values="NA", deletechars='"'
    )
    return np.column_stack([table[column] for column in COLUMNS.values()])


def pivot(selection, column="score"):
    """The table as (n_components, family)."""
    families = list(dict.fromkeys(selection.results_["family"]))
    values = selection.results_[column].reshape(len(families), -1).T
    return families, values


# -- what it chooses -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "best"), [("faithful", ("tied", 3)), ("iris", ("full", 2))])
def test_bic_chooses_as_mclust_does(name, best):
    X, theirs = rows(name), mclust(name)
    selection = MixtureSelection(families=CLASSIC, random_state=0).fit(X)
    families, ours = pivot(selection)
    assert families == list(COLUMNS)
    k, column = np.unravel_index(np.argmax(theirs), theirs.shape)
    assert (families[column], k + 1) == best
    assert (selection.best_params_["family"].covariance_type, selection.best_params_["n_components"]) == best
    assert selection.best_score_ == pytest.approx(theirs.max(), abs=0.03)
    # mclust stops early: up to three components, where optima are plain, none of ours may be lower than its
    assert (ours[:3] >= theirs[:3] - 0.03).all()
    assert selection.best_score_ == -selection.bic(X) == np.nanmax(ours)


@pytest.mark.parametrize(("name", "best"), [("faithful", ("tied", 3)), ("iris", ("VEV", 2))])
def test_default_candidates_lead_to_mclusts_choice_of_all(name, best):
    """The published choices of mclust among its fourteen models (EEE is "tied")."""
    X = rows(name)
    selection = MixtureSelection(random_state=0).fit(X)
    assert (selection.best_params_["family"].covariance_type, selection.best_params_["n_components"]) == best
    table = np.genfromtxt(DATA / f"mclust_BIC_{name}.csv", delimiter=",", skip_header=1)[:, 1:]
    assert selection.best_score_ == pytest.approx(np.nanmax(table), abs=0.03)
    assert len(selection.results_["score"]) == table.size


@pytest.mark.parametrize("criterion", ["bic", "icl", "aic", "log_evidence", "held_out"])
@pytest.mark.parametrize("name", ["faithful", "iris"])
def test_every_criterion_takes_the_best_of_its_table(name, criterion):
    X = rows(name)
    sizes = range(1, 5)
    selection = MixtureSelection(n_components=sizes, families=CLASSIC, criterion=criterion, random_state=0).fit(X)
    table, index = selection.results_, selection.best_index_
    assert selection.best_score_ == np.nanmax(table["score"]) == table["score"][index]
    assert table["rank"][index] == 1
    assert selection.best_params_ == table["params"][index]
    assert selection.n_components_ == selection.best_params_["n_components"] > 1
    kind = VariationalMixture if criterion == "log_evidence" else EMMixture
    assert type(selection.best_estimator_) is kind
    if criterion in ("bic", "icl", "aic"):
        assert selection.best_score_ == -getattr(selection, criterion)(X)
    if criterion == "log_evidence":
        assert selection.best_score_ == selection.log_evidence_


def test_default_candidates_are_all_structures_that_the_data_can_tell_apart():
    X = blobs(60, 2)
    of_two = MixtureSelection(n_components=2).fit(X).results_["family"]
    assert set(COLUMNS) <= set(of_two)
    assert len({Gaussian(kind)._structure.code for kind in of_two}) == len(of_two) == 14
    assert list(MixtureSelection(n_components=2).fit(X[:, :1]).results_["family"]) == ["full", "tied"]
    counts = np.random.default_rng(0).poisson(3.0, size=(60, 2)).astype(float)
    selection = MixtureSelection(EMMixture(family=Poisson()), n_components=[1, 2]).fit(counts)
    assert list(selection.results_["family"]) == ["Poisson", "Poisson"]


def test_several_cells_and_parameters_are_searched():
    X = blobs(80, 2)
    selection = MixtureSelection(
        [EMMixture(), MAPMixture()],
        n_components=(2, 3),
        families=[Gaussian("diag")],
        param_grid={"tol": [1e-5, 1e-7]},
        random_state=0,
    ).fit(X)
    table = selection.results_
    assert list(table["estimator"]) == ["EMMixture"] * 4 + ["MAPMixture"] * 4
    assert table["param_tol"] == [1e-5, 1e-5, 1e-7, 1e-7] * 2
    assert selection.best_estimator_.tol == selection.best_params_["tol"]
    evidence = MixtureSelection([VariationalMixture(), BayesianKMeans()], n_components=(2, 3), criterion="log_evidence")
    assert set(evidence.fit(X).results_["estimator"]) == {"VariationalMixture", "BayesianKMeans"}
    assert evidence.best_score_ == evidence.log_evidence_


@pytest.mark.parametrize(
    "mixture", [GaussianMixture(random_state=0), Rival(random_state=0)], ids=["drop-in", "scikit-learn"]
)
def test_estimators_without_families_are_candidates_too(mixture):
    X = blobs(120, 2)
    grid = {"covariance_type": ["full", "diag"]}
    selection = MixtureSelection(mixture, n_components=(1, 2, 3), param_grid=grid, random_state=0).fit(X)
    best = clone(mixture).set_params(**selection.best_params_).fit(X)
    assert selection.best_score_ == pytest.approx(-best.bic(X), rel=1e-6)
    assert selection.best_params_["n_components"] == 3
    np.testing.assert_array_equal(selection.fit_predict(X), selection.predict(X))


# -- laws ----------------------------------------------------------------------------------------------


def fit_short(X, sample_weight=None, **params):
    settings = {"n_components": (1, 2, 3, 4), "families": CLASSIC, "random_state": 0} | params
    return MixtureSelection(**settings).fit(X, sample_weight=sample_weight)


@pytest.mark.parametrize("criterion", ["bic", "held_out"])
def test_side_by_side_fits_change_no_bit(criterion):
    X = rows("iris")
    one, two = (fit_short(X, criterion=criterion, cv=3, n_jobs=n_jobs) for n_jobs in (1, 2))
    assert fitted_state(one.set_params(n_jobs=None)) == fitted_state(two.set_params(n_jobs=None))


@pytest.mark.parametrize("criterion", ["bic", "held_out"])
def test_order_of_candidates_is_no_matter(criterion):
    X = rows("iris")
    ours = fit_short(X, criterion=criterion)
    turned = fit_short(X, criterion=criterion, n_components=(3, 1, 4, 2), families=CLASSIC[::-1])
    np.testing.assert_array_equal(pivot(ours)[1], pivot(turned)[1][:, ::-1])
    assert ours.best_params_["n_components"] == turned.best_params_["n_components"]
    np.testing.assert_array_equal(ours.means_, turned.means_)


@pytest.mark.parametrize("criterion", ["bic", "icl", "log_evidence", "held_out"])
def test_weights_are_repetition_in_any_order(criterion):
    rng = np.random.default_rng(0)
    X, weight = blobs(90, 2), rng.integers(0, 4, size=90)
    many = rng.permutation(np.repeat(X, weight, axis=0))
    weighted = fit_short(X, weight.astype(float), criterion=criterion)
    repeated = fit_short(many, criterion=criterion)
    np.testing.assert_allclose(weighted.results_["score"], repeated.results_["score"], rtol=1e-6)
    assert weighted.best_params_["n_components"] == repeated.best_params_["n_components"]


def test_repeated_fits_are_equal():
    X = rows("faithful")
    assert fitted_state(fit_short(X)) == fitted_state(fit_short(X))


def test_neighbours_only_ever_help():
    """Each fit is the estimator's own, or reached more without leaning on fewer rows."""
    X = rows("faithful")
    selection = fit_short(X, estimator=EMMixture(init="k-means", random_state=0), n_components=range(1, 7))
    table = selection.results_
    raised = 0
    for row, params in enumerate(table["params"]):
        own = quietly(EMMixture(init="k-means", random_state=0, **params).fit, X)
        gain = table["log_likelihood"][row] - len(X) * own.lower_bound_
        # two rows for each parameter of a component's own
        thin = len(X) * own.weights_.min() < 2 * {"full": 5, "tied": 2, "diag": 4, "spherical": 3}[table["family"][row]]
        assert gain > -1e-6 or thin
        raised += gain > 0.1
    assert raised >= 3


def test_more_rows_than_are_merged_start_by_those_that_are():
    rng = np.random.default_rng(0)
    labels = rng.integers(4, size=3000)
    scale, mean = np.array([0.2, 1.0])[labels % 2, None], 6.0 * np.stack([labels // 2, labels % 2], axis=1)
    X = mean + scale * rng.normal(size=(3000, 2))
    assert len(np.unique(X, axis=0)) > MOST_MERGED
    selection = MixtureSelection(n_components=range(1, 6), families=[Gaussian(), Gaussian("VVE")]).fit(X)
    assert selection.n_components_ == 4
    assert adjusted_rand_score(labels, selection.predict(X)) > 0.99


def test_starts_cut_and_join_what_gains_the_most():
    rng = np.random.default_rng(0)
    X = np.concatenate([centre + rng.normal(size=(50, 2)) for centre in ([0, 0], [0, 9], [30, 0], [30, 9])])
    truth = np.repeat(np.arange(4), 50)

    def labelled(labels):
        return EMMixture(1 + labels.max(), init=labels, max_iter=0).fit(X)

    def labels_of(start):
        labels = np.empty(len(X), dtype=np.int32)
        labels[start.source.index] = start.labels
        return labels

    # one pair apart, the other in one component
    three = labelled(np.array([0, 1, 2, 2])[truth])
    neighbors = Neighbors(X, None, three.family_)
    (start,) = neighbors.splits(three.labels_, 4, 1)
    assert adjusted_rand_score(truth, labels_of(start)) == 1.0
    # both pairs in one component each: two at a time
    two = labelled(np.array([0, 0, 1, 1])[truth])
    assert adjusted_rand_score(truth, labels_of(neighbors.splits(two.labels_, 4, 2)[0])) == 1.0
    (start,) = neighbors.merges(labelled(truth).labels_, 2)
    assert adjusted_rand_score(two.labels_, labels_of(start)) == 1.0
    # a component is cut once only
    assert neighbors.splits(two.labels_, 5, 1) == []


# -- the table -----------------------------------------------------------------------------------------


def test_table_is_a_data_frame_of_what_the_fits_say():
    pandas = pytest.importorskip("pandas")
    X = rows("iris")
    selection = fit_short(X)
    frame = pandas.DataFrame(selection.results_)
    assert len(frame) == 16
    bic = -2.0 * frame.log_likelihood + frame.n_parameters * np.log(len(X))
    np.testing.assert_allclose(frame.score, -bic, rtol=1e-12)
    assert (frame.sort_values("rank").score.diff()[1:] <= 0).all()


def test_candidates_may_have_noise():
    rng = np.random.default_rng(0)
    X = np.concatenate([blobs(150, 2), rng.uniform(-30, 30, size=(30, 2))])
    mixture = EMMixture(noise=0.1, init="k-means", random_state=0)
    selection = MixtureSelection(mixture, n_components=(2, 3, 4), families=CLASSIC).fit(X)
    assert not selection.results_["error"].any()
    best = clone(mixture).set_params(**selection.best_params_).fit(X)
    assert selection.best_score_ == -best.bic(X)
    assert 0.05 < selection.noise_weight_ < 0.3


def test_degenerate_candidates_have_no_score():
    # two columns that are one: full and tied covariances are flat, spheres are not
    X = blobs(60, 1)
    selection = MixtureSelection(n_components=(1, 2), families=CLASSIC, random_state=0)
    with pytest.warns(DegenerateComponentWarning, match="all candidates of full, tied are degenerate"):
        selection.fit(np.column_stack([X, X]))
    families, scores = pivot(selection)
    flat = np.isin(families, ["full", "tied"])
    assert np.isnan(scores[:, flat]).all()
    assert np.isfinite(scores[:, ~flat]).all()
    np.testing.assert_array_equal(np.isnan(scores), pivot(selection, "degenerate")[1])


def test_nothing_but_degenerate_candidates():
    X = np.column_stack([blobs(60, 1), np.ones(60)])
    with pytest.warns(DegenerateComponentWarning, match="every candidate") as caught:
        selection = MixtureSelection(n_components=(1, 2, 3), families=[Gaussian(), Gaussian("diag")]).fit(X)
    assert len(caught) == 1
    assert np.isnan(selection.best_score_)
    assert selection.n_components_ == 1
    assert np.isfinite(selection.score(X))


def test_failing_candidates_are_named_and_the_others_go_on():
    X = blobs(12, 2)
    with pytest.warns(
        FitFailedWarning, match=r"2 of 4 .*n_components=13, .*n_components=20; the first by ValueError: n_components=13"
    ):
        selection = MixtureSelection(n_components=(1, 2, 13, 20), families=Gaussian()).fit(X)
    assert np.isnan(selection.results_["score"][2:]).all()
    assert (selection.results_["error"] != "").tolist() == [False, False, True, True]
    assert selection.best_params_["n_components"] <= 2


def test_failures_of_all_candidates_are_an_error_that_leaves_no_trace():
    X = blobs(60, 2)
    selection = MixtureSelection(n_components=(1, 2), families=Poisson())
    with pytest.raises(ValueError, match=r"all 2 candidates have failed.*row|all 2 candidates have failed.*X\["):
        selection.fit(X)
    assert not hasattr(selection, "best_estimator_")
    assert not hasattr(selection, "n_features_in_")


def test_best_that_did_not_converge_is_told_once():
    X = rows("iris")
    with pytest.warns(ConvergenceWarning, match="n_components=3, did not converge") as caught:
        selection = MixtureSelection(EMMixture(max_iter=2), n_components=3, families=Gaussian("diag")).fit(X)
    assert len(caught) == 1
    assert not selection.results_["converged"].any()
    assert np.isfinite(selection.best_score_)


# -- rows left out -------------------------------------------------------------------------------------


def test_held_out_score_is_that_of_folds_fitted_by_hand():
    X, weight = blobs(90, 2), np.random.default_rng(1).uniform(0.5, 2.0, size=90)
    cv = KFold(3, shuffle=True, random_state=0)
    mixture = EMMixture(random_state=0)
    selection = MixtureSelection(mixture, n_components=1, families=Gaussian(), criterion="held_out", cv=cv)
    selection.fit(X, sample_weight=weight)
    scores, masses = [], []
    for train, test in cv.split(X):
        fit = clone(mixture).set_params(n_components=1).fit(X[train], sample_weight=weight[train])
        scores.append(fit.score(X[test], sample_weight=weight[test]))
        masses.append(weight[test].sum())
    table = selection.results_
    np.testing.assert_allclose([table[f"split{k}_score"][0] for k in range(3)], scores, rtol=1e-12)
    assert selection.best_score_ == pytest.approx(np.average(scores, weights=masses), rel=1e-12)
    given = list(cv.split(X))
    again = clone(selection).set_params(cv=given).fit(X, sample_weight=weight)
    assert again.best_score_ == selection.best_score_


def test_equal_rows_are_left_out_together():
    rng = np.random.default_rng(0)
    X = rng.integers(0, 4, size=(200, 2)).astype(float)
    weight = np.where(np.arange(200) % 10 == 0, 0.0, 1.0)
    folds = make_folds(4, X, None, weight, np.random.default_rng(0))
    assert sorted(np.concatenate([test for _, test in folds])) == list(np.flatnonzero(weight))
    for train, test in folds:
        assert not set(map(tuple, X[train])) & set(map(tuple, X[test]))
    with pytest.raises(ValueError, match="cv=17 needs at least as many distinct rows; X has 16"):
        make_folds(17, X, None, weight, np.random.default_rng(0))


# -- it is its best estimator --------------------------------------------------------------------------


def test_answers_are_those_of_the_best():
    X = blobs(90, 3)
    selection = MixtureSelection(random_state=0, n_components=(2, 3)).fit(X)
    best = selection.best_estimator_
    for method in (
        "predict",
        "predict_proba",
        "predict_log_proba",
        "transform",
        "score_samples",
        "score",
        "bic",
        "icl",
        "aic",
    ):
        np.testing.assert_array_equal(getattr(selection, method)(X), getattr(best, method)(X))
    for name in ("labels_", "weights_", "means_", "covariances_", "n_components_", "lower_bound_", "converged_"):
        assert getattr(selection, name) is getattr(best, name)
    for ours, theirs in zip(selection.sample(5, random_state=1), best.sample(5, random_state=1), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(selection.fit_predict(X), selection.labels_)
    np.testing.assert_array_equal(clone(selection).fit_transform(X), selection.transform(X))
    twin = pickle.loads(pickle.dumps(selection))
    np.testing.assert_array_equal(twin.labels_, selection.labels_)
    assert not hasattr(selection, "cluster_centers_")
    assert not hasattr(MixtureSelection(), "labels_")
    assert not hasattr(MixtureSelection(GaussianMixture()), "icl")


def test_names_of_columns_are_learnt_and_checked():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(blobs(90, 2), columns=["a", "b"])
    selection = MixtureSelection(n_components=(2, 3), random_state=0).set_output(transform="pandas").fit(frame)
    assert list(selection.best_estimator_.feature_names_in_) == ["a", "b"]
    assert list(selection.transform(frame).columns) == [f"mixtureselection{k}" for k in range(3)]
    with pytest.raises(ValueError, match="feature names"):
        selection.predict(frame[["b", "a"]])


def test_it_works_at_the_end_of_a_pipeline():
    X = blobs(90, 3)
    pipeline = make_pipeline(StandardScaler(), MixtureSelection(n_components=(2, 3), criterion="held_out", cv=3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        labels = pipeline.fit_predict(X)
    assert set(labels) == set(range(pipeline[-1].n_components_))
    assert pipeline.score(X) == pipeline[-1].score(pipeline[0].transform(X))


# -- parameters ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "match"),
    [
        ({"n_components": 0}, "'n_components'"),
        ({"n_components": []}, "'n_components'"),
        ({"n_components": (1, 2.5)}, "'n_components'"),
        ({"n_components": "9"}, "'n_components'"),
        ({"families": "full"}, "'families'"),
        ({"families": ["full"]}, "'families'"),
        ({"families": []}, "'families'"),
        ({"estimator": [1]}, "'estimator'"),
        ({"estimator": EMMixture}, "'estimator'"),
        ({"criterion": "BIC"}, "'criterion'"),
        ({"criterion": "log_evidence", "estimator": EMMixture()}, "EMMixture does not offer it"),
        ({"criterion": "icl", "estimator": GaussianMixture()}, "GaussianMixture does not offer it"),
        ({"cv": 1, "criterion": "held_out"}, "'cv'"),
        ({"param_grid": {"tol": 1e-3}}, "'param_grid'"),
        ({"param_grid": {"tolerance": [1e-3]}}, "tolerance"),
        ({"n_jobs": 1.5}, "'n_jobs'"),
    ],
)
def test_bad_parameters_are_named(params, match):
    with pytest.raises((ValueError, TypeError), match=match):
        MixtureSelection(**params).fit(blobs(30, 2))


def test_every_candidate_is_reported(capsys):
    MixtureSelection(n_components=(1, 2), families=CLASSIC[:2], verbose=1).fit(blobs(60, 2))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert lines[0].startswith("EMMixture, full, n_components=1: bic -")


def test_merged_rows_are_cut_at_any_number():
    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1, 2], [40, 30, 20])
    X = rng.standard_normal((90, 2)) * [2.0, 0.5] + 8.0 * np.column_stack([0 * truth, truth])
    weight = rng.integers(1, 4, 90).astype(float)
    hierarchy = Hierarchy(X, weight, 5)
    source, labels = hierarchy.cut(3)
    assert adjusted_rand_score(truth[source.index], labels) == pytest.approx(1.0, abs=0.1)
    assert not hierarchy.cut(1).labels.any()
    # a cut is the one below it with two clusters joined
    for many in (3, 4, 5):
        pairs = set(zip(hierarchy.cut(many).labels, hierarchy.cut(many - 1).labels, strict=True))
        assert len(pairs) == many
    assert Hierarchy(X[:4], None, 5).cut(5) is None
