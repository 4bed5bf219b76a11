"""Pictures of fitted mixtures, in scikit-learn's convention of Display objects."""

import numpy as np
from sklearn.utils.validation import check_is_fitted

# Six colours that readers with any kind of colour vision tell apart (Okabe & Ito 2008).
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")


def _axes(ax, who):
    """Return `ax`, or the axes of a new figure; matplotlib is first needed, and imported, here."""
    try:
        from matplotlib import pyplot as plt
    except ImportError as error:
        raise ImportError(f"{who} needs matplotlib; pip install 'skem[plot]' brings it") from error
    return plt.subplots()[1] if ax is None else ax


def component_colors(n_components):
    """Colours of the components.

    Parameters
    ----------
    n_components : int

    Returns
    -------
    colors : ndarray of shape (n_components, 3)
        Red, green and blue in [0, 1].
    """
    from matplotlib import colormaps, colors

    if n_components <= len(PALETTE):
        return np.array([colors.to_rgb(color) for color in PALETTE[:n_components]])
    return colormaps["turbo"](np.linspace(0.05, 0.95, n_components))[:, :3]


def _positions(estimator, columns):
    """Positions and names of columns that are given by position or by name."""
    names = list(getattr(estimator, "feature_names_in_", ()))
    d = estimator.n_features_in_
    positions = []
    for column in columns:
        if isinstance(column, str) and column not in names:
            raise ValueError(f"columns: the mixture was fitted without a column {column!r}; it knows {names}")
        position = names.index(column) if isinstance(column, str) else column
        if not -d <= position < d:
            raise ValueError(f"columns: there is no column {column}; the mixture has {d} features")
        positions.append(position % d)
    return positions, [names[p] if names else f"feature {p}" for p in positions]


def _covariance_matrices(estimator):
    """Return covariances of any type as (n_components, n_features, n_features), or None."""
    covariances = getattr(estimator, "covariances_", None)
    if covariances is None:
        return None
    holder = estimator if hasattr(estimator, "covariance_type") else estimator.family_
    n_components, d = estimator.means_.shape
    if holder.covariance_type == "tied":
        return np.broadcast_to(covariances, (n_components, d, d))
    if holder.covariance_type == "diag":
        return covariances[:, :, None] * np.eye(d)
    if holder.covariance_type == "spherical":
        return covariances[:, None, None] * np.eye(d)
    return covariances


def _centers(estimator):
    """Find the components' means, whatever name they are published under, or None."""
    names = ("means_", "cluster_centers_", "rates_")
    return next((getattr(estimator, name) for name in names if hasattr(estimator, name)), None)


