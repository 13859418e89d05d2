"""The cache port: values that may be forgotten at any time."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["ICache"]


class ICache(Protocol):
    """Keeps bytes under keys for a while.

    A miss is never an error, and neither is a value that vanished early. Values are bytes, so
    that nobody can change what is cached, and memory and remote caches behave alike.
    """

    @abstractmethod
    async def get(self, key: str) -> bytes | None:
        """Return the value, or ``None`` when it is unknown, expired or evicted."""
        ...

    @abstractmethod
    async def set(
        self, key: str, value: bytes, *, ttl: float | None = None, tags: Collection[str] = ()
    ) -> None:
        """Keep a value for ``ttl`` seconds, or until it is evicted, under some tags."""
        ...

    @abstractmethod
    async def delete(self, key: str) -> None:
        """Forget one value."""
        ...

    @abstractmethod
    async def delete_tags(self, tags: Collection[str]) -> None:
        """Forget every value that carries at least one of the tags."""
        ...

    @abstractmethod
    async def clear(self) -> None:
        """Forget everything."""
        ...
