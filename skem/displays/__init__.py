"""Pictures of fitted mixtures, in scikit-learn's convention of Display objects."""

from skem.displays.convergence import ConvergenceDisplay
from skem.displays.density import DensityDisplay
from skem.displays.merging import MergeDisplay
from skem.displays.mixture import MixtureDisplay
from skem.displays.selection import SelectionDisplay

__all__ = ["ConvergenceDisplay", "DensityDisplay", "MergeDisplay", "MixtureDisplay", "SelectionDisplay"]
