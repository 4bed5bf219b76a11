"""Two columns of the data and the components in them."""

from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skem.displays.components import components_of
from skem.displays.style import component_colors, new_axes
from skem.estimators.columns import column_names, column_positions

# Brightness of rows that are noise.
GREY = 0.6
# Points of a contour that is no ellipse.
CONTOUR = 200


class MixtureDisplay:
    """Two columns of the data with the components found in them.

    Points carry their component's colour, mixed by responsibility where the estimator gives them.
    Gaussian and Student-t components are drawn as ellipses, log-normal ones as what becomes of the ellipses of the
    logarithms, other families as a cross at the component's mean, where they have one. So are, of `Product`, columns of
    two blocks, unless both are Gaussian. Noise is grey.

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
        Covariances of Gaussian components in the two columns, or scale matrices of Student-t ones.
    feature_names : sequence of 2 str
        Labels of the axes.
    name : str, default=None
        Title.
    decode : callable, default=None
        Maps points (m, 2) of the ellipses to the coordinates of `points`; None where they have the same.
    degrees_of_freedom : ndarray of shape (n_components,), default=None
        Of Student-t components; None means Gaussian ones.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes drawn on.
    figure_ : matplotlib Figure
        Figure of the axes.
    scatter_ : matplotlib PathCollection
        The points.
    ellipses_ : list of matplotlib Ellipse
        Component by component, a level at a time; polygons where there is a `decode`.

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

    def __init__(
        self, points, resp, *, centers, covariances, feature_names, name=None, decode=None, degrees_of_freedom=None
    ):
        self.points = points
        self.resp = resp
        self.centers = centers
        self.covariances = covariances
        self.feature_names = feature_names
        self.name = name
        self.decode = decode
        self.degrees_of_freedom = degrees_of_freedom

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
            Shares of a component's mass (in the two columns) that its ellipses hold.
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
        positions = column_positions(estimator, columns)
        rows = X[:, positions].toarray() if hasattr(X, "indptr") else np.asarray(X)[:, positions]
        try:
            rows = np.asarray(rows, dtype=np.float64)
        except (TypeError, ValueError):
            raise ValueError(f"columns={columns!r} must hold numbers to be drawn") from None
        components = components_of(estimator, positions)
        if hasattr(estimator, "predict_proba"):
            resp = estimator.predict_proba(X)
        else:
            resp = np.eye(len(components.centers))[estimator.predict(X)]
        display = cls(
            rows,
            resp,
            feature_names=column_names(estimator, positions),
            name=type(estimator).__name__ if name is None else name,
            **components._asdict(),
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
        ax = new_axes(ax, type(self).__name__)
        n_components = self.resp.shape[1] if self.centers is None else len(self.centers)
        noise = np.full((self.resp.shape[1] - n_components, 3), GREY)
        colors = np.vstack([component_colors(n_components), noise])
        style = {"s": 14, "alpha": 0.75, "linewidths": 0} | scatter_kwargs
        style.setdefault("c", np.clip(self.resp @ colors, 0.0, 1.0))
        self.ax_, self.figure_ = ax, ax.figure
        self.scatter_ = ax.scatter(*self.points.T, **style)
        self.ellipses_ = self._ellipses(levels, colors[:n_components])
        for ellipse in self.ellipses_:
            ax.add_patch(ellipse)
        if self.covariances is None and self.centers is not None:
            ax.scatter(*self.centers.T, c=colors[:n_components], marker="X", s=90, edgecolors="black", zorder=3)
        ax.set(xlabel=self.feature_names[0], ylabel=self.feature_names[1], title=self.name)
        return self

    def _ellipses(self, levels, colors):
        """Ellipses that hold the given shares of each component's mass, the innermost filled."""
        from matplotlib.patches import Ellipse, Polygon

        if self.covariances is None:
            return []
        ellipses = []
        style: dict[str, Any] = {"facecolor": "none", "lw": 1.6}
        dof = np.full(len(self.centers), np.inf) if self.degrees_of_freedom is None else self.degrees_of_freedom
        for center, covariance, nu, color in zip(self.centers, self.covariances, dof, colors, strict=True):
            variances, axes = np.linalg.eigh(covariance)
            angle = np.degrees(np.arctan2(axes[1, 1], axes[0, 1]))
            for level in sorted(levels):
                # |z|^2 of two standard normals is exponential with mean 2, of t-distributed ones Lomax
                share = -np.log1p(-level)
                squared = 2.0 * share if np.isinf(nu) else nu * np.expm1(2.0 * share / nu)
                minor, major = 2.0 * np.sqrt(squared * np.maximum(variances, 0.0))
                ellipse: Any = Ellipse(center, major, minor, angle=angle, edgecolor=color, **style)
                if self.decode is not None:
                    angles = np.linspace(0.0, 2.0 * np.pi, CONTOUR, endpoint=False)
                    circle = np.column_stack([np.cos(angles), np.sin(angles)])
                    contour = ellipse.get_patch_transform().transform(circle)
                    ellipse = Polygon(self.decode(contour), edgecolor=color, **style)
                ellipses.append(ellipse)
            ellipses[-len(levels)].set_facecolor((*color, 0.15))
        return ellipses
