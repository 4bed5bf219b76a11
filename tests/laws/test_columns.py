"""Mixtures of some columns: marginal x conditional is the joint density, and both are what integration gives."""

import numpy as np
import pytest
from families_under_test import Problem, law
from public_estimators import COVARIANCES, MIXTURES, make, quietly
from scipy.integrate import quad
from sklearn.datasets import load_iris

from skem import EMMixture, VariationalMixture
from skem.families import Categorical, Gaussian, Multinomial, Poisson
from skem.families.covariance import FOURTEEN
from skem.summary import Summary

IRIS = load_iris(as_frame=True).data


def fitted(problem):
    """A mixture with the parameters of a problem's components."""
    stats = problem.stats()
    theta = problem.family.mle(stats)
    family = problem.case.family
    return EMMixture._from_theta(family, problem.family, np.log([0.3, 0.7]), theta)


@law("marginal", "conditional", latent=True)
@pytest.mark.parametrize("columns", [[0], [2, 0], [1, 2]])
def test_joint_is_marginal_times_conditional(case, columns):
    problem = Problem(case, n=40)
    mixture = fitted(problem)
    rest = [j for j in range(problem.X.shape[1]) if j not in columns]
    X = problem.X[:10]
    alone = mixture.marginal(columns).score_samples(X[:, columns])
    given = mixture.conditional(columns, X[:, columns])
    others = np.array([m.score_samples(x[None, rest])[0] for m, x in zip(given, X, strict=True)])
    np.testing.assert_allclose(alone + others, mixture.score_samples(X), rtol=0, atol=1e-10)


@law("marginal", "conditional", latent=True)
def test_conditioning_twice_is_conditioning_on_both(case):
    problem = Problem(case, n=40)
    mixture, x = fitted(problem), problem.X[0]
    twice = mixture.conditional([0], x[[0]]).conditional([1], x[[2]])
    once = mixture.conditional([0, 2], x[[0, 2]])
    np.testing.assert_allclose(twice.weights_, once.weights_, rtol=1e-10)
    y = problem.X[:, [1, *range(3, problem.X.shape[1])]]
    np.testing.assert_allclose(twice.score_samples(y), once.score_samples(y), rtol=0, atol=1e-10)


@pytest.mark.parametrize("covariance_type", COVARIANCES)
def test_marginal_is_the_integral(covariance_type):
    X = IRIS.to_numpy()[:, :3]
    mixture = EMMixture(3, family=Gaussian(covariance_type), random_state=0).fit(X)
    alone = mixture.marginal([2, 0])
    assert alone.family.covariance_type == covariance_type
    for x, y in [(5.0, 1.5), (6.0, 4.5)]:

        def density(z, x=x, y=y):
            return np.exp(mixture.score_samples([[x, z, y]])[0])

        integral = quad(density, 0.0, 8.0, points=mixture.means_[:, 1], epsabs=1e-13, epsrel=1e-12, limit=200)[0]
        assert np.exp(alone.score_samples([[y, x]])[0]) == pytest.approx(integral, rel=1e-8)
        given = mixture.conditional([2, 0], [y, x])
        assert np.exp(given.score_samples([[3.0]])[0]) == pytest.approx(density(3.0) / integral, rel=1e-8)


@pytest.mark.parametrize("code", FOURTEEN)
def test_every_structure(code):
    """A model that some of its columns leave gives way to one that holds them."""
    X, species = load_iris(return_X_y=True)
    mixture = quietly(EMMixture(3, family=Gaussian(code), init=species).fit, X)
    alone, given = mixture.marginal([3, 1]), mixture.conditional([3, 1], X[60, [3, 1]])
    joint = alone.score_samples(X[[60]][:, [3, 1]]) + given.score_samples(X[[60]][:, [0, 2]])
    np.testing.assert_allclose(joint, mixture.score_samples(X[[60]]), rtol=0, atol=1e-10)
    wider = {"EVI": "diag", "EVE": "full", "VVE": "full", "EEV": "full", "VEV": "full", "EVV": "full"}
    assert alone.family.covariance_type == given.family.covariance_type == wider.get(code, code)
    plain = EMMixture.from_parameters(
        family=alone.family, weights=alone.weights_, means=alone.means_, covariances=alone.covariances_
    )
    np.testing.assert_allclose(plain.score_samples(X[:, [3, 1]]), alone.score_samples(X[:, [3, 1]]), rtol=1e-9)


