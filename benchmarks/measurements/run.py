"""What a measurement is told, and where it leaves what it says once."""

from typing import Any, NamedTuple

from benchmarks.peers.base import Peer


class Run(NamedTuple):
    """A measurement under way.

    `record` is shared with the driver: "facts" and "failed" (a reason by library) are written to directly.
    """

    peers: dict[str, Peer]
    record: dict[str, Any]
    n_threads: int
    #: folder of a copy of skem built for this processor alone, or None
    native: str | None = None

    @property
    def facts(self):
        return self.record["facts"]

    def fail(self, peer, error):
        """Leave a library out, with the first line of its reason."""
        lines = str(error).strip().splitlines() or [type(error).__name__]
        self.record["failed"][peer] = lines[0][:200]


def in_turn(names, turn):
    """The libraries in an order that changes from pair to pair."""
    names = list(names)
    return names[turn % len(names) :] + names[: turn % len(names)] if names else names
