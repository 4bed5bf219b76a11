"""KMeans: scikit-learn's, on skem's passes."""

import numbers
from typing import Any, ClassVar

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, ClusterMixin, TransformerMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_array, check_random_state
from sklearn.utils.validation import check_is_fitted

from skem._compat import (
    Interval,
    StrOptions,
    check_sample_weight,
    single_blas_thread,
    unchanged_on_failure,
    validate_parameters,
    validate_rows,
)
from skem.estimators.doclink import DocLinkMixin
from skem.estimators.kmeans_rows import DenseRows, Frame, SparseRows
from skem.estimators.lloyd import label, lloyd
from skem.estimators.pickling import PickleMixin
from skem.exceptions import warn
from skem.summary import summarize


class KMeans(DocLinkMixin, PickleMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin, ClusterMixin, BaseEstimator):
    """K-means clustering: a drop-in for `sklearn.cluster.KMeans`.

    Names, defaults, attributes, the stopping rule and the handling of empty clusters are scikit-learn's. Dense data
    are read about an origin of their own as they are loaded, so that an offset costs no digits; sums are float64
    also for float32 data. Starts depend neither on the order of rows nor on whether a row is repeated or weighted.
    What differs is listed, with reasons, in the guide's page on drop-ins.

    Parameters
    ----------
    n_clusters : int, default=8
    init : {"k-means++", "random"}, callable or array-like of shape (n_clusters, n_features), default="k-means++"
        How centres begin; a callable is called as ``init(X, n_clusters, random_state=...)``.
    n_init : "auto" or int, default="auto"
        Number of starts; the lowest inertia is kept. "auto" means 10 for "random" and callables, 1 otherwise.
    max_iter : int, default=300
    tol : float, default=1e-4
        A run has converged when the squared movement of the centres is at most `tol` times the mean variance of the
        columns, or when no label changes.
    verbose : int, default=0
    random_state : int, RandomState instance or None, default=None
    copy_x : bool, default=True
        X is never written to, whatever is said here.
    algorithm : {"lloyd", "elkan"}, default="lloyd"
        Both find the same clusters; here they run the same code.

    Attributes
    ----------
    cluster_centers_ : ndarray of shape (n_clusters, n_features)
        Of X's dtype.
    labels_ : int32 ndarray of shape (n_samples,)
    inertia_ : float
        Weighted sum of squared distances to the nearest centre.
    n_iter_ : int
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (`n_features_in_`,)

    See Also
    --------
    BayesianKMeans : Hard clusters of any family that find their own number.

    Examples
    --------
    >>> import numpy as np
    >>> from skem import KMeans
    >>> X = np.array([[1, 2], [1, 4], [1, 0], [10, 2], [10, 4], [10, 0]])
    >>> kmeans = KMeans(n_clusters=2, random_state=0).fit(X)
    >>> np.sort(kmeans.cluster_centers_[:, 0])
    array([ 1., 10.])
    >>> kmeans.inertia_
    16.0
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "n_clusters": [Interval(numbers.Integral, 1, None, closed="left")],
        "init": [StrOptions({"k-means++", "random"}), callable, "array-like"],
        "n_init": [StrOptions({"auto"}), Interval(numbers.Integral, 1, None, closed="left")],
        "max_iter": [Interval(numbers.Integral, 1, None, closed="left")],
        "tol": [Interval(numbers.Real, 0, None, closed="left")],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
        "copy_x": ["boolean"],
        "algorithm": [StrOptions({"lloyd", "elkan"})],
    }

    def __init__(
        self,
        n_clusters=8,
        *,
        init="k-means++",
        n_init="auto",
        max_iter=300,
        tol=1e-4,
        verbose=0,
        random_state=None,
        copy_x=True,
        algorithm="lloyd",
    ):
        self.n_clusters = n_clusters
        self.init = init
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.verbose = verbose
        self.random_state = random_state
        self.copy_x = copy_x
        self.algorithm = algorithm

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    @property
    def _n_features_out(self):
        return self.cluster_centers_.shape[0]

    def _validate(self, X: Any, reset):
        return validate_rows(self, X, reset=reset, accept_sparse="csr")

    # -- fitting ---------------------------------------------------------------------------------

    def fit(self, X, y=None, sample_weight=None):
        """Cluster the rows.

        Parameters
        ----------
        X : {array-like, CSR matrix} of shape (n_samples, n_features)
        y : Ignored
            Present for scikit-learn's API.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights >= 0: weight 2 equals the row twice, weight 0 its absence.

        Returns
        -------
        self : object
            A fit that fails leaves the object as it was.
        """
        with unchanged_on_failure(self), single_blas_thread():
            self._fit(X, sample_weight)
        return self

    def _fit(self, X, sample_weight):
        validate_parameters(self, self._parameter_constraints)
        X = self._validate(X, reset=True)
        if sample_weight is not None:
            sample_weight = np.ascontiguousarray(check_sample_weight(sample_weight, X))
        n = X.shape[0] if sample_weight is None else np.count_nonzero(sample_weight)
        if n < self.n_clusters:
            raise ValueError(f"n_samples={n} should be >= n_clusters={self.n_clusters}.")
        given = self._given_centers(X)
        n_init = self._starts(given)
        rows: Any
        if sparse.issparse(X):
            rows = SparseRows(X, sample_weight)
        else:
            summary = summarize(X, sample_weight, "scalar")
            rows = DenseRows(X, sample_weight, Frame(summary.origin, summary.scale))
        tol = self.tol * rows.mean_variance() if self.tol > 0 else 0.0
        generator = check_random_state(self.random_state)
        best: Any = None
        for _ in range(n_init):
            centers = self._begin(X, rows, given, generator)
            centers, labels, n_iter = lloyd(rows, centers, self.max_iter, tol, self.verbose)
            inertia = rows.inertia(centers, labels)
            if self.verbose:
                print(f"Converged at iteration {n_iter}, inertia {inertia:.8g}")  # noqa: T201
            if best is None or inertia < best[0]:
                best = inertia, centers, labels, n_iter
        inertia, centers, labels, n_iter = best
        distinct = len(np.unique(labels))
        if distinct < self.n_clusters:
            warn(
                f"Number of distinct clusters ({distinct}) found smaller than n_clusters ({self.n_clusters}). "
                "Possibly due to duplicate points in X.",
                ConvergenceWarning,
            )
        self.cluster_centers_ = rows.to_user(centers).astype(X.dtype)
        self.labels_ = labels
        self.inertia_ = inertia
        self.n_iter_ = n_iter
        # what the public centres have been rounded from; it serves while they keep their values
        self._fitted = (self.cluster_centers_.copy(), rows.frame, centers)

    def _given_centers(self, X):
        """Centres that `init` gives, None where it names or computes them."""
        if isinstance(self.init, str) or callable(self.init):
            return None
        return self._check_centers(self.init, X)

    def _check_centers(self, centers: Any, X):
        centers = check_array(centers, dtype=np.float64, accept_sparse="csr")
        centers = centers.toarray() if sparse.issparse(centers) else centers
        for axis, (wanted, what) in enumerate(
            [(self.n_clusters, "number of clusters"), (X.shape[1], "number of features of the data")]
        ):
            if centers.shape[axis] != wanted:
                raise ValueError(
                    f"The shape of the initial centers {centers.shape} does not match the {what} {wanted}."
                )
        return centers

    def _starts(self, given):
        """Count the starts."""
        if self.n_init == "auto":
            return 1 if given is not None or self.init == "k-means++" else 10
        if given is not None and self.n_init != 1:
            warn(
                "Explicit initial center position passed: performing only one init in KMeans instead of "
                f"n_init={self.n_init}.",
                RuntimeWarning,
            )
            return 1
        return self.n_init

    def _begin(self, X, rows, given, generator):
        """Centres of a start, in the coordinates of `rows`."""
        if given is None and callable(self.init):
            given = self._check_centers(self.init(X, self.n_clusters, random_state=generator), X)
        if given is not None:
            return rows.to_internal(given)
        seed = generator.randint(np.iinfo(np.int32).max)
        return rows.seeds(self.n_clusters, self.init, np.random.default_rng(seed))

    def fit_predict(self, X, y=None, sample_weight=None):
        """Cluster the rows and return their labels.

        Parameters
        ----------
        X : {array-like, CSR matrix} of shape (n_samples, n_features)
        y : Ignored
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        labels : int32 ndarray of shape (n_samples,)
        """
        return self.fit(X, sample_weight=sample_weight).labels_

    def fit_transform(self, X, y=None, sample_weight=None):
        """Cluster the rows and return their distances to the centres.

        Parameters
        ----------
        X : {array-like, CSR matrix} of shape (n_samples, n_features)
        y : Ignored
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        distances : ndarray of shape (n_samples, n_clusters)
        """
        return self.fit(X, sample_weight=sample_weight).transform(X)

    # -- using the public centres ----------------------------------------------------------------

    def _query(self, X, sample_weight=None):
        """Rows and centres in coordinates that suit both."""
        check_is_fitted(self, "cluster_centers_")
        X = self._validate(X, reset=False)
        public = np.asarray(self.cluster_centers_)
        if X.shape[1] != public.shape[1]:
            raise ValueError(f"X has {X.shape[1]} features, cluster_centers_ has {public.shape[1]}")
        if sample_weight is not None:
            sample_weight = np.ascontiguousarray(check_sample_weight(sample_weight, X))
        known = self.__dict__.get("_fitted")
        known = known if known is not None and np.array_equal(known[0], public) else None
        exact = np.asarray(public, dtype=np.float64)
        if sparse.issparse(X):
            if known is not None and known[1] is None:
                exact = known[2]
            return X, SparseRows(X, sample_weight), exact
        if known is not None and known[1] is not None:
            return X, DenseRows(X, sample_weight, known[1]), known[2]
        origin = exact.mean(axis=0)
        width = np.abs(exact - origin).max() or np.abs(origin).max() or 1.0
        unit = np.full(len(origin), np.exp2(np.round(np.log2(width))))
        rows = DenseRows(X, sample_weight, Frame(origin, unit))
        return X, rows, rows.to_internal(exact)

    def predict(self, X):
        """Index of the nearest centre of each row.

        Parameters
        ----------
        X : {array-like, CSR matrix} of shape (n_samples, n_features)

        Returns
        -------
        labels : int32 ndarray of shape (n_samples,)
        """
        _, rows, centers = self._query(X)
        return label(rows, centers)

    def transform(self, X):
        """Distance of each row to each centre.

        Parameters
        ----------
        X : {array-like, CSR matrix} of shape (n_samples, n_features)

        Returns
        -------
        distances : ndarray of shape (n_samples, n_clusters)
            Of X's dtype.
        """
        X, rows, centers = self._query(X)
        return rows.distances(centers, X.dtype)

    def score(self, X, y=None, sample_weight=None):
        """Return minus the weighted sum of squared distances to the nearest centre.

        Parameters
        ----------
        X : {array-like, CSR matrix} of shape (n_samples, n_features)
        y : Ignored
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        score : float
        """
        _, rows, centers = self._query(X, sample_weight)
        return -rows.inertia(centers, label(rows, centers))
