"""Student-t components: densities, degrees of freedom, the Gaussian within, and rows that lie far out."""

import warnings

import mpmath
import numpy as np
import pytest
from families_under_test import LATENT_CASES, Problem, covariances, gaussian_rows, student_rows
from public_estimators import quietly
from scipy import stats as sps
from scipy.special import digamma as sps_digamma
from scipy.special import logsumexp
from sklearn.metrics import adjusted_rand_score

import skem
from skem import EMMixture, ICMMixture, MAPMixture, MixtureSelection
from skem._kernels.student import log_scales, log_tail, most_likely_dof
from skem.exceptions import DegenerateComponentWarning
from skem.families import Gaussian, Poisson, Product, StudentT
from skem.starts import inner_rows

CLASSIC = ["full", "tied", "diag", "spherical"]


def clouds(rng, dof, n=600, d=2, K=3, apart=12.0):
    """K clouds about corners of a simplex, and their labels."""
    labels = np.arange(n) % K
    centres = apart * np.eye(max(d, K))[:K, :d]
    scale = np.sqrt(rng.chisquare(dof, size=n) / dof) if np.isfinite(dof) else np.ones(n)
    return centres[labels] + rng.normal(size=(n, d)) / scale[:, None], labels


def known(structure, dof, seed=0, d=3, K=2):
    """A mixture with parameters drawn at random."""
    rng = np.random.default_rng(seed)
    matrices = np.stack([np.cov(rng.normal(size=(d, 3 * d))) for _ in range(K)])
    scales = {
        "full": matrices,
        "tied": matrices[0],
        "diag": np.einsum("kii->ki", matrices),
        "spherical": np.trace(matrices, axis1=1, axis2=2) / d,
    }[structure]
    return EMMixture.from_parameters(
        family=StudentT(structure), weights=rng.dirichlet(np.ones(K)), means=3.0 * rng.normal(size=(K, d)),
        scale_matrices=scales, degrees_of_freedom=dof,
    )  # fmt: skip


def textbook(mixture, X):
    d, scales = X.shape[1], mixture.scale_matrices_
    parts = []
    for k, (mean, dof) in enumerate(zip(mixture.means_, mixture.degrees_of_freedom_, strict=True)):
        own = scales if mixture.family.covariance_type == "tied" else scales[k]
        own = own if np.ndim(own) == 2 else np.diag(np.broadcast_to(own, d))
        parts.append(sps.multivariate_t(mean, own, dof).logpdf(X))
    return logsumexp(np.stack(parts, axis=1) + np.log(mixture.weights_), axis=1)


# --- densities ------------------------------------------------------------------------------------


@pytest.mark.parametrize("structure", CLASSIC)
@pytest.mark.parametrize("dof", [(1.0, 2.5), (30.0, 1e4), (0.3, np.inf)])
def test_density_is_scipys(structure, dof):
    mixture = known(structure, dof)
    X = np.concatenate([mixture.sample(60, 0)[0], 1e3 * np.random.default_rng(1).normal(size=(20, 3))])
    np.testing.assert_allclose(mixture.score_samples(X), textbook(mixture, X), rtol=1e-10, atol=1e-10)


def test_many_columns():
    mixture = known("full", (3.0, 8.0), d=40)
    X = mixture.sample(50, 0)[0]
    np.testing.assert_allclose(mixture.score_samples(X), textbook(mixture, X), rtol=1e-10)


