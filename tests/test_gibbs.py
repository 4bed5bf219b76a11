"""GibbsMixture: same draws for the same weighted set, relabelled summaries, the estimator."""

import sys
import types

import numpy as np
import pytest
from public_estimators import one_draw
from scipy import stats
from scipy.special import logsumexp
from sklearn.base import clone
from sklearn.datasets import load_iris

from skem import GibbsMixture
from skem.engine import Source
from skem.exceptions import DegenerateComponentWarning
from skem.families import Family, Gaussian, Poisson
from skem.inference.gibbs import Gibbs, match
from skem.inference.model import Model
from skem.starts import start
from skem.weights import DirichletWeights

COVARIANCE_TYPES = ("full", "tied", "diag", "spherical", "EEI", "EII")


# -- the weighted set decides ------------------------------------------------------------------------------------------


def short(n_components=3, **params):
    return GibbsMixture(n_components, **{"n_chains": 2, "n_draws": 30, "n_burn_in": 20, "random_state": 0} | params)


def iris():
    return np.ascontiguousarray(load_iris().data)


@pytest.mark.parametrize("family", [Gaussian(), Gaussian("tied"), Gaussian("spherical"), Poisson()], ids=str)
@pytest.mark.parametrize("init", ["k-means", "k-means++", "random"])
def test_order_and_repetition_of_rows_change_no_bit(family, init):
    X = np.round(iris())
    rng = np.random.default_rng(0)
    weight = rng.integers(0, 4, size=len(X))
    repeated = rng.permutation(np.repeat(np.arange(len(X)), weight))
    shuffle = rng.permutation(len(X))
    weighted = short(family=family, init=init).fit(X, sample_weight=weight)
    for other in (
        short(family=family, init=init).fit(X[repeated]),
        short(family=family, init=init).fit(X[shuffle], sample_weight=weight[shuffle]),
    ):
        assert weighted.draws_.keys() == other.draws_.keys()
        for name, values in weighted.draws_.items():
            np.testing.assert_array_equal(values, other.draws_[name])
        np.testing.assert_array_equal(weighted.predict_proba(X), other.predict_proba(X))
    np.testing.assert_array_equal(weighted.labels_[repeated], short(family=family, init=init).fit(X[repeated]).labels_)


def test_large_data_are_canonical_by_hash():
    rng = np.random.default_rng(0)
    X = np.round(rng.normal(size=(20000, 2)), 3)
    X[::2] += 4
    shuffle = rng.permutation(len(X))
    one, other = (short(2, n_draws=3, n_burn_in=2).fit(rows) for rows in (X, X[shuffle]))
    np.testing.assert_array_equal(one.draws_["means"], other.draws_["means"])
    np.testing.assert_array_equal(one.labels_[shuffle], other.labels_)


@pytest.mark.parametrize("weight", [0.5, 1e300])
def test_weights_that_count_no_labels_are_refused(weight):
    X = iris()
    weights = np.ones(len(X))
    weights[7] = weight
    mixture = short().fit(X)
    before = dict(vars(mixture))
    with pytest.raises(ValueError, match=r"sample_weight\[7\] = 0.5|sums to 1e\+300"):
        mixture.fit(X, sample_weight=weights)
    assert vars(mixture) == before


def test_a_row_too_far_out_is_named_by_its_place():
    X = iris()[:20]
    X[11, 2] = 1e140
    with pytest.raises(ValueError, match=r"X\[11, 2\] = 1e\+140"):
        short(2).fit(X)


def test_chains_start_apart_and_seeds_repeat():
    X = iris()
    one, again, other = (short(init="random", random_state=seed).fit(X) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.draws_["log_joint"], again.draws_["log_joint"])
    assert (one.draws_["log_joint"] != other.draws_["log_joint"]).any()
    first = short(init="random", random_state=3, n_burn_in=0, n_draws=1).fit(X).draws_["log_joint"]
    assert first[0] != first[1]


