"""What many fits to the same rows have in common, worked out once."""

from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

# Rows beyond which a fit costs so much more than what it could be spared that nothing is kept.
MOST_ROWS = 10_000

_memory: ContextVar[dict[Any, Any] | None] = ContextVar("memory", default=None)


@contextmanager
def remembering(n_rows):
    """Context in which `recall` keeps what it is told; a context within it shares its memory.

    Parameters
    ----------
    n_rows : int
        Of the data that the fits have in common.
    """
    if n_rows > MOST_ROWS or _memory.get() is not None:
        yield
        return
    token = _memory.set({})
    try:
        yield
    finally:
        _memory.reset(token)


def recall(work, about, detail=()):
    """Return ``work()``, or what it returned before of the same objects.

    Parameters
    ----------
    work : callable
        Its qualified name tells it from others.
    about : tuple
        Objects that the result depends on and that nobody changes, such as the rows: the very same, not equal ones.
    detail : tuple, default=()
        Values that it depends on besides.

    Returns
    -------
    result : object
        Not to be changed.
    """
    memory = _memory.get()
    if memory is None:
        return work()
    key = (work.__qualname__, tuple(id(each) for each in about), detail)
    if key not in memory:
        # held on to, for an identity is nobody else's only as long as its owner lives
        memory[key] = about, work()
    return memory[key][1]
