"""Columns that are not Gaussian: oracles, planted groups, domains, units and flat data."""

import pickle
import warnings

import numpy as np
import pytest
from mpmath import beta, log, psi, workdps
from scipy import stats
from scipy.special import digamma
from sklearn.exceptions import ConvergenceWarning

from skem import (
    BayesianKMeans,
    EMMixture,
    GibbsMixture,
    ICMMixture,
    MAPMixture,
    MixtureSelection,
    VariationalMixture,
)
from skem._kernels import digammas
from skem.exceptions import DegenerateComponentWarning
from skem.families import Beta, Exponential, Gamma, Gaussian, LogNormal, NegativeBinomial, Poisson, Product

CELLS = [EMMixture, MAPMixture, VariationalMixture, BayesianKMeans, ICMMixture, GibbsMixture]
FEW = {GibbsMixture: {"n_chains": 1, "n_draws": 20, "n_burn_in": 20}}


def planted(family, n=150, d=6, seed=0):
    """Rows of three groups that lie apart, and the groups."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(3), n)
    size = 30.0 ** rng.permuted(np.tile([-1.0, 0.0, 1.0], (d, 1)), axis=1).T[groups]
    rows = {
        Beta: lambda: rng.beta(*(rng.uniform(1.0, 25.0, (3, d))[groups] for _ in range(2))),
        Exponential: lambda: rng.exponential(size),
        Gamma: lambda: rng.gamma(rng.uniform(1.0, 9.0, (3, d))[groups], size),
        LogNormal: lambda: rng.lognormal(np.log(size), rng.uniform(0.3, 1.0, (3, d))[groups]),
    }
    return rows[family](), groups


def applicable(family):
    """Cells that a family serves, with the parameters that it needs."""
    found = []
    for cls in CELLS:
        for update in ({"update": "mode"}, {"update": "mle"}) if cls is ICMMixture else ({},):
            try:
                estimator = cls(3, family=family, random_state=0, **update, **FEW.get(cls, {}))
                estimator._algorithm().require(family)
            except TypeError:
                continue
            found.append(estimator)
    return found


FAMILIES = [Exponential(), Gamma(), LogNormal("diag"), LogNormal("full"), Beta()]
EVERYWHERE = [(family, estimator) for family in FAMILIES for estimator in applicable(family)]


def test_every_cell_that_the_algebra_allows():
    cells = {type(family).__name__: set() for family in FAMILIES}
    for family, estimator in EVERYWHERE:
        cells[type(family).__name__].add(type(estimator))
    assert cells["Exponential"] == cells["LogNormal"] == set(CELLS)
    assert cells["Gamma"] == cells["Beta"] == {EMMixture, ICMMixture}


# --- oracles --------------------------------------------------------------------------------------


def one(family, X, **weights):
    return EMMixture(1, family=family).fit(X, **weights)


@pytest.mark.parametrize("shape", [0.3, 1.0, 7.0, 4e3])
def test_gamma_is_scipys(shape):
    X = np.random.default_rng(1).gamma(shape, 3e-4, size=(400, 1))
    mixture = one(Gamma(), X)
    a, _, scale = stats.gamma.fit(X, floc=0.0)
    np.testing.assert_allclose(mixture.shapes_, a, rtol=1e-8)
    np.testing.assert_allclose(1.0 / mixture.rates_, scale, rtol=1e-8)
    expected = stats.gamma.logpdf(X[:, 0], mixture.shapes_[0, 0], scale=1.0 / mixture.rates_[0, 0])
    np.testing.assert_allclose(mixture.score_samples(X), expected, rtol=1e-12, atol=1e-12 * max(1.0, shape))


@pytest.mark.parametrize(("a", "b"), [(0.2, 0.4), (3.0, 50.0), (4e3, 2e3), (2.0, 1e6)])
def test_beta_is_scipys(a, b):
    X = np.random.default_rng(1).beta(a, b, size=(400, 1))
    mixture = one(Beta(), X)
    found = mixture.alphas_[0, 0], mixture.betas_[0, 0]
    log_x, log_rest = np.log(X).mean(), np.log1p(-X).mean()
    # the equations of the maximum, which scipy's own search meets less closely
    assert digamma(found[0]) - digamma(sum(found)) == pytest.approx(log_x, rel=1e-11)
    assert digamma(found[1]) - digamma(sum(found)) == pytest.approx(log_rest, rel=1e-9, abs=1e-14)
    if max(a, b) < 1e4:
        np.testing.assert_allclose(stats.beta.fit(X, floc=0.0, fscale=1.0)[:2], found, rtol=1e-5)
    # scipy's log Beta function has fewer digits
    with workdps(30):
        constant = float(log(beta(*found)))
    expected = (found[0] - 1.0) * np.log(X[:, 0]) + (found[1] - 1.0) * np.log1p(-X[:, 0]) - constant
    np.testing.assert_allclose(mixture.score_samples(X), expected, rtol=1e-12, atol=1e-12 * (1.0 + a))


def test_exponential_and_log_normal_are_scipys():
    rng = np.random.default_rng(2)
    X = rng.exponential([[3e5]], size=(400, 1))
    mixture = one(Exponential(), X)
    np.testing.assert_allclose(1.0 / mixture.rates_, stats.expon.fit(X, floc=0.0)[1], rtol=1e-12)
    np.testing.assert_allclose(
        mixture.score_samples(X), stats.expon.logpdf(X[:, 0], scale=1.0 / mixture.rates_[0, 0]), rtol=1e-12
    )
    X = rng.lognormal(-7.0, 1.3, size=(400, 1))
    mixture = one(LogNormal("diag"), X)
    sigma, _, median = stats.lognorm.fit(X, floc=0.0)
    np.testing.assert_allclose(np.sqrt(mixture.covariances_), sigma, rtol=1e-7)
    np.testing.assert_allclose(np.exp(mixture.means_), median, rtol=1e-7)
    sigma = np.sqrt(mixture.covariances_[0, 0])
    expected = stats.lognorm.logpdf(X[:, 0], sigma, scale=np.exp(mixture.means_[0, 0]))
    np.testing.assert_allclose(mixture.score_samples(X), expected, rtol=1e-12, atol=1e-12)


def test_newtons_method_keeps_its_digits():
    x = np.concatenate([np.geomspace(1e-4, 1e7, 60), [14.999, 15.0]])
    with workdps(40):
        excess = np.array([float(log(value) - psi(0, value)) for value in x])
        a = np.geomspace(1e-2, 1e5, 40)
        pairs = [(psi(0, a) - psi(0, a + b), psi(0, b) - psi(0, a + b)) for a, b in zip(a, a[::-1], strict=True)]
    np.testing.assert_allclose(digammas.excess(x), excess, rtol=2e-14)
    np.testing.assert_allclose(digammas.gamma_shapes(excess, 1e9), x, rtol=1e-12)
    first, second = np.array(pairs, dtype=float).T
    alphas, betas = digammas.beta_shapes(first, second, 1e9)
    # given to 16 digits, the means of the logarithms tell parameters to fewer
    np.testing.assert_allclose(alphas, a, rtol=1e-8)
    np.testing.assert_allclose(betas, a[::-1], rtol=1e-8)
    assert digammas.gamma_shapes(np.array([[0.0, -1e-17]]), 1e7).tolist() == [[1e7, 1e7]]
    held = digammas.beta_shapes(np.log([0.5, 1e-9, 1e-300]), np.log1p([-0.5, -1e-9, -1e-300]), 1e7)
    assert np.minimum(*held).tolist() == [1e7] * 3


@pytest.mark.parametrize("estimator", applicable(LogNormal()), ids=lambda value: repr(value).partition("(")[0])
@pytest.mark.parametrize("structure", ["full", "diag", "tied", "spherical"])
def test_log_normal_is_gaussian_in_the_logarithms(estimator, structure):
    X, _ = planted(LogNormal, n=40, d=3)
    mixture = estimator.set_params(family=LogNormal(structure)).fit(X)
    labels, bound, density = mixture.labels_, getattr(mixture, "lower_bound_", 0.0), mixture.score_samples(X)
    responsibilities, means = mixture.predict_proba(X), mixture.means_
    twin = estimator.set_params(family=Gaussian(structure)).fit(np.log(X))
    jacobian = np.log(X).sum(axis=1)
    np.testing.assert_array_equal(labels, twin.labels_)
    np.testing.assert_array_equal(means, twin.means_)
    np.testing.assert_array_equal(responsibilities, twin.predict_proba(np.log(X)))
    np.testing.assert_allclose(density, twin.score_samples(np.log(X)) - jacobian, rtol=1e-12, atol=1e-12)
    assert bound == pytest.approx(getattr(twin, "lower_bound_", jacobian.mean()) - jacobian.mean(), rel=1e-12)


def test_negative_binomial_is_scipys_and_tends_to_poisson():
    rng = np.random.default_rng(2)
    X = rng.poisson(rng.gamma(2.0, 5.0, size=(400, 2))).astype(float)
    dispersion = np.array([0.5, 0.2])
    mixture = one(NegativeBinomial(dispersion), X)
    np.testing.assert_allclose(mixture.means_[0], X.mean(axis=0), rtol=1e-12)
    size = 1.0 / dispersion
    expected = stats.nbinom.logpmf(X, size, size / (size + mixture.means_)).sum(axis=1)
    np.testing.assert_allclose(mixture.score_samples(X), expected, rtol=1e-12)
    drawn, _ = mixture.sample(40_000, random_state=0)
    np.testing.assert_allclose(drawn.mean(axis=0), mixture.means_[0], rtol=0.02)
    np.testing.assert_allclose(drawn.var(axis=0), (mixture.means_ + dispersion * mixture.means_**2)[0], rtol=0.05)
    alone = mixture.marginal([1])
    np.testing.assert_allclose(
        alone.score_samples(X[:, 1:]), stats.nbinom.logpmf(X[:, 1], 5.0, 5.0 / (5.0 + X[:, 1].mean()))
    )
    for cls in (EMMixture, MAPMixture, VariationalMixture, BayesianKMeans):
        # a run of either ends where its own tolerance lets it
        more = {} if cls is BayesianKMeans else {"tol": 1e-12}
        near, limit = (
            cls(2, family=family, random_state=0, **more).fit(X) for family in (NegativeBinomial(1e-9), Poisson())
        )
        np.testing.assert_array_equal(near.labels_, limit.labels_)
        np.testing.assert_allclose(near.means_, limit.rates_, rtol=1e-5)
        np.testing.assert_allclose(near.score_samples(X), limit.score_samples(X), rtol=1e-5)


def test_bic_tells_spread_counts_from_poissons():
    rng = np.random.default_rng(4)
    X = rng.poisson(rng.gamma(2.0, np.repeat([[2.0], [40.0]], 500, axis=0)))
    families = [Poisson(), *(NegativeBinomial(dispersion) for dispersion in (0.05, 0.5, 2.0))]
    best = MixtureSelection(n_components=[1, 2, 3], families=families).fit(X).best_estimator_
    assert (best.family.dispersion, best.n_components_) == (0.5, 2)
    with pytest.raises(ValueError, match="dispersion must be > 0"):
        EMMixture(family=NegativeBinomial([0.5, 0.0])).fit(np.hstack([X, X]))
    with pytest.raises(ValueError, match=r"X\[3, 0\] = 0.5: NegativeBinomial\(\) takes counts"):
        EMMixture(family=NegativeBinomial()).fit(np.where(np.arange(1000)[:, None] == 3, 0.5, X))


# --- round trips ----------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES, ids=repr)
def test_parameters_samples_and_pickles(family):
    X, _ = planted(type(family), d=2)
    mixture = EMMixture(3, family=family, random_state=0).fit(X)
    public = {name.rstrip("_"): getattr(mixture, name) for name in mixture.family_.attributes(mixture._theta)}
    known = EMMixture.from_parameters(family=family, weights=mixture.weights_, **public)
    np.testing.assert_allclose(known.score_samples(X), mixture.score_samples(X), rtol=1e-9)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(mixture)).predict_proba(X), mixture.predict_proba(X))
    drawn, labels = known.sample(30_000, random_state=0)
    assert (drawn > 0).all()
    again = EMMixture(3, family=family, init=labels).fit(drawn)
    for name, value in public.items():
        np.testing.assert_allclose(getattr(again, name + "_"), value, rtol=0.1, atol=0.1, err_msg=name)
    # the sample's mean log density tells that it came from this density, and not from its twin in other units
    entropy = known.score(drawn)
    assert known.score(known.sample(20_000, random_state=1)[0]) == pytest.approx(entropy, abs=0.1)
    assert mixture.marginal([1]).sample(5, random_state=0)[0].shape == (5, 1)


@pytest.mark.parametrize("family", FAMILIES, ids=repr)
@pytest.mark.parametrize("cls", [EMMixture, MAPMixture, BayesianKMeans])
def test_units_do_not_matter(cls, family):
    if isinstance(family, Beta):
        pytest.skip("shares have no unit")
    try:
        cls()._algorithm().require(family)
    except TypeError:
        pytest.skip("no such cell")
    X, groups = planted(type(family), n=60, d=3)
    here = cls(3, family=family, random_state=0).fit(X)
    for factors in ([2.0**40, 2.0**-30, 8.0], [1e100, 1e-100, 3.0]):
        there = cls(3, family=family, random_state=0).fit(X * factors)
        np.testing.assert_array_equal(here.labels_, there.labels_)
        shift = np.log(factors).sum()
        assert there.score(X * factors) + shift == pytest.approx(here.score(X), abs=1e-9 * max(1.0, abs(shift)))
        if cls is not MAPMixture:
            assert there.lower_bound_ + shift == pytest.approx(here.lower_bound_, abs=1e-9 * max(1.0, abs(shift)))
        if isinstance(family, Exponential) and factors[0] == 2.0**40:
            # after equally many passes: where a run stops, rounding of the objective has a say, and the units in that
            few = [cls(3, family=family, init=groups, max_iter=3, tol=0.0) for _ in range(2)]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                few[0].fit(X)
                few[1].fit(X * factors)
            np.testing.assert_array_equal(few[0].rates_, few[1].rates_ * factors)


# --- domains and flat data ------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES, ids=repr)
def test_rows_outside_the_domain_are_named(family):
    X, _ = planted(type(family), n=10, d=3)
    mixture = EMMixture(2, family=family, random_state=0).fit(X)
    X[7, 1] = -2.0
    told = rf"X\[7, 1\] = -2.0: .*{type(family).__name__}\(\) takes .*; drop the row"
    for call in (mixture.fit, mixture.predict, mixture.score_samples, mixture.partial_fit):
        with pytest.raises(ValueError, match=told):
            call(X)
    X[7, 1] = 0.0
    if isinstance(family, Exponential):
        mixture.fit(X)
    else:
        with pytest.raises(ValueError, match=r"X\[7, 1\] = 0.0"):
            mixture.fit(X)


@pytest.mark.parametrize("family", [Gamma(), LogNormal("diag"), Beta()], ids=repr)
def test_a_constant_column_is_told(family):
    X, _ = planted(type(family), d=2)
    X[:, 1] = 0.75
    with pytest.warns(DegenerateComponentWarning):
        mixture = EMMixture(2, family=family, random_state=0).fit(X)
    assert mixture.degenerate_
    assert np.isfinite(mixture.score_samples(X)).all()
    if isinstance(family, Gamma):
        assert mixture.shapes_[:, 1].tolist() == [1e7, 1e7]


def test_zeros_alone_bound_a_rate():
    X = np.concatenate([np.zeros((20, 1)), np.random.default_rng(0).exponential(size=(50, 1))])
    with pytest.warns(DegenerateComponentWarning):
        mixture = EMMixture(2, family=Exponential(), init=(X[:, 0] > 0).astype(int)).fit(X)
    assert mixture.rates_.max() == pytest.approx(1e12 / X.mean())
    fit = VariationalMixture(2, family=Exponential(), random_state=0).fit(X)
    assert np.isfinite(fit.score_samples(X)).all()


@pytest.mark.parametrize("family", FAMILIES, ids=repr)
def test_far_queries_have_finite_answers(family):
    if isinstance(family, Beta):
        pytest.skip("nothing is far")
    X, _ = planted(type(family), n=40, d=2)
    mixture = EMMixture(3, family=family, random_state=0).fit(X)
    far = np.array([[1e308, 1.0], [1e308, 1e308], [1e-320, 1e300], [5e-324, 5e-324], [1e200, 1e-5]])
    assert np.isfinite(mixture.score_samples(far)).all()
    np.testing.assert_allclose(mixture.predict_proba(far).sum(axis=1), 1.0)
    assert np.isfinite(mixture.predict_log_proba(far)).all()


def test_products_encode_the_blocks_that_want_it():
    rng = np.random.default_rng(0)
    group = np.repeat([0, 1], 200)
    X = np.column_stack(
        [rng.lognormal(2.0 * group, 0.4), rng.gamma(2.0 + 7.0 * group), rng.beta(2.0, 2.0 + 7.0 * group)]
    )
    blocks = [("size", LogNormal(), [0]), ("wait", Gamma(), [1]), ("share", Beta(), [2])]
    product = EMMixture(2, family=Product(blocks), init=group, max_iter=0).fit(X)
    parts = [EMMixture(2, family=family, init=group, max_iter=0).fit(X[:, at]) for _, family, at in blocks]
    np.testing.assert_allclose(product.size__means_, parts[0].means_, rtol=1e-12)
    joint = sum(part.predict_log_proba(X[:, [j]]) for j, part in enumerate(parts))
    assert (joint.argmax(axis=1) == product.predict(X)).all()
    one = [EMMixture(1, family=family).fit(X[:, at]).score_samples(X[:, at]) for _, family, at in blocks]
    np.testing.assert_allclose(EMMixture(1, family=Product(blocks)).fit(X).score_samples(X), sum(one), rtol=1e-10)
    with pytest.raises(ValueError, match=r"0.0: LogNormal\(\) takes positive numbers"):
        product.predict(np.where(X[7, 0] == X, 0.0, X))


# --- model choice ---------------------------------------------------------------------------------


@pytest.mark.parametrize("truth", ["Gaussian", "LogNormal", "Gamma"])
@pytest.mark.parametrize("unit", [1.0, 1e-6])
def test_bic_chooses_the_family_whatever_the_unit(truth, unit):
    rng = np.random.default_rng(3)
    group = rng.integers(2, size=(3000, 1))
    X = {
        "Gaussian": lambda: rng.normal(20.0 + 20.0 * group, 4.0),
        "LogNormal": lambda: rng.lognormal(1.0 + 3.0 * group, 0.6),
        "Gamma": lambda: rng.gamma(1.5 + 4.0 * group, 1.0 + 20.0 * group),
    }[truth]()
    candidates = [Gaussian("diag"), LogNormal("diag"), Gamma()]
    selection = MixtureSelection(EMMixture(random_state=0), n_components=[1, 2, 3], families=candidates)
    best = selection.fit(unit * X).best_estimator_
    assert type(best.family).__name__ == truth
    assert best.n_components_ == 2


def test_tags_tell_which_rows_hold_no_negative_numbers():
    """Those of a selection are of all its candidates."""
    for family in (Exponential(), Gamma(), LogNormal(), Beta()):
        for estimator in (EMMixture(family=family), MixtureSelection(EMMixture(family=family))):
            assert estimator.__sklearn_tags__().input_tags.positive_only
    assert not EMMixture().__sklearn_tags__().input_tags.positive_only
