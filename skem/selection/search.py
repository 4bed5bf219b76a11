"""The meta-estimator: fits all candidates, and behaves as the best."""

import numbers
import warnings
from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    ClusterMixin,
    DensityMixin,
    TransformerMixin,
)
from sklearn.exceptions import ConvergenceWarning, FitFailedWarning
from sklearn.utils import check_random_state
from sklearn.utils.parallel import Parallel, delayed

from skem._compat import (
    CallbackSupportMixin,
    HasMethods,
    Interval,
    StrOptions,
    check_sample_weight,
    refuse_sparse,
    single_blas_thread,
    unchanged_on_failure,
    validate_columns,
    validate_parameters,
    validate_rows,
    with_callbacks,
)
from skem.estimators import EMMixture, VariationalMixture
from skem.estimators.columns import column_names
from skem.estimators.doclink import DocLinkMixin
from skem.estimators.pickling import PickleMixin
from skem.exceptions import DegenerateComponentWarning, listed, reason_of_flat, silent_warnings, warn
from skem.families import Family
from skem.memory import remembering
from skem.selection.candidates import make_chains, numbers_of_components, several
from skem.selection.chains import fit_all, fit_chain
from skem.selection.criteria import CRITERIA, check_criterion, choose, is_degenerate
from skem.selection.delegation import BestEstimatorMixin
from skem.selection.folds import make_folds
from skem.selection.progress import Progress
from skem.selection.table import flat_families, make_table, name_failures
from skem.selection.tails import best_gaussian, has_heavy_tails, heavier_families


