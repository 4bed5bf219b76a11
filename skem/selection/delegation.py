"""What a meta-estimator shows of the best estimator it found."""

from functools import update_wrapper

from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from skem.estimators.prediction import PredictionMixin


def _delegated(method):
    """Give the method of the same name of the best estimator, where it has one."""
    name = method.__name__

    def call(self, *args, **kwargs):
        check_is_fitted(self)
        return getattr(self.best_estimator_, name)(*args, **kwargs)

    return available_if(lambda self: hasattr(self._leader(), name))(update_wrapper(call, method))


class BestEstimatorMixin:
    """Predictions and attributes of `best_estimator_`; before fit, methods that the first of `_estimators()` has."""

    def __getattr__(self, name):
        best = vars(self).get("best_estimator_")
        # what the rows were called is for scikit-learn to set and to delete
        if best is None or not name.endswith("_") or name.startswith("_") or name == "feature_names_in_":
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(best, name)

    def _leader(self):
        """Return the best estimator, the first one before fit."""
        return vars(self).get("best_estimator_") or self._estimators()[0]

    @property
    def _n_features_out(self):
        return len(self.weights_)

    predict = _delegated(PredictionMixin.predict)
    predict_proba = _delegated(PredictionMixin.predict_proba)
    predict_log_proba = _delegated(PredictionMixin.predict_log_proba)
    score_samples = _delegated(PredictionMixin.score_samples)
    score = _delegated(PredictionMixin.score)
    bic = _delegated(PredictionMixin.bic)
    aic = _delegated(PredictionMixin.aic)
    icl = _delegated(PredictionMixin.icl)
    sample = _delegated(PredictionMixin.sample)