@pytest.mark.parametrize("structure", CLASSIC)
def test_far_rows_are_exact(structure):
    mixture = known(structure, (3.0, 1.5))
    X = np.array([1.0, -0.5, 2.0]) * 10.0 ** np.array([5.0, 50.0, 110.0, 130.0, 200.0, 300.0])[:, None]
    d, scales = (
        3,
        np.broadcast_to(mixture.scale_matrices_.T, (3, 3)) if structure == "tied" else mixture.scale_matrices_,
    )
    with mpmath.workdps(50):
        exact = []
        for x in X:
            terms = []
            for k, nu in enumerate(mixture.degrees_of_freedom_):
                own = scales if structure == "tied" else scales[k]
                own = own if np.ndim(own) == 2 else np.diag(np.broadcast_to(own, d))
                step = mpmath.matrix(
                    [mpmath.mpf(float(a)) - mpmath.mpf(float(b)) for a, b in zip(x, mixture.means_[k], strict=True)]
                )
                own = mpmath.matrix(own.tolist())
                q = (step.T * (own**-1) * step)[0]
                nu = mpmath.mpf(float(nu))
                log_density = (
                    mpmath.loggamma((nu + d) / 2) - mpmath.loggamma(nu / 2) - d * mpmath.log(nu * mpmath.pi) / 2
                    - mpmath.log(mpmath.det(own)) / 2 - (nu + d) / 2 * mpmath.log1p(q / nu)
                )  # fmt: skip
                terms.append(mpmath.log(float(mixture.weights_[k])) + log_density)
            exact.append(float(mpmath.log(sum(mpmath.exp(term) for term in terms))))
    np.testing.assert_allclose(mixture.score_samples(X), exact, rtol=1e-12)
    assert np.isfinite(mixture.predict_log_proba(X)).all()
    np.testing.assert_allclose(mixture.predict_proba(X).sum(axis=1), 1.0)


@pytest.mark.parametrize("case", LATENT_CASES, ids=lambda case: case.name)
def test_a_pass_scores_scipys_density(case):
    p = Problem(case)
    theta = p.family.mle(p.stats())
    expected = p.case.density(theta, p.internal)
    scores = np.empty((len(p.X), 2))
    skem.engine.Source(p.X, None, p.family).run(np.zeros(2), theta, collect=False, scores=scores)
    np.testing.assert_allclose(scores + np.reshape(p.base(), (-1, 1)), expected, rtol=1e-9, atol=1e-9)


def beside_counts(n=600):
    """Heavy-tailed groups that counts tell apart as well, and the groups."""
    rng = np.random.default_rng(0)
    group = np.arange(n) % 3
    places = rng.standard_t(2, size=(n, 2)) + 8.0 * np.eye(3)[group][:, :2]
    return np.column_stack([places, rng.poisson(np.array([1.0, 5.0, 12.0])[group])]), group


BESIDE = [("places", StudentT(), [0, 1]), ("visits", Poisson(), [2])]


@pytest.mark.parametrize("cls", [EMMixture, MAPMixture, ICMMixture])
def test_a_block_of_a_product(cls):
    X, group = beside_counts()
    X[:5, 0] = 1e6
    mixture = cls(3, family=Product(BESIDE), random_state=0).fit(X)
    assert adjusted_rand_score(group, mixture.labels_) > 0.9
    light = Product([("places", Gaussian(), [0, 1]), BESIDE[1]])
    gaussian = quietly(cls(3, family=light, random_state=0).fit, X)
    assert mixture.lower_bound_ > gaussian.lower_bound_ + 0.3
    assert adjusted_rand_score(group, gaussian.labels_) < 0.7
    assert mixture.places__degrees_of_freedom_.shape == (3,)


def test_a_product_is_never_below_its_gaussian():
    rng = np.random.default_rng(1)
    X = np.column_stack([gaussian_rows(rng, 80, 2), rng.poisson(3.0, size=80)])
    light = EMMixture(2, family=Product([("places", Gaussian(), [0, 1]), BESIDE[1]]), random_state=0).fit(X)
    mixture = EMMixture(2, family=Product(BESIDE), random_state=0).fit(X)
    assert mixture.lower_bound_ >= light.lower_bound_ - 1e-9


