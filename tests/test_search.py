"""Bayesian k-means that finds the number of clusters: every step is exact, and none goes down."""

import itertools
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.cluster.hierarchy import is_valid_linkage
from scipy.special import gammaln
from searches import objective, problem, rows
from sklearn.datasets import load_iris, load_wine
from sklearn.exceptions import ConvergenceWarning

import skem.inference.search as search_module
from skem import BayesianKMeans
from skem.families import Gaussian, Poisson
from skem.inference.cuts import _whitening
from skem.inference.hard import MaximizationExpectation, settle
from skem.inference.moves import Doubts
from skem.inference.partition import Merges, Neighbourhood
from skem.inference.search import Search
from skem.weights import PARTITION_PRIORS

KINDS = ("full", "tied", "diag", "spherical", "EII", "EEI")
# under a prior that stays, so that one evidence judges all that a search does
FAMILIES = [*(Gaussian(kind, covariance_prior="default") for kind in KINDS), Poisson()]
each_family = pytest.mark.parametrize("family", FAMILIES, ids=repr)
each_prior = pytest.mark.parametrize("prior", PARTITION_PRIORS)


@each_family
@each_prior
def test_every_step_is_exact_and_goes_up(family, prior):
    evidence, source = problem(family, rows(family), prior=prior)
    steps = []
    search = Search(evidence, source, np.random.default_rng(0), on_step=lambda kind, now: steps.append((kind, now)))
    # from many clusters and from one: merges as well as splits
    for labels in (np.arange(len(source), dtype=np.int32) % 30, np.zeros(len(source), dtype=np.int32)):
        fit = search.run(labels, labels.max() + 1)
        assert fit.converged
        assert (np.diff(fit.objectives) > 0).all()
    assert {"start", "split", "merge"} <= {kind for kind, _ in steps}
    for _, now in steps:
        assert now.objective == pytest.approx(objective(evidence, source, now.labels), rel=1e-13, abs=1e-8)
        assert (now.n_k > 0).all()
        np.testing.assert_allclose(now.n_k, np.bincount(now.labels, source.weight))


@pytest.mark.parametrize("weighted", [False, True], ids=["rows", "weights"])
@each_family
@each_prior
def test_sweeps_are_exact_and_end_where_no_row_can_gain(family, prior, weighted):
    """Where rows open and close clusters, too: by the predictive of the partition's own prior."""
    X, n_clusters = rows(family, n=24), 6
    weight = np.random.default_rng(1).uniform(0.5, 2.0, size=len(X)) if weighted else None
    evidence, source = problem(family, X, weight, prior)
    labels = np.arange(len(source), dtype=np.int32) % (n_clusters - 3)
    labels[:2] = n_clusters - 3, n_clusters - 2
    model = evidence.at(n_clusters)
    for max_sweeps in (0, 1, 20):
        settled, value = settle(model, source, labels, max_sweeps)
        now = evidence.partition(source, settled, n_clusters)
        assert now.objective == pytest.approx(value + evidence.model.log_base, rel=1e-13, abs=1e-8)
    algorithm = MaximizationExpectation()
    start = algorithm.start(model, source.assign_given(n_clusters, codes=settled))
    fit = algorithm.run(model, source, start, labels=settled)
    assert (np.diff([now.objective, *fit.objectives]) >= -1e-9).all()
    best = evidence.partition(source, fit.labels, n_clusters)
    assert best.objective == pytest.approx(fit.objective, rel=1e-13, abs=1e-8)
    for row in range(len(source)) if evidence.model.family.collapsed_kind is not None else ():
        for k in range(n_clusters):
            moved = fit.labels.copy()
            moved[row] = k
            assert evidence.partition(source, moved, n_clusters).objective <= best.objective + 1e-8


@each_family
def test_merge_gains_are_differences_of_objectives(family):
    evidence, source = problem(family, rows(family))
    labels = np.arange(len(source), dtype=np.int32) % 7
    start = evidence.partition(source, labels, 7)
    merges = Merges(evidence, start.stats, start.n_k)
    while len(merges.n_k) > 1:
        before = objective(evidence, source, merges.labels(labels))
        first, second, gain = merges.best()
        merges.merge([first], [second])
        assert objective(evidence, source, merges.labels(labels)) - before == pytest.approx(gain, abs=1e-8)


