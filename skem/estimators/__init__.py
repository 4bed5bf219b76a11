"""Public estimators."""

from skem.estimators.hard import BayesianKMeans, ICMMixture
from skem.estimators.mixtures import EMMixture, MAPMixture, VariationalMixture

__all__ = ["BayesianKMeans", "EMMixture", "ICMMixture", "MAPMixture", "VariationalMixture"]