# -- labels ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_matching_undoes_any_permutation(covariance_type):
    X, n_components = iris(), 4
    family = Gaussian(covariance_type)
    mixture = short(n_components, family=family).fit(X)
    family = mixture.family_
    source = Source(X, None, family)
    model = Model.build(family, DirichletWeights(1.0), n_components, source)
    rng = np.random.default_rng(0)
    givens = [start(source, n_components, "k-means", rng)]
    chains = Gibbs(n_draws=40, n_burn_in=10).sample(model, source, givens, rng)
    orders = match(model, chains.pivot, chains.log_weights[0], chains.thetas[0])
    for _ in range(5):
        shuffle = rng.permutation(n_components)
        shuffled = [theta.take(shuffle) for theta in chains.thetas[0]]
        again = match(model, chains.pivot, chains.log_weights[0][:, shuffle], shuffled)
        np.testing.assert_array_equal(shuffle[again], orders)


def test_relabelled_chains_agree_on_well_separated_clusters():
    rng = np.random.default_rng(0)
    centres = np.array([[0.0, 0.0], [30.0, 0.0], [0.0, 30.0]])
    truth = np.repeat([0, 1, 2], [40, 30, 20])
    X = centres[truth] + rng.normal(size=(90, 2))
    # the chains call the clusters by different names
    starts = [np.random.default_rng(seed).permutation(3)[truth] for seed in range(4)]
    fits = [short(init=labels, n_chains=4, n_draws=50).fit(X) for labels in starts]
    fits.append(short(init="k-means++", n_chains=6, n_draws=50, random_state=1).fit(X))
    for mixture in fits:
        means = mixture.draws_["means"]
        assert np.abs(means - means.mean(axis=(0, 1))).max() < 2.0
        order = [np.argmin(((mixture.means_ - centre) ** 2).sum(axis=1)) for centre in centres]
        assert sorted(order) == [0, 1, 2]
        np.testing.assert_array_equal(mixture.labels_, np.array(order)[truth])
        np.testing.assert_allclose(mixture.weights_[order], [0.44, 0.33, 0.23], atol=0.03)
        np.testing.assert_array_equal(mixture.draws_["n_occupied"], 3)


def test_components_never_met_are_left_out():
    rng = np.random.default_rng(0)
    X = np.repeat([[0.0, 0.0], [30.0, 0.0], [0.0, 30.0]], 40, axis=0) + rng.normal(size=(120, 2))
    mixture = short(12, weight_concentration_prior=0.1, n_draws=20).fit(X)
    met = mixture.n_components_
    assert 3 <= met < 12
    np.testing.assert_array_equal(np.unique(mixture.labels_), np.arange(mixture.labels_.max() + 1))
    np.testing.assert_allclose(mixture.draws_["weights"].sum(axis=2), 1.0, rtol=1e-13)
    assert mixture.draws_["means"].shape == (2, 20, met, 2)
    assert mixture.predict_proba(X).shape == (120, met)
    # some draws occupied components that own no row in the mean: these come last
    mixture = short(8).fit(iris())
    owning = len(np.unique(mixture.labels_))
    assert owning < mixture.n_components_
    np.testing.assert_array_equal(np.unique(mixture.labels_), np.arange(owning))
    with pytest.warns(DegenerateComponentWarning, match="10 distinct rows"):
        few = short(20, n_draws=5).fit(X[:10])
    assert few.n_components_ <= 20
    assert np.isfinite(few.score_samples(X)).all()


# -- predictions -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_predictions_belong_together(covariance_type, dtype):
    X = iris().astype(dtype)
    mixture = short(4, family=Gaussian(covariance_type)).fit(X)
    resp = mixture.predict_proba(X)
    assert resp.dtype == dtype
    np.testing.assert_allclose(resp.sum(axis=1), 1.0, atol=4 * np.finfo(dtype).eps)
    np.testing.assert_array_equal(mixture.predict(X), mixture.labels_)
    if dtype == np.float64:
        np.testing.assert_array_equal(resp.argmax(axis=1), mixture.labels_)
    np.testing.assert_allclose(np.exp(mixture.predict_log_proba(X)), resp, atol=1e-13 if dtype == np.float64 else 1e-6)
    far = np.array([[1e300] * 4, [-1e300, 1e300, 0.0, 0.0]], dtype=np.float64)
    if dtype == np.float64:
        assert np.isfinite(mixture.predict_log_proba(far)).all()
        assert np.isfinite(mixture.score_samples(far)).all()
        np.testing.assert_allclose(mixture.predict_proba(far).sum(axis=1), 1.0, atol=4e-16 * 4)


