"""Splits that have failed, remembered so that none is tried again on much the same rows."""

import numpy as np

from skem.inference.moves import Move


class Attempts:
    """Splits of clusters that gained nothing, found again by the rows of a cluster.

    Parameters
    ----------
    n_rows : int
    same : float
        Share of rows beyond which a cluster counts as the one whose split has failed.
    """

    def __init__(self, n_rows, same):
        self.same = same
        self._moves: list[Move] = []
        # the last attempt that each row took part in, -1 for none
        self._last = np.full(n_rows, -1, dtype=np.int32)

    def of(self, positions):
        """The split of about these rows that has failed, or None."""
        count = np.bincount(self._last[positions] + 1)
        most = int(np.argmax(count))
        if most == 0:
            return None
        move = self._moves[most - 1]
        return move if count[most] > self.same * max(len(positions), len(move.positions)) else None

    def add(self, move):
        """Remember a split that has failed."""
        self._last[move.positions] = len(self._moves)
        self._moves.append(move)

    def forget(self):
        """Forget the splits that another prior may judge otherwise: all but those of rows that are one."""
        divided = np.array([move.n_parts > 1 for move in self._moves] + [False])
        self._last[divided[self._last]] = -1
