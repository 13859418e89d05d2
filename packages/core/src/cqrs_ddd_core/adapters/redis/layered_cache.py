"""A cache in the process in front of one that processes share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from cqrs_ddd_core.adapters.redis._changes import ChangeFeed
from cqrs_ddd_core.ports.cache import ICache
from cqrs_ddd_core.primitives.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from types import TracebackType

    from cqrs_ddd_core.adapters.memory.cache import InMemoryCache
    from cqrs_ddd_core.adapters.redis.cache import CachedValue, RedisCache

__all__ = ["LayeredCache"]


class LayeredCache(ICache):
    """Answers from memory what it has read from Redis, until the server tells that it changed.

    The server tells each process of every key that changes, whoever changes it, with or without
    this class. Guarantee: ``max_staleness`` seconds after a value was set or forgotten, no process
    gives the one from before; mostly it is a millisecond. What this process sets or forgets counts
    in it at once. When the server cannot be heard, the values in memory are not used, and when
    the connection is lost they are dropped, until it is back; then all is read from Redis, and
    when that is away, everything is a miss.

    Use it as an asynchronous context manager, or call ``start`` and ``stop``; before and after,
    it only passes on to Redis. The user the address names needs the commands ``CLIENT TRACKING``
    and ``SUBSCRIBE``. For one primary server: the nodes of a cluster tell of their own keys only.

    Args:
        local: In this process, for nothing else; its ``max_entries`` bounds the memory.
        remote: Shared; closed by whoever made it.
        max_staleness: In seconds.

    Raises:
        ConfigurationError: ``max_staleness`` is not positive.
    """

    def __init__(
        self, local: InMemoryCache, remote: RedisCache, *, max_staleness: float = 1.0
    ) -> None:
        if max_staleness <= 0:
            msg = f"max_staleness is a positive number of seconds, not {max_staleness:g}"
            raise ConfigurationError(msg)
        self._local = local
        self._remote = remote
        self._changes = 0
        self._feed = ChangeFeed(
            remote.link, remote.keys.prefix, self._hear, max_silence=max_staleness
        )

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    @property
    def is_local(self) -> bool:
        """Whether values in memory are used at this moment."""
        return self._feed.is_complete

    async def start(self) -> None:
        """Begin to use the memory as soon as the server tells of changes."""
        await self._feed.start()

    async def stop(self) -> None:
        """Use the memory no longer."""
        await self._feed.stop()

    async def get(self, key: str) -> bytes | None:
        return (await self._get([key])).get(key)

    async def set(
        self, key: str, value: bytes, *, ttl: float | None = None, tags: Collection[str] = ()
    ) -> None:
        try:
            await self._remote.set(key, value, ttl=ttl, tags=tags)
        finally:
            await self._forget(key)

    async def get_or_set(
        self, values: Mapping[str, bytes], *, ttl: float | None = None
    ) -> Mapping[str, bytes]:
        known = await self._get(values)
        missing = {key: value for key, value in values.items() if key not in known}
        return {**known, **await self._remote.get_or_set(missing, ttl=ttl)} if missing else known

    async def delete(self, *keys: str) -> None:
        try:
            await self._remote.delete(*keys)
        finally:
            await self._forget(*keys)

    async def delete_if(self, key: str, value: bytes) -> None:
        try:
            await self._remote.delete_if(key, value)
        finally:
            await self._forget(key)

    async def delete_tags(self, tags: Collection[str]) -> None:
        try:
            await self._remote.delete_tags(tags)
        finally:
            self._changes += 1
            await self._local.delete_tags(tags)

    async def clear(self) -> None:
        try:
            await self._remote.clear()
        finally:
            await self._forget_all()

    async def _get(self, keys: Collection[str]) -> dict[str, bytes]:
        known: dict[str, bytes] = {}
        if self._feed.is_complete:
            for key in keys:
                value = await self._local.get(key)
                if value is not None:
                    known[key] = value
        missing = [key for key in keys if key not in known]
        if missing:
            changes = self._changes
            found = await self._remote.fetch(missing)
            # What was read before a change must not stay behind it.
            if changes == self._changes and self._feed.is_complete:
                await self._keep(found)
            known.update((key, one.value) for key, one in found.items())
        return known

    async def _keep(self, found: Mapping[str, CachedValue]) -> None:
        for key, one in found.items():
            await self._local.set(key, one.value, ttl=one.ttl, tags=one.tags)

    async def _hear(self, names: Sequence[bytes] | None) -> None:
        if names is None:
            await self._forget_all()
            return
        keys = self._remote.keys
        for name in names:
            if (key := keys.value_of(name)) is not None:
                await self._forget(key)
            elif (tag := keys.tag_of(name)) is not None:
                self._changes += 1
                await self._local.delete_tags([tag])

    async def _forget(self, *keys: str) -> None:
        self._changes += 1
        await self._local.delete(*keys)

    async def _forget_all(self) -> None:
        self._changes += 1
        await self._local.clear()