@pytest.mark.parametrize("structure", CLASSIC)
def test_one_block_is_the_family(structure):
    X = student_rows(np.random.default_rng(5), 120, 3)
    labels = (X[:, 0] > np.median(X[:, 0])).astype(int)
    own = StudentT(structure, bounds=(1.0, 50.0))
    one, other = (
        EMMixture(2, family=family, init=labels, tol=1e-11).fit(X)
        for family in (own, Product([("all", own, slice(None))]))
    )
    assert other.lower_bound_ == pytest.approx(one.lower_bound_, abs=1e-9)
    np.testing.assert_allclose(other.all__degrees_of_freedom_, one.degrees_of_freedom_, rtol=1e-3)


def test_far_rows_of_a_product_fall_by_a_power_where_heavy_columns_are_far():
    X, _ = beside_counts()
    mixture = EMMixture(3, family=Product(BESIDE), random_state=0).fit(X)
    slope = np.min(mixture.places__degrees_of_freedom_) + 2.0
    far = mixture.score_samples([[1e100, 0.0, 3.0], [1e130, 0.0, 3.0], [1e300, 1e300, 3.0]])
    assert far[0] - far[1] == pytest.approx(30.0 * np.log(10.0) * slope, rel=1e-6)
    assert np.isfinite(far).all()
    assert np.isfinite(mixture.predict_log_proba([[1e300, -1e300, 3.0]])).all()


@pytest.mark.parametrize("structure", CLASSIC)
def test_samples_have_the_distribution(structure):
    mixture = known(structure, (3.0, np.inf), K=2)
    X, labels = mixture.sample(20_000, 1)
    for k, dof in enumerate(mixture.degrees_of_freedom_):
        matrix = covariances(mixture._theta, 3)[k]
        scale = np.sqrt(np.diag(matrix)) * mixture.family_.summary_.scale
        z = (X[labels == k] - mixture.means_[k]) / scale
        for column in z.T:
            assert (
                sps.kstest(column, "t" if np.isfinite(dof) else "norm", (dof,) if np.isfinite(dof) else ()).pvalue
                > 1e-4
            )


def test_functions_of_degrees_of_freedom():
    dof = np.array([0.3, 1.0, 3.0, 39.0, 41.0, 1e3, 1e6, 1e10])
    with mpmath.workdps(40):
        for d in (1, 2, 65):
            exact = [mpmath.loggamma((mpmath.mpf(v) + d) / 2) - mpmath.loggamma(mpmath.mpf(v) / 2)
                     - mpmath.mpf(d) / 2 * mpmath.log(mpmath.mpf(v) / 2) for v in dof]  # fmt: skip
            np.testing.assert_allclose(log_tail(dof, d), [float(v) for v in exact], rtol=1e-12, atol=2e-14)
    assert log_tail(np.array([np.inf]), 5)[0] == 0.0
    with mpmath.workdps(40):
        # scales Gamma(nu / 2, nu / 2) times 3: E u = 3, E log u = digamma(nu / 2) - log(nu / 2) + log 3
        exact = np.array([float(mpmath.digamma(mpmath.mpf(v) / 2) - mpmath.log(mpmath.mpf(v) / 2)) for v in dof])
        scores = [float(mpmath.digamma(mpmath.mpf(v + 3) / 2) - mpmath.log(mpmath.mpf(v + 3) / 2)
                        + mpmath.log1p(3 / mpmath.mpf(v))) for v in dof]  # fmt: skip
    ones = np.ones(len(dof))
    np.testing.assert_allclose(log_scales(2.0 * ones, np.zeros((len(dof), 2)), dof, 3), 2.0 * np.array(scores), 1e-12)
    found, alpha = most_likely_dof(ones, 3.0 * ones, exact + np.log(3.0), (0.1, np.inf), False, False, True)
    np.testing.assert_allclose(found[:-2], dof[:-2], rtol=1e-8)
    np.testing.assert_allclose(alpha, 3.0)
    found = most_likely_dof(ones, ones, np.array([0.0, 1.0, -1e-16, *exact[:5]]), (2.0, 35.0), False, False, True)[0]
    np.testing.assert_allclose(found, [35.0, 35.0, 35.0, 2.0, 2.0, 3.0, 35.0, 35.0])


