"""The entropy of the labels while components are combined."""

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skem.displays.style import new_axes


class MergeDisplay:
    """Entropy of a mixture's soft labels against the number of clusters its components are combined to.

    Build it with `from_estimator`; the constructor takes what is to be drawn.

    Parameters
    ----------
    entropies : ndarray of shape (n_components,)
        Entropy with 1, 2, ... clusters.
    n_clusters : int
        The number of clusters to mark.
    name : str, default=None
        Title.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes drawn on.
    figure_ : matplotlib Figure
        Figure of the axes.
    line_ : matplotlib Line2D
        The entropies.
    mark_ : matplotlib Line2D
        The number of clusters marked.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from sklearn.datasets import load_iris
    >>> from skem import EMMixture, MergeDisplay
    >>> X = load_iris().data
    >>> display = MergeDisplay.from_estimator(EMMixture(n_components=5, random_state=0).fit(X), X)
    >>> display.ax_.get_xlabel()
    'clusters'
    """

    def __init__(self, entropies, n_clusters, *, name=None):
        self.entropies = entropies
        self.n_clusters = n_clusters
        self.name = name

    @classmethod
    def from_estimator(cls, estimator, X, *, sample_weight=None, ax=None, name=None, **line_kwargs):
        """Combine a mixture's components by the rows of X and draw the entropies.

        Parameters
        ----------
        estimator : estimator
            A fitted mixture.
        X : array-like of shape (n_samples, n_features)
            Rows, those of the fit as a rule.
        sample_weight : array-like of shape (n_samples,), default=None
            Their weights.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a figure.
        name : str, default=None
            Title; None means the estimator's class.
        **line_kwargs : dict
            Passed to matplotlib's `plot`.

        Returns
        -------
        display : MergeDisplay
            The display, drawn.
        """
        check_is_fitted(estimator)
        merged = estimator.merge_components(X, sample_weight=sample_weight)
        name = type(estimator).__name__ if name is None else name
        return cls(merged.entropies, merged.n_clusters, name=name).plot(ax=ax, **line_kwargs)

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
        display : MergeDisplay
            The object itself.
        """
        ax = new_axes(ax, type(self).__name__)
        self.ax_, self.figure_ = ax, ax.figure
        number = np.arange(1, len(self.entropies) + 1)
        (self.line_,) = ax.plot(number, self.entropies, **({"marker": ".", "lw": 1.4} | line_kwargs))
        self.mark_ = ax.axvline(self.n_clusters, color="0.6", ls="--", lw=1)
        ax.set(xlabel="clusters", ylabel="entropy of the labels", title=self.name, xticks=number)
        return self