def partitions_of(n):
    """Labels of every partition of n things."""
    for labels in itertools.product(range(n), repeat=n):
        if all(label <= max(labels[:i], default=-1) + 1 for i, label in enumerate(labels)):
            yield np.array(labels, dtype=np.int32)


@each_family
@each_prior
def test_evidence_of_settled_rows_is_the_gain_of_a_split(family, prior):
    evidence, source = problem(family, rows(family), prior=prior)
    partition = evidence.partition(source, np.arange(len(source), dtype=np.int32) % 3, 3)
    positions = np.flatnonzero(partition.labels == 1)
    place = Neighbourhood(evidence, source, partition, [1], positions)
    labels = (place.source.coordinates()[:, 0] > 0).astype(np.int32)
    labels, value = settle(place.model(2), place.source, labels, 3)
    given = place.source.assign_given(2, codes=labels)
    assert place.gain_at(value) == pytest.approx(place.gain(given.stats, given.n_k), rel=1e-9)
    after = partition.labels.copy()
    after[positions] = np.where(labels == 0, 1, 3)
    gained = evidence.partition(source, after, 4).objective - partition.objective
    assert place.gain_at(value) == pytest.approx(gained, rel=1e-8)


@pytest.mark.parametrize("prior", PARTITION_PRIORS)
def test_partition_priors_sum_to_one(prior):
    """Over all partitions of five rows; the Dirichlet's is given the number of components, of which none is empty."""
    given = PARTITION_PRIORS[prior](0.7)
    total = 0.0
    for labels in partitions_of(5):
        sizes = np.bincount(labels)
        total += np.exp(given.log_sizes(sizes).sum() + given.log_count(len(sizes), 5.0))
    if prior == "dirichlet":
        # of K components, the partitions into K clusters are those where none is empty
        expected = sum(
            np.exp(gammaln(0.7 * K) - gammaln(5 + 0.7 * K) + (gammaln(np.array(sizes) + 0.7) - gammaln(0.7)).sum())
            * np.exp(gammaln(6) - gammaln(np.array(sizes) + 1.0).sum())
            for K in range(1, 6)
            for sizes in itertools.product(range(1, 6), repeat=K)
            if sum(sizes) == 5
        )
        assert total == pytest.approx(expected, rel=1e-12)
    else:
        assert total == pytest.approx(1.0, rel=1e-12)


@pytest.mark.parametrize("seed", [0, 1])
@each_family
def test_no_partition_of_few_rows_is_better(family, seed):
    X = rows(family, n=6, d=2, k=2, seed=seed)
    evidence, source = problem(family, X)
    every = partitions_of(len(source))
    best = max(evidence.partition(source, labels, labels.max() + 1).objective for labels in every)
    found = BayesianKMeans(family=family, n_init=3, random_state=0).fit(X)
    assert found.log_evidence_ == pytest.approx(best, abs=1e-8)


@pytest.mark.parametrize("kind", ["full", "tied", "diag", "spherical", "EII"])
def test_family_auto_finds_the_structure(kind):
    rng = np.random.default_rng(3)
    factors = {
        "full": np.linalg.qr(rng.normal(size=(3, 3, 3)))[0] * np.array([1.0, 2.0, 4.0]),
        "tied": np.tile(np.linalg.qr(rng.normal(size=(3, 3)))[0] * np.array([1.0, 2.0, 4.0]), (3, 1, 1)),
        "diag": np.stack([np.diag(rng.permutation([1.0, 2.0, 4.0])) for _ in range(3)]),
        "spherical": np.stack([scale * np.eye(3) for scale in (1.0, 2.0, 4.0)]),
        "EII": np.stack([np.eye(3)] * 3),
    }[kind]
    labels = np.repeat(np.arange(3), 150)
    X = 25.0 * np.eye(3)[labels] + np.einsum("nij,nj->ni", factors[labels], rng.normal(size=(450, 3)))
    found = BayesianKMeans(family="auto").fit(X)
    assert found.family_.covariance_type == kind
    assert found.n_components_ == 3
    given = BayesianKMeans(family=Gaussian(kind)).fit(X)
    assert found.log_evidence_ == pytest.approx(given.log_evidence_, rel=1e-12)
    np.testing.assert_array_equal(found.labels_, found.predict(X))
    # evidences of families compare in the user's units
    units = BayesianKMeans(family="auto").fit(1e3 * X + 5.0)
    assert units.log_evidence_ == pytest.approx(found.log_evidence_ - X.size * np.log(1e3), rel=1e-10)