def test_common_degrees_of_freedom_pool_the_excess():
    mass, weight, log_scale = np.array([2.0, 1.0, 0.0]), np.array([2.0, 1.5, 0.0]), np.array([-0.5, 0.1, 0.0])
    common, alpha = most_likely_dof(mass, weight, log_scale, (0.1, np.inf), True, False, False)
    excess = ((mass * (0.0 - log_scale / np.maximum(mass, 1.0))) + [0.0, 0.5, 0.0]).sum() / 3.0
    np.testing.assert_allclose(np.log(common / 2.0) - sps_digamma(common / 2.0), excess, rtol=1e-9)
    np.testing.assert_array_equal(alpha, 1.0)
    assert most_likely_dof(mass, weight, log_scale, (0.1, np.inf), True, True, True)[1] == pytest.approx(3.5 / 3.0)


# --- degrees of freedom ---------------------------------------------------------------------------


@pytest.mark.parametrize("structure", CLASSIC)
def test_degrees_of_freedom_are_recovered(structure):
    rng = np.random.default_rng(0)
    heavy, light = clouds(rng, 3.0, 3000, K=1)[0], clouds(rng, 12.0, 3000, K=1)[0]
    X = np.concatenate([heavy, light + 25.0])
    free = EMMixture(2, family=StudentT(structure), init="k-means", random_state=0).fit(X)
    low, high = np.sort(free.degrees_of_freedom_)
    assert 2.6 < low < 3.4
    assert 8.0 < high < 20.0
    common = EMMixture(2, family=StudentT(structure, "common"), init="k-means", random_state=0).fit(X)
    assert np.ptp(common.degrees_of_freedom_) == 0.0
    assert low < common.degrees_of_freedom_[0] < high
    given = EMMixture(2, family=StudentT(structure, 5.0), init="k-means", random_state=0).fit(X)
    np.testing.assert_array_equal(given.degrees_of_freedom_, 5.0)
    assert given.lower_bound_ < common.lower_bound_ < free.lower_bound_


def test_the_optimum_is_one():
    """No step in any parameter of a converged fit raises the likelihood."""
    X, _ = clouds(np.random.default_rng(1), 4.0, 400, apart=5.0)
    mixture = EMMixture(3, family=StudentT(), init="k-means", random_state=0, tol=1e-13).fit(X)
    best = mixture.score(X)
    names = ("means", "scale_matrices", "degrees_of_freedom")
    given = {name: getattr(mixture, f"{name}_") for name in names}
    rng = np.random.default_rng(0)
    for name in names:
        for _ in range(8):
            step = 1.0 + 1e-3 * rng.normal(size=given[name].shape)
            step = 0.5 * (step + np.swapaxes(step, 1, 2)) if name == "scale_matrices" else step
            other = EMMixture.from_parameters(
                family=StudentT(), weights=mixture.weights_, **given | {name: given[name] * step}
            )
            assert other.score(X) < best


@pytest.fixture
def faithful_start(request):
    path = request.config.rootpath / "tests" / "data"
    X = np.loadtxt(path / "faithful.csv", delimiter=",", skiprows=1)
    parts = np.loadtxt(path / "init_partition_faithful.csv", delimiter=",", skiprows=1)
    return X, parts[:, 1].astype(int) - 1


def test_faithful_from_the_shipped_partition(faithful_start):
    X, labels = faithful_start
    mixture = EMMixture(2, family=StudentT(bounds=(1.0, 200.0)), init=labels, tol=1e-10).fit(X)
    assert mixture.lower_bound_ * len(X) >= -1129.9612
    assert mixture.degrees_of_freedom_.max() <= 200.0
    assert np.diff(mixture.lower_bounds_).min() >= -1e-12


