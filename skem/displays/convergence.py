"""The objective of a fit from pass to pass."""

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skem.displays.style import new_axes


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
        check_is_fitted(estimator)
        if not hasattr(estimator, "lower_bounds_"):
            raise TypeError(
                f"{type(estimator).__name__} has no lower_bounds_: its fit is no ascent of an objective; of a sampler, "
                "look at the traces in draws_"
            )
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
        ax = new_axes(ax, type(self).__name__)
        values = self.lower_bounds
        if gap:
            # the last pass has nothing left to gain, and a logarithm cannot show that
            values = values[-1] - values
            values = np.where(values > 0, values, np.nan)
            ax.set_yscale("log")
        else:
            # each tick says its value in full, not what is left beyond an offset that stands elsewhere
            ax.ticklabel_format(axis="y", style="plain", useOffset=False)
        style = {"label": self.name, "marker": ".", "lw": 1.4} | line_kwargs
        self.ax_, self.figure_ = ax, ax.figure
        (self.line_,) = ax.plot(np.arange(len(values)), values, **style)
        what = "still to gain" if gap else "objective"
        ax.set(xlabel="pass", ylabel=f"{what} per unit of weight")
        ax.legend(frameon=False)
        return self
