"""Mixtures whose parameters are known, so that there is nothing to fit."""

from typing import Any

import numpy as np

from skem.families import Gaussian
from skem.starts import theta_from_parameters
from skem.summary import Summary
from skem.weights import LOG_ZERO


class FromParametersMixin:
    """Adds the constructor `from_parameters` to a mixture."""

    @classmethod
    def from_parameters(cls, *, family=None, **parameters):
        """Build a fitted mixture from known parameters, without data.

        Parameters
        ----------
        family : Family, default=None
            None means Gaussian().
        **parameters : array-like
            `weights` (equal where left out) and the family's parameters: `means` of shape (n_components, n_features)
            and `covariances` for Gaussian, `rates` for Poisson, `probabilities` for Bernoulli and Multinomial.

        Returns
        -------
        mixture : object
            Ready for predict, score, sample and warm_start.

        Raises
        ------
        ValueError
            If a parameter is missing, unknown, of a wrong shape or out of its range.
        """
        family = Gaussian() if family is None else family
        mixture: Any = cls(family=family)  # type: ignore[call-arg]  # subclasses have defaults for all else
        mixture._validate_parameters()
        n_components, d = family.shape_of_parameters(parameters)
        ones = np.ones(d)
        summary = Summary(d, 0.0, 0.0 * ones, ones, 0.0 * ones, ones, np.eye(d), np.zeros(d, dtype=bool))
        mixture.n_components = mixture.n_components_ = mixture._n_components_fitted = n_components
        mixture.n_features_in_ = d
        mixture.family_ = family.bind(family.summary_of_parameters(summary, parameters))
        mixture._log_weights, mixture._theta = theta_from_parameters(mixture.family_, n_components, parameters)
        mixture._posterior = None
        mixture.weights_ = np.exp(np.maximum(mixture._log_weights, LOG_ZERO))
        for name, value in mixture.family_.attributes(mixture._theta).items():
            setattr(mixture, name, value)
        return mixture
