"""The criterion of every candidate of a selection."""

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skem.displays.style import component_colors, new_axes

MARKERS = "osD^vPX*<>hp"


def _curves(table):
    """Label and rows of the table of every curve: candidates that differ in the number of components alone."""
    extra = [name for name in table if name.startswith("param_")]
    named = ["estimator"] if len(set(table["estimator"])) > 1 else []
    curves: dict[str, list[int]] = {}
    for row in range(len(table["score"])):
        parts = [str(table[name][row]) for name in [*named, "family"]]
        parts += [f"{name.removeprefix('param_')}={table[name][row]!r}" for name in extra]
        curves.setdefault(" ".join(parts), []).append(row)
    return curves


class SelectionDisplay:
    """The criterion of a `MixtureSelection` against the number of components, one curve a structure.

    Greater is better, as in mclust's picture of its BIC; candidates that failed or are degenerate leave a gap, and the
    best is marked.

    Build it with `from_estimator`; the constructor takes what is to be drawn.

    Parameters
    ----------
    curves : dict of str to (ndarray, ndarray)
        Numbers of components and scores, by label.
    best : tuple of (int, float)
        Number of components and score of the best candidate.
    criterion : str
        Label of the vertical axis.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes drawn on.
    figure_ : matplotlib Figure
        Figure of the axes.
    lines_ : list of matplotlib Line2D
        One a curve, in the order of the table.
    best_ : matplotlib Line2D
        The ring around the best.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from sklearn.datasets import load_iris
    >>> from skem import MixtureSelection, SelectionDisplay
    >>> selection = MixtureSelection(n_components=range(1, 4), random_state=0).fit(load_iris().data)
    >>> display = SelectionDisplay.from_estimator(selection)
    >>> display.best_.get_xdata()
    array([2])
    """

    def __init__(self, curves, best, *, criterion):
        self.curves = curves
        self.best = best
        self.criterion = criterion

    @classmethod
    def from_estimator(cls, estimator, *, ax=None, **line_kwargs):
        """Draw the table of a fitted selection.

        Parameters
        ----------
        estimator : MixtureSelection
            Fitted.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a figure.
        **line_kwargs : dict
            Passed to matplotlib's `plot`.

        Returns
        -------
        display : SelectionDisplay
            The display, drawn.
        """
        check_is_fitted(estimator, "results_")
        table, index = estimator.results_, estimator.best_index_
        sizes, scores = table["n_components"], table["score"]
        curves = {label: (sizes[rows], scores[rows]) for label, rows in _curves(table).items()}
        criterion = estimator.criterion.replace("_", " ")
        # those that are the lower the better elsewhere are drawn with their sign turned
        criterion = f"-{criterion.upper()}" if criterion in ("bic", "icl", "aic") else criterion
        return cls(curves, (sizes[index], scores[index]), criterion=criterion).plot(ax=ax, **line_kwargs)

    def plot(self, ax=None, **line_kwargs):
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a figure.
        **line_kwargs : dict
            Passed to matplotlib's `plot`.

        Returns
        -------
        display : SelectionDisplay
            The object itself.
        """
        ax = new_axes(ax, type(self).__name__)
        self.ax_, self.figure_, self.lines_ = ax, ax.figure, []
        colors = component_colors(len(self.curves))
        for k, (label, (sizes, scores)) in enumerate(self.curves.items()):
            style = {"color": colors[k], "marker": MARKERS[k % len(MARKERS)], "ms": 5, "lw": 1.4, "label": label}
            self.lines_ += ax.plot(sizes, scores, **style | line_kwargs)
        size, score = self.best
        style = {"marker": "o", "ms": 13, "mfc": "none", "mec": "black", "ls": "none", "label": "best"}
        (self.best_,) = ax.plot(np.array([size]), np.array([score]), **style)
        ax.set_xticks(sorted({int(size) for sizes, _ in self.curves.values() for size in sizes}))
        ax.set(xlabel="components", ylabel=f"{self.criterion} (greater is better)")
        ax.legend(frameon=False, fontsize="small")
        return self
