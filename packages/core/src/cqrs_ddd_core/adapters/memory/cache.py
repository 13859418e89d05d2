"""The cache in memory."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from cqrs_ddd_core.ports.cache import ICache
from cqrs_ddd_core.primitives.clock import IClock, SystemClock

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime

__all__ = ["InMemoryCache"]


class _Entry(NamedTuple):
    value: bytes
    tags: frozenset[str]
    expires_at: datetime | None


class InMemoryCache(ICache):
    """Keeps the values used last and forgets the others.

    Args:
        max_entries: How many values it keeps at most.
        clock: Measures how long values live.
    """

    def __init__(self, *, max_entries: int = 10_000, clock: IClock | None = None) -> None:
        self._max_entries = max_entries
        self._clock = clock or SystemClock()
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._tagged: defaultdict[str, set[str]] = defaultdict(set)

    async def get(self, key: str) -> bytes | None:
        return self._read(key)

    async def set(
        self, key: str, value: bytes, *, ttl: float | None = None, tags: Collection[str] = ()
    ) -> None:
        self._write(key, value, ttl, tags)

    async def get_or_set(
        self, values: Mapping[str, bytes], *, ttl: float | None = None
    ) -> Mapping[str, bytes]:
        kept = {}
        for key, value in values.items():
            known = self._read(key)
            if known is None:
                self._write(key, value, ttl, ())
            kept[key] = value if known is None else known
        return kept

    async def delete(self, *keys: str) -> None:
        for key in keys:
            self._forget(key)

    async def delete_if(self, key: str, value: bytes) -> None:
        if self._read(key) == value:
            self._forget(key)

    async def delete_tags(self, tags: Collection[str]) -> None:
        for tag in tags:
            for key in tuple(self._tagged.get(tag, ())):
                self._forget(key)

    async def clear(self) -> None:
        self._entries.clear()
        self._tagged.clear()

    def _read(self, key: str) -> bytes | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry.expires_at is not None and entry.expires_at <= self._clock.now():
            self._forget(key)
            return None
        self._entries.move_to_end(key)
        return entry.value

    def _write(self, key: str, value: bytes, ttl: float | None, tags: Collection[str]) -> None:
        self._forget(key)
        expires_at = None if ttl is None else self._clock.now() + timedelta(seconds=ttl)
        self._entries[key] = _Entry(value, frozenset(tags), expires_at)
        for tag in tags:
            self._tagged[tag].add(key)
        while len(self._entries) > self._max_entries:
            self._forget(next(iter(self._entries)))

    def _forget(self, key: str) -> None:
        entry = self._entries.pop(key, None)
        if entry is None:
            return
        for tag in entry.tags:
            self._tagged[tag].discard(key)
            if not self._tagged[tag]:
                del self._tagged[tag]
