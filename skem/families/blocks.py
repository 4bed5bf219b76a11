"""Blocks of columns, each with a family: how they are declared, chosen and read."""

import itertools
from typing import Any

import numpy as np

from skem._compat import BaseComposition
from skem.exceptions import ColumnError
from skem.families.base import Family
from skem.families.frames import columns_of, numbers_of, positions_of
from skem.families.guess import guess_blocks

# Verbs that one block with them is enough for; the others are offered where every block has them.
OF_ANY = {"coordinates", "nested"}
# Blocks that one pass can take.
MOST_BLOCKS = 32


class Blocks(BaseComposition, Family):
    """Base of `Product`: the declaration, without the algebra."""

    blocks: Any

    @property
    def _families(self):
        """Names and families, as scikit-learn's compositions have them; none where blocks are not declared well."""
        try:
            return [(name, family) for name, family, _ in self.blocks]
        except (TypeError, ValueError):
            return []

    @_families.setter
    def _families(self, named):
        self.blocks = [(name, family, own[2]) for (name, family), own in zip(named, self.blocks, strict=True)]

    def get_params(self, deep=True):
        return self._get_params("_families", deep=deep)

    def set_params(self, **params):
        return self._set_params("_families", **params)

    def members(self):
        return [self, *(family for _, family in self._families if isinstance(family, Family))]

    def has(self, verb):
        combine = any if verb in OF_ANY else all
        return super().has(verb) and combine(family.has(verb) for _, family in self._families)

    @property
    def reasons(self):  # type: ignore[override] # those of the blocks
        """Why blocks lack verbs."""
        return {verb: why for _, family in self._families for verb, why in family.reasons.items()}

    @property
    def start_share(self):  # type: ignore[override] # the most of any block's
        """Share of all rows' statistics that components have at a soft start."""
        return max(family.start_share for _, family in self._families)

    @property
    def heavy_tails(self):  # type: ignore[override] # where any block's are
        """Whether single rows may lie very far out of their components."""
        return any(family.heavy_tails for _, family in self._families)

    @property
    def closed_form(self):  # type: ignore[override] # where every block's is
        """Whether `mle` of given responsibilities is their best theta."""
        return all(family.closed_form for _, family in self._families)

    @property
    def unbounded(self):  # type: ignore[override] # those of the blocks
        """Names of public parameters that may be infinite."""
        return tuple(f"{block}__{name}" for block, family in self._families for name in family.unbounded)

    def _check(self):
        """Raise where blocks are not declared as they must be."""
        if isinstance(self.blocks, str):
            return
        for block in self.blocks:
            if not isinstance(block, tuple | list) or len(block) != 3 or not isinstance(block[0], str):
                raise ValueError(f"blocks holds {block!r}, which is not (name, family, columns)")
            name, family, _ = block
            if not isinstance(family, Family) or isinstance(family, Blocks):
                raise ValueError(
                    f"block {name!r} has the family {family!r}: it must be one of skem.families, no Product"
                )
            if family.has("features"):
                raise ValueError(
                    f"block {name!r}: Product() needs families whose features are compiled, and those of "
                    f"{type(family).__name__}() are Python"
                )
        names = [name for name, _, _ in self.blocks]
        if not names:
            raise ValueError('blocks is empty: name one at least, or blocks="auto"')
        if len(names) > MOST_BLOCKS:
            raise ValueError(f"blocks has {len(names)} entries, at most {MOST_BLOCKS} go: give alike columns one block")
        self._validate_names(names)

    def _positions(self):
        """Positions of each block's columns, which hold every one once."""
        self._check()
        if isinstance(self.blocks, str):
            raise ValueError('Product() needs its blocks where there are no data: give them, not "auto"')
        found = []
        for name, _, columns in self.blocks:
            own = np.atleast_1d(np.asarray(columns, dtype=object if callable(columns) else None))
            if own.dtype.kind not in "iu":
                raise ValueError(f"block {name!r} must name its columns by position where there are no data")
            found.append(own.tolist())
        every = sorted(itertools.chain(*found))
        if every != list(range(len(every))):
            raise ValueError(f"blocks must hold every column once, from 0 on; together they hold {every}")
        return found

    def _split(self, parameters):
        """Public parameters by block, without its name in front."""
        own: dict[str, dict[str, Any]] = {name: {} for name, _ in self._families}
        for full, value in parameters.items():
            block, _, name = full.partition("__")
            if full == "weights":
                continue
            if block not in own or not name:
                raise ValueError(
                    f"there is no parameter {full!r}: call it after its block, as in {next(iter(own))}__..."
                )
            own[block][name] = value
        return own

    def shape_of_parameters(self, parameters):
        places, own, n_components = self._positions(), self._split(parameters), None
        for (name, family), positions in zip(self._families, places, strict=True):
            try:
                K, d = family.shape_of_parameters(own[name])
            except ValueError as error:
                raise ValueError(f"block {name!r}: {error}") from None
            if d != len(positions) or (n_components or K) != K:
                raise ValueError(
                    f"the parameters of block {name!r} describe {K} components and {d} columns, where the block has "
                    f"{len(positions)} columns and there are {n_components or K} components"
                )
            n_components = K
        return n_components, sum(map(len, places))

    def learn(self, X):
        self._check()
        columns = columns_of(X)
        blocks = guess_blocks(X) if isinstance(self.blocks, str) else self.blocks
        owner: dict[int, str] = {}
        learned = []
        for name, family, chosen in blocks:
            try:
                positions = positions_of(X, chosen, columns.names)
            except ValueError as error:
                raise ValueError(f"block {name!r}: {error}") from None
            if not positions:
                raise ValueError(f"block {name!r} has no column: its columns={chosen!r} choose none of X")
            for j in positions:
                if j in owner:
                    where = f"blocks {owner[j]!r} and {name!r}" if owner[j] != name else f"block {name!r} twice"
                    raise ValueError(f"column {columns.names[j]!r} is in {where}: a column belongs to one block, once")
                owner[j] = name
            learned.append((name, family.learn(columns.take(positions)), positions))
        left = [name for j, name in enumerate(columns.names) if j not in owner]
        if left:
            raise ValueError(f"columns {left} are in no block: give them to one, or drop them from X")
        return type(self)(learned)

    def encode(self, X):
        """Return the rows as numbers, block beside block, every column checked by its family."""
        columns, positions = columns_of(X), self._positions()
        order = list(itertools.chain(*positions))
        if len(columns.names) != len(order):
            raise ValueError(f"X has {len(columns.names)} features, but the blocks hold {len(order)}")
        families = [family for _, family in self._families]
        own = [self._encode_block(family, columns.take(at)) for family, at in zip(families, positions, strict=True)]
        plain = isinstance(X, np.ndarray) and X.dtype in (np.float32, np.float64)
        # rows that are in order already, and that every family reads as they are, are left in their place
        as_they_are = all(type(family).encode is Family.encode for family in families)
        return X if plain and order == sorted(order) and as_they_are else np.hstack(own)

    @staticmethod
    def _encode_block(family, columns):
        """Rows of a block as numbers of its family's domain."""
        if family.encodes:
            return family.encode(columns)
        values = np.stack([numbers_of(*column) for column in zip(*columns, strict=True)], axis=1)
        try:
            family.validate(values)
            return family.encode(values)
        except ColumnError as error:
            raise error.among(columns.names) from None


__all__ = ["Blocks"]