def test_density_is_the_mean_over_draws():
    X = iris() * 100.0
    mixture = short(max_predictive_draws=None).fit(X)
    weights, means, covariances = (mixture.draws_[name] for name in ("weights", "means", "covariances"))
    terms = [
        np.log(weights[c, s, k]) + stats.multivariate_normal(means[c, s, k], covariances[c, s, k]).logpdf(X)
        for c, s, k in np.ndindex(weights.shape)
    ]
    expected = logsumexp(terms, axis=0) - np.log(weights.shape[0] * weights.shape[1])
    np.testing.assert_allclose(mixture.score_samples(X), expected, rtol=1e-9)
    thinned = clone(mixture).set_params(max_predictive_draws=7).fit(X)
    assert len(thinned._kept) == 7
    np.testing.assert_allclose(thinned.score_samples(X).mean(), expected.mean(), rtol=0.01)


def test_log_likelihood_trace_is_that_of_the_draws():
    X = np.round(iris())
    weight = np.arange(len(X)) % 3
    mixture = short(2, family=Poisson(), max_predictive_draws=None).fit(X, sample_weight=weight)
    assert mixture.n_components_ == 2
    for own, value in zip(mixture._kept, mixture.draws_["log_likelihood"].ravel(), strict=True):
        assert weight @ _scores(mixture, own, X) == pytest.approx(value, rel=1e-11)


def _scores(mixture, draw, X):
    one = one_draw(mixture, draw)
    one.n_features_in_, one._theta, one._log_weights = X.shape[1], draw[1], draw[0]
    return one.score_samples(X)


def test_samples_come_from_the_predictive():
    X = iris()
    mixture = short(2, n_draws=200).fit(X)
    rows, labels = mixture.sample(20000, random_state=0)
    assert rows.shape == (20000, 4)
    assert labels.dtype == np.int32
    assert (np.diff(labels) >= 0).all()
    np.testing.assert_allclose(np.bincount(labels) / 20000, mixture.weights_, atol=0.015)
    np.testing.assert_allclose(rows.mean(axis=0), mixture.weights_ @ mixture.means_, atol=0.1)
    again = mixture.sample(20000, random_state=0)
    np.testing.assert_array_equal(rows, again[0])
    with pytest.raises(ValueError, match="n_samples"):
        mixture.sample(0)


def test_from_parameters_is_one_draw():
    mixture = GibbsMixture.from_parameters(weights=[0.25, 0.75], means=[[0.0], [4.0]], covariances=np.ones((2, 1, 1)))
    expected = 0.25 * stats.norm.pdf(1.0) + 0.75 * stats.norm.pdf(-3.0)
    assert mixture.score_samples([[1.0]])[0] == pytest.approx(np.log(expected), rel=1e-12)
    assert mixture.predict([[1.0], [3.0]]).tolist() == [0, 1]
    assert mixture.sample(5, random_state=0)[0].shape == (5, 1)
    with pytest.raises(Exception, match="not fitted"):
        mixture.to_arviz()


# -- the estimator -----------------------------------------------------------------------------------------------------


def test_what_a_sampler_has_no_use_for_is_no_parameter():
    assert not {"n_init", "tol", "max_iter", "warm_start"} & set(GibbsMixture().get_params())
    assert not hasattr(short().fit(iris()), "converged_")


def test_starts_may_be_given():
    X = iris()
    labels = load_iris().target
    fits = [short(init=labels), short(init=np.eye(3)[labels])]
    parameters = {"means": [X[labels == k].mean(axis=0) for k in range(3)], "covariances": [np.eye(4) * 0.1] * 3}
    fits = [mixture.fit(X) for mixture in [*fits, short(init=parameters)]]
    np.testing.assert_allclose(fits[0].draws_["means"], fits[1].draws_["means"], rtol=1e-9)
    assert fits[2].n_iter_ == 50
    with pytest.raises(ValueError, match="init has shape"):
        short(init=labels[:-1]).fit(X)


