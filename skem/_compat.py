"""Every private or experimental import from scikit-learn, in one place."""

import os
import threading
from contextlib import contextmanager
from functools import wraps
from importlib.util import find_spec

import numpy as np
from scipy.sparse import issparse
from sklearn.utils._indexing import _get_column_indices as column_indices
from sklearn.utils._indexing import _safe_indexing as take_rows
from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    InvalidParameterError,
    StrOptions,
    validate_parameter_constraints,
)
from sklearn.utils.metaestimators import _BaseComposition as BaseComposition
from sklearn.utils.validation import _check_sample_weight, validate_data
from threadpoolctl import ThreadpoolController

from skem.column_types import refuse_no_numbers

if find_spec("sklearn.callback") is None:  # scikit-learn < 1.9 has no callbacks

    class CallbackSupportMixin:
        """Stand-in without any method."""

else:

    class _FromCallbacks:
        """A method of scikit-learn's CallbackSupportMixin, whose module brings rich: it is loaded at first use."""

        def __set_name__(self, owner, name):
            self.name = name

        def __get__(self, instance, owner):
            from sklearn.callback import CallbackSupportMixin as Mixin

            return getattr(Mixin, self.name).__get__(instance, owner)

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """scikit-learn's mixin by the name of its methods."""

        set_callbacks = _FromCallbacks()
        _init_callback_context = _FromCallbacks()


def with_callbacks(method):
    """Return the method, wrapped so that callbacks, where there are any, are torn down at its end."""

    @wraps(method)
    def managed(estimator, *args, **kwargs):
        if not getattr(estimator, "_skl_callbacks", None):
            return method(estimator, *args, **kwargs)
        from sklearn.callback import with_callbacks as wrap

        return wrap(method)(estimator, *args, **kwargs)

    return managed


_CALLBACK_ATTRIBUTES = ("_callback_fit_ctx", "_skl_callbacks_to_teardown")


@contextmanager
def unchanged_on_failure(estimator):
    """Context that leaves every attribute of `estimator` as it was where its body fails or is interrupted.

    Parameters
    ----------
    estimator : BaseEstimator
    """
    before = dict(estimator.__dict__)
    try:
        yield
    except BaseException:
        # what scikit-learn still needs to tear callbacks down, and deletes itself, stays; one assignment, so that
        # a second interrupt finds the old state or the new one and nothing between
        kept = {name: vars(estimator)[name] for name in _CALLBACK_ATTRIBUTES if name in vars(estimator)}
        estimator.__dict__ = before | kept
        raise


# What has passed validation before, by class, parameter, type and value: a parameter costs microseconds to check, and
# the same few values come back in every fit of a search.
_seen_parameters: set[tuple[type, str, type, object]] = set()
_PLAIN = (bool, int, float, str, type(None))


def validate_parameters(part, constraints):
    """Check the parameters of an estimator or family by its constraints.

    Parameters
    ----------
    part : BaseEstimator
    constraints : dict
        As scikit-learn's `validate_parameter_constraints` takes them.

    Raises
    ------
    InvalidParameterError
        Naming the parameter.
    """
    kind = type(part)
    unknown, fresh = {}, []
    for name in constraints:
        value = getattr(part, name)
        if type(value) in _PLAIN:
            # 1, 1.0 and True are equal, and so are constraints of twins; a name alone does not know them apart
            key = (kind, name, type(value), value)
            if key in _seen_parameters:
                continue
            fresh.append(key)
        unknown[name] = value
    if unknown:
        validate_parameter_constraints(constraints, unknown, kind.__name__)
        if len(_seen_parameters) > 10_000:
            _seen_parameters.clear()
        _seen_parameters.update(fresh)


def _is_plain(estimator, X, reset=True, ensure_min_samples=1, accept_sparse=False):
    """Whether rows are such that scikit-learn's validation would return them as they are, and say nothing."""
    return (
        type(X) is np.ndarray
        and X.dtype in (np.float32, np.float64)
        and X.ndim == 2
        and len(X) >= max(ensure_min_samples, 1)
        and X.shape[1] > 0
        and not hasattr(estimator, "feature_names_in_")
        and (reset or X.shape[1] == getattr(estimator, "n_features_in_", None))
        and bool(np.isfinite(X.sum()))
    )


def validate_rows(estimator, X, **params):
    """Validate rows by scikit-learn's rules, leaving the memory of float32 and float64 arrays alone.

    Parameters
    ----------
    estimator : BaseEstimator
        Learns or is asked for its number and names of features.
    X : array-like of shape (n_samples, n_features)
    **params : dict
        `reset` and the like, for scikit-learn.

    Returns
    -------
    X : ndarray or CSR matrix of shape (n_samples, n_features)
        float32 or float64; text is refused even where it spells numbers. A CSR matrix is in canonical format, without
        explicit zeros, in a copy where need be.

    Raises
    ------
    ValueError
        Naming what is wrong with X.
    """
    # the sum by which scikit-learn looks for NaN may itself be infinity - infinity
    with np.errstate(over="ignore", invalid="ignore"):
        if _is_plain(estimator, X, **params):
            # the common case: scikit-learn's general way costs more than a prediction
            if params.get("reset", True):
                estimator.n_features_in_ = X.shape[1]
            return X
        refuse_no_numbers(X)
        rows = validate_data(estimator, X, dtype="numeric", copy=False, **params)
        rows = rows if rows.dtype in (np.float32, np.float64) else rows.astype(np.float64)
    return _canonical_entries(rows) if issparse(rows) else rows


