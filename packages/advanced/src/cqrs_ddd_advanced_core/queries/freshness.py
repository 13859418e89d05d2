"""How new an answer has to be."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["demanded_position", "read_since"]

_demanded: ContextVar[int | None] = ContextVar("cqrs_ddd_demanded_position", default=None)


@contextmanager
def read_since(position: int | None) -> Iterator[None]:
    """Take no cached answer in the block that may lack the event at a position.

    It does not wait for the projection; a repository's ``after=`` does both.

    Args:
        position: Such as ``CommandResponse.position``; ``None`` demands nothing.
    """
    token = _demanded.set(position)
    try:
        yield
    finally:
        _demanded.reset(token)


def demanded_position() -> int | None:
    """Return the position answers must not be older than, if there is one."""
    return _demanded.get()
