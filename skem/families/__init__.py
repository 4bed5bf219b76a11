"""Component families."""

from skem.families.base import Family
from skem.families.gaussian import Gaussian
from skem.families.poisson import Poisson

__all__ = ["Family", "Gaussian", "Poisson"]
