"""Mixture models for scikit-learn users: every way to infer labels and parameters, for many families."""

__version__ = "0.1.0.dev0"

from skem.displays import ConvergenceDisplay, DensityDisplay, MixtureDisplay
from skem.estimators import BayesianKMeans, EMMixture, ICMMixture, MAPMixture, VariationalMixture

__all__ = [
    "BayesianKMeans",
    "ConvergenceDisplay",
    "DensityDisplay",
    "EMMixture",
    "ICMMixture",
    "MAPMixture",
    "MixtureDisplay",
    "VariationalMixture",
    "__version__",
]
