"""Every private or experimental import from scikit-learn, in one place."""

from threadpoolctl import ThreadpoolController

from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    InvalidParameterError,
    StrOptions,
    validate_parameter_constraints,
)
from sklearn.utils.validation import _check_sample_weight

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # scikit-learn < 1.9 has no callbacks
    with_callbacks = None

    class CallbackSupportMixin:
        """Stand-in without any method."""


_CALLBACK_ATTRIBUTES = ("_callback_fit_ctx", "_skl_callbacks_to_teardown")
_controller = None


def keep_callback_attributes(attributes):
    """Return what a fit's callbacks still need for their teardown."""
    return {name: attributes[name] for name in _CALLBACK_ATTRIBUTES if name in attributes}


def check_sample_weight(sample_weight, X):
    """Validate weights: one a row, >= 0, not all zero.

    Parameters
    ----------
    sample_weight : array-like of shape (n_samples,)
    X : array-like of shape (n_samples, n_features)

    Returns
    -------
    sample_weight : float64 ndarray of shape (n_samples,)
    """
    weight = _check_sample_weight(sample_weight, X, dtype="float64", ensure_non_negative=True)
    if not weight.any():
        raise ValueError("sample_weight is zero for every row; at least one must be positive")
    return weight


def single_blas_thread():
    """Context that holds BLAS at one thread, so that K-sized algebra has the same bits on any machine setting."""
    global _controller
    if _controller is None:
        _controller = ThreadpoolController()
    return _controller.limit(limits=1, user_api="blas")


__all__ = [
    "CallbackSupportMixin",
    "HasMethods",
    "Interval",
    "InvalidParameterError",
    "StrOptions",
    "check_sample_weight",
    "keep_callback_attributes",
    "single_blas_thread",
    "validate_parameter_constraints",
    "with_callbacks",
]
