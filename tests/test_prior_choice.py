"""The scale of the default prior of covariances, where the evidence chooses it."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris, load_wine
from sklearn.metrics import adjusted_rand_score

from skem import BayesianKMeans, EMMixture, GibbsMixture, ICMMixture, MAPMixture, VariationalMixture
from skem.engine import Source
from skem.families import Gaussian, LogNormal, Poisson, Product, StudentT
from skem.families.named_priors import PRIOR_SCALES
from skem.inference.model import Model
from skem.inference.priors import likeliest_prior, offers_priors
from skem.inference.updates import log_evidence
from skem.starts import start
from skem.summary import summarize
from skem.weights import DirichletWeights

KINDS = ("full", "tied", "diag", "spherical", "EII", "EEI")
each_kind = pytest.mark.parametrize("kind", KINDS)
ESTIMATORS = {
    "auto": lambda **params: BayesianKMeans(random_state=0, **params),
    "bound": lambda **params: BayesianKMeans(4, random_state=0, **params),
    "variational": lambda **params: VariationalMixture(4, random_state=0, **params),
    "sticks": lambda **params: VariationalMixture(4, weight_prior="dirichlet_process", random_state=0, **params),
}
each_estimator = pytest.mark.parametrize("name", ESTIMATORS)


def rows(seed=0, n=200):
    rng = np.random.default_rng(seed)
    centres = np.array([[0.0, 0.0, 0.0], [3.0, 1.0, 0.0], [0.0, 4.0, 2.0]])
    return centres[rng.integers(3, size=n)] + rng.normal(size=(n, 3)) * [0.5, 1.0, 1.5]


def evidences(found, X):
    """Log evidence of the rows of each cluster under each scale of the prior, from their labels."""
    labels = np.ascontiguousarray(found.labels_)
    values = []
    for family in found.family_.priors():
        stats = Source(X, None, family).assign_given(labels.max() + 1, codes=labels).stats
        prior = family.prior(labels.max() + 1)
        values.append(np.sum(family.log_normalizer(prior.merge(stats))) - np.sum(family.log_normalizer(prior)))
    return values


@each_kind
def test_the_scale_is_the_likeliest_of_the_partition(kind):
    X = rows()
    found = BayesianKMeans(family=Gaussian(kind)).fit(X)
    assert found.family_.prior_scale_ == PRIOR_SCALES[np.argmax(evidences(found, X))] != 1.0
    assert found.log_evidence_ > BayesianKMeans(family=Gaussian(kind, covariance_prior="default")).fit(X).log_evidence_


@each_estimator
def test_the_objective_never_falls_and_is_that_of_the_prior_chosen(name):
    X = load_wine().data
    found = ESTIMATORS[name]().fit(X)
    scale = found.family_.prior_scale_
    assert scale > 1.0
    assert (np.diff(found.lower_bounds_) > -1e-9).all()
    assert len(found.lower_bounds_) == found.n_iter_ + 1
    # the same prior, given in numbers
    d = X.shape[1]
    given = Gaussian(covariance_prior=np.diag(scale * 0.02 * (d + 2.0) * X.var(axis=0)))
    again = ESTIMATORS[name](family=given, init=found.labels_).fit(X)
    assert again.log_evidence_ == pytest.approx(found.log_evidence_, rel=1e-6)
    np.testing.assert_allclose(again.family_.prior(1).scatter, found.family_.prior(1).scatter, rtol=1e-9)


def test_another_prior_is_climbed_under_from_the_beginning():
    """From where the first prior has led, no move reaches the three cultivars."""
    wine = load_wine()
    assert adjusted_rand_score(wine.target, BayesianKMeans().fit(wine.data).labels_) > 0.95


@each_estimator
def test_units_do_not_matter(name):
    X = load_iris().data
    scale = ESTIMATORS[name]().fit(X).family_.prior_scale_
    assert ESTIMATORS[name]().fit(1e6 * X - 1e3).family_.prior_scale_ == scale


@pytest.mark.parametrize("prior", ["default", "kurihara", np.eye(3)], ids=["default", "kurihara", "numbers"])
def test_a_prior_that_is_given_stays(prior):
    found = VariationalMixture(3, family=Gaussian(covariance_prior=prior)).fit(rows())
    assert found.family_.prior_scale_ == 1.0
    assert found.family_.priors() == [found.family_]


@pytest.mark.parametrize("cell", [EMMixture(3, random_state=0), ICMMixture(3, update="mle", random_state=0)], ids=repr)
def test_likelihoods_do_not_choose(cell):
    assert cell.fit(rows()).family_.prior_scale_ == 1.0


@pytest.mark.parametrize("cell", [ICMMixture(3, random_state=0), GibbsMixture(3, n_draws=20, random_state=0)], ids=repr)
def test_hard_modes_and_draws_have_the_scale_of_soft_modes(cell):
    X, labels = load_wine(return_X_y=True)
    found = cell.fit(X)
    assert found.family_.prior_scale_ == MAPMixture(3, init=labels).fit(X).family_.prior_scale_ != 1.0
    assert adjusted_rand_score(labels, found.labels_) > 0.8
    # the same prior, given in numbers
    family = Gaussian(covariance_prior=np.diag(found.family_.prior_scale_ * 0.02 * (X.shape[1] + 2.0) * X.var(axis=0)))
    again = clone(cell).set_params(family=family).fit(X)
    np.testing.assert_allclose(again.means_, found.means_, rtol=1e-6)


def test_a_soft_mode_has_the_likeliest_scale_of_a_partition():
    X, labels = load_wine(return_X_y=True)
    found = MAPMixture(3, init=labels).fit(X)
    scale = found.family_.prior_scale_
    family = Gaussian().bind(found.family_.summary_)
    stats = start(Source(X, None, family), 3, "k-means", np.random.default_rng(0), "hard").stats
    priors = [other.prior(3) for other in family.priors()]
    values = [np.sum(family.log_normalizer(p.merge(stats))) - np.sum(family.log_normalizer(p)) for p in priors]
    assert scale == PRIOR_SCALES[np.argmax(values)] != 1.0
    # the same prior, given in numbers
    given = Gaussian(covariance_prior=np.diag(scale * 0.02 * (X.shape[1] + 2.0) * X.var(axis=0)))
    again = MAPMixture(3, family=given, init=labels).fit(X)
    assert again.lower_bound_ == pytest.approx(found.lower_bound_, rel=1e-9)


def test_all_fits_of_a_soft_mode_have_one_prior():
    X, labels = load_iris(return_X_y=True)
    inits = (("portfolio", 0), ("portfolio", 1), ("random", 2), (labels, None))
    fits = [MAPMixture(3, init=init, random_state=seed).fit(X) for init, seed in inits]
    assert len({fit.family_.prior_scale_ for fit in fits}) == 1
    assert fits[0].family_.prior_scale_ != 1.0
    bound = fits[0].lower_bound_
    assert fits[0].set_params(warm_start=True).fit(X).lower_bound_ == pytest.approx(bound, abs=1e-6)


def test_soft_modes_find_the_cultivars():
    """Under the prior before any choice they end at spikes."""
    wine = load_wine()
    held = MAPMixture(3, family=Gaussian(covariance_prior="default"), random_state=0)
    assert adjusted_rand_score(wine.target, held.fit(wine.data).labels_) < 0.5
    assert adjusted_rand_score(wine.target, MAPMixture(3, random_state=0).fit(wine.data).labels_) > 0.8


@pytest.mark.parametrize("family", [StudentT(), LogNormal(), Gaussian("VEV"), Gaussian("EII"), Poisson()], ids=repr)
def test_soft_modes_of_every_kind_of_prior(family):
    X = np.exp(rows()) if isinstance(family, LogNormal) else np.rint(np.abs(rows()))
    found = MAPMixture(2, family=family, random_state=0).fit(X).family_
    chooses = offers_priors(found)
    assert chooses == (found.has("log_normalizer") and isinstance(found, Gaussian))
    assert chooses or getattr(found, "prior_scale_", 1.0) == 1.0


def test_blocks_choose_one_by_one():
    X = np.hstack([rows(), 100.0 * rows(seed=1) ** 3])
    blocks = [("first", Gaussian("diag"), [0, 1, 2]), ("second", Gaussian("full"), [3, 4, 5])]
    family = BayesianKMeans(3, family=Product(blocks), random_state=0).fit(X).family_
    scales = [block.prior_scale_ for block in family.bound_.values()]
    assert len(scales) == 2
    assert scales[0] != scales[1]


def test_a_family_of_one_prior_has_nothing_to_choose():
    X = np.random.default_rng(0).poisson(4.0, size=(50, 2)).astype(float)
    family = Poisson().bind(summarize(X, None, None))
    source = Source(X, None, family)
    model = Model.build(family, DirichletWeights(1.0), 2, source)
    stats = source.assign_given(2, codes=(np.arange(50) % 2).astype(np.int32)).stats
    assert likeliest_prior(model, stats) is model


def test_the_choice_gains_what_the_evidence_says():
    X = rows()
    family = Gaussian().bind(summarize(X, None, "affine"))
    source = Source(X, None, family)
    model = Model.build(family, DirichletWeights(1.0), 3, source)
    given = source.assign_given(3, codes=(np.arange(len(X)) % 3).astype(np.int32))

    def value(model):
        weights = model.weight_prior.merge(model.weights.statistics(given.n_k))
        return log_evidence(model, model.prior.merge(given.stats), weights)

    chosen = likeliest_prior(model, given.stats)
    values = [value(model._replace(family=other, prior=other.prior(3))) for other in family.priors()]
    assert value(chosen) == pytest.approx(max(values), rel=1e-13)
    assert value(chosen) > value(model)
    assert likeliest_prior(chosen, given.stats) is chosen
