"""The cache on Redis."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple, Self, TypeVar, cast

from cqrs_ddd_core.adapters.redis._commands import DELETE_IF, keep, milliseconds, ping, unlink
from cqrs_ddd_core.adapters.redis._driver import ResponseError
from cqrs_ddd_core.adapters.redis._keys import Keys, Stored
from cqrs_ddd_core.adapters.redis._link import CacheUnavailableError, RedisLink
from cqrs_ddd_core.ports.cache import ICache
from cqrs_ddd_core.primitives.id_generator import new_id

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
    from types import TracebackType

    from cqrs_ddd_core.adapters.redis._link import Client

__all__ = ["CachedValue", "RedisCache"]

_logger = logging.getLogger(__name__)

T = TypeVar("T")

_SCAN_BATCH: Final = 1000
#: What PTTL says of a key that has no time limit; one that is gone has -2.
_NO_END: Final = -1
#: More invalidations are not remembered for a server that is away.
_MOST_DEBTS: Final = 10_000


class CachedValue(NamedTuple):
    """A value with what else is known of it.

    Attributes:
        value: The value.
        tags: Its tags.
        ttl: Seconds it has left; ``None`` for no limit.
    """

    value: bytes
    tags: Collection[str]
    ttl: float | None


class RedisCache(ICache):
    """Keeps values on a Redis server (6 or later, or Valkey), where all processes share them.

    An outage is a miss and is logged, never an error: a command has ``timeout`` seconds, and after
    one that failed nobody turns to the server for ``retry_after`` seconds. What should have been
    forgotten meanwhile is forgotten before this process uses the server again, and within
    ``retry_after`` seconds of its return; if the process dies before, or a failover loses it, old
    values may be served until their time is over. So give every value a time.

    On a node of a cluster each command names one key, as it has to. Tags are versions: a value
    is kept with those of its tags, a deleted tag gets another one, and values left behind end with
    their time. ``clear`` looks for all keys of the prefix and touches no others.

    Use it as an asynchronous context manager, or call ``close`` at the end.

    Args:
        url: ``redis://user:password@host:6379/0``, ``rediss://`` where the server's certificate
            and host name are verified, or ``unix://``. Passwords are never shown.
        prefix: Before every key, of letters, digits, ``_``, ``.`` and ``-``; applications that
            share a server need one each.
        timeout: Seconds before the server counts as away.
        retry_after: Seconds before the next try then.
        max_connections: Connections at one time; further calls wait for one.

    Attributes:
        keys: How keys are written, for a cache in front of this one.
        link: The way to the server, likewise.

    Raises:
        ConfigurationError: The address or prefix is malformed, or a number makes no sense.
    """

    def __init__(
        self,
        url: str = "redis://localhost:6379/0",
        *,
        prefix: str = "cqrs-ddd",
        timeout: float = 0.5,
        retry_after: float = 1.0,
        max_connections: int = 20,
    ) -> None:
        self.keys: Keys = Keys(prefix)
        self.link: RedisLink = RedisLink(
            url, timeout=timeout, retry_after=retry_after, max_connections=max_connections
        )
        self._is_cluster = False
        self._debts: dict[bytes, None] = {}
        self._paying: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<RedisCache {self.link}, keys {self.keys.prefix}...>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    @property
    def is_available(self) -> bool:
        """Whether the server answered the last time, for health checks."""
        return not self.link.is_away

    async def close(self) -> None:
        """Try once more to forget what should be forgotten, and close all connections."""
        paying, self._paying = self._paying, None
        if paying is not None:
            paying.cancel()
            await asyncio.wait([paying])
        if self._debts:
            await self._try(ping, None)
        if self._debts:
            _logger.error("%s: %d values were not forgotten", self.link, len(self._debts))
        await self.link.close()

    async def get(self, key: str) -> bytes | None:
        return await self._try(partial(self._get, key), None)

    async def fetch(self, keys: Collection[str]) -> Mapping[str, CachedValue]:
        """Return the values of those keys that have one, and how long they last."""
        return await self._try(partial(self._fetch, keys), {})

    async def set(
        self, key: str, value: bytes, *, ttl: float | None = None, tags: Collection[str] = ()
    ) -> None:
        await self._try(partial(self._set, key, value, ttl, tags), None)

    async def get_or_set(
        self, values: Mapping[str, bytes], *, ttl: float | None = None
    ) -> Mapping[str, bytes]:
        return await self._try(partial(self._get_or_set, values, ttl), {})

    async def delete(self, *keys: str) -> None:
        await self._forget(map(self.keys.value, keys))

    async def delete_if(self, key: str, value: bytes) -> None:
        data = Stored(value, {}).dump()
        await self._try(lambda client: client.eval(DELETE_IF, 1, self.keys.value(key), data), None)

    async def delete_tags(self, tags: Collection[str]) -> None:
        await self._forget(map(self.keys.tag, tags))

    async def clear(self) -> None:
        """Forget everything under the prefix; what is set meanwhile may stay.

        Raises:
            CacheUnavailableError: The server is away; part of it may be forgotten.
        """
        cursor = 0
        while True:
            cursor, names = await self.link.run(partial(self._scan, cursor))
            await self.link.run(partial(unlink, names))
            if cursor == 0:
                break

    async def _scan(self, cursor: int, client: Client) -> tuple[int, list[bytes]]:
        found = await client.scan(cursor, match=f"{self.keys.prefix}*", count=_SCAN_BATCH)
        return cast("tuple[int, list[bytes]]", found)

    # --- reading and writing -------------------------------------------------------------------

    async def _get(self, key: str, client: Client) -> bytes | None:
        found = (await self._read([key], client)).get(key)
        return None if found is None else found.value

    async def _fetch(self, keys: Collection[str], client: Client) -> Mapping[str, CachedValue]:
        found = await self._read(keys, client)
        if not found:
            return {}
        async with client.pipeline(transaction=False) as pipeline:
            for key in found:
                pipeline.pttl(self.keys.value(key))
            left = await pipeline.execute()
        return {
            key: CachedValue(one.value, tuple(one.tags), None if rest == _NO_END else rest / 1000)
            for (key, one), rest in zip(found.items(), left, strict=True)
            if rest == _NO_END or rest > 0
        }

    async def _read(self, keys: Collection[str], client: Client) -> Mapping[str, Stored]:
        """Return the values whose tags are still those they were kept with."""
        data = await self._values(list(map(self.keys.value, keys)), client)
        loaded = zip(keys, map(Stored.load, data), strict=True)
        found = {key: one for key, one in loaded if one is not None}
        tags = list({tag for one in found.values() for tag in one.tags})
        if not tags:
            return found
        data = await self._values(list(map(self.keys.tag, tags)), client)
        known = zip(tags, data, strict=True)
        versions = {tag: _version(data) for tag, data in known if isinstance(data, bytes)}
        return {key: one for key, one in found.items() if one.tags.items() <= versions.items()}

    async def _values(self, names: Sequence[bytes], client: Client) -> Sequence[object]:
        if not self._is_cluster:
            try:
                # Not in a pipeline: the driver takes twice as long for one.
                return await client.mget(names) if len(names) > 1 else [await client.get(names[0])]
            except ResponseError as error:
                if "slot" not in str(error):
                    raise
                self._is_cluster = True
        async with client.pipeline(transaction=False) as pipeline:
            for name in names:
                pipeline.get(name)
            found: list[object] = await pipeline.execute()
        return found

    async def _set(
        self, key: str, value: bytes, ttl: float | None, tags: Collection[str], client: Client
    ) -> None:
        new = new_id().hex.encode()
        names = {self.keys.tag(tag): new for tag in tags}
        kept = await keep(client, names, ttl, "version") if tags else []
        versions = {tag: _version(data) for tag, data in zip(tags, kept, strict=True)}
        data = Stored(value, versions).dump()
        await client.set(self.keys.value(key), data, px=milliseconds(ttl))

    async def _get_or_set(
        self, values: Mapping[str, bytes], ttl: float | None, client: Client
    ) -> Mapping[str, bytes]:
        known = await self._read(values, client) if values else {}
        kept = {key: one.value for key, one in known.items()}
        missing = [key for key in values if key not in kept]
        if missing:
            names = {self.keys.value(key): Stored(values[key], {}).dump() for key in missing}
            told = await keep(client, names, ttl, "value")
            found = zip(missing, map(Stored.load, told), strict=True)
            kept |= {key: one.value for key, one in found if one is not None}
        return kept

    # --- outages ----------------------------------------------------------------------------------

    async def _try(self, work: Callable[[Client], Awaitable[T]], instead: T) -> T:
        try:
            return await self.link.run(partial(self._after_debts, work))
        except CacheUnavailableError:
            return instead

    async def _after_debts(self, work: Callable[[Client], Awaitable[T]], client: Client) -> T:
        while self._debts:
            await self._pay_some(client)
        return await work(client)

    async def _forget(self, names: Iterable[bytes]) -> None:
        wanted = list(names)
        if not wanted:
            return
        try:
            await self.link.run(partial(self._after_debts, partial(unlink, wanted)))
        except BaseException as error:
            # Cancelled or not: what it stood for has changed.
            self._owe(wanted)
            if not isinstance(error, CacheUnavailableError):
                raise

    def _owe(self, names: list[bytes]) -> None:
        room = _MOST_DEBTS - len(self._debts)
        if len(names) > room:
            _logger.error("%s: %d values will not be forgotten", self.link, len(names) - room)
        self._debts |= dict.fromkeys(names[:room])
        if self._paying is None or self._paying.done():
            self._paying = asyncio.create_task(self._pay(), name="cache-debts")

    async def _pay_some(self, client: Client) -> None:
        # A part at a time, so that what was paid stays so when there is no time for all.
        names = list(islice(self._debts, _SCAN_BATCH))
        await unlink(names, client)
        for name in names:
            self._debts.pop(name, None)

    async def _pay(self) -> None:
        while self._debts:
            await asyncio.sleep(self.link.retry_after)
            await self._try(ping, None)


def _version(data: bytes) -> str:
    return data.decode("latin-1")
