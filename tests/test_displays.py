"""Displays draw what the estimators found, and matplotlib is needed for nothing else."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.stats import chi2, f
from sklearn.cluster import KMeans
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError

import skem
from skem import (
    BayesianKMeans,
    ConvergenceDisplay,
    DensityDisplay,
    EMMixture,
    GibbsMixture,
    MAPMixture,
    MixtureDisplay,
    MixtureSelection,
    SelectionDisplay,
    VariationalMixture,
)
from skem.displays.style import PALETTE, component_colors
from skem.families import (
    Bernoulli,
    Beta,
    Categorical,
    Exponential,
    Gamma,
    Gaussian,
    LogNormal,
    Poisson,
    Product,
    StudentT,
)

X = load_iris().data
COVARIANCE_TYPES = ["full", "tied", "diag", "spherical", "EEI", "EII"]


@pytest.fixture(autouse=True)
def plt():
    pytest.importorskip("matplotlib").use("Agg")
    plt = pytest.importorskip("matplotlib.pyplot")
    yield plt
    plt.close("all")


def whole(mixture, k):
    """Covariance of component k as a matrix, written without the display's help."""
    covariances, d = mixture.covariances_, mixture.n_features_in_
    return {
        "full": lambda: covariances[k],
        "tied": lambda: covariances,
        "diag": lambda: np.diag(covariances[k]),
        "spherical": lambda: covariances[k] * np.eye(d),
        "EEI": lambda: np.diag(covariances),
        "EII": lambda: covariances * np.eye(d),
    }[mixture.family_.covariance_type]()


@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_ellipses_are_contours_of_the_components(covariance_type):
    columns, levels = [3, 1], (0.9, 0.25)
    mixture = EMMixture(n_components=3, family=Gaussian(covariance_type), random_state=0).fit(X)
    display = MixtureDisplay.from_estimator(mixture, X, columns=columns, levels=levels)
    assert len(display.ellipses_) == 6
    for i, ellipse in enumerate(display.ellipses_):
        k, level = i // 2, sorted(levels)[i % 2]
        path = ellipse.get_patch_transform().transform_path(ellipse.get_path())
        steps = path.vertices[:-1] - mixture.means_[k, columns]
        # control points of the curve lie outside it: those on it are every third
        steps = steps[::3]
        covariance = whole(mixture, k)[np.ix_(columns, columns)]
        squares = np.einsum("ni,ij,nj->n", steps, np.linalg.inv(covariance), steps)
        np.testing.assert_allclose(squares, chi2(2).ppf(level), rtol=1e-6)


def test_contours_of_log_normal_components_lie_where_the_rows_are():
    X = np.exp(load_iris().data)
    mixture = EMMixture(2, family=LogNormal("diag"), random_state=0).fit(X)
    display = MixtureDisplay.from_estimator(mixture, X, columns=(0, 2), levels=(0.9,))
    for k, contour in enumerate(display.ellipses_):
        variance = mixture.covariances_[k][[0, 2]]
        distance = ((np.log(contour.get_xy()) - mixture.means_[k, [0, 2]]) ** 2 / variance).sum(axis=1)
        np.testing.assert_allclose(distance, chi2.ppf(0.9, 2))


def test_contours_of_student_t_components_hold_their_shares():
    mixture = EMMixture(2, family=StudentT("diag", degrees_of_freedom=3.0), random_state=0).fit(X)
    display = MixtureDisplay.from_estimator(mixture, X, columns=(2, 0), levels=(0.9,))
    for k, ellipse in enumerate(display.ellipses_):
        squared = (np.array([ellipse.height, ellipse.width]) / 2) ** 2 / np.sort(mixture.scale_matrices_[k, [2, 0]])
        np.testing.assert_allclose(squared, 2 * f(2, 3).ppf(0.9))