def test_family_auto_is_at_least_as_good_as_each():
    X = load_iris().data
    found = BayesianKMeans(family="auto").fit(X)
    each = [BayesianKMeans(family=Gaussian(kind)).fit(X).log_evidence_ for kind in ("full", "tied", "diag", "EII")]
    assert found.log_evidence_ >= max(each) - 1e-9


@each_family
def test_dendrogram_has_the_form_that_scipy_draws(family):
    X = rows(family)
    found = BayesianKMeans(family=family).fit(X)
    K = found.n_components_
    assert K > 3
    linkage = found.linkage_
    assert is_valid_linkage(linkage)
    assert linkage.shape == (K - 1, 4)
    assert linkage[-1, 3] == K
    np.testing.assert_array_equal(linkage[:, :2], found.children_)
    np.testing.assert_array_equal(linkage[:, 2], found.distances_)
    assert sorted(found.children_.ravel()) == list(range(2 * K - 2))
    # the first merge is the one that loses least
    evidence, source = problem(family, X)
    labels = found.labels_[source.index]
    before, losses = objective(evidence, source, labels), []
    for i, j in itertools.combinations(range(K), 2):
        merged = np.unique(np.where(labels == j, i, labels), return_inverse=True)[1].astype(np.int32)
        losses.append((before - objective(evidence, source, merged), i, j))
    loss, *pair = min(losses)
    assert found.distances_[0] == pytest.approx(loss, abs=1e-8)
    assert list(found.children_[0]) == pair


def test_merges_are_those_of_the_last_fit():
    rng = np.random.default_rng(0)
    found = BayesianKMeans("auto", random_state=0)
    for n_groups in (3, 5):
        found.fit(rng.normal(size=(200, 2)) + 20.0 * (np.arange(200)[:, None] % n_groups))
        assert len(found.children_) == len(found.distances_) == found.n_components_ - 1 == n_groups - 1
    assert found.children_ is found.children_


def test_one_cluster_has_no_merges():
    X = np.random.default_rng(0).normal(size=(200, 3))
    found = BayesianKMeans().fit(X)
    assert found.n_components_ == 1
    assert found.children_.shape == (0, 2)
    assert found.linkage_.shape == (0, 4)
    assert not hasattr(BayesianKMeans(2).fit(X), "children_")


DEGENERATE = {
    "all rows equal": np.ones((20, 2)),
    "a constant column": np.column_stack([np.repeat([0.0, 10.0], 30) + np.linspace(0, 1, 60), np.ones(60)]),
    "two rows": np.array([[0.0, 1.0], [2.0, 3.0]]),
    "two distinct rows": np.repeat([[0.0, 1.0], [2.0, 3.0]], 20, axis=0),
    "one column": np.linspace(0, 1, 30)[:, None] ** 3,
    "more columns than rows": np.random.default_rng(0).normal(size=(6, 10)),
    "dependent columns": np.linspace(0, 1, 40)[:, None] * np.array([1.0, 2.0, 3.0]),
    "an outlier": np.append(np.random.default_rng(0).normal(size=(60, 2)), [[1e9, -1e9]], axis=0),
}


@pytest.mark.filterwarnings("ignore::skem.exceptions.DegenerateComponentWarning")
@pytest.mark.parametrize("name", DEGENERATE)
@pytest.mark.parametrize("family", [None, "auto"])
@pytest.mark.parametrize("order", ["top_down", "bottom_up"])
def test_degenerate_data(name, family, order):
    X = DEGENERATE[name]
    found = BayesianKMeans(family=family, order=order, random_state=0).fit(X)
    assert np.isfinite(found.log_evidence_)
    assert np.isfinite(found.score_samples(X)).all()
    assert found.n_components_ == len(np.unique(found.labels_)) <= len(np.unique(X, axis=0))


