"""Identifiers as a port: time-ordered UUIDv7 by default, random UUIDv4 on request."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Protocol
from uuid import UUID, uuid4

from uuid_utils.compat import uuid7

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["IIDGenerator", "SequentialIDGenerator", "UUID4Generator", "UUID7Generator", "new_id"]

#: A new UUIDv7. Ids made by one process sort in the order they were made (RFC 9562, section 5.7).
new_id: Callable[[], UUID] = uuid7


class IIDGenerator(Protocol):
    """Makes identifiers that nobody else makes."""

    @abstractmethod
    def next_id(self) -> UUID:
        """Return an id never returned before."""
        ...


class UUID7Generator(IIDGenerator):
    """Time-ordered ids: neighbours in time are neighbours in an index."""

    def next_id(self) -> UUID:
        """Return a new UUIDv7."""
        return new_id()


class UUID4Generator(IIDGenerator):
    """Random ids that tell nothing about when they were made."""

    def next_id(self) -> UUID:
        """Return a new UUIDv4."""
        return uuid4()


class SequentialIDGenerator(IIDGenerator):
    """Counts 1, 2, 3 as UUIDs, so that a test can name the ids it expects."""

    def __init__(self) -> None:
        self._last = 0

    def next_id(self) -> UUID:
        """Return the next number as a UUID."""
        self._last += 1
        return UUID(int=self._last)
