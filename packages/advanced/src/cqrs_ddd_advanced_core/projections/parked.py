"""What operators do with events that a projection gave up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cqrs_ddd_advanced_core.projections._placement import located
from cqrs_ddd_advanced_core.projections.policy import is_transient
from cqrs_ddd_core.ports.event_store import EventFilter

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from cqrs_ddd_advanced_core.ports.checkpoint_store import CheckpointKey
    from cqrs_ddd_advanced_core.ports.parked_events import ParkedEvent
    from cqrs_ddd_advanced_core.projections._projection import Projection
    from cqrs_ddd_advanced_core.projections.registry import ProjectorRegistry
    from cqrs_ddd_core.ports.event_store import IEventStore, StoredEvent, StreamId

__all__ = ["ParkedEventService"]


class ParkedEventService:
    """Lists, retries and discards parked events, while workers go on.

    All calls concern the tenant of the current context, and the version of a projection that is
    registered.

    Args:
        projector_registry: The projections, and where they keep their rows.
        event_store: Has the events.
    """

    def __init__(self, projector_registry: ProjectorRegistry, event_store: IEventStore) -> None:
        self._registry = projector_registry
        self._event_store = event_store

    async def list_parked(
        self, projection: str, *, limit: int = 100, after: int = 0
    ) -> Sequence[ParkedEvent]:
        """Return parked events and those that wait behind them, in the order of positions.

        Args:
            projection: Its name.
            limit: How many at most.
            after: Only events behind this position: the last of the page before.

        Raises:
            UnknownProjectionError: Nothing is registered under the name.
        """
        found = self._registry.get(projection)
        return await found.store.parked_events.list_parked(
            projection, version=found.version, limit=limit, after=after
        )

    async def count(self, projection: str) -> int:
        """Return how many there are, those that only wait included.

        Raises:
            UnknownProjectionError: Nothing is registered under the name.
        """
        found = self._registry.get(projection)
        return await found.store.parked_events.count(projection, found.version)

    async def retry(self, projection: str, *, stream: StreamId | None = None) -> int:
        """Apply parked events again, those of a stream in order, and return how many went well.

        Each is applied and forgotten in one transaction. The first of a stream that fails again
        stays with its new error, and so do those behind it; other streams are gone on with.

        Args:
            projection: Its name.
            stream: Only events of this stream.

        Raises:
            UnknownProjectionError: Nothing is registered under the name.
            TransientPersistenceError: The database is not available.
        """
        found = self._registry.get(projection)
        done = 0
        for key in found.keys:
            held = await found.store.parked_events.held_streams(key)
            for one in sorted(held if stream is None else held & {stream}):
                while await self._retry_first(found, key, one):
                    done += 1
        return done

    async def discard(
        self,
        projection: str,
        *,
        positions: Collection[int] = (),
        stream: StreamId | None = None,
    ) -> int:
        """Give parked events up for good, and return how many there were.

        Those that waited behind them stay parked until they are retried.

        Args:
            projection: Its name.
            positions: Of the events.
            stream: All events of this stream, too.

        Raises:
            UnknownProjectionError: Nothing is registered under the name.
        """
        found = self._registry.get(projection)
        return sum([await self._discard(found, key, positions, stream) for key in found.keys])

    async def _retry_first(
        self, projection: Projection, key: CheckpointKey, stream: StreamId
    ) -> bool:
        """Apply the first parked event of a stream; say whether it went well."""
        store = projection.store
        parked = await store.parked_events.list_stream(key, stream)
        if not parked:
            return False
        # Read before the transaction, as the worker does.
        event = await self._read(parked[0])
        try:
            async with store.unit_of_work():
                await store.checkpoints.lock(key)
                is_mine = await store.parked_events.remove(key, [parked[0].position])
                if is_mine and event is not None:
                    # Later events of other streams may have changed the same rows already.
                    await (await located(projection)).apply([event], guarded=False)
        except Exception as error:
            if is_transient(error) or event is None:
                raise
            await self._note(projection, key, event, error)
            return False
        return is_mine > 0

    async def _read(self, parked: ParkedEvent) -> StoredEvent | None:
        """Return an event; ``None`` when it was removed meanwhile."""
        page = await self._event_store.read_page(
            parked.position - 1,
            limit=1,
            event_filter=EventFilter(event_types=frozenset({parked.event_type})),
        )
        found = [event for event in page.events if event.position == parked.position]
        return found[0] if found else None

    async def _note(
        self, projection: Projection, key: CheckpointKey, event: StoredEvent, error: Exception
    ) -> None:
        store = projection.store
        async with store.unit_of_work():
            await store.checkpoints.lock(key)
            first = await store.parked_events.list_stream(key, event.stream)
            # Somebody else may have retried or discarded it meanwhile.
            if first and first[0].position == event.position:
                described = f"{type(error).__name__}: {error}"
                await store.parked_events.park(key, event, described)

    async def _discard(
        self,
        projection: Projection,
        key: CheckpointKey,
        positions: Collection[int],
        stream: StreamId | None,
    ) -> int:
        store = projection.store
        async with store.unit_of_work():
            await store.checkpoints.lock(key)
            chosen = set(positions)
            if stream is not None:
                parked = await store.parked_events.list_stream(key, stream)
                chosen |= {one.position for one in parked}
            return await store.parked_events.remove(key, chosen)
