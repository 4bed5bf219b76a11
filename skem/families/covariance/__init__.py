"""Covariance structures: K-sized algebra of precision factors and scatters.

The codes are those of Celeux & Govaert (1995): volume, shape and orientation, each equal (E) or variable (V) over
components, or the identity (I).
"""

from skem.families.covariance.diagonal import Diag, Sphere, Spherical, TiedDiag
from skem.families.covariance.full import Full, Tied
from skem.families.covariance.shaped import Shaped, ShapedDiag

CLASSIC = {"full": Full(), "tied": Tied(), "diag": Diag(), "spherical": Spherical()}
# Changes of units: a shape of its own goes with any, where its axes do; a shared one does where the axes are shared.
_ALL = [
    Sphere(),
    CLASSIC["spherical"],
    TiedDiag(),
    ShapedDiag("VEI", "columns"),
    ShapedDiag("EVI", "columns"),
    CLASSIC["diag"],
    CLASSIC["tied"],
    Shaped("VEE", "affine"),
    Shaped("EVE", "scalar"),
    Shaped("VVE", "scalar"),
    Shaped("EEV", "scalar"),
    Shaped("VEV", "scalar"),
    Shaped("EVV", "affine"),
    CLASSIC["full"],
]
FOURTEEN = {structure.code: structure for structure in _ALL}
# every structure once, by its better known name where it has one
DISTINCT = [*CLASSIC, *(code for code, structure in FOURTEEN.items() if structure not in CLASSIC.values())]
# of one column there are two: one variance for all components, or one each
STRUCTURES = CLASSIC | FOURTEEN | {"E": FOURTEEN["EII"], "V": FOURTEEN["VII"]}

__all__ = ["CLASSIC", "DISTINCT", "FOURTEEN", "STRUCTURES"]