@pytest.mark.parametrize(("structure", "dof"), [("full", "free"), ("tied", "free"), ("spherical", "common")])
def test_never_below_the_gaussian(structure, dof):
    X, labels = clouds(np.random.default_rng(3), np.inf, 120, apart=3.0)
    for init in (labels, "k-means"):
        gaussian = EMMixture(3, family=Gaussian(structure), init=init, random_state=0).fit(X)
        student = EMMixture(3, family=StudentT(structure, dof), init=init, random_state=0).fit(X)
        assert student.lower_bound_ >= gaussian.lower_bound_ - 1e-7


def test_without_tails_it_is_the_gaussian():
    X, labels = clouds(np.random.default_rng(3), np.inf, 150, apart=3.0)
    for cls in (EMMixture, MAPMixture, ICMMixture):
        student = cls(3, family=StudentT(degrees_of_freedom=np.inf), init=labels, tol=1e-12).fit(X)
        # no evidence chooses the scale of a Student-t's prior
        gaussian = cls(3, family=Gaussian(covariance_prior="default"), init=labels, tol=1e-12).fit(X)
        np.testing.assert_allclose(student.means_, gaussian.means_, rtol=1e-3, atol=1e-3)
        assert student.lower_bound_ == pytest.approx(gaussian.lower_bound_, abs=1e-6)
    assert np.isinf(student.degrees_of_freedom_).all()
    np.testing.assert_allclose(student.scale_matrices_, gaussian.covariances_, rtol=1e-2, atol=1e-2)


def test_bic_counts_degrees_of_freedom():
    X, labels = clouds(np.random.default_rng(3), 3.0, 150)
    number = {dof: EMMixture(3, family=StudentT("diag", dof), init=labels).fit(X)._n_parameters()
              for dof in ("free", "common", 3.0)}  # fmt: skip
    assert number["free"] - number[3.0] == 3
    assert number["common"] - number[3.0] == 1
    assert number[3.0] == EMMixture(3, family=Gaussian("diag"), init=labels).fit(X)._n_parameters()


# --- rows far out ---------------------------------------------------------------------------------


@pytest.mark.parametrize("structure", CLASSIC)
@pytest.mark.parametrize("dof", ["common", 4.0])
def test_outliers_leave_the_means_alone(structure, dof):
    rng = np.random.default_rng(0)
    X, labels = clouds(rng, np.inf, 9000)
    clean = EMMixture(3, family=StudentT(structure, dof), init=labels).fit(X)
    far = rng.normal(size=(450, 2))
    far *= 1e6 / np.linalg.norm(far, axis=1)[:, None]
    start = {"weights": clean.weights_, "means": clean.means_, "scale_matrices": clean.scale_matrices_,
             "degrees_of_freedom": np.full(3, 4.0)}  # fmt: skip
    spoiled = EMMixture(3, family=StudentT(structure, dof), init=start).fit(np.concatenate([X, far]))
    assert np.linalg.norm(spoiled.means_ - clean.means_, axis=1).max() < 0.05


@pytest.mark.parametrize("structure", CLASSIC)
def test_outliers_bring_degrees_of_freedom_down_and_nothing_else(structure):
    """The means are those of the clean rows at the degrees of freedom that outliers ask for."""
    rng = np.random.default_rng(0)
    X, labels = clouds(rng, np.inf, 900)
    clean = EMMixture(3, family=StudentT(structure, 1.0), init=labels).fit(X)
    far = rng.normal(size=(45, 2))
    far *= 1e6 / np.linalg.norm(far, axis=1)[:, None]
    start = {"weights": clean.weights_, "means": clean.means_, "scale_matrices": clean.scale_matrices_,
             "degrees_of_freedom": np.full(3, 4.0)}  # fmt: skip
    for dof in ("free", "common"):
        spoiled = EMMixture(3, family=StudentT(structure, dof), init=start).fit(np.concatenate([X, far]))
        np.testing.assert_allclose(spoiled.degrees_of_freedom_, 1.0)
        assert np.linalg.norm(spoiled.means_ - clean.means_, axis=1).max() < 0.02


