"""The cache port: values that may be forgotten at any time."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

__all__ = ["ICache"]


class ICache(Protocol):
    """Keeps bytes under keys for a while.

    A miss is never an error, and neither is a value that vanished early or a cache that is away:
    what is asked for is a miss then, and what should be forgotten is forgotten when it is back,
    or ends with its time. Values are bytes, so that nobody can change what is cached, and memory
    and remote caches behave alike.
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
    async def get_or_set(
        self, values: Mapping[str, bytes], *, ttl: float | None = None
    ) -> Mapping[str, bytes]:
        """Return what is kept under each key, and keep the given value where there is nothing.

        Of all who call it at one time for a key, one sets it, and all are told the same value.

        Args:
            values: What to keep under each key, without tags.
            ttl: For how many seconds a value that is set here is kept.

        Returns:
            The values by key. A key is left out when the cache cannot be asked: who needs to know
            what the others know then knows that it does not.
        """
        ...

    @abstractmethod
    async def delete(self, *keys: str) -> None:
        """Forget values, in one go."""
        ...

    @abstractmethod
    async def delete_if(self, key: str, value: bytes) -> None:
        """Forget a value only if it is this one, so that nobody else's is forgotten."""
        ...

    @abstractmethod
    async def delete_tags(self, tags: Collection[str]) -> None:
        """Forget every value that carries at least one of the tags."""
        ...

    @abstractmethod
    async def clear(self) -> None:
        """Forget everything."""
        ...
