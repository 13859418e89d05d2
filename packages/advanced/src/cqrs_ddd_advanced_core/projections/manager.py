"""Keeps read models in memory up to date with an event store."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from copy import deepcopy
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

from cqrs_ddd_advanced_core.domain.projection_exceptions import (
    ProjectionDefinitionError,
    ProjectorError,
    UnknownProjectionError,
)
from cqrs_ddd_advanced_core.ports.checkpoint_store import CheckpointState
from cqrs_ddd_advanced_core.projections._handled_events import HandledEvents
from cqrs_ddd_advanced_core.projections._lag import lag_seconds
from cqrs_ddd_advanced_core.projections.status import ProjectionStatus
from cqrs_ddd_core.background.polling import PollingLoop
from cqrs_ddd_core.correlation import get_context, message_context
from cqrs_ddd_core.ports.event_store import EventFilter
from cqrs_ddd_core.primitives.clock import IClock, SystemClock

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cqrs_ddd_advanced_core.projections.read_model import ReadModel
    from cqrs_ddd_advanced_core.upcasting import UpcasterRegistry
    from cqrs_ddd_core.domain.event_registry import EventTypeRegistry
    from cqrs_ddd_core.ports.event_dispatcher import IEventDispatcher
    from cqrs_ddd_core.ports.event_store import EventPage, IEventStore, StoredEvent

__all__ = ["InMemoryProjectionManager", "ProjectionManager", "ReadModelMetrics"]


@dataclass(frozen=True, slots=True)
class ReadModelMetrics:
    """What was counted for one read model since it was registered.

    Attributes:
        events: How many it has taken, those of rebuilds included.
        failures: How often it raised.
        rebuilds: How often it was rebuilt.
        position: How far it has come.
        seconds: How long it took to take the events.
    """

    events: int
    failures: int
    rebuilds: int
    position: int
    seconds: float


class ProjectionManager(Protocol):
    """Looks after read models: registers, rebuilds, and tells how they are."""

    @abstractmethod
    async def register_projection(self, read_model: ReadModel) -> None:
        """Bring a read model up to date, and keep it so.

        Raises:
            ProjectionDefinitionError: One of its class is registered, or it handles no events.
            ProjectorError: It could not take an event of the past.
        """
        ...

    @abstractmethod
    async def rebuild_projection(self, read_model_class: type[ReadModel]) -> None:
        """Make a read model anew from all events; it answers with what it had meanwhile.

        Raises:
            UnknownProjectionError: None of that class is registered.
            ProjectorError: It could not take an event; it stays as it was.
        """
        ...

    @abstractmethod
    async def get_projection_status(self, read_model_class: type[ReadModel]) -> ProjectionStatus:
        """Return how a read model is.

        Raises:
            UnknownProjectionError: None of that class is registered.
        """
        ...

    @abstractmethod
    def get_metrics(self) -> Mapping[str, ReadModelMetrics]:
        """Return what was counted, by class name."""
        ...


class InMemoryProjectionManager(PollingLoop, ProjectionManager):
    """Feeds read models of this process from the event store.

    Each event comes to each read model once and in the order of positions, whichever process
    stored it and however often it is announced. With an event bus they are up to date when the
    command that changed something returns, if everything before it is settled; ``start()``
    follows the commands of other processes too, ``catch_up()`` looks once.

    A read model sees the events of the tenant it was registered for, as the context says.

    A read model that raised may have changed halfway, so it gets no more events until
    ``rebuild_projection`` has made it anew; its status tells the error, and others go on.

    Args:
        event_store: Has the events.
        event_bus: Tells when events were committed in this process.
        event_registry: The events that may be read; those the read models support when not given.
        upcaster_registry: How events of older shapes are read.
        batch_size: How many events are read at once.
        poll_interval: Seconds until it looks again when nobody wakes it, once started.
        clock: Tells how old events are.
    """

    def __init__(
        self,
        event_store: IEventStore,
        event_bus: IEventDispatcher | None = None,
        *,
        event_registry: EventTypeRegistry | None = None,
        upcaster_registry: UpcasterRegistry | None = None,
        batch_size: int = 500,
        poll_interval: float = 1.0,
        clock: IClock | None = None,
    ) -> None:
        super().__init__(self.catch_up, name="read models", poll_interval=poll_interval)
        self._event_store = event_store
        self._event_bus = event_bus
        self._event_registry = event_registry
        self._upcasters = upcaster_registry
        self._batch_size = batch_size
        self._now = (clock or SystemClock()).now
        self._followers: dict[type[ReadModel], _Follower] = {}

    async def register_projection(self, read_model: ReadModel) -> None:
        name = type(read_model).__name__
        if type(read_model) in self._followers:
            msg = f"a {name} is registered already; derive a class for another one"
            raise ProjectionDefinitionError(msg)
        handled = HandledEvents(
            name, read_model.get_supported_events(), self._event_registry, self._upcasters
        )
        follower = _Follower(read_model, handled, self._event_store, self._batch_size)
        await follower.catch_up()
        self._followers[type(read_model)] = follower
        if self._event_bus is not None:
            for event_class in read_model.get_supported_events():
                self._event_bus.register(event_class, follower.wake, synchronous=False)

    async def rebuild_projection(self, read_model_class: type[ReadModel]) -> None:
        await self._follower(read_model_class).rebuild()

    async def catch_up(self) -> int:
        """Bring all read models up to date that are not halted; return how many events they took.

        Raises:
            ProjectorError: One could not take an event, and is halted from now on; all others
                are up to date.
        """
        failure: ProjectorError | None = None
        done = 0
        for follower in tuple(self._followers.values()):
            try:
                done += await follower.catch_up()
            except ProjectorError as error:
                failure = error
        if failure is not None:
            raise failure
        return done

    async def get_projection_status(self, read_model_class: type[ReadModel]) -> ProjectionStatus:
        follower = self._follower(read_model_class)
        position, error = follower.position, follower.error
        head = max(await self._event_store.get_head_position(), position)
        return ProjectionStatus(
            read_model_class.__name__,
            version=1,
            state=CheckpointState.RUNNING if error is None else CheckpointState.HALTED,
            position=position,
            head=head,
            lag_seconds=await lag_seconds(
                self._event_store, position, follower.event_filter, self._now()
            ),
            failures=follower.failures,
            error=error,
        )

    def get_metrics(self) -> Mapping[str, ReadModelMetrics]:
        return {
            read_model_class.__name__: follower.metrics()
            for read_model_class, follower in self._followers.items()
        }

    def _follower(self, read_model_class: type[ReadModel]) -> _Follower:
        try:
            return self._followers[read_model_class]
        except KeyError:
            known = sorted(one.__name__ for one in self._followers)
            raise UnknownProjectionError(read_model_class.__name__, known) from None


class _Follower:
    """One read model and how far it has come."""

    def __init__(
        self,
        read_model: ReadModel,
        handled: HandledEvents,
        event_store: IEventStore,
        batch_size: int,
    ) -> None:
        self._read_model = read_model
        self._blank = _copy(read_model)
        self._handled = handled
        self._event_store = event_store
        self._batch_size = batch_size
        self._tenant_id = get_context().tenant_id
        self._one_at_a_time = asyncio.Lock()
        self._events = 0
        self._rebuilds = 0
        self._seconds = 0.0
        self.event_filter: EventFilter = EventFilter(event_types=handled.event_types)
        self.position: int = 0
        self.failures: int = 0
        self.error: str | None = None

    async def wake(self, _event: Any) -> None:
        """Take what is new; the event that woke it is among it once it is settled."""
        await self.catch_up()

    async def catch_up(self) -> int:
        """Take all settled events behind its position, unless it is halted."""
        async with self._one_at_a_time:
            if self.error is not None:
                return 0
            before = self._events
            try:
                self.position = await self._fold(self._read_model, self.position)
            except ProjectorError as error:
                self.error = str(error)
                raise
            return self._events - before

    async def rebuild(self) -> None:
        """Fold all events into a copy as it was when registered, then take its place."""
        async with self._one_at_a_time:
            fresh = _copy(self._blank)
            position = await self._fold(fresh, 0)
            # Without waiting in between: whoever asks sees the old state or the new one.
            state = vars(self._read_model)
            state.clear()
            state.update(vars(fresh))
            self.position, self.error = position, None
            self._rebuilds += 1

    def metrics(self) -> ReadModelMetrics:
        return ReadModelMetrics(
            self._events, self.failures, self._rebuilds, self.position, self._seconds
        )

    async def _fold(self, read_model: ReadModel, position: int) -> int:
        started = perf_counter()
        try:
            with message_context(tenant_id=self._tenant_id):
                while True:
                    page = await self._read(position)
                    for stored in page.events:
                        await self._take(read_model, stored)
                    position = page.position
                    if page.is_last:
                        return position
        finally:
            self._seconds += perf_counter() - started

    async def _read(self, position: int) -> EventPage:
        return await self._event_store.read_page(
            position, limit=self._batch_size, event_filter=self.event_filter
        )

    async def _take(self, read_model: ReadModel, stored: StoredEvent) -> None:
        try:
            for event in self._handled.serializer.hydrate(stored):
                if self._handled.handled_class(type(event)) is not None:
                    await read_model.handle_event(event)
        except Exception as error:
            self.failures += 1
            name = type(read_model).__name__
            raise ProjectorError(name, stored.position, stored.event_type, error) from error
        self._events += 1


def _copy(read_model: ReadModel) -> ReadModel:
    try:
        return deepcopy(read_model)
    except TypeError as error:
        name = type(read_model).__name__
        msg = f"{name} holds what cannot be copied ({error}), so it could not be rebuilt"
        raise ProjectionDefinitionError(msg) from error
