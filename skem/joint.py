"""Statistics or parameters of several blocks of columns, each in its own form."""

from typing import Any

from skem.suffstats import NamedArrays


def _forms(cls=NamedArrays):
    """Name and class of every form of named arrays."""
    yield cls.__name__, cls
    for form in cls.__subclasses__():
        yield from _forms(form)


class Joint:
    """Named arrays of several blocks, of the same components: a verb of theirs is the verb of each.

    Where the arrays are listed, or drawn into one vector, they are called "block.name". An array's name, read as an
    attribute, is a dict of those by block.

    Parameters
    ----------
    parts : dict of str to NamedArrays
        By the blocks' names.
    """

    __slots__ = ("parts",)

    def __init__(self, parts):
        self.parts = dict(parts)

    def __getattr__(self, name):
        if name == "parts" or name.startswith("_"):
            raise AttributeError(name)
        found = {block: getattr(part, name) for block, part in self.parts.items() if name in part.to_dict()["arrays"]}
        if not found:
            raise AttributeError(f"no block has an array named {name!r}")
        return found

    def __repr__(self):
        return f"Joint({', '.join(f'{block}={part!r}' for block, part in self.parts.items())})"

    def __reduce__(self):
        return type(self), (self.parts,)

    @property
    def n_components(self):
        """Number of components."""
        return next(iter(self.parts.values())).n_components

    @property
    def shared(self):
        """Names of arrays without the component axis."""
        return tuple(f"{block}.{name}" for block, part in self.parts.items() for name in part.shared)

    def _each(self, verb, *args):
        """Apply a verb to every part, with the parts of what is joint among the arguments."""

        def own(block):
            return (arg.parts[block] if isinstance(arg, Joint) else arg for arg in args)

        return Joint({block: getattr(part, verb)(*own(block)) for block, part in self.parts.items()})

    def take(self, index):
        """See `NamedArrays.take`."""
        return self._each("take", index)

    def where_known(self, other):
        """See `NamedArrays.where_known`."""
        return self._each("where_known", other)

    def concatenate(self, others):
        """See `NamedArrays.concatenate`."""
        parts = self.parts.items()
        return Joint({block: part.concatenate([other.parts[block] for other in others]) for block, part in parts})

    def merge(self, other):
        """See `SuffStats.merge`."""
        return self._each("merge", other)

    def scale(self, factor):
        """See `SuffStats.scale`."""
        return self._each("scale", factor)

    def pool(self):
        """See `SuffStats.pool`."""
        return self._each("pool")

    def join(self, first, second):
        """See `SuffStats.join`."""
        return self._each("join", first, second)

    def extend(self, n_more):
        """See `SuffStats.extend`."""
        return self._each("extend", n_more)

    def put(self, index, other):
        """See `SuffStats.put`."""
        return self._each("put", index, other)

    def condition(self, arrays):
        """See `SuffStats.condition`."""
        return self._each("condition", arrays)

    def to_chart(self, n_k):
        """See `SuffStats.to_chart`; the coordinates of all blocks side by side."""
        charts = {block: part.to_chart(n_k) for block, part in self.parts.items()}
        return tuple(_flat({block: pair[i] for block, pair in charts.items()}) for i in range(2))

    def from_chart(self, chart, n_k):
        """See `SuffStats.from_chart`."""
        charts = _parted(chart.to_dict())
        return Joint({block: part.from_chart(charts[block], n_k) for block, part in self.parts.items()})

    def to_dict(self):
        """Return a plain dict, as `NamedArrays.to_dict` does, and what form each block has."""
        forms = {block: type(part).__name__ for block, part in self.parts.items()}
        return {**_flat(self.parts).to_dict(), "forms": forms}

    @classmethod
    def from_dict(cls, state):
        """Rebuild from what `to_dict` returned."""
        forms = dict(_forms())
        parts = _parted(state)
        return cls({block: forms[name](*parts[block].__reduce__()[1]) for block, name in state["forms"].items()})


def _flat(parts):
    """Arrays of all blocks as one set, called "block.name"."""
    arrays = {
        f"{block}.{name}": value for block, part in parts.items() for name, value in part.to_dict()["arrays"].items()
    }
    return NamedArrays(arrays, [f"{block}.{name}" for block, part in parts.items() for name in part.shared])


def _parted(state):
    """Arrays called "block.name", of a plain dict, by block."""
    arrays: dict[str, dict[str, Any]] = {}
    for full, value in state["arrays"].items():
        block, name = full.rsplit(".", 1)
        arrays.setdefault(block, {})[name] = value
    shared = [full.rsplit(".", 1) for full in state["shared"]]
    return {
        block: NamedArrays(own, tuple(name for owner, name in shared if owner == block))
        for block, own in arrays.items()
    }


__all__ = ["Joint"]
