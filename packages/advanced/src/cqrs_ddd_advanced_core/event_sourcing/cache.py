"""Aggregates this process has loaded or committed before."""

from __future__ import annotations

from collections import OrderedDict
from copy import deepcopy
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

from cqrs_ddd_core.correlation import get_context
from cqrs_ddd_core.domain.aggregate import AggregateRoot
from cqrs_ddd_core.ports.event_store import StreamId
from cqrs_ddd_core.primitives.exceptions import ConfigurationError

if TYPE_CHECKING:
    from typing import TypeAlias

    _Key: TypeAlias = tuple[str, StreamId]

__all__ = ["AggregateCache"]

T = TypeVar("T", bound=AggregateRoot[Any])


class AggregateCache:
    """Keeps committed states, so that a load reads only the events after them.

    It is no source of truth: a loader checks that the stream still has the event the state ends
    with, and applies what other processes have appended since. So one stale entry costs a few
    events and never a wrong answer.

    Copied on the way in and on the way out: what a caller does to an aggregate never reaches it.
    The least recently used aggregate gives way to a new one. Safe for threads and tasks.

    Args:
        max_size: Aggregates it holds at most.

    Raises:
        ConfigurationError: It could hold nothing.
    """

    def __init__(self, max_size: int = 1000) -> None:
        if max_size < 1:
            msg = f"a cache of {max_size} aggregates holds nothing: leave it out instead"
            raise ConfigurationError(msg)
        self._max_size = max_size
        self._entries: OrderedDict[_Key, AggregateRoot[Any]] = OrderedDict()
        self._lock = Lock()
        self._hits = 0
        self._misses = 0

    @property
    def hits(self) -> int:
        """How often an aggregate was found."""
        return self._hits

    @property
    def misses(self) -> int:
        """How often one was not found."""
        return self._misses

    def get(self, aggregate_class: type[T], stream: StreamId) -> T | None:
        """Return a copy of the kept state of a stream, ``None`` when there is none.

        Args:
            aggregate_class: What it has to be an instance of, exactly.
            stream: Whose state, of the tenant of the current context.
        """
        key = _key(stream)
        with self._lock:
            found = self._entries.get(key)
            if type(found) is not aggregate_class:
                self._misses += 1
                return None
            self._hits += 1
            self._entries.move_to_end(key)
        # Outside of the lock: kept states are replaced, never changed.
        return deepcopy(found)

    def put(self, aggregate: AggregateRoot[Any]) -> None:
        """Keep a copy of a committed state, in place of an older one.

        One with uncommitted events is no committed state, and is not kept.
        """
        if aggregate.version < 1 or aggregate.raised_events():
            return
        key = _key(StreamId(aggregate.aggregate_type, str(aggregate.id)))
        kept = deepcopy(aggregate)
        with self._lock:
            self._entries[key] = kept
            self._entries.move_to_end(key)
            if len(self._entries) > self._max_size:
                self._entries.popitem(last=False)

    def drop(self, stream: StreamId) -> None:
        """Forget the state of a stream, such as one that was erased."""
        with self._lock:
            self._entries.pop(_key(stream), None)

    def clear(self) -> None:
        """Forget everything; the counters go on."""
        with self._lock:
            self._entries.clear()

    def __len__(self) -> int:
        return len(self._entries)


def _key(stream: StreamId) -> _Key:
    return get_context().tenant_id, stream
