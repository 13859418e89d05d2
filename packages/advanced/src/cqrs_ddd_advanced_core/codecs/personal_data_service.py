"""What a person may ask for: their data, and that it is forgotten."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cqrs_ddd_advanced_core.codecs.codec import PayloadPlace
from cqrs_ddd_core.ports.event_store import EventFilter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from datetime import datetime
    from uuid import UUID

    from cqrs_ddd_advanced_core.codecs.event_store import EncodedEventStore
    from cqrs_ddd_advanced_core.ports.snapshot_store import ISnapshotStore
    from cqrs_ddd_core.ports.event_store import StreamId

__all__ = ["PersonalDataService", "PersonalValue"]


@dataclass(frozen=True, slots=True)
class PersonalValue:
    """A personal value of a subject in an event.

    Attributes:
        subject: Whose it is.
        stream: The stream of the event.
        version: Its place in the stream.
        position: Its place among all events.
        event_id: Its id.
        event_type: Its stored type name.
        occurred_at: When it happened, aware UTC.
        field: Where the value stands in the payload, such as ``addresses.0.street``.
        value: The value as JSON values; a ``Shredded`` when it is gone.
    """

    subject: str
    stream: StreamId
    version: int
    position: int
    event_id: UUID
    event_type: str
    occurred_at: datetime
    field: str
    value: Any


class PersonalDataService:
    """Exports the personal data of a subject, and makes it unreadable for good.

    Both work on the tenant of the current context. What was copied out of the events is beyond
    the keys: read models, messages that have left, logs, caches and backups; see the guide.

    Args:
        store: The events, with a codec for personal data.
        snapshots: Where copies of aggregates are that ``shred`` deletes; none when not given.
        event_types: Stored type names of events with personal data that no registered class has
            any more; the registered ones are known.

    Raises:
        ConfigurationError: The store has no codec for personal data.
    """

    def __init__(
        self,
        store: EncodedEventStore,
        *,
        snapshots: ISnapshotStore | None = None,
        event_types: Iterable[str] = (),
    ) -> None:
        self._store = store
        self._codec = store.personal_data
        self._snapshots = snapshots
        self._event_types = frozenset(event_types)

    async def shred(self, subject: str) -> bool:
        """Remove the key of a subject for good, and the snapshots of streams with its data.

        It belongs to the current unit of work, or is a transaction of its own. Everything that
        was encrypted under the key is then read as ``Shredded``, and new data of the subject is
        refused with ``SubjectShreddedError``. Another process may read it with a cached key for
        some seconds more; see ``SubjectKeys``. A subject without data can be shredded too.

        Returns:
            Whether it was done now; ``False`` if it had been done before.
        """
        done = await self._codec.keys.shred(subject)
        await self.delete_snapshots(subject)
        return done

    async def delete_snapshots(self, subject: str) -> int:
        """Remove the snapshots of all streams with data of a subject; return how many.

        ``shred`` has done it once. A command that had loaded an aggregate before can still take a
        snapshot afterwards: call it again once those that were under way have ended.
        """
        if self._snapshots is None:
            return 0
        streams = {value.stream: None async for value in self.export(subject)}
        return sum([await self._snapshots.delete_snapshots(stream) for stream in streams])

    async def export(self, subject: str) -> AsyncIterator[PersonalValue]:
        """Yield all personal values of a subject in position order.

        Only events of types with personal data are read, a batch at a time. Values that were
        shredded are yielded as markers.

        Raises:
            PayloadCodecError: A payload cannot be decoded.
        """
        types = self._codec.event_types | self._event_types
        async for event in self._store.read_sealed(EventFilter(event_types=types)):
            place = PayloadPlace.in_stream(event.stream, event)
            for field, value in await self._codec.values_of(subject, event.payload_bytes, place):
                yield PersonalValue(
                    subject,
                    event.stream,
                    event.version,
                    event.position,
                    event.event_id,
                    event.event_type,
                    event.occurred_at,
                    field,
                    value,
                )
