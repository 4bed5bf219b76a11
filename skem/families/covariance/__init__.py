"""Covariance structures: K-sized algebra of precision factors and scatters.

The codes are those of Celeux & Govaert (1995): volume, shape and orientation, each equal (E) or variable (V) over
components, or the identity (I).
"""

from skem.families.covariance.diagonal import Diag, Sphere, Spherical, TiedDiag
from skem.families.covariance.full import Full, Tied

CLASSIC = {"full": Full(), "tied": Tied(), "diag": Diag(), "spherical": Spherical()}
STRUCTURES = {
    **CLASSIC,
    "EII": Sphere(),
    "VII": CLASSIC["spherical"],
    "EEI": TiedDiag(),
    "VVI": CLASSIC["diag"],
    "EEE": CLASSIC["tied"],
    "VVV": CLASSIC["full"],
}

__all__ = ["CLASSIC", "STRUCTURES"]
