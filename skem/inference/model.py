"""The model: what stays as it is while an algorithm runs."""

from typing import Any, NamedTuple

from skem.suffstats import SuffStats


class Model(NamedTuple):
    """What is inferred: a bound family and mixing weights, their priors and the data's constants.

    Attributes
    ----------
    family : Family
    weights : DirichletWeights or StickBreakingWeights
    n_components : int
    prior : SuffStats or None
        None where the family has no conjugate prior.
    weight_prior : SuffStats
    log_base : float
        Sum of the rows' log base measure, Jacobian included.
    total_weight : float
    """

    family: Any
    weights: Any
    n_components: int
    prior: SuffStats | None
    weight_prior: SuffStats
    log_base: float
    total_weight: float

    @classmethod
    def build(cls, family, weights, n_components, source):
        """Model of the rows of `source`."""
        prior = family.prior(n_components) if family.has("prior") else None
        weight_prior = weights.prior(n_components)
        return cls(family, weights, n_components, prior, weight_prior, source.log_base(), source.total_weight)

    def resize(self, n_components):
        """Model of the same rows with another number of components."""
        if n_components == self.n_components:
            return self
        prior = None if self.prior is None else self.family.prior(n_components)
        weight_prior = self.weights.prior(n_components)
        return self._replace(n_components=n_components, prior=prior, weight_prior=weight_prior)