def test_counts_are_summed():
    mixture = EMMixture.from_parameters(family=Poisson(), weights=[0.4, 0.6], rates=[[1.0, 4.0, 2.0], [6.0, 0.5, 1.0]])
    grid = np.stack(np.meshgrid([3.0], np.arange(60.0), [1.0], indexing="ij"), axis=-1).reshape(-1, 3)
    joint = np.exp(mixture.score_samples(grid))
    assert np.exp(mixture.marginal([0, 2]).score_samples([[3.0, 1.0]])[0]) == pytest.approx(joint.sum(), rel=1e-12)
    given = mixture.conditional([0, 2], [3, 1])
    np.testing.assert_allclose(np.exp(given.score_samples(grid[:, [1]])), joint / joint.sum(), rtol=1e-9)


@pytest.mark.parametrize("cls", MIXTURES)
def test_class_weights_and_names_are_kept(cls):
    mixture = quietly(make(cls, n_components=3, random_state=0).fit, IRIS)
    names = ["petal width (cm)", "sepal width (cm)"]
    alone = mixture.marginal(names)
    assert type(alone) is cls
    assert alone.feature_names_in_.tolist() == names
    np.testing.assert_allclose(alone.weights_, mixture.weights_, rtol=1e-13)
    np.testing.assert_allclose(alone.means_, mixture.means_[:, [3, 1]], rtol=1e-12)
    np.testing.assert_allclose(alone.covariances_, mixture.covariances_[:, [3, 1]][:, :, [3, 1]], rtol=1e-9)
    assert alone.predict(IRIS[names]).shape == (150,)
    given = mixture.conditional("petal width (cm)", [0.2])
    assert given.feature_names_in_.tolist() == list(IRIS.columns[:3])
    assert given.score_samples(IRIS.iloc[:, :3]).shape == (150,)


@pytest.mark.parametrize("columns", [slice(1, None, 2), [False, True, False, True], ["sepal width (cm)", -1]])
def test_columns_may_be_told_in_many_ways(columns):
    mixture = EMMixture(2, random_state=0).fit(IRIS)
    alone = mixture.marginal(columns)
    assert alone.feature_names_in_.tolist() == ["sepal width (cm)", "petal width (cm)"]
    np.testing.assert_array_equal(alone.means_, mixture.marginal([1, 3]).means_)


def test_the_density_is_that_of_the_published_parameters():
    X = IRIS.to_numpy()
    mixture = VariationalMixture(2, random_state=0).fit(X)
    plain = EMMixture.from_parameters(weights=mixture.weights_, means=mixture.means_, covariances=mixture.covariances_)
    np.testing.assert_allclose(
        mixture.marginal([1, 2]).score_samples(X[:, [1, 2]]), plain.marginal([1, 2]).score_samples(X[:, [1, 2]]),
        rtol=1e-10,
    )  # fmt: skip


def test_a_value_far_from_all_components():
    mixture = EMMixture(3, random_state=0).fit(IRIS.to_numpy())
    for value in (1e3, -1e8, 1e200):
        given = mixture.conditional([0], [value])
        assert given.weights_.sum() == pytest.approx(1.0)
        assert np.isfinite(given.means_).all()


def test_thin_components_keep_their_digits():
    """Correlation 1 - 1e-7: no covariance is formed on the way."""
    rho = 1.0 - 1e-7
    mixture = EMMixture.from_parameters(means=[[1e4, -1e4]], covariances=[[[1.0, rho], [rho, 1.0]]])
    given = mixture.conditional([0], [1e4 + 1.0])
    assert given.means_[0, 0] == pytest.approx(-1e4 + rho, rel=1e-12)
    assert given.covariances_[0, 0, 0] == pytest.approx(1.0 - rho**2, rel=1e-7)


