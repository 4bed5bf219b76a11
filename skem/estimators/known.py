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
            and `covariances` for Gaussian, `rates` for Poisson, `probabilities` for Bernoulli, Categorical and
            Multinomial.

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
        cls(family=family)._validate_parameters()  # type: ignore[call-arg,attr-defined]
        n_components, d = family.shape_of_parameters(parameters)
        ones = np.ones(d)
        summary = Summary(d, 0.0, 0.0 * ones, ones, 0.0 * ones, ones, np.eye(d), np.zeros(d, dtype=bool))
        bound = family.bind(family.summary_of_parameters(summary, parameters))
        return cls._from_theta(family, bound, *theta_from_parameters(bound, n_components, parameters))

    @classmethod
    def _from_theta(cls, family, bound, log_weights, theta):
        """Mixture with log weights and theta in the coordinates of the bound family."""
        mixture: Any = cls(family=family)  # type: ignore[call-arg]  # subclasses have defaults for all else
        mixture.n_components = mixture.n_components_ = mixture._n_components_fitted = theta.n_components
        mixture.n_features_in_ = bound.summary_.n_features
        mixture.family_ = bound
        mixture._log_weights, mixture._theta, mixture._posterior = log_weights, theta, None
        mixture.weights_ = np.exp(np.maximum(log_weights, LOG_ZERO))
        for name, value in bound.attributes(theta).items():
            setattr(mixture, name, value)
        return mixture