def test_starts_that_are_given():
    X, species = load_iris(return_X_y=True)
    free = BayesianKMeans().fit(X)
    for init in (species, np.eye(3)[species], {"means": free.means_, "covariances": free.covariances_}):
        found = BayesianKMeans(init=init).fit(X)
        assert found.log_evidence_ == pytest.approx(free.log_evidence_, rel=1e-12)
    warm = BayesianKMeans(warm_start=True).fit(X[::2]).fit(X)
    assert warm.log_evidence_ == pytest.approx(free.log_evidence_, rel=1e-12)
    many = BayesianKMeans(order="bottom_up", random_state=0).fit(X)
    assert many.log_evidence_ == pytest.approx(free.log_evidence_, rel=1e-12)


def test_many_rows_begin_with_a_sample(monkeypatch):
    monkeypatch.setattr(search_module, "SAMPLE", 200)
    monkeypatch.setattr(search_module, "SAMPLE_COLUMNS", 1)
    rng = np.random.default_rng(0)
    X = 20.0 * rng.normal(size=(8, 3))[rng.integers(8, size=3000)] + rng.normal(size=(3000, 3))
    evidence, source = problem(FAMILIES[0], X)
    steps = []
    search = Search(evidence, source, np.random.default_rng(0), on_step=lambda kind, now: steps.append((kind, now)))
    fit = search.run(np.zeros(len(X), dtype=np.int32), 1)
    assert steps[0][1].n_clusters > 1
    assert len(fit.state.n_k) == 8
    assert fit.objective == pytest.approx(objective(evidence, source, fit.labels), rel=1e-13)


@pytest.mark.parametrize(
    ("number", "kind", "without"),
    [
        (None, "draw", {"TEMPERATURES": ()}),
        (17, "shift", {"BORDERS": ()}),
        (152, "merge", {"N_LOSING": 0}),
    ],
    ids=["draws", "shifts", "losing merge"],
)
def test_moves_at_the_end_lead_higher(number, kind, without, monkeypatch):
    # the repository's folder comes last, for an installed skem to stay the one that is tested
    monkeypatch.setattr(sys, "path", [*sys.path, str(Path(__file__).parents[1])])
    from benchmarks.studies.optimality import problem_of

    X = load_wine().data if number is None else problem_of(number).X
    evidence, source = problem(FAMILIES[0], X)
    steps = []
    if kind != "shift":
        # borders that move lead as high
        monkeypatch.setattr(search_module, "BORDERS", ())
    search = Search(evidence, source, np.random.default_rng(0), on_step=lambda kind, now: steps.append((kind, now)))
    nothing = np.zeros(len(source), dtype=np.int32)
    found = search.run(nothing, 1)
    for name, value in without.items():
        monkeypatch.setattr(search_module, name, value)
    before = Search(evidence, source, np.random.default_rng(0)).run(nothing, 1)
    assert found.objective > before.objective + 1.0
    gained = [now for name, now in steps if name == kind and now.objective > before.objective]
    assert gained
    for now in gained:
        assert now.objective == pytest.approx(objective(evidence, source, now.labels), rel=1e-13)


@pytest.mark.parametrize("family", [FAMILIES[0], FAMILIES[-2]], ids=repr)
def test_draws_and_shifts_gain_or_are_nothing(family):
    """What is found is better by the exact objective, and what is not leaves no trace."""
    X = load_wine().data
    evidence, source = problem(family, X)
    labels = np.zeros(len(source), dtype=np.int32)
    now = Search(evidence, source, np.random.default_rng(0)).run(labels, 1)
    # a worse partition, which they lead away from
    labels, n_clusters = now.labels.copy(), len(now.state.n_k)
    labels[::7] = (labels[::7] + 1) % n_clusters
    worse, best = (evidence.partition(source, codes, n_clusters) for codes in (labels, now.labels))
    assert n_clusters > 1
    tries = {}
    for name, partition in (("worse", worse), ("best", best)):
        doubts = Doubts(evidence, source, partition)
        everywhere = np.arange(len(source))
        order = np.sort(doubts.scores, axis=1)
        own, other = doubts.scores[everywhere, partition.labels], doubts.scores[everywhere, doubts.other]
        np.testing.assert_array_equal(np.abs(doubts.margin), order[:, -1] - np.minimum(own, other))
        np.testing.assert_array_equal(doubts.margin, own - other)
        rng = np.random.default_rng(1)
        found = [doubts.drawn(temperature, rng) for temperature in (0.1, 1.0, 2.0, 8.0)]
        found += [doubts.shifted(k, margin) for k in range(n_clusters) for margin in (2.0, -2.0, 50.0, -50.0)]
        tries[name] = found
        for new in found:
            assert new is None or evidence.partition(source, new, n_clusters).objective > partition.objective
        # as from the beginning
        again = doubts.drawn(1.0, np.random.default_rng(2))
        fresh = Doubts(evidence, source, partition).drawn(1.0, np.random.default_rng(2))
        np.testing.assert_array_equal(again, fresh)
    assert any(new is not None for new in tries["worse"][:4])
    assert any(new is not None for new in tries["worse"][4:])


