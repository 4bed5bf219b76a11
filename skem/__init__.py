"""Mixture models for scikit-learn users: every way to infer labels and parameters, for many families."""

from skem._version import __version__
from skem.displays import ConvergenceDisplay, DensityDisplay, MergeDisplay, MixtureDisplay, SelectionDisplay
from skem.estimators import (
    BayesianGaussianMixture,
    BayesianKMeans,
    EMMixture,
    GaussianMixture,
    GibbsMixture,
    ICMMixture,
    KMeans,
    MAPMixture,
    VariationalMixture,
)
from skem.log_sum_exp import QuadraticTerms, maximize_log_sum_exp
from skem.selection import MixtureSelection

__all__ = [
    "BayesianGaussianMixture",
    "BayesianKMeans",
    "ConvergenceDisplay",
    "DensityDisplay",
    "EMMixture",
    "GaussianMixture",
    "GibbsMixture",
    "ICMMixture",
    "KMeans",
    "MAPMixture",
    "MergeDisplay",
    "MixtureDisplay",
    "MixtureSelection",
    "QuadraticTerms",
    "SelectionDisplay",
    "VariationalMixture",
    "__version__",
    "maximize_log_sum_exp",
]