def test_blocks_are_drawn_as_their_families_are():
    rng = np.random.default_rng(0)
    rows = np.c_[X, rng.poisson(4.0, 150), np.exp(X[:, 0]), X[:, 1] > 3]
    blocks = [("a", Gaussian("diag"), [3, 1]), ("b", Gaussian(), [2]), ("t", StudentT(), [0]), ("n", Poisson(), [4])]
    blocks += [("log", LogNormal(), [5]), ("kind", Categorical(), [6])]
    mixture = EMMixture(2, family=Product(blocks), random_state=0).fit(rows)
    within = MixtureDisplay.from_estimator(mixture, rows, columns=(1, 3))
    np.testing.assert_array_equal(within.centers, mixture.a__means_[:, [1, 0]])
    np.testing.assert_array_equal(np.einsum("kii->ki", within.covariances), mixture.a__covariances_[:, [1, 0]])
    across = MixtureDisplay.from_estimator(mixture, rows, columns=(1, 2), levels=(0.5,))
    assert len(across.ellipses_) == 2
    variances = np.c_[mixture.a__covariances_[:, 1], mixture.b__covariances_[:, 0, 0]]
    np.testing.assert_array_equal(across.covariances, variances[:, :, None] * np.eye(2))
    for other, center in ((4, mixture.n__rates_), (0, mixture.t__means_), (5, np.exp(mixture.log__means_))):
        crosses = MixtureDisplay.from_estimator(mixture, rows, columns=(2, other))
        assert crosses.ellipses_ == []
        np.testing.assert_array_equal(crosses.ax_.collections[-1].get_offsets(), np.c_[mixture.b__means_, center])
    assert MixtureDisplay.from_estimator(mixture, rows, columns=(2, 6)).centers is None


def test_text_is_not_drawn():
    frame = pd.DataFrame({"x": X[:, 0], "y": X[:, 1], "kind": np.where(X[:, 2] > 3, "long", "short")})
    mixture = EMMixture(2, family=Product(), random_state=0).fit(frame)
    assert len(MixtureDisplay.from_estimator(mixture, frame, columns=("x", "y")).ellipses_) == 4
    with pytest.raises(ValueError, match=r"columns=\('x', 'kind'\) must hold numbers"):
        MixtureDisplay.from_estimator(mixture, frame, columns=("x", "kind"))


def test_waiting_times_are_marked_at_their_means():
    rows = np.random.default_rng(0).exponential(5.0, (60, 2))
    mixture = EMMixture(1, family=Exponential()).fit(rows)
    np.testing.assert_allclose(MixtureDisplay.from_estimator(mixture, rows).centers[0], rows.mean(axis=0))


def test_noise_is_grey():
    rng = np.random.default_rng(0)
    X = np.vstack([rng.normal(size=(80, 2)), rng.normal(size=(80, 2)) + 9, rng.uniform(-9, 18, (60, 2))])
    display = MixtureDisplay.from_estimator(EMMixture(2, noise=0.3, random_state=0).fit(X), X)
    assert len(display.ellipses_) == 4
    far = display.resp[:, 2] > 0.999
    np.testing.assert_allclose(display.scatter_.get_facecolors()[far, :3], 0.6, atol=1e-3)


@pytest.mark.parametrize("family", [Beta(), Gamma(), LogNormal(), Exponential(), Bernoulli()])
def test_density_is_drawn_where_there_is_one(family):
    X = np.random.default_rng(0).beta(0.5, 0.5, size=(60, 1))
    X = np.round(X) if isinstance(family, Bernoulli) else X
    display = DensityDisplay.from_estimator(EMMixture(1, family=family).fit(X), X)
    assert np.isfinite(display.density).all()
    assert display.grid[0] == X.min()
    assert display.grid[-1] == X.max()


def test_points_carry_mixed_colours():
    mixture = EMMixture(n_components=3, random_state=0).fit(X)
    display = MixtureDisplay.from_estimator(mixture, X, columns=(2, 3), name="irises")
    np.testing.assert_array_equal(np.asarray(display.scatter_.get_offsets()), X[:, 2:])
    expected = mixture.predict_proba(X) @ component_colors(3)
    np.testing.assert_allclose(display.scatter_.get_facecolors()[:, :3], expected, atol=1e-12)
    assert display.ax_.get_title() == "irises"
    assert display.figure_ is display.ax_.figure