class MixtureSelection(
    BestEstimatorMixin,
    DocLinkMixin,
    PickleMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    ClusterMixin,
    DensityMixin,
    CallbackSupportMixin,
    BaseEstimator,
):
    """The number of components, the family and the algorithm of a mixture, chosen by a criterion.

    Fits every candidate and behaves as the best of them: what it predicts, and its attributes with a trailing
    underscore, are those of `best_estimator_`. A number of components that falls behind its neighbours is started again
    from the fit with fewer components, cut where that gains the most, and from the fit with more, joined where that
    loses the least.

    Parameters
    ----------
    estimator : estimator or list of estimators, default=None
        Mixtures to choose from, unfitted; None means ``EMMixture(init="k-means")``, for neighbours give each
        candidate further starts, or ``VariationalMixture()`` for ``criterion="log_evidence"``. All their parameters
        but those searched stay as they are.
    n_components : int or sequence of int, default=(1, 2, 3, 4, 5, 6, 7, 8, 9)
        Numbers of components to choose from.
    families : Family or list of Family, default=None
        Families to choose from; None means every structure of the estimator's own family, that is for Gaussians every
        type of covariance that the estimator can fit. Where an estimator has no family of its own and the best
        Gaussian candidate's kurtosis tells of heavy tails, `StudentT` with common degrees of freedom stands beside
        them in the classic structures (not under "held_out").
    param_grid : dict or list of dict, default=None
        Further parameters to choose from: lists of values by name, as for scikit-learn's `GridSearchCV`.
    criterion : {"bic", "icl", "aic", "log_evidence", "held_out"}, default="bic"
        What the best is best by. "held_out" is the log density per unit of weight of rows left out in turn, and
        "log_evidence" is `log_evidence_` of `VariationalMixture` and `BayesianKMeans`.
    cv : int, cross-validation splitter or iterable, default=5
        Rows to leave out for ``criterion="held_out"``; plays no part otherwise. A number deals out distinct rows by
        `random_state`, equal ones into the same fold.
    n_jobs : int, default=None
        Candidates fitted side by side, in the sense of scikit-learn. No result depends on it.
    random_state : int, RandomState instance or None, default=None
        Seeds estimators without a `random_state` of their own, all alike, and the folds.
    verbose : int, default=0
        1 prints a line a candidate.

    Attributes
    ----------
    best_estimator_ : estimator
        Fitted to all rows.
    best_score_ : float
        The criterion, its sign turned such that greater is better: -bic, -icl, -aic, the log evidence or the log
        density. NaN where all candidates are degenerate.
    best_params_ : dict
        Parameters of the best candidate that were searched over.
    best_index_ : int
        Its place in `results_`. Of candidates that tie, the one with the fewest parameters wins.
    results_ : dict of array-like
        A column each, to be made a data frame of: `estimator`, `family`, `n_components` and `params` of the candidate;
        its `score` (greater is better; NaN where the fit failed or is degenerate) and `rank`; `log_likelihood`,
        `n_parameters`, `log_evidence`, `n_found` (components), `n_iter`, `converged`, `degenerate` and `error` of
        its fit. A fit that did not converge counts with the score it reached. For ``criterion="held_out"`` also
        `std_score` and `split0_score`, ..., and without what belongs to one fit.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Where X has string column names.
    labels_, weights_, n_components_, means_, lower_bound_, ...
        Those of `best_estimator_`.

    References
    ----------
    Fraley & Raftery (2002), Model-based clustering, discriminant analysis, and density estimation.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skem import MixtureSelection
    >>> X = load_iris().data
    >>> selection = MixtureSelection(n_components=range(1, 5), random_state=0).fit(X)
    >>> selection.best_params_
    {'family': Gaussian(covariance_type='VEV'), 'n_components': 2}
    >>> round(selection.best_score_, 2)
    -561.73
    >>> selection.predict(X).shape
    (150,)
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "estimator": [HasMethods(["fit", "get_params"]), "array-like", None],
        "n_components": ["array-like", numbers.Integral],
        "families": [Family, "array-like", None],
        "param_grid": [dict, list, None],
        "criterion": [StrOptions(set(CRITERIA))],
        "cv": [Interval(numbers.Integral, 2, None, closed="left"), HasMethods("split"), Iterable],
        "n_jobs": [numbers.Integral, None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        estimator=None,
        *,
        n_components=(1, 2, 3, 4, 5, 6, 7, 8, 9),
        families=None,
        param_grid=None,
        criterion="bic",
        cv=5,
        n_jobs=None,
        random_state=None,
        verbose=0,
    ):
        self.estimator = estimator
        self.n_components = n_components
        self.families = families
        self.param_grid = param_grid
        self.criterion = criterion
        self.cv = cv
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    # -- what is to be fitted ---------------------------------------------------------------------

    def _estimators(self):
        """Candidates' estimators, unfitted."""
        if self.estimator is not None:
            return several(self.estimator, "estimator", BaseEstimator)
        # neighbours give further starts, for which a race would cost twice the time
        return [VariationalMixture() if self.criterion == "log_evidence" else EMMixture(init="k-means")]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        tags.input_tags.sparse = all(getattr(f, "sparse", False) for f in self._all_families())
        tags.input_tags.positive_only = any(getattr(f, "positive_only", False) for f in self._all_families())
        return tags

    def _all_families(self):
        """Families of all candidates, None for those of an estimator that chooses its own."""
        if self.families is not None:
            return [self.families] if isinstance(self.families, Family) else self.families
        return [getattr(estimator, "family", None) for estimator in self._estimators()]

    # -- fitting ---------------------------------------------------------------------------------

    @with_callbacks
    def fit(self, X, y=None, sample_weight=None):
        """Fit all candidates and keep the best.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        y : array-like of shape (n_samples,), default=None
            For a splitter `cv` that asks for it; ignored otherwise. Callbacks see it.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights >= 0, not all zero: weight 2 equals the row twice, weight 0 its absence.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            For bad parameters or data, and where every candidate has failed.

        Notes
        -----
        A candidate that fails has NaN for a score, and one warning names all of them. A fit that fails as a whole or is
        interrupted leaves the estimator exactly as it was.
        """
        with unchanged_on_failure(self):
            self._fit(X, y, sample_weight)
        return self

    def _fit(self, X, y, sample_weight):
        given_X, given_weight = X, sample_weight
        validate_parameters(self, self._parameter_constraints)
        estimators = self._estimators()
        for estimator in estimators:
            check_criterion(estimator, self.criterion)
        families = None if self.families is None else several(self.families, "families", Family)
        n_components = numbers_of_components(self.n_components)
        for family in self._all_families():
            if not getattr(family, "sparse", False):
                refuse_sparse(X, "Gaussian" if family is None else type(family).__name__)
        encoder = next((family for family in self._all_families() if getattr(family, "encodes", False)), None)
        if encoder is None:
            X = numeric = validate_rows(self, X, reset=True, ensure_min_samples=2, accept_sparse="csr")
        else:
            # every candidate reads the columns in its own way
            validate_columns(self, X, reset=True)
            numeric = encoder.learn(X).encode(X)
        weight = None if sample_weight is None else check_sample_weight(sample_weight, X)
        seed = check_random_state(self.random_state).randint(np.iinfo(np.int32).max)
        chains = make_chains(estimators, families, self.param_grid, n_components, self.n_features_in_, seed)
        folds, fold_weights = [None], None
        if self.criterion == "held_out":
            folds = make_folds(self.cv, numeric, y, weight, np.random.default_rng(seed))
            fold_weights = np.array([len(test) if weight is None else weight[test].sum() for _, test in folds])
        heavier = [] if families is not None or self.criterion == "held_out" else estimators
        progress = Progress(
            self,
            len(chains) + sum(len(heavier_families(estimator, self.n_features_in_)) for estimator in heavier),
            X=given_X,
            y=y,
            metadata=None if given_weight is None else {"sample_weight": given_weight},
        )
        with remembering(X.shape[0]):
            fitted = self._fit_chains(chains, folds, X, weight, progress)
        if heavier and not progress.stopped:
            more = self._heavier(heavier, [own[0] for own in fitted], n_components, X, weight, seed)
            chains = chains + more
            fitted += self._fit_chains(more, folds, X, weight, progress)
        chains = chains[: len(fitted)]
        self._publish(X, weight, chains, fitted, make_table(chains, fitted, fold_weights))
        progress.finish()

    def _fit_chains(self, chains, folds, X, weight, progress):
        """Fits of every chain to every fold, a list for each chain; of fewer chains where a callback has had enough."""
        fits = Parallel(n_jobs=self.n_jobs, return_as="generator")(
            delayed(fit_chain)(chain, self.criterion, X, weight, fold, self.verbose)
            for chain in chains
            for fold in folds
        )
        try:
            # they come in order, fitted one after the other or side by side
            return progress.watch(lambda chain: [next(fits) for _ in folds], chains)
        finally:
            with warnings.catch_warnings():
                # of fits that nobody waits for any more
                warnings.simplefilter("ignore")
                fits.close()

    def _heavier(self, estimators, fitted, n_components, X, weight, seed):
        """Chains of families with heavier tails, where the best Gaussian candidate leaves room for them."""
        best = best_gaussian(fitted)
        if best is None or not has_heavy_tails(best, X, weight):
            return []
        chains = []
        for estimator in estimators:
            families = heavier_families(estimator, X.shape[1])
            own = make_chains([estimator], families, self.param_grid, n_components, X.shape[1], seed)
            chains += [
                chain._replace(family=f"{type(chain.params['family']).__name__} {chain.family}") for chain in own
            ]
        return chains

    def _publish(self, X, weight, chains, fitted, table):
        """Warn of what went wrong, and set the attributes."""
        failed = np.flatnonzero(table["error"] != "")
        if len(failed) == len(table["error"]):
            raise ValueError(f"all {len(failed)} candidates have failed; the first by {table['error'][0]}")
        if len(failed):
            warn(name_failures(table), FitFailedWarning)
        alive = np.flatnonzero(table["error"] == "")
        n_parameters = table.get("n_parameters", np.zeros(len(table["error"])))
        index = int(alive[choose(table["score"][alive], n_parameters[alive])])
        best = self._fit_of(index, X, weight, chains, fitted)
        if is_degenerate(best):
            warn(
                "every candidate is degenerate or has failed; the one with the fewest parameters is kept: drop columns "
                "that are constant or that others determine, or let a prior hold the components up (MAPMixture)",
                DegenerateComponentWarning,
            )
        if not getattr(best, "converged_", True):
            warn(
                f"the best candidate, {type(best).__name__} with n_components={best.n_components}, did not converge; "
                "raise its max_iter or tol",
                ConvergenceWarning,
            )
        if hasattr(self, "feature_names_in_"):
            best.feature_names_in_ = self.feature_names_in_
        if not is_degenerate(best) and X.shape[0] > X.shape[1] and (flat := flat_families(table)):
            why = reason_of_flat(column_names(best, best.family_.constant_columns()))
            warn(
                f"all candidates of {listed(flat)} are degenerate, and have no score ({why}): drop columns that are "
                "constant or that others determine",
                DegenerateComponentWarning,
            )
        self.results_ = table
        self.best_index_ = index
        self.best_params_ = table["params"][index]
        self.best_score_ = float(table["score"][index])
        self.best_estimator_ = best

    def _fit_of(self, index, X, weight, chains, fitted):
        """Return the estimator of a candidate, fitted to all rows."""
        number, position = divmod(index, len(chains[0].n_components))
        chain, kept = chains[number], fitted[number][0]
        if self.criterion != "held_out" and kept.position == position:
            return kept.best
        with silent_warnings(), single_blas_thread():
            best, error = fit_all(chain, X, weight)[position]
        if best is None:
            raise ValueError(f"the best candidate has failed when fitted to all rows: {error}")
        return best.publish()

    def fit_predict(self, X, y=None, sample_weight=None):
        """Fit all candidates and return the rows' labels under the best.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        y : array-like of shape (n_samples,), default=None
            For a splitter `cv` that asks for it.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights >= 0, not all zero.

        Returns
        -------
        labels : int32 ndarray of shape (n_samples,)
            The attribute `labels_`.
        """
        self.fit(X, y, sample_weight=sample_weight)
        return self.labels_ if hasattr(self, "labels_") else self.predict(X)

    # here, and not with what is delegated: `set_output` wraps the methods of a transformer's own class
    def transform(self, X):
        """Return responsibilities under the best mixture as features; the same as `predict_proba`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        resp : ndarray of shape (n_samples, `n_components_`)
            Rows sum to one.
        """
        return self.predict_proba(X)

    def fit_transform(self, X, y=None, sample_weight=None):
        """Fit all candidates and return the rows' responsibilities under the best.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        y : array-like of shape (n_samples,), default=None
            For a splitter `cv` that asks for it.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights >= 0, not all zero.

        Returns
        -------
        resp : ndarray of shape (n_samples, `n_components_`)
            Rows sum to one.
        """
        return self.fit(X, y, sample_weight=sample_weight).transform(X)
