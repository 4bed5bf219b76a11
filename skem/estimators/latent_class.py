"""What latent class analysts ask of a fitted mixture: how sure its classes are, what they answer, how well they fit."""

from typing import Any, NamedTuple

import numpy as np
from scipy.special import xlogy
from scipy.stats import chi2
from sklearn.utils.validation import check_is_fitted

from skem._compat import check_sample_weight
from skem.canonical import canonical_rows


class GoodnessOfFit(NamedTuple):
    """Observed against expected patterns of answers.

    Attributes
    ----------
    G2 : float
        Likelihood ratio against the saturated model, 2 sum O log(O / E).
    X2 : float
        Pearson's sum (O - E)^2 / E over all patterns, those that nobody gave included.
    degrees_of_freedom : int
        Patterns - 1 - free parameters; below 1 where the model has more parameters than the table cells.
    G2_pvalue, X2_pvalue : float
        Tails of the chi-squared distribution; NaN without degrees of freedom. They mean little where most expected
        counts are small.
    n_patterns : int
        Distinct patterns observed.
    """

    G2: float
    X2: float
    degrees_of_freedom: int
    G2_pvalue: float
    X2_pvalue: float
    n_patterns: int


class LatentClassMixin:
    """Methods of a fitted mixture that describe its components as latent classes."""

    # what the mixture itself brings
    family_: Any
    weights_: Any
    n_components_: int
    n_features_in_: int
    _theta: Any
    _query: Any
    _resp: Any
    _n_parameters: Any
    _weighted_density: Any

    def sabic(self, X, sample_weight=None):
        """Sample-size adjusted BIC, the lower the better: -2 log-likelihood + parameters x log((weight + 2) / 24).

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, those of the fit as a rule.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights >= 0, not all zero; None means 1 for each row.

        Returns
        -------
        sabic : float
            The criterion (Sclove 1987).
        """
        density, weight = self._weighted_density(X, sample_weight)
        return float(-2.0 * (weight @ density) + self._n_parameters() * np.log((weight.sum() + 2.0) / 24.0))

    def _weighted_resp(self, X, sample_weight):
        """Responsibilities and weights of rows."""
        source, _ = self._query(X)
        resp = self._resp(source)
        return resp, check_sample_weight(sample_weight, resp)

    def entropy_r2(self, X, sample_weight=None):
        """How far responsibilities are from even: 1 where every row is sure, 0 where none tells components apart.

        1 - sum_n w_n H(r_n) / (sum_n w_n log n_components_), with H the entropy of a row's responsibilities.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, those of the fit as a rule.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights >= 0, not all zero; None means 1 for each row.

        Returns
        -------
        entropy_r2 : float
            1 for a single component.
        """
        resp, weight = self._weighted_resp(X, sample_weight)
        if resp.shape[1] == 1:
            return 1.0
        return float(1.0 + weight @ xlogy(resp, resp).sum(axis=1) / (weight.sum() * np.log(resp.shape[1])))

    def classification_table(self, X, sample_weight=None):
        """Set labels against responsibilities.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, those of the fit as a rule.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights >= 0, not all zero; None means 1 for each row.

        Returns
        -------
        table : ndarray of shape (`n_components_`, `n_components_`)
            Entry [k, l]: weight of the rows labelled k that belongs to component l by their responsibilities. The
            weight off the diagonal, as a share of all, is the expected rate of wrong labels.
        """
        resp, weight = self._weighted_resp(X, sample_weight)
        table = np.zeros((resp.shape[1], resp.shape[1]))
        np.add.at(table, resp.argmax(axis=1), weight[:, None] * resp)
        return table

    def response_probabilities(self):
        """Probability of every level of every column in every component, a row each.

        Returns
        -------
        table : dict of ndarray
            "item" (the column's name, or its number), "level", "component" and "probability", all of one length;
            ``pandas.DataFrame(table)`` and ``polars.DataFrame(table)`` read it.

        Raises
        ------
        TypeError
            Where the family has no levels.
        """
        items = self._responses("response_probabilities")
        names = getattr(self, "feature_names_in_", np.arange(len(items)))
        K, n_levels = self.n_components_, [len(levels) for levels, _ in items]
        levels = np.concatenate([np.repeat(np.asarray(levels, dtype=object), K) for levels, _ in items])
        return {
            "item": np.repeat(names, np.multiply(n_levels, K)),
            "level": levels,
            "component": np.tile(np.arange(K), sum(n_levels)),
            "probability": np.concatenate([probability.T.ravel() for _, probability in items]),
        }

    def goodness_of_fit(self, X, sample_weight=None):
        """Compare the counts of all patterns of answers with those that the mixture expects.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, those of the fit as a rule.
        sample_weight : array-like of shape (n_samples,), default=None
            Counts of the rows; None means 1 for each.

        Returns
        -------
        fit : GoodnessOfFit
            `G2` and `X2` with `degrees_of_freedom` and their tails `G2_pvalue` and `X2_pvalue`.

        Raises
        ------
        TypeError
            Where the family has no levels.
        """
        items = self._responses("goodness_of_fit")
        density, weight = self._weighted_density(X, sample_weight)
        patterns = canonical_rows(self._query(X)[0].X, weight)
        expected = weight.sum() * np.exp(density[patterns.index])
        observed = patterns.weight
        G2 = 2.0 * float(np.sum(observed * np.log(observed / expected)))
        # patterns that nobody gave have the rest of the expected weight
        X2 = float(np.sum((observed - expected) ** 2 / expected) + max(weight.sum() - expected.sum(), 0.0))
        cells = float(np.prod([float(len(levels)) for levels, _ in items]))
        freedom = int(min(cells, 2.0**62)) - 1 - self._n_parameters()
        one, other = (float(chi2.sf(value, freedom)) if freedom > 0 else np.nan for value in (G2, X2))
        return GoodnessOfFit(G2, X2, freedom, one, other, len(observed))

    def _responses(self, method):
        """Levels of each column with their probabilities (n_components, n_levels)."""
        check_is_fitted(self, "_theta")
        if not self.family_.has("responses"):
            if any(part.has("responses") for part in self.family_.members()):
                raise TypeError(
                    f"{method} is for columns of levels, and the mixture has others beside them: take it of "
                    "marginal(columns) with the columns of levels alone"
                )
            raise TypeError(
                f"{method} is for columns of levels, and {type(self.family_).__name__}() has none: fit Categorical() "
                "or Bernoulli()"
            )
        return self.family_.responses(self._theta)
