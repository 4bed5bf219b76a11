"""What the soft cells have in common: moves between their optima."""

from skem.estimators.base import BaseMixture
from skem.inference.splitmerge import SplitMerge


class SoftMixture(BaseMixture):
    """Base of the mixtures with soft assignments, whose algorithm `split_merge` wraps in moves."""

    split_merge: bool

    @property
    def _has_moves(self):
        # a row that is held to a few components has no shares of the others to move
        return self.split_merge and (self.n_active is None or self.n_active >= self.n_components)

    def _algorithm(self):
        algorithm = super()._algorithm()
        return SplitMerge(algorithm, self._upper_bound) if self._has_moves else algorithm

    def _validate_parameters(self):
        super()._validate_parameters()
        if self.split_merge and not self._has_moves and not self._upper_bound:
            raise ValueError(
                f"split_merge=True needs every row's share of every component, and n_active={self.n_active} leaves "
                "them out; set n_active=None or split_merge=False"
            )
