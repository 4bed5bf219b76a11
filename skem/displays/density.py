"""One column of data and its density, component by component."""

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skem.displays.style import component_colors, new_axes


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
        domain = getattr(getattr(estimator, "family_", None), "domain", "real")
        counts = domain in ("counts", "zeros and ones")
        low, high = values.min(), values.max()
        if counts:
            grid = np.arange(low, high + 1.0)
        else:
            # a density that ends somewhere may not be asked beyond
            margin = 0.1 * (high - low) if domain == "real" else 0.0
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
        ax = new_axes(ax, type(self).__name__)
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
