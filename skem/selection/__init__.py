"""The choice of a model: number of components, family and algorithm."""

from skem.selection.search import MixtureSelection

__all__ = ["MixtureSelection"]
