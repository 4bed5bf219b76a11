"""Clusters made of several components."""

import numpy as np
from scipy.special import entr, rel_entr
from sklearn.utils.validation import check_is_fitted

# Rows looked at together.
BLOCK = 1 << 12
# Gains that differ by less, relative to the entropy there can be, are equal: the first pair is joined.
SAME_GAIN = 1e-12
# An entropy below this share of the largest that there can be is no overlap to speak of.
SEPARATE = 0.01


def _gains(resp, weight, k, others):
    """By how much the entropy falls when cluster k is joined with each of some others."""
    gains = np.zeros(len(others))
    for start in range(0, len(resp), BLOCK):
        block = resp[start : start + BLOCK]
        own, other = block[:, [k]], block[:, others]
        both = own + other
        # each term is positive, so that no digits cancel
        fall = -(rel_entr(own, both) + rel_entr(other, both))
        gains += fall.sum(axis=0) if weight is None else weight[start : start + BLOCK] @ fall
    return gains


def _entropy(resp, weight):
    terms = entr(resp).sum(axis=1) if resp.ndim == 2 else entr(resp)
    return float(terms.sum() if weight is None else weight @ terms)


def merge_by_entropy(resp, weight):
    """Join clusters pair by pair, so that the entropy of the labels falls most.

    Parameters
    ----------
    resp : ndarray of shape (n_samples, n_components)
        Responsibilities; overwritten.
    weight : ndarray of shape (n_samples,) or None

    Returns
    -------
    children : intp ndarray of shape (n_components - 1, 2)
    entropies : ndarray of shape (n_components,)
    """
    n_components = resp.shape[1]
    total = float(len(resp) if weight is None else weight.sum())
    # a row that one component owns to the last bit has no entropy in any partition
    shared = resp.max(axis=1) < 1.0
    resp = resp[shared]
    weight = None if weight is None else weight[shared]
    same = SAME_GAIN * total * np.log(max(n_components, 2))
    entropies = np.zeros(n_components)
    entropies[-1] = _entropy(resp, weight)
    gains = np.full((n_components, n_components), -np.inf)
    for k in range(n_components - 1):
        gains[k, k + 1 :] = _gains(resp, weight, k, np.arange(k + 1, n_components))
    name = np.arange(n_components)
    children = np.empty((n_components - 1, 2), dtype=np.intp)
    for step in range(n_components - 1):
        first, second = np.argwhere(gains >= gains.max() - same)[0]
        children[step] = sorted((name[first], name[second]))
        resp[:, first] = np.minimum(resp[:, first] + resp[:, second], 1.0)
        name[first] = n_components + step
        gains[second] = gains[:, second] = -np.inf
        gains[first] = np.where(gains[first] > -np.inf, 0.0, -np.inf)
        left = np.flatnonzero(np.isfinite(gains[first]) | np.isfinite(gains[:, first]))
        resp[:, second] = 0.0
        entropies[n_components - step - 2] = _entropy(resp, weight)
        own = _gains(resp, weight, first, left)
        after = left > first
        gains[first, left[after]] = own[after]
        gains[left[~after], first] = own[~after]
    entropies[0] = 0.0
    return children, entropies


def elbow(entropies, total_weight):
    """Number of clusters above which the entropy begins to rise steeply.

    The corner of the two straight lines, joined there, that fit the entropies best (as mclust's clustCombiOptim).

    Parameters
    ----------
    entropies : ndarray of shape (n_components,)
        Of 1, 2, ... clusters.
    total_weight : float

    Returns
    -------
    n_clusters : int
        All components where they do not overlap, or where there is no corner.
    """
    n = len(entropies)
    if n < 3 or entropies[-1] <= SEPARATE * total_weight * np.log(n):
        return n
    best, corner = np.inf, n
    number = np.arange(1.0, n + 1.0)
    for c in range(2, n):
        pieces = [np.polynomial.Polynomial.fit(number[s], entropies[s], 1, domain=[-1, 1], window=[-1, 1])
                  for s in (slice(0, c), slice(c - 1, n))]  # fmt: skip
        misfit = sum(
            ((piece(number[s]) - entropies[s]) ** 2).sum()
            for piece, s in zip(pieces, (slice(0, c), slice(c - 1, n)), strict=True)
        )
        if misfit < best and pieces[1].coef[1] > pieces[0].coef[1]:
            best, corner = misfit, c
    return corner