class MixtureDisplay:
    """Two columns of the data with the components found in them.

    Points carry their component's colour, mixed by responsibility where the estimator gives them.
    Gaussian components are drawn as ellipses, other families as a cross at the component's mean.

    Build it with `from_estimator`; the constructor takes what is to be drawn.

    Parameters
    ----------
    points : ndarray of shape (n_samples, 2)
        Rows in the two columns.
    resp : ndarray of shape (n_samples, n_components)
        Responsibilities, or labels in one-hot form.
    centers : ndarray of shape (n_components, 2) or None
        Means of the components.
    covariances : ndarray of shape (n_components, 2, 2) or None
        Covariances of Gaussian components in the two columns.
    feature_names : sequence of 2 str
        Labels of the axes.
    name : str, default=None
        Title.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes drawn on.
    figure_ : matplotlib Figure
        Figure of the axes.
    scatter_ : matplotlib PathCollection
        The points.
    ellipses_ : list of matplotlib Ellipse
        Component by component, a level at a time.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from sklearn.datasets import load_iris
    >>> from skem import EMMixture, MixtureDisplay
    >>> X = load_iris().data
    >>> mixture = EMMixture(n_components=3, random_state=0).fit(X)
    >>> display = MixtureDisplay.from_estimator(mixture, X, columns=(2, 3))
    >>> len(display.ellipses_)
    6
    """

    def __init__(self, points, resp, *, centers, covariances, feature_names, name=None):
        self.points = points
        self.resp = resp
        self.centers = centers
        self.covariances = covariances
        self.feature_names = feature_names
        self.name = name

    @classmethod
    def from_estimator(cls, estimator, X, *, columns=(0, 1), ax=None, name=None, levels=(0.5, 0.9), **scatter_kwargs):
        """Draw the rows of X and the components of a fitted mixture.

        Parameters
        ----------
        estimator : estimator
            A fitted mixture or k-means.
        X : array-like of shape (n_samples, n_features)
            Rows to draw.
        columns : pair of int or str, default=(0, 1)
            The two columns, by position or by name.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a figure.
        name : str, default=None
            Title; None means the estimator's class.
        levels : sequence of float, default=(0.5, 0.9)
            Shares of a Gaussian component's mass (in the two columns) that its ellipses hold.
        **scatter_kwargs : dict
            Passed to matplotlib's `scatter`.

        Returns
        -------
        display : MixtureDisplay
            The display, drawn.
        """
        check_is_fitted(estimator)
        if len(columns) != 2:
            raise ValueError(f"columns={columns!r} must name two columns; DensityDisplay draws one")
        positions, feature_names = _positions(estimator, columns)
        rows = X[:, positions].toarray() if hasattr(X, "indptr") else np.asarray(X)[:, positions]
        centers, covariances = _centers(estimator), _covariance_matrices(estimator)
        if hasattr(estimator, "predict_proba"):
            resp = estimator.predict_proba(X)
        else:
            resp = np.eye(len(centers))[estimator.predict(X)]
        display = cls(
            np.asarray(rows, dtype=np.float64),
            resp,
            centers=None if centers is None else np.asarray(centers)[:, positions],
            covariances=None if covariances is None else covariances[:, positions][:, :, positions],
            feature_names=feature_names,
            name=type(estimator).__name__ if name is None else name,
        )
        return display.plot(ax=ax, levels=levels, **scatter_kwargs)

    def plot(self, ax=None, *, levels=(0.5, 0.9), **scatter_kwargs):
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a figure.
        levels : sequence of float, default=(0.5, 0.9)
            Shares of a component's mass that its ellipses hold.
        **scatter_kwargs : dict
            Passed to matplotlib's `scatter`.

        Returns
        -------
        display : MixtureDisplay
            The object itself.
        """
        ax = _axes(ax, type(self).__name__)
        colors = component_colors(self.resp.shape[1])
        style = {"s": 14, "alpha": 0.75, "linewidths": 0} | scatter_kwargs
        style.setdefault("c", np.clip(self.resp @ colors, 0.0, 1.0))
        self.ax_, self.figure_ = ax, ax.figure
        self.scatter_ = ax.scatter(*self.points.T, **style)
        self.ellipses_ = self._ellipses(levels, colors)
        for ellipse in self.ellipses_:
            ax.add_patch(ellipse)
        if self.covariances is None and self.centers is not None:
            ax.scatter(*self.centers.T, c=colors, marker="X", s=90, edgecolors="black", zorder=3)
        ax.set(xlabel=self.feature_names[0], ylabel=self.feature_names[1], title=self.name)
        return self

    def _ellipses(self, levels, colors):
        """Ellipses that hold the given shares of each component's mass, the innermost filled."""
        from matplotlib.patches import Ellipse

        if self.covariances is None:
            return []
        ellipses = []
        style = {"facecolor": "none", "lw": 1.6}
        for center, covariance, color in zip(self.centers, self.covariances, colors, strict=True):
            variances, axes = np.linalg.eigh(covariance)
            angle = np.degrees(np.arctan2(axes[1, 1], axes[0, 1]))
            for level in sorted(levels):
                # |z|^2 of two standard normals is exponential with mean 2
                minor, major = 2.0 * np.sqrt(-2.0 * np.log1p(-level) * np.maximum(variances, 0.0))
                ellipses.append(Ellipse(center, major, minor, angle=angle, edgecolor=color, **style))
            ellipses[-len(levels)].set_facecolor((*color, 0.15))
        return ellipses