def test_style_and_axes_are_the_callers(plt):
    mixture = EMMixture(n_components=2, random_state=0).fit(X)
    ax = plt.subplots()[1]
    display = MixtureDisplay.from_estimator(mixture, X, ax=ax, c="black", s=3)
    assert display.ax_ is ax
    assert display.scatter_.get_sizes() == [3]
    again = display.plot()
    assert again is display
    assert display.ax_ is not ax


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame], ids=["pandas", "polars"])
def test_columns_by_name(frame):
    names = ["a", "b", "c", "d"]
    data = frame(dict(zip(names, X.T, strict=True)))
    mixture = EMMixture(random_state=0).fit(data)
    display = MixtureDisplay.from_estimator(mixture, data, columns=("d", "b"))
    np.testing.assert_array_equal(display.points, X[:, [3, 1]])
    assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("d", "b")


@pytest.mark.parametrize(
    ("columns", "message"),
    [((0, 4), "no column 4"), (("a", 1), "without a column 'a'"), ((0,), "two columns"), ((0, -5), "no column -5")],
)
def test_wrong_columns(columns, message):
    mixture = EMMixture(random_state=0).fit(X)
    with pytest.raises(ValueError, match=message):
        MixtureDisplay.from_estimator(mixture, X, columns=columns)


def test_other_families_are_marked_at_their_means():
    rng = np.random.default_rng(0)
    counts = rng.poisson([[1, 9]] * 30 + [[9, 1]] * 30).astype(float)
    mixture = EMMixture(family=Poisson(), random_state=0).fit(counts)
    display = MixtureDisplay.from_estimator(mixture, counts)
    assert display.ellipses_ == []
    marks = np.asarray(display.ax_.collections[-1].get_offsets())
    np.testing.assert_array_equal(marks, mixture.rates_)


def test_plain_kmeans_is_drawn_too():
    kmeans = KMeans(3, n_init=1, random_state=0).fit(X)
    display = MixtureDisplay.from_estimator(kmeans, X, columns=(2, 3))
    np.testing.assert_array_equal(display.resp.argmax(axis=1), kmeans.labels_)
    np.testing.assert_array_equal(display.centers, kmeans.cluster_centers_[:, 2:])


@pytest.mark.parametrize("n_components", [1, 6, 7, 40])
def test_colours_differ(n_components):
    colors = component_colors(n_components)
    assert colors.shape == (n_components, 3)
    assert len(np.unique(colors, axis=0)) == n_components
    assert len(PALETTE) == 6


@pytest.mark.parametrize("estimator", [EMMixture, MAPMixture, BayesianKMeans, VariationalMixture])
def test_density_adds_up(estimator):
    column = X[:, [2]]
    mixture = estimator(random_state=0).fit(column)
    display = DensityDisplay.from_estimator(mixture, column, n_points=2000)
    assert len(display.lines_) == mixture.n_components_ + 1
    total = display.lines_[-1].get_ydata()
    np.testing.assert_allclose(total, np.exp(mixture.score_samples(display.grid[:, None])), rtol=1e-12)
    assert np.trapezoid(total, display.grid) == pytest.approx(1.0, abs=0.02)


def test_density_of_counts_is_a_bar_a_count():
    counts, weight = np.array([[0.0], [1.0], [4.0]]), np.array([5.0, 3.0, 2.0])
    mixture = EMMixture(family=Poisson(), n_components=1).fit(counts, sample_weight=weight)
    display = DensityDisplay.from_estimator(mixture, counts, sample_weight=weight)
    np.testing.assert_array_equal(display.grid, np.arange(5))
    heights = [bar.get_height() for bar in display.ax_.patches]
    np.testing.assert_allclose(heights, [0.5, 0.3, 0.0, 0.0, 0.2])


