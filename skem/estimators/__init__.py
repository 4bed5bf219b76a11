"""Public estimators."""

from skem.estimators.bayesian_kmeans import BayesianKMeans
from skem.estimators.dropin_bayesian import BayesianGaussianMixture
from skem.estimators.dropin_gaussian import GaussianMixture
from skem.estimators.em import EMMixture
from skem.estimators.gibbs import GibbsMixture
from skem.estimators.hard import ICMMixture
from skem.estimators.kmeans import KMeans
from skem.estimators.map_em import MAPMixture
from skem.estimators.variational import VariationalMixture

__all__ = [
    "BayesianGaussianMixture",
    "BayesianKMeans",
    "EMMixture",
    "GaussianMixture",
    "GibbsMixture",
    "ICMMixture",
    "KMeans",
    "MAPMixture",
    "VariationalMixture",
]
