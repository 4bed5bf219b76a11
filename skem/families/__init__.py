"""Component families."""

from skem.families.base import Family
from skem.families.bernoulli import Bernoulli
from skem.families.beta import Beta
from skem.families.categorical import Categorical
from skem.families.exponential import Exponential
from skem.families.gamma import Gamma
from skem.families.gaussian import Gaussian
from skem.families.log_normal import LogNormal
from skem.families.multinomial import Multinomial
from skem.families.negative_binomial import NegativeBinomial
from skem.families.poisson import Poisson
from skem.families.product import Product
from skem.families.student import StudentT
from skem.families.von_mises_fisher import VonMisesFisher

__all__ = [
    "Bernoulli",
    "Beta",
    "Categorical",
    "Exponential",
    "Family",
    "Gamma",
    "Gaussian",
    "LogNormal",
    "Multinomial",
    "NegativeBinomial",
    "Poisson",
    "Product",
    "StudentT",
    "VonMisesFisher",
]