@pytest.mark.parametrize("init", ["k-means", "k-means++", "portfolio"])
def test_an_outlier_takes_no_seed(init):
    X, labels = clouds(np.random.default_rng(0), np.inf)
    X[7] = 1e6
    mixture = EMMixture(3, family=StudentT("spherical", 3.0), init=init, random_state=0).fit(X)
    assert adjusted_rand_score(labels, mixture.labels_) > 0.97


@pytest.mark.parametrize("init", ["k-means", "portfolio"])
@pytest.mark.parametrize("d", [2, 16])
def test_cauchy_rows_do_not_break_starts(d, init):
    X, labels = clouds(np.random.default_rng(1), 1.0, 900, d=d, apart=20.0)
    mixture = EMMixture(3, family=StudentT("spherical", "common"), init=init, random_state=0).fit(X)
    assert adjusted_rand_score(labels, mixture.labels_) > 0.75
    assert mixture.degrees_of_freedom_[0] < 1.3


def test_inner_rows_by_weight():
    rng = np.random.default_rng(0)
    X, _ = clouds(rng, 2.0, 300, d=3)
    weight = rng.integers(1, 4, size=300)
    by_weight = inner_rows(X, weight.astype(float))
    assert 0.6 < by_weight.mean() < 1.0
    assert not by_weight[np.argmax(np.linalg.norm(X, axis=1))]
    np.testing.assert_array_equal(inner_rows(X, 2.0 * weight), by_weight)
    assert inner_rows(np.zeros((5, 2)), np.ones(5)).all()


def test_flat_components_are_told():
    X, labels = clouds(np.random.default_rng(0), np.inf, 60)
    X[labels == 1] = X[1]
    with pytest.warns(DegenerateComponentWarning):
        mixture = EMMixture(3, family=StudentT(), init=labels).fit(X)
    assert mixture.degenerate_


# --- the contract ---------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", [skem.VariationalMixture, skem.BayesianKMeans, skem.GibbsMixture])
def test_cells_without_a_conjugate_prior_are_refused(cls):
    with pytest.raises(TypeError, match=r"StudentT.* offers no"):
        cls(family=StudentT()).fit(np.random.default_rng(0).normal(size=(20, 2)))


def test_what_it_cannot_do_is_said_in_one_sentence():
    X = np.random.default_rng(0).normal(size=(20, 2))
    with pytest.raises(ValueError, match="noise goes with Gaussian components"):
        EMMixture(family=StudentT(), noise=0.1).fit(X)
    for family in (StudentT(), Product([("heavy", StudentT(), [0]), ("light", Gaussian(), [1])])):
        with pytest.raises(ValueError, match="n_active"):
            EMMixture(4, family=family, n_active=2).fit(X)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"degrees_of_freedom": 0.0}, "degrees_of_freedom"),
        ({"degrees_of_freedom": "two"}, "degrees_of_freedom"),
        ({"covariance_type": "VEV"}, "covariance_type"),
        ({"bounds": (3.0, 2.0)}, "bounds"),
        ({"bounds": (0.0, 2.0)}, "bounds"),
        ({"bounds": (1.0,)}, "bounds"),
    ],
)
def test_bad_parameters(params, message):
    with pytest.raises(ValueError, match=message):
        EMMixture(family=StudentT(**params)).fit(np.random.default_rng(0).normal(size=(20, 2)))