class MergedComponents:
    """Components of a mixture, combined to fewer and fewer clusters.

    Made by a mixture's `merge_components`.

    Parameters
    ----------
    mixture : estimator
        The fitted mixture.
    children : intp ndarray of shape (n_components - 1, 2)
        The clusters joined in each step, in scikit-learn's form: numbers below n_components are components,
        n_components + i is what step i made.
    entropies : ndarray of shape (n_components,)
        Entropy of the rows' soft labels with 1, 2, ..., n_components clusters.
    n_clusters : int
        The number of clusters at the elbow of the entropies.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skem import EMMixture
    >>> X, species = load_iris(return_X_y=True)
    >>> merged = EMMixture(n_components=3, init=species).fit(X).merge_components(X)
    >>> merged
    <MergedComponents: 3 components of EMMixture in 2 clusters>
    >>> merged.children
    array([[1, 2],
           [0, 3]])
    >>> merged.predict(X[[0, 50, 100]], n_clusters=2)
    array([0, 1, 1], dtype=int32)
    """

    def __init__(self, mixture, children, entropies, n_clusters):
        self.mixture = mixture
        self.children = children
        self.entropies = entropies
        self.n_clusters = n_clusters

    def __repr__(self):
        return (
            f"<{type(self).__name__}: {len(self.entropies)} components of {type(self.mixture).__name__} "
            f"in {self.n_clusters} clusters>"
        )

    @classmethod
    def build(cls, mixture, resp, weight):
        """Combine the components of a mixture.

        Parameters
        ----------
        mixture : estimator
            Fitted.
        resp : ndarray of shape (n_samples, n_components)
            Responsibilities of rows; overwritten.
        weight : ndarray of shape (n_samples,) or None
            Their weights.

        Returns
        -------
        merged : MergedComponents
            The outcome.
        """
        total = float(len(resp) if weight is None else weight.sum())
        children, entropies = merge_by_entropy(resp, weight)
        return cls(mixture, children, entropies, elbow(entropies, total))

    def labels(self, n_clusters=None):
        """Cluster of each component.

        Parameters
        ----------
        n_clusters : int, default=None
            Number of clusters; None means `n_clusters` of the object.

        Returns
        -------
        labels : intp ndarray of shape (n_components,)
            Clusters are numbered in the order of their first components.
        """
        n_components = len(self.entropies)
        n_clusters = self.n_clusters if n_clusters is None else n_clusters
        if n_clusters not in range(1, n_components + 1):
            raise ValueError(f"n_clusters={n_clusters!r} must be a whole number from 1 to {n_components}")
        members = [[k] for k in range(n_components)]
        for first, second in self.children[: n_components - n_clusters]:
            members.append(members[first] + members[second])
            members[first], members[second] = [], []
        labels = np.empty(n_components, dtype=np.intp)
        for label, cluster in enumerate(sorted(cluster for cluster in map(sorted, members) if cluster)):
            labels[cluster] = label
        return labels

    def predict_proba(self, X, n_clusters=None):
        """Probability of each cluster for each row: the sum of its components' responsibilities.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        n_clusters : int, default=None
            Number of clusters; None means `n_clusters` of the object.

        Returns
        -------
        proba : ndarray of shape (n_samples, n_clusters)
            Rows sum to one.
        """
        labels = self.labels(n_clusters)
        check_is_fitted(self.mixture)
        resp = self.mixture.predict_proba(X)
        return resp @ np.eye(labels.max() + 1, dtype=resp.dtype)[labels]

    def predict(self, X, n_clusters=None):
        """Label each row with its most probable cluster.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        n_clusters : int, default=None
            Number of clusters; None means `n_clusters` of the object.

        Returns
        -------
        labels : int32 ndarray of shape (n_samples,)
            Numbers of clusters.
        """
        return self.predict_proba(X, n_clusters).argmax(axis=1).astype(np.int32)