def test_a_family_without_draws_is_refused():
    class Points(Family):
        """Can be estimated, but not drawn."""

        def mle(self, stats, theta=None):
            raise AssertionError

    with pytest.raises(TypeError, match=r"Points\(\) has no posterior to draw from.* no prior, draw, log_normalizer"):
        short(family=Points()).fit(iris())


def test_flat_data_warn_and_stay_finite():
    X = np.column_stack([iris()[:, 0], np.full(150, 3.0)])
    with pytest.warns(DegenerateComponentWarning, match="rows as a whole"):
        mixture = short(2).fit(X)
    assert mixture.degenerate_
    assert all(np.isfinite(values).all() for values in mixture.draws_.values())
    assert np.isfinite(mixture.score_samples(X)).all()


def test_a_report_may_end_the_chains():
    X = iris()
    family = Gaussian()
    mixture = short().fit(X)
    family = mixture.family_
    source = Source(X, None, family)
    model = Model.build(family, DirichletWeights(1.0), 3, source)
    rng = np.random.default_rng(0)
    givens = [start(source, 3, "k-means", rng) for _ in range(2)]
    seen = []

    def report(n_iter, objective, state):
        seen.append((n_iter, objective, state.evidence + model.log_base))
        return n_iter >= 100

    chains = Gibbs(n_draws=500, n_burn_in=60).sample(model, source, givens, rng, report)
    assert [n_iter for n_iter, *_ in seen] == [50, 100]
    assert all(objective == value for _, objective, value in seen)
    assert chains.n_iter == 100
    assert chains.log_joint.shape == (2, 40)
    # asked to stop in the burn-in, it goes on to the first draw
    chains = Gibbs(n_draws=500, n_burn_in=60).sample(model, source, givens, rng, lambda *_: True)
    assert chains.log_joint.shape == (2, 1)


def test_verbose_reports_blocks_of_sweeps(capsys):
    short(verbose=1, n_draws=100, n_burn_in=50).fit(iris())
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0].strip() for line in lines[1:]] == ["iteration 50", "iteration 100", "iteration 150"]


class Watcher:
    """Scores the estimator as fitted so far at the end of every block of sweeps."""

    def __init__(self, X, last=None):
        self.X, self.last, self.scores = X, last, []

    def setup(self, estimator, context):
        pass

    teardown = on_fit_task_begin = setup

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        if context.task_name != "iteration":
            return False
        assert fitted_estimator.draws_["weights"].shape[:2] == (1, 1)
        assert not hasattr(estimator, "draws_")
        self.scores.append(fitted_estimator.score(self.X))
        return len(self.scores) == self.last


def test_callbacks_see_the_best_chain_so_far_and_may_stop():
    pytest.importorskip("sklearn.callback", reason="scikit-learn < 1.9 has no callbacks")
    X = iris()
    watcher = Watcher(X)
    whole = short(n_draws=130).set_callbacks(watcher).fit(X)
    assert len(watcher.scores) == 3
    np.testing.assert_allclose(watcher.scores, whole.score(X), atol=0.2)
    stopped = short(n_draws=130).set_callbacks(Watcher(X, last=2)).fit(X)
    assert stopped.n_iter_ == 100
    np.testing.assert_array_equal(stopped.draws_["log_joint"], whole.draws_["log_joint"][:, :80])


def old_arviz(posterior=None):
    return "old", posterior


def new_arviz(data):
    return "new", data["posterior"]


@pytest.mark.parametrize(
    ("module", "function"), [("arviz", old_arviz), ("arviz", new_arviz), ("arviz_base", new_arviz)]
)
def test_arviz_of_either_generation(monkeypatch, module, function):
    mixture = short().fit(iris())
    for name in ("arviz", "arviz_base"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match="pip install arviz"):
        mixture.to_arviz()
    fake = types.ModuleType(module)
    fake.from_dict = function
    monkeypatch.setitem(sys.modules, module, fake)
    generation, posterior = mixture.to_arviz()
    assert generation == function.__name__[:3]
    assert posterior is mixture.draws_