def test_bad_public_parameters():
    good = {"means": [[0.0]], "scale_matrices": [[[1.0]]], "degrees_of_freedom": [3.0]}
    bad = {"degrees_of_freedom": ([-1.0], "must be positive"), "scale_matrices": ([[[-1.0]]], "positive"),
           "means": ([[np.nan]], "NaN")}  # fmt: skip
    for name, (value, message) in bad.items():
        with pytest.raises(ValueError, match=message):
            EMMixture.from_parameters(family=StudentT(), **good | {name: value})
    with pytest.raises(ValueError, match="there are no scale_matrices"):
        EMMixture.from_parameters(family=StudentT(), means=[[0.0]])


def test_structures():
    assert [family.covariance_type for family in StudentT(degrees_of_freedom="common").structures(3)] == CLASSIC
    assert [family.covariance_type for family in StudentT().structures(1)] == ["full", "tied"]
    assert all(family.degrees_of_freedom == 2.0 for family in StudentT(degrees_of_freedom=2.0).structures(3))


def test_warm_start_goes_on():
    X, labels = clouds(np.random.default_rng(0), np.inf, 150, apart=4.0)
    mixture = EMMixture(3, family=StudentT(), init=labels, warm_start=True).fit(X)
    before = mixture.lower_bound_
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert mixture.fit(X).lower_bound_ >= before - 1e-9


@pytest.mark.parametrize("cls", [EMMixture, MAPMixture, ICMMixture])
def test_integer_weights_equal_repetition(cls):
    rng = np.random.default_rng(4)
    X, _ = clouds(rng, 3.0, 90)
    weight = rng.integers(0, 4, size=90)
    index = rng.permutation(np.repeat(np.arange(90), weight))
    one = cls(3, family=StudentT("spherical"), init="k-means", random_state=0).fit(X, sample_weight=weight)
    other = cls(3, family=StudentT("spherical"), init="k-means", random_state=0).fit(X[index])
    np.testing.assert_allclose(one.means_, other.means_, rtol=0, atol=1e-7)
    np.testing.assert_allclose(1.0 / one.degrees_of_freedom_, 1.0 / other.degrees_of_freedom_, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(one.labels_[index], other.labels_)


@pytest.mark.parametrize("structure", CLASSIC)
def test_units_change_nothing(structure):
    X, _ = clouds(np.random.default_rng(4), 3.0, 150)
    one = EMMixture(3, family=StudentT(structure, "common"), init="k-means", random_state=0).fit(X)
    other = EMMixture(3, family=StudentT(structure, "common"), init="k-means", random_state=0).fit(2.0**-40 * (X + 8.0))
    np.testing.assert_allclose(other.means_ * 2.0**40 - 8.0, one.means_, atol=1e-8)
    np.testing.assert_allclose(other.degrees_of_freedom_, one.degrees_of_freedom_, rtol=1e-6)


def test_partial_fit_takes_batches():
    X, labels = clouds(np.random.default_rng(5), 3.0, 3000)
    mixture = EMMixture(3, family=StudentT("spherical", "common"), random_state=0)
    for first in range(0, 3000, 500):
        mixture.partial_fit(X[first : first + 500])
    assert adjusted_rand_score(labels, mixture.predict(X)) > 0.9


@pytest.mark.parametrize("dof", [2.0, np.inf])
def test_selection_takes_students_in_where_tails_are_heavy(dof):
    X, labels = clouds(np.random.default_rng(2), dof, 200, K=2)
    selection = MixtureSelection(n_components=2, random_state=0).fit(X)
    students = [name for name in selection.results_["family"] if name.startswith("StudentT ")]
    if np.isinf(dof):
        assert not students
        assert type(selection.best_params_["family"]) is Gaussian
    else:
        assert len(students) == len(CLASSIC)
        assert type(selection.best_params_["family"]) is StudentT
        assert adjusted_rand_score(labels, selection.labels_) > 0.9
    of_one_family = MixtureSelection(n_components=2, families=Gaussian(), random_state=0).fit(X)
    assert len(of_one_family.results_["family"]) == 1
