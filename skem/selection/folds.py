"""Which rows a cross-validation leaves out."""

import numpy as np

from skem.canonical import canonical_rows


def make_folds(cv, X, y, sample_weight, rng):
    """Rows to fit and rows to judge by, for each fold.

    For a number of folds, the distinct rows are dealt out, so that neither the order of rows nor writing a row twice
    instead of giving it weight 2 changes anything, and no row is judged by a density with a spike on its twin.

    Parameters
    ----------
    cv : int, splitter or iterable of (train, test)
    X : ndarray of shape (n_samples, n_features)
    y : array-like of shape (n_samples,) or None
        For splitters that want it.
    sample_weight : ndarray of shape (n_samples,) or None
    rng : numpy.random.Generator
        Deals rows out, where `cv` is a number.

    Returns
    -------
    folds : list of (train, test)
        Positions of rows.
    """
    if not isinstance(cv, int | np.integer):
        splits = cv.split(X, y) if hasattr(cv, "split") else cv
        return [(np.arange(X.shape[0])[train], np.arange(X.shape[0])[test]) for train, test in splits]
    rows = canonical_rows(X, sample_weight)
    if len(rows.index) < cv:
        raise ValueError(f"cv={cv} needs at least as many distinct rows; X has {len(rows.index)}")
    dealt = rng.permutation(len(rows.index)) % cv
    # rows without weight take part in nothing
    fold = np.where(rows.inverse >= 0, dealt[rows.inverse], -1)
    return [(np.flatnonzero((fold != k) & (fold >= 0)), np.flatnonzero(fold == k)) for k in range(cv)]