class DensityDisplay:
    """One column of data with the density that a mixture found, component by component.

    Build it with `from_estimator`; the constructor takes what is to be drawn.

    Parameters
    ----------
    values : ndarray of shape (n_samples,)
        The rows.
    sample_weight : ndarray of shape (n_samples,) or None
        Their weights.
    grid : ndarray of shape (n_points,)
        Where the density was taken.
    density : ndarray of shape (n_points, n_components)
        Density of each component times its mixing weight.
    counts : bool, default=False
        Whether the values are counts, drawn with one bar each.
    feature_name : str, default="feature 0"
        Label of the horizontal axis.
    name : str, default=None
        Title.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes drawn on.
    figure_ : matplotlib Figure
        Figure of the axes.
    lines_ : list of matplotlib Line2D
        One a component, then the mixture.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from sklearn.datasets import load_iris
    >>> from skem import DensityDisplay, EMMixture
    >>> X = load_iris().data[:, [2]]
    >>> display = DensityDisplay.from_estimator(EMMixture(n_components=2, random_state=0).fit(X), X)
    >>> len(display.lines_)
    3
    """

    def __init__(self, values, sample_weight, grid, density, *, counts=False, feature_name="feature 0", name=None):
        self.values = values
        self.sample_weight = sample_weight
        self.grid = grid
        self.density = density
        self.counts = counts
        self.feature_name = feature_name
        self.name = name

    @classmethod
    def from_estimator(cls, estimator, X, *, sample_weight=None, ax=None, name=None, n_points=400, **hist_kwargs):
        """Draw the rows of X and the density of a mixture fitted to one column.

        Parameters
        ----------
        estimator : estimator
            A fitted mixture with one feature.
        X : array-like of shape (n_samples, 1)
            Rows to draw.
        sample_weight : array-like of shape (n_samples,), default=None
            Their weights.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a figure.
        name : str, default=None
            Title; None means the estimator's class.
        n_points : int, default=400
            Points at which the density of a measurement is taken; counts take every whole number
            in the data's range.
        **hist_kwargs : dict
            Passed to matplotlib's `hist`.

        Returns
        -------
        display : DensityDisplay
            The display, drawn.
        """
        check_is_fitted(estimator)
        if estimator.n_features_in_ != 1:
            raise ValueError(
                f"the mixture has {estimator.n_features_in_} features; DensityDisplay draws those "
                "with one, MixtureDisplay two columns of any"
            )
        values = np.asarray(X, dtype=np.float64)[:, 0]
        counts = getattr(getattr(estimator, "family_", None), "domain", "real") == "counts"
        low, high = values.min(), values.max()
        if counts:
            grid = np.arange(low, high + 1.0)
        else:
            margin = 0.1 * (high - low)
            grid = np.linspace(low - margin, high + margin, n_points)
        names = getattr(estimator, "feature_names_in_", ["feature 0"])
        # a frame in, a frame with the same column out: so the names that the mixture knows are met
        rows = type(X)({names[0]: grid}) if hasattr(X, "columns") else grid[:, None]
        density = np.exp(estimator.score_samples(rows))[:, None] * estimator.predict_proba(rows)
        display = cls(
            values,
            None if sample_weight is None else np.asarray(sample_weight, dtype=np.float64),
            grid,
            density,
            counts=counts,
            feature_name=names[0],
            name=type(estimator).__name__ if name is None else name,
        )
        return display.plot(ax=ax, **hist_kwargs)

    def plot(self, ax=None, **hist_kwargs):
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a figure.
        **hist_kwargs : dict
            Passed to matplotlib's `hist`.

        Returns
        -------
        display : DensityDisplay
            The object itself.
        """
        ax = _axes(ax, type(self).__name__)
        # a bar a count; for measurements NumPy's "auto" rule, which knows no weights
        bins = np.append(self.grid, self.grid[-1] + 1.0) - 0.5 if self.counts else "auto"
        if not self.counts:
            bins = np.histogram_bin_edges(self.values, bins)
        style = {"bins": bins, "color": "0.85", "edgecolor": "white"} | hist_kwargs
        ax.hist(self.values, weights=self.sample_weight, density=True, **style)
        marker = "o" if self.counts else None
        self.ax_, self.figure_, self.lines_ = ax, ax.figure, []
        colors = component_colors(self.density.shape[1])
        for column, color in zip(self.density.T, colors, strict=True):
            self.lines_ += ax.plot(self.grid, column, color=color, marker=marker, markersize=4)
        total = self.density.sum(axis=1)
        self.lines_ += ax.plot(self.grid, total, color="black", lw=1, ls="--", label="mixture")
        what = "probability" if self.counts else "density"
        ax.set(xlabel=self.feature_name, ylabel=what, title=self.name)
        ax.legend(frameon=False)
        return self


class ConvergenceDisplay:
    """How a fit's objective rose from pass to pass.

    Build it with `from_estimator`; the constructor takes what is to be drawn.

    Parameters
    ----------
    lower_bounds : ndarray of shape (n_passes,)
        Objective per unit of weight after each pass.
    name : str, default=None
        The line's label.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes drawn on.
    figure_ : matplotlib Figure
        Figure of the axes.
    line_ : matplotlib Line2D
        The objective.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from sklearn.datasets import load_iris
    >>> from skem import ConvergenceDisplay, EMMixture, MAPMixture
    >>> X = load_iris().data
    >>> em = EMMixture(n_components=3, random_state=0).fit(X)
    >>> display = ConvergenceDisplay.from_estimator(em)
    >>> mode = MAPMixture(n_components=3, random_state=0).fit(X)
    >>> display = ConvergenceDisplay.from_estimator(mode, ax=display.ax_)
    >>> len(display.ax_.lines)
    2
    """

    def __init__(self, lower_bounds, *, name=None):
        self.lower_bounds = lower_bounds
        self.name = name

    @classmethod
    def from_estimator(cls, estimator, *, ax=None, gap=False, name=None, **line_kwargs):
        """Draw `lower_bounds_` of a fitted mixture.

        Parameters
        ----------
        estimator : estimator
            A fitted mixture.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a figure.
        gap : bool, default=False
            Whether to draw what was still to gain, on a logarithmic scale, instead of the
            objective.
        name : str, default=None
            The line's label; None means the estimator's class.
        **line_kwargs : dict
            Passed to matplotlib's `plot`.

        Returns
        -------
        display : ConvergenceDisplay
            The display, drawn.
        """
        check_is_fitted(estimator, "lower_bounds_")
        name = type(estimator).__name__ if name is None else name
        display = cls(np.asarray(estimator.lower_bounds_), name=name)
        return display.plot(ax=ax, gap=gap, **line_kwargs)

    def plot(self, ax=None, *, gap=False, **line_kwargs):
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a figure.
        gap : bool, default=False
            Whether to draw what was still to gain, on a logarithmic scale, instead of the
            objective.
        **line_kwargs : dict
            Passed to matplotlib's `plot`.

        Returns
        -------
        display : ConvergenceDisplay
            The object itself.
        """
        ax = _axes(ax, type(self).__name__)
        values = self.lower_bounds
        if gap:
            # the last pass has nothing left to gain, and a logarithm cannot show that
            values = values[-1] - values
            values = np.where(values > 0, values, np.nan)
            ax.set_yscale("log")
        style = {"label": self.name, "marker": ".", "lw": 1.4} | line_kwargs
        self.ax_, self.figure_ = ax, ax.figure
        (self.line_,) = ax.plot(np.arange(len(values)), values, **style)
        what = "still to gain" if gap else "objective"
        ax.set(xlabel="pass", ylabel=f"{what} per unit of weight")
        ax.legend(frameon=False)
        return self