def test_density_keeps_column_names():
    frame = pd.DataFrame({"petal": X[:, 2]})
    display = DensityDisplay.from_estimator(EMMixture(random_state=0).fit(frame), frame)
    assert display.ax_.get_xlabel() == "petal"


def test_density_wants_one_column():
    with pytest.raises(ValueError, match="4 features"):
        DensityDisplay.from_estimator(EMMixture(random_state=0).fit(X), X)


def test_convergence():
    mixture = EMMixture(n_components=3, random_state=0).fit(X)
    display = ConvergenceDisplay.from_estimator(mixture)
    np.testing.assert_array_equal(display.line_.get_ydata(), mixture.lower_bounds_)
    assert display.line_.get_label() == "EMMixture"
    assert not display.ax_.yaxis.get_major_formatter().get_useOffset()
    gap = ConvergenceDisplay.from_estimator(mixture, gap=True, name="gap")
    assert gap.ax_.get_yscale() == "log"
    left = gap.line_.get_ydata()
    assert np.isnan(left[-1])
    assert (left[:-1] >= 0).all()


@pytest.mark.parametrize("display", [MixtureDisplay, DensityDisplay])
def test_unfitted(display):
    with pytest.raises(NotFittedError):
        display.from_estimator(EMMixture(), X)


def test_a_sampler_does_not_converge_by_an_objective():
    with pytest.raises(TypeError, match="GibbsMixture has no lower_bounds_"):
        ConvergenceDisplay.from_estimator(GibbsMixture(n_draws=2, n_burn_in=1, random_state=0).fit(X))


def test_unfitted_convergence():
    with pytest.raises(NotFittedError):
        ConvergenceDisplay.from_estimator(EMMixture())


def run_python(code):
    return subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(Path(skem.__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_import_leaves_matplotlib_alone():
    done = run_python("import skem, sys; sys.exit('matplotlib' in sys.modules)")
    assert done.returncode == 0, done.stderr


def test_missing_matplotlib_is_named():
    done = run_python(
        "import sys; sys.modules['matplotlib'] = None\n"
        "import skem\n"
        "fit = skem.EMMixture().fit([[0.0], [1.0], [5.0], [6.0]])\n"
        "skem.ConvergenceDisplay.from_estimator(fit)"
    )
    assert "ConvergenceDisplay needs matplotlib; pip install 'skem[plot]' brings it" in done.stderr


def test_selection_draws_a_curve_for_each_structure_and_marks_the_best():
    families = [Gaussian(kind) for kind in COVARIANCE_TYPES]
    selection = MixtureSelection(n_components=(1, 2, 4), families=families, random_state=0).fit(X)
    display = SelectionDisplay.from_estimator(selection, lw=3)
    table = selection.results_
    assert [line.get_label() for line in display.lines_] == COVARIANCE_TYPES
    for line in display.lines_:
        drawn = table["family"] == line.get_label()
        np.testing.assert_array_equal(line.get_xdata(), [1, 2, 4])
        np.testing.assert_array_equal(line.get_ydata(), table["score"][drawn])
        assert line.get_linewidth() == 3
    assert display.best_.get_xydata().tolist() == [[2, selection.best_score_]]
    assert "-BIC" in display.ax_.get_ylabel()
    again = display.plot(ax=display.ax_)
    assert len(again.ax_.lines) == 2 * (len(COVARIANCE_TYPES) + 1)


def test_selection_tells_estimators_and_parameters_apart():
    selection = MixtureSelection(
        [EMMixture(), MAPMixture()], n_components=(1, 2), param_grid={"tol": [1e-3, 1e-5]}, families=Gaussian()
    ).fit(X)
    labels = [line.get_label() for line in SelectionDisplay.from_estimator(selection).lines_]
    assert labels[0] == "EMMixture Gaussian tol=0.001"
    assert len(set(labels)) == 4
    with pytest.raises(NotFittedError):
        SelectionDisplay.from_estimator(MixtureSelection())