@pytest.mark.parametrize(
    ("columns", "values", "message"),
    [
        (["wing"], [1.0], "without a column 'wing'"),
        ([4], [1.0], "no column 4"),
        ([0, -4], [1.0, 1.0], "column -4 comes twice"),
        ([0.5], [1.0], "neither a position nor a name"),
        ([], [], "columns is empty"),
        ([True, False], [1.0], r"a mask of shape \(2,\) does not fit the mixture's 4 features"),
        ({"sepal length (cm)": 5.0}, [1.0], "a mapping is ambiguous"),
        ([0, 1, 2, 3], np.ones(4), "none is left"),
        ([0, 1], [1.0], r"values must have shape \(2,\) or \(n_rows, 2\)"),
        ([0], [np.nan], "values"),
        ([0], ["a"], "values"),
    ],
)
def test_bad_columns_and_values(columns, values, message):
    mixture = EMMixture(2, random_state=0).fit(IRIS)
    with pytest.raises(ValueError, match=message):
        mixture.conditional(columns, values)


def test_values_outside_the_domain():
    mixture = EMMixture.from_parameters(family=Poisson(), rates=[[1.0, 2.0]])
    with pytest.raises(ValueError, match="takes counts"):
        mixture.conditional([0], [1.5])


def test_unfitted_and_families_without_marginals():
    with pytest.raises(ValueError, match="not fitted"):
        EMMixture().marginal([0])
    from toy_family import Rayleigh

    mixture = EMMixture(2, family=Rayleigh(), random_state=0).fit(np.abs(IRIS.to_numpy()))
    with pytest.raises(TypeError, match=r"Rayleigh\(\) offers no marginal"):
        mixture.marginal([0])


def test_summary_of_columns():
    summary = EMMixture(1).fit(IRIS.to_numpy()).family_.summary_
    taken = summary.take([2, 0])
    assert isinstance(taken, Summary)
    np.testing.assert_array_equal(taken.covariance, summary.covariance[[2, 0]][:, [2, 0]])
    assert taken.log_jacobian == np.log(summary.scale[[2, 0]]).sum()


def test_columns_of_levels():
    rng = np.random.default_rng(0)
    side = rng.integers(0, 2, 200)
    X = np.stack([np.array(["tea", "milk", "wine"])[(side + (rng.random(200) < 0.3)) % 3],
                  rng.integers(0, 2, 200).astype(object), np.array(["no", "yes"])[side]], axis=1)  # fmt: skip
    mixture = EMMixture(2, family=Categorical(), random_state=0).fit(X)
    alone, given = mixture.marginal([2, 0]), mixture.conditional([2, 0], X[:5, [2, 0]])
    joint = mixture.score_samples(X[:5])
    others = [m.score_samples(row[None, [1]])[0] for m, row in zip(given, X[:5], strict=True)]
    np.testing.assert_allclose(alone.score_samples(X[:5, [2, 0]]) + others, joint, rtol=1e-12)
    assert [levels.tolist() for levels in alone.family_.categories] == [["no", "yes"], ["milk", "tea", "wine"]]
    np.testing.assert_allclose(alone.probabilities_, mixture.probabilities_[:, [5, 6, 0, 1, 2]], rtol=1e-15)
    with pytest.raises(ValueError, match="'beer' in row 0, which is not among its levels"):
        mixture.conditional([0], ["beer"])


def test_counts_given_their_totals_have_no_margins():
    mixture = EMMixture(2, family=Multinomial(), random_state=0).fit(np.eye(6)[:, :3] + 1.0)
    for method in (mixture.marginal, lambda columns: mixture.conditional(columns, [1.0])):
        with pytest.raises(TypeError, match=r"Multinomial\(\) offers no \w+: its rows are counts given their totals"):
            method([0])