def _canonical_entries(X):
    """CSR matrix with the columns of each row in order, none of them twice and none zero."""
    if not X.has_canonical_format:
        X = X.copy()
        X.sum_duplicates()
        if not np.isfinite(X.data).all():
            raise ValueError("X holds duplicate entries whose sum is infinite")
    if np.count_nonzero(X.data) < X.nnz:
        X = X.copy()
        X.eliminate_zeros()
    return X


def refuse_sparse(X, family):
    """Raise TypeError where rows come sparse to a family that cannot take them so.

    Parameters
    ----------
    X : array-like
    family : str
        Its name.
    """
    if issparse(X):
        raise TypeError(
            f"{family}() takes dense rows, and X is sparse: pass X.toarray(), or a family whose zeros are zeros, as "
            "Multinomial(), Bernoulli() and Poisson()"
        )


def validate_columns(estimator, X, reset):
    """Learn number and names of the columns of X, or hold them against those of the fit, whatever X holds.

    Parameters
    ----------
    estimator : BaseEstimator
    X : array-like or data frame of shape (n_samples, n_features)
    reset : bool
        Whether to learn.

    Raises
    ------
    ValueError
        Where X is not two-dimensional, has no columns, or others than the fit had.
    """
    check_table(X)
    validate_data(estimator, X, reset=reset, skip_check_array=True)


def check_table(X):
    """Raise ValueError, in scikit-learn's words, where X has no rows and columns.

    Parameters
    ----------
    X : array-like or data frame
    """
    shape = getattr(X, "shape", None) or np.asarray(X, dtype=object).shape
    if len(shape) != 2:
        raise ValueError(f"Expected 2D array, got {len(shape)}D array instead. Reshape your data: X is rows of columns")
    for size, what in zip(shape, ("sample", "feature"), strict=True):
        if size == 0:
            raise ValueError(f"Found array with 0 {what}(s) (shape={tuple(shape)}) while a minimum of 1 is required.")


def check_sample_weight(sample_weight, X):
    """Validate weights: one a row, finite and >= 0, not all zero.

    Parameters
    ----------
    sample_weight : array-like of shape (n_samples,) or None
        None means 1 for each row.
    X : array-like of shape (n_samples, ...)

    Returns
    -------
    sample_weight : float64 ndarray of shape (n_samples,)
        C-contiguous.

    Raises
    ------
    ValueError
        Where one of these rules is broken.
    """
    try:
        weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
    except (TypeError, ValueError) as error:
        # not all of scikit-learn's sentences name the argument
        if "weight" in str(error):
            raise
        raise ValueError(f"sample_weight: {error}") from None
    with np.errstate(over="ignore"):
        total = weight.sum()
    if not total > 0:
        raise ValueError("sample_weight is zero for every row; at least one must be positive")
    if not np.isfinite(total):
        raise ValueError("sample_weight sums to infinity; divide it by its maximum")
    return np.ascontiguousarray(weight)


def check_numbers(value, name, shape=None, infinite=False):
    """Validate a parameter that is an array of numbers.

    Parameters
    ----------
    value : array-like
    name : str
        For the messages.
    shape : tuple of int, default=None
        The shape that it must have; None means any.
    infinite : bool, default=False
        Whether numbers may be infinite.

    Returns
    -------
    value : float64 ndarray

    Raises
    ------
    ValueError
        Naming the parameter and what is wrong with it.
    """
    try:
        value = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must hold numbers: {error}") from None
    if shape is not None and value.shape != shape:
        raise ValueError(f"{name} has shape {value.shape}, it must have shape {shape}")
    if np.isnan(value).any() or not (infinite or np.isfinite(value).all()):
        raise ValueError(f"{name} holds NaN or infinity")
    return value


class _BlasLimit:
    """The process-wide limit of BLAS threads, shared by the fits that run at the same time.

    Each fit restoring the number that it had found would let the last one out restore the limit of another.
    """

    def __init__(self):
        self.lock = threading.Lock()
        self.libraries = None
        self.limited = []
        self.depth = 0

    def enter(self):
        with self.lock:
            if self.libraries is None:
                self.libraries = ThreadpoolController().select(user_api="blas").lib_controllers
            if self.depth == 0:
                # threadpoolctl's own limiter asks each library for all that it can tell
                found = [(library, library.get_num_threads()) for library in self.libraries]
                self.limited = [(library, n) for library, n in found if n != 1]
                for library, _ in self.limited:
                    library.set_num_threads(1)
            self.depth += 1

    def leave(self):
        with self.lock:
            self.depth -= 1
            if self.depth == 0:
                for library, n in self.limited:
                    library.set_num_threads(n)


_blas_limit = _BlasLimit()


def _unlock_after_fork():
    # the thread that may have held the lock does not live in the child
    _blas_limit.lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_unlock_after_fork)


@contextmanager
def single_blas_thread():
    """Context that holds BLAS at one thread, so that K-sized algebra has the same bits on any machine setting."""
    _blas_limit.enter()
    try:
        yield
    finally:
        _blas_limit.leave()


__all__ = [
    "BaseComposition",
    "CallbackSupportMixin",
    "HasMethods",
    "Interval",
    "InvalidParameterError",
    "StrOptions",
    "check_numbers",
    "check_sample_weight",
    "column_indices",
    "refuse_sparse",
    "single_blas_thread",
    "take_rows",
    "unchanged_on_failure",
    "validate_columns",
    "validate_parameters",
    "validate_rows",
    "with_callbacks",
]
