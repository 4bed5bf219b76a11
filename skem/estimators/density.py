"""What follows from a fitted density: its modes, its components combined, mixtures of some columns."""

from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skem._compat import check_numbers, check_sample_weight
from skem.estimators.columns import column_positions
from skem.estimators.merging import MergedComponents
from skem.modes import Modes, find_modes
from skem.weights import safe_log


class DensityFeaturesMixin:
    """Methods of a fitted mixture that lead to its modes, to coarser clusters and to other mixtures.

    All but `merge_components` are about the density with the published weights and parameters, whatever distribution
    stands behind them.
    """

    # what the mixture itself brings
    family_: Any
    weights_: Any
    n_components_: int
    n_features_in_: int
    _theta: Any
    _query: Any
    _resp: Any
    _from_theta: Any

    def _plug_in(self):
        """Log weights and theta of the published attributes."""
        check_is_fitted(self, "_theta")
        public = {name.rstrip("_"): getattr(self, name) for name in self.family_.attributes(self._theta)}
        return safe_log(self.weights_), self.family_.parameters(**public)

    def _require(self, verb, method):
        """Raise TypeError in one sentence where the family cannot do what a method needs."""
        check_is_fitted(self, "_theta")
        if not self.family_.has(verb):
            why = self.family_.reasons.get(verb)
            why = f", which {method} needs of a family" if why is None else f": {why}"
            raise TypeError(f"{type(self.family_).__name__}() offers no {verb}{why}")

    def modes(self, *, tol=1e-2, max_iter=1000):
        """Find the modes of the mixture's density: the points where it is higher than all around.

        Each ascent maximises a lower bound of the log density over and over (mean shift; the step that EM is named
        for), which never leads down, and ends in Newton's steps. Ascents start from the means, from the maxima along
        the ridges between components that are near one another, and from between three of them: a mixture may have
        modes that are near no mean, in two dimensions even more modes than components. A mode that only four
        components or more make together could be missed.

        Parameters
        ----------
        tol : float, default=1e-2
            Distance below which two maxima are one mode, in local standard deviations.
        max_iter : int, default=1000
            Most steps of an ascent.

        Returns
        -------
        modes : Modes
            Named tuple of `modes` of shape (n_modes, n_features), the highest first, `log_densities` there, and
            `labels`, the mode that each component's mean leads to: ``modes.labels[mixture.predict(X)]`` clusters rows
            by mode.

        Raises
        ------
        TypeError
            Where the family has no such terms: it takes Gaussian, log-normal or Student-t components.

        Notes
        -----
        The density is that of the published weights and parameters. Of `VariationalMixture` and `BayesianKMeans` it
        is the plug-in density, not the predictive one of `score_samples`; of `GibbsMixture` that of the posterior
        means.

        References
        ----------
        Carreira-Perpinan (2000), Mode-finding for mixtures of Gaussian distributions, IEEE PAMI 22. Ray & Lindsay
        (2005), The topography of multivariate normal mixtures, Annals of Statistics 33.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from skem import EMMixture
        >>> X, species = load_iris(return_X_y=True)
        >>> modes = EMMixture(n_components=3, init=species).fit(X).modes()
        >>> modes.modes.round(1)
        array([[5. , 3.4, 1.5, 0.2],
               [5.9, 2.8, 4.2, 1.3],
               [6.5, 2.9, 5.5, 2. ]])
        >>> modes.labels
        array([0, 1, 2])
        """
        self._require("log_terms", "modes")
        tol = float(check_numbers(tol, "tol", ()))
        if tol < 0 or max_iter < 1:
            raise ValueError(f"tol={tol:g} must be >= 0 and max_iter={max_iter} a whole number from 1 up")
        found = find_modes(self.family_.log_terms(*self._plug_in()), tol, max_iter)
        summary = self.family_.summary_
        modes = self.family_.decode(summary.to_user(found.modes))
        return Modes(modes, found.log_densities - summary.log_jacobian, found.labels)

    def merge_components(self, X, *, sample_weight=None):
        """Combine components that overlap, pair by pair, by the entropy of the responsibilities.

        A cluster that is no Gaussian takes several components. Each step joins the two clusters whose union lowers
        the entropy of the soft labels most; where the entropy begins to rise steeply with the number of clusters,
        components begin to share clusters.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, those of the fit as a rule.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights >= 0, not all zero; None means 1 for each row.

        Returns
        -------
        merged : MergedComponents
            For each number of clusters the components that make them up and the entropy, a number of clusters to
            look at, and predictions. `MergeDisplay` draws it.

        References
        ----------
        Baudry, Raftery, Celeux, Lo & Gottardo (2010), Combining mixture components for clustering, Journal of
        Computational and Graphical Statistics 19.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from skem import EMMixture
        >>> X, species = load_iris(return_X_y=True)
        >>> merged = EMMixture(n_components=3, init=species).fit(X).merge_components(X)
        >>> merged.labels(2)
        array([0, 1, 1])
        """
        source, _ = self._query(X)
        weight = None if sample_weight is None else check_sample_weight(sample_weight, source.X)
        return MergedComponents.build(self, self._resp(source), weight)

    def _restricted(self, columns, log_weights, theta):
        """Mixture of some columns, with log weights and theta in their coordinates."""
        family = self.family_
        mixture = self._from_theta(family.of_columns(columns), family.restrict(columns), log_weights, theta)
        if hasattr(self, "feature_names_in_"):
            mixture.feature_names_in_ = self.feature_names_in_[columns]
        return mixture

    def _partition(self, columns, method):
        """Positions of the columns named, and of the rest."""
        self._require(method, method)
        positions = column_positions(self, columns)
        if not positions:
            raise ValueError("columns is empty: name one at least")
        return positions, [j for j in range(self.n_features_in_) if j not in positions]

    def marginal(self, columns):
        """Return the mixture of some columns alone, all others integrated out.

        Parameters
        ----------
        columns : int, str, sequence of these, slice or mask
            Columns to keep, in this order, by position or by name.

        Returns
        -------
        mixture : object
            Fitted, of the same class and with the same weights, for predictions about these columns.

        Raises
        ------
        ValueError
            Where a column is not there or comes twice.
        TypeError
            Where the family offers no marginals.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from skem import EMMixture
        >>> X, species = load_iris(return_X_y=True)
        >>> mixture = EMMixture(n_components=3, init=species).fit(X)
        >>> mixture.marginal([2, 3]).means_.shape
        (3, 2)
        """
        columns, rest = self._partition(columns, "marginal")
        log_weights, theta = self._plug_in()
        return self._restricted(columns, log_weights, self.family_.marginal(theta, columns, rest))

    def conditional(self, columns, values):
        """Return the mixture of the other columns, given the values of some.

        Parameters
        ----------
        columns : int, str, sequence of these, slice or mask
            Columns whose values are known, by position or by name.
        values : array-like of shape (n_columns,) or (n_rows, n_columns)
            Their values, in the order of `columns`.

        Returns
        -------
        mixture : object or list of objects
            Fitted, of the same class; weights are the components' responsibilities for the values. For several rows
            of values a list with a mixture for each.

        Raises
        ------
        ValueError
            Where a column is not there or comes twice, no column is left, or values do not fit.
        TypeError
            Where the family offers no conditionals.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from skem import EMMixture
        >>> X, species = load_iris(return_X_y=True)
        >>> mixture = EMMixture(n_components=3, init=species).fit(X)
        >>> given = mixture.conditional([2, 3], [1.4, 0.2])
        >>> (given.weights_ @ given.means_).round(1)
        array([4.9, 3.4])
        """
        given, rest = self._partition(columns, "conditional")
        if not rest:
            raise ValueError(f"columns names all {len(given)} columns, so that none is left")
        values = np.asarray(values, dtype=object) if self.family_.encodes else check_numbers(values, "values")
        rows = np.atleast_1d(values)[None] if values.ndim < 2 else values
        if rows.ndim > 2 or rows.shape[1] != len(given):
            raise ValueError(f"values must have shape ({len(given)},) or (n_rows, {len(given)}), got {values.shape}")
        alone = self.marginal(given)
        if hasattr(alone, "feature_names_in_"):
            del alone.feature_names_in_
        log_weights = alone.predict_log_proba(rows)
        theta, internal = self._plug_in()[1], alone.family_.summary_.to_internal(alone.family_.encode(rows))
        mixtures = [
            self._restricted(rest, own, self.family_.conditional(theta, given, rest, row))
            for own, row in zip(log_weights, internal, strict=True)
        ]
        return mixtures if values.ndim == 2 else mixtures[0]
