"""Every private or experimental import from scikit-learn, in one place."""

import os
import threading
from contextlib import contextmanager

import numpy as np
from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    InvalidParameterError,
    StrOptions,
    validate_parameter_constraints,
)
from sklearn.utils.validation import _check_sample_weight, validate_data
from threadpoolctl import ThreadpoolController

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # scikit-learn < 1.9 has no callbacks

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Stand-in without any method."""

    def with_callbacks(method):
        """Return the method as it is."""
        return method


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
        float32 or float64; text is refused even where it spells numbers.

    Raises
    ------
    ValueError
        Naming what is wrong with X.
    """
    # the sum by which scikit-learn looks for NaN may itself be infinity - infinity
    with np.errstate(over="ignore", invalid="ignore"):
        X = validate_data(estimator, X, dtype="numeric", copy=False, **params)
    return X if X.dtype in (np.float32, np.float64) else X.astype(np.float64)


def check_sample_weight(sample_weight, X):
    """Validate weights: one a row, finite and >= 0, not all zero.

    Parameters
    ----------
    sample_weight : array-like of shape (n_samples,)
    X : array-like of shape (n_samples, n_features)

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


def check_numbers(value, name, shape=None):
    """Validate a parameter that is an array of finite numbers.

    Parameters
    ----------
    value : array-like
    name : str
        For the messages.
    shape : tuple of int, default=None
        The shape that it must have; None means any.

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
    if not np.isfinite(value).all():
        raise ValueError(f"{name} holds NaN or infinity")
    return value


class _BlasLimit:
    """The process-wide limit of BLAS threads, shared by the fits that run at the same time.

    Each fit restoring the number that it had found would let the last one out restore the limit of another.
    """

    def __init__(self):
        self.lock = threading.Lock()
        self.controller = None
        self.limiter = None
        self.depth = 0

    def enter(self):
        with self.lock:
            if self.controller is None:
                self.controller = ThreadpoolController()
            if self.depth == 0:
                self.limiter = self.controller.limit(limits=1, user_api="blas")
            self.depth += 1

    def leave(self):
        with self.lock:
            self.depth -= 1
            if self.depth == 0 and self.limiter is not None:
                self.limiter.restore_original_limits()


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
    "CallbackSupportMixin",
    "HasMethods",
    "Interval",
    "InvalidParameterError",
    "StrOptions",
    "check_numbers",
    "check_sample_weight",
    "single_blas_thread",
    "unchanged_on_failure",
    "validate_parameter_constraints",
    "validate_rows",
    "with_callbacks",
]