def test_a_callback_or_max_iter_stops_the_search():
    X = rows(FAMILIES[0], n=600, k=8)
    with pytest.warns(ConvergenceWarning, match="max_iter=1"):
        short = BayesianKMeans(max_iter=1).fit(X)
    assert len(short.lower_bounds_) == short.n_iter_ + 1 == 2
    whole = BayesianKMeans().fit(X)
    assert whole.converged_
    assert (np.diff(whole.lower_bounds_) > 0).all()
    assert whole.lower_bound_ == pytest.approx(whole.log_evidence_ / len(X))


def test_weight_is_repetition_and_order_is_nothing():
    X = rows(FAMILIES[0], n=150)
    rng = np.random.default_rng(1)
    weight = rng.integers(0, 3, size=len(X)).astype(float)
    weighted = BayesianKMeans().fit(X, sample_weight=weight)
    repeated = np.repeat(np.arange(len(X)), weight.astype(int))
    shuffled = rng.permutation(repeated)
    other = BayesianKMeans().fit(X[shuffled])
    assert other.log_evidence_ == pytest.approx(weighted.log_evidence_, rel=1e-12)
    pairs = set(zip(weighted.labels_[shuffled], other.labels_, strict=True))
    assert len(pairs) == weighted.n_components_ == other.n_components_
    np.testing.assert_array_equal(weighted.labels_, weighted.predict(X))


@pytest.mark.parametrize("kind", ["full", "tied"])
def test_a_prior_that_depends_on_the_number_is_refused(kind):
    with pytest.raises(ValueError, match="depends on n_components"):
        BayesianKMeans(family=Gaussian(kind, covariance_prior="mclust")).fit(load_iris().data)


def test_what_needs_a_number_says_so():
    X = load_iris().data
    with pytest.raises(ValueError, match="n_active=2 needs an integer"):
        BayesianKMeans(n_active=2).fit(X)
    with pytest.raises(ValueError, match=r"number of components, and n_components=3 gives it"):
        BayesianKMeans(3, weight_prior="mixture_of_finite_mixtures").fit(X)
    with pytest.raises(ValueError, match='family="auto" needs n_components="auto"'):
        BayesianKMeans(3, family="auto").fit(X)


def test_cuts_of_fewer_rows_than_columns_are_those_of_more():
    """Rows in a plane of few dimensions, whatever the number of columns they are written in."""
    rng = np.random.default_rng(0)
    Z = rng.normal(size=(40, 5)) * [5.0, 4.0, 3.0, 2.0, 1.0] + 4.0 * (np.arange(40) % 2)[:, None]
    weight = rng.integers(1, 4, 40).astype(float)
    Z -= weight @ Z / weight.sum()
    share = weight / weight.sum()
    wide = np.hstack([Z, Z @ rng.normal(size=(5, 60))])
    white = wide @ _whitening(wide, share)
    tall = np.vstack([wide, wide])
    expected = (tall @ _whitening(tall, np.tile(share / 2, 2)))[:40]
    assert white.shape == (40, 5)
    np.testing.assert_allclose(white * np.sign(white[0] * expected[0]), expected, atol=1e-7)
    np.testing.assert_allclose((white * share[:, None]).T @ white, np.eye(5), atol=1e-9)
