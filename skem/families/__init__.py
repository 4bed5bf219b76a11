"""Component families."""

from skem.families.base import Family
from skem.families.bernoulli import Bernoulli
from skem.families.categorical import Categorical
from skem.families.gaussian import Gaussian
from skem.families.multinomial import Multinomial
from skem.families.poisson import Poisson
from skem.families.von_mises_fisher import VonMisesFisher

__all__ = ["Bernoulli", "Categorical", "Family", "Gaussian", "Multinomial", "Poisson", "VonMisesFisher"]
