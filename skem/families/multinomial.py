"""Multinomial counts: documents by terms."""

import numbers
from typing import ClassVar

import numpy as np
from scipy.special import gammaln

from skem._compat import Interval, check_numbers
from skem.families.counts import check_counts, entries
from skem.families.dirichlet import DirichletFamily
from skem.rows import is_sparse


class Multinomial(DirichletFamily):
    """Rows of counts with p(x | p) = (sum_v x_v)! prod_v p_v^x_v / x_v!, given the row's total.

    A row is a document and a column a term, say. The conjugate prior is p ~ Dirichlet(concentration_prior).

    Parameters
    ----------
    concentration_prior : float or array-like of shape (n_features,), default=1.0
        Dirichlet parameter of each column, in pseudo-counts, > 0. Modes need at least 1, where they are the maximum
        of the likelihood: below, a column without counts goes to probability zero, with a warning.
    n_trials : int or None, default=None
        Total of the rows that `sample` draws, for the model says nothing of it. None means the mean of the data's.

    References
    ----------
    Bernardo & Smith (1994), Bayesian Theory, appendix A: the multinomial-Dirichlet pair.

    Examples
    --------
    >>> import numpy as np
    >>> from skem import EMMixture
    >>> from skem.families import Multinomial
    >>> X = np.array([[8, 1, 1], [4, 1, 0], [7, 0, 2], [0, 2, 8], [1, 1, 9], [0, 1, 3]])
    >>> mixture = EMMixture(n_components=2, family=Multinomial(), random_state=0).fit(X)
    >>> mixture.probabilities_.round(2)
    array([[0.04, 0.16, 0.8 ],
           [0.79, 0.08, 0.13]])
    """

    feature_map = "x"
    collapsed_kind = "multinomial"
    domain = "counts"
    positive_only = True
    sparse = True
    reasons: ClassVar[dict[str, str]] = dict.fromkeys(
        ("marginal", "conditional"),
        "its rows are counts given their totals, and without the other columns the total is not known; pool those in "
        "one column, X[:, rest].sum(axis=1), and fit again",
    )

    _parameter_constraints = {
        "concentration_prior": [Interval(numbers.Real, 0, None, closed="neither"), "array-like"],
        "n_trials": [Interval(numbers.Integral, 1, None, closed="left"), None],
    }

    def __init__(self, concentration_prior=1.0, n_trials=None):
        self.concentration_prior = concentration_prior
        self.n_trials = n_trials

    def validate(self, X):
        check_counts(X, self)

    def _bind(self):
        d = self.summary_.n_features
        shape = (d,) if np.ndim(self.concentration_prior) else ()
        concentration = check_numbers(self.concentration_prior, "concentration_prior", shape)
        if not (concentration > 0).all():
            raise ValueError("concentration_prior must be > 0")
        self.concentration_ = np.broadcast_to(concentration, (d,))
        self.group_starts_ = np.zeros(1, dtype=np.intp)

    def coordinates(self, X):
        """Roots of each row's shares: their distance is Hellinger's, whatever the rows' totals."""
        total = np.maximum(np.asarray(X.sum(axis=1), dtype=np.float64).reshape(-1, 1), 1.0)
        return (X.multiply(1.0 / total)).tocsr().sqrt() if is_sparse(X) else np.sqrt(X / total)

    def log_base_measure(self, X):
        rows, _, counts = entries(X)
        terms = np.bincount(rows, gammaln(counts + 1.0), minlength=X.shape[0])
        return gammaln(np.bincount(rows, counts, minlength=X.shape[0]) + 1.0) - terms

    def log_predictive(self, posterior, X):
        """Dirichlet-multinomial log density of each row under each component, base measure left out."""
        rows, columns, counts = entries(X)
        n, size = X.shape[0], np.bincount(rows, counts, minlength=X.shape[0])
        scores = np.empty((n, posterior.n_components))
        for k, total in enumerate(posterior.total):
            whole, seen = total.sum(), total[columns]
            rise = np.bincount(rows, gammaln(seen + counts) - gammaln(seen), minlength=n)
            scores[:, k] = gammaln(whole) - gammaln(whole + size) + rise
        return scores

    def sample(self, theta, counts, rng):
        size = max(1, round(self.summary_.mean.sum())) if self.n_trials is None else self.n_trials
        probability = theta.probability / theta.probability.sum(axis=1, keepdims=True)
        drawn = [rng.multinomial(size, p, size=int(n)) for p, n in zip(probability, counts, strict=True)]
        return np.concatenate(drawn).astype(np.float64)

    def attributes(self, theta):
        return {"probabilities_": theta.probability}

    def parameters(self, probabilities):  # type: ignore[override] # public names of this family
        return self._checked(check_numbers(probabilities, "probabilities"))
