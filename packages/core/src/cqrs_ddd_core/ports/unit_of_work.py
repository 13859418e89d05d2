"""The unit of work: everything a command does commits together or not at all."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple, Protocol, Self

from cqrs_ddd_core.correlation import get_context
from cqrs_ddd_core.domain.events import enrich_event
from cqrs_ddd_core.ports.event_store import StreamId
from cqrs_ddd_core.ports.pending_stream import PendingStream
from cqrs_ddd_core.ports.unit_of_work_scope import (
    UnitOfWorkScope,
    enter_scope,
    get_current_uow,
    leave_scope,
)
from cqrs_ddd_core.primitives.exceptions import (
    UnitOfWorkError,
    UnrecordedEventsError,
    UnsavedChangesError,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence
    from contextvars import Token

    from cqrs_ddd_core.domain.aggregate import RaisedEvent
    from cqrs_ddd_core.domain.events import DomainEvent
    from cqrs_ddd_core.ports.event_store import IEventStore
    from cqrs_ddd_core.ports.unit_of_work_scope import EventRecording

__all__ = ["EventSource", "RecordedAppend", "UnitOfWork", "UnitOfWorkState"]

_logger = logging.getLogger(__name__)


class EventSource(Protocol):
    """What a unit of work needs to know of an aggregate."""

    @property
    def aggregate_type(self) -> str: ...

    @property
    def id(self) -> object: ...

    @property
    def version(self) -> int: ...

    def set_version(self, version: int) -> None: ...

    def raised_events(self) -> tuple[RaisedEvent, ...]: ...

    def mark_events_as_committed(self) -> None: ...


class UnitOfWorkState(Enum):
    """The life of a unit of work."""

    NEW = "new"
    ACTIVE = "active"
    COMMITTED = "committed"
    ROLLED_BACK = "rolled back"


class RecordedAppend(NamedTuple):
    """Events that were appended together, and the position of the last of them."""

    events: Sequence[DomainEvent]
    position: int


class UnitOfWork(ABC):
    """One transaction, entered with ``async with``; leaving it commits, an exception rolls back.

    Inside the block ``get_current_uow()`` returns it, and stores of the same database write
    through it. It belongs to the task that entered it: a task started inside the block has no
    current unit of work and opens its own.

    Guarantee (G1): what was written through it is visible to others only after ``commit``, and
    then all of it. Cancelling the task rolls back and returns the connection clean (G10).
    """

    def __init__(self) -> None:
        self._state = UnitOfWorkState.NEW
        self._sources: dict[int, EventSource] = {}
        self._raised: list[RaisedEvent] = []
        self._seen: set[object] = set()
        self._streams: dict[StreamId, PendingStream] = {}
        self._before_commit: list[Callable[[UnitOfWork], Awaitable[None]]] = []
        self._after_record: list[Callable[[UnitOfWork], Awaitable[None]]] = []
        self._recorder: EventRecording | None = None
        self._fallback_recorder: EventRecording | None = None
        self._recorded: Sequence[DomainEvent] = ()
        self._appends: list[RecordedAppend] = []
        self._doom: str | None = None
        self._on_commit: list[Callable[[], Awaitable[None]]] = []
        self._position: int | None = None
        self._token: Token[UnitOfWorkScope | None] | None = None

    @classmethod
    def current(cls) -> Self:
        """Return the unit of work this task is in, for handlers with statements of their own.

        Raises:
            UnitOfWorkError: There is none, or it is of another type.
        """
        uow = get_current_uow()
        if isinstance(uow, cls):
            return uow
        found = "none" if uow is None else f"a {type(uow).__name__}"
        msg = f"this needs a current {cls.__name__}, and there is {found}; run it in a command"
        raise UnitOfWorkError(msg)

    @property
    def state(self) -> UnitOfWorkState:
        """Whether it is new, active, committed or rolled back."""
        return self._state

    @property
    def position(self) -> int | None:
        """The highest position appended through it; ``None`` when no event was stored."""
        return self._position

    def note_position(self, position: int) -> None:
        """Remember a position an event store has appended at; for event stores."""
        if self._position is None or position > self._position:
            self._position = position

    def before_commit(self, hook: Callable[[UnitOfWork], Awaitable[None]]) -> None:
        """Run a hook inside the transaction before events are recorded; its exception rolls back.

        Aggregates it saves are part of the commit.
        """
        self._before_commit.append(hook)

    def after_record(self, hook: Callable[[UnitOfWork], Awaitable[None]]) -> None:
        """Run a hook as the last step inside the transaction; its exception rolls back.

        The events are appended by then and have their positions; it can add no more.
        """
        self._after_record.append(hook)

    def record_with(self, recorder: EventRecording, *, fallback: bool = False) -> None:
        """Let a recorder take the events as the last step before the commit; the first one stays.

        The mediator gives its own; without one, events are refused at the commit.

        Args:
            recorder: Takes them.
            fallback: Whether any other recorder, given before or later, goes before this one.
        """
        if fallback:
            self._fallback_recorder = self._fallback_recorder or recorder
        else:
            self._recorder = self._recorder or recorder

    @property
    def recorded_events(self) -> Sequence[DomainEvent]:
        """The events that were recorded, once it has committed."""
        return self._recorded

    @property
    def recorded_appends(self) -> Sequence[RecordedAppend]:
        """Which of the recorded events an event store has, in their order, for ``after_record``."""
        return self._appends

    def note_append(self, events: Sequence[DomainEvent], position: int) -> None:
        """Remember what was appended at which position; for recorders."""
        self._appends.append(RecordedAppend(events, position))
        self.note_position(position)

    def refuse_commit(self, reason: str) -> None:
        """Let it only roll back from now on, because part of its work failed."""
        self._doom = self._doom or reason

    def on_commit(self, hook: Callable[[], Awaitable[None]]) -> None:
        """Run a hook after the commit, in the order they were added.

        A hook that raises is logged; the commit stands and the other hooks run. Nothing that
        must happen may hang on a hook alone, for the process may die before it.
        """
        self._on_commit.append(hook)

    def track(self, aggregate: EventSource) -> None:
        """Remember an aggregate that was loaded, so that unsaved events are noticed."""
        self._sources[id(aggregate)] = aggregate

    def save_events(self, aggregate: EventSource) -> None:
        """Take over the events of an aggregate that was just saved; for repositories."""
        self.track(aggregate)
        self._add(aggregate.raised_events())

    def expect_stream(self, aggregate: EventSource, store: IEventStore) -> PendingStream:
        """Remember at which version an aggregate was loaded from its stream; the first load counts.

        Whatever is recorded for the stream is then appended to this store, at that version.
        """
        self.track(aggregate)
        stream = StreamId(aggregate.aggregate_type, str(aggregate.id))
        pending = self._streams.get(stream)
        if pending is None:
            pending = self._streams[stream] = PendingStream(stream, store, aggregate.version)
        return pending

    def save_stream(self, aggregate: EventSource, store: IEventStore) -> PendingStream:
        """Take over the events of an event-sourced aggregate; for repositories.

        The aggregate is then at the version its stream will have.

        Raises:
            OptimisticConcurrencyError: Another copy of it was saved in this unit of work.
        """
        pending = self.expect_stream(aggregate, store)
        raised = aggregate.raised_events()
        new = [event for _, event in raised if event.event_id not in self._seen]
        if new:
            pending.expect(aggregate.version)
            self._add(raised)
            pending.events += new
            aggregate.set_version(pending.next_version)
        return pending

    def pending_stream(self, stream: StreamId) -> PendingStream | None:
        """Return what is going to be appended to a stream that was loaded or saved here."""
        return self._streams.get(stream)

    def add_events(self, events: Iterable[DomainEvent]) -> None:
        """Add events that belong to no saved aggregate; ids known already are left out."""
        last = self._raised[-1][0] if self._raised else 0
        self._add((last, event) for event in events)

    def take_events(self) -> list[DomainEvent]:
        """Hand out the events added since the last call, in the order they were raised."""
        raised, self._raised = self._raised, []
        raised.sort(key=_raise_order)
        return [event for _, event in raised]

    def _add(self, raised: Iterable[RaisedEvent]) -> None:
        # Enriched here and not at commit: by then the message that caused them may be left.
        context = get_context()
        for item in raised:
            event = item[1]
            if event.event_id not in self._seen:
                self._seen.add(event.event_id)
                enrich_event(event, context)
                self._raised.append(item)

    def begin(self) -> None:
        """Make it usable without making it current; ``async with`` does both.

        Raises:
            UnitOfWorkError: It was used before.
        """
        if self._state is not UnitOfWorkState.NEW:
            msg = f"this unit of work is {self._state.value}; open a new one for each use"
            raise UnitOfWorkError(msg)
        self._state = UnitOfWorkState.ACTIVE

    async def __aenter__(self) -> Self:
        self.begin()
        self._token = enter_scope(UnitOfWorkScope(type(self), uow=self))
        return self

    async def __aexit__(self, exc_type: type[BaseException] | None, *_: object) -> None:
        try:
            if self._state is UnitOfWorkState.ACTIVE:
                await (self._finish() if exc_type is None else self.rollback())
        finally:
            if self._token is not None:
                leave_scope(self._token)
                self._token = None
        await self.run_hooks()

    async def commit(self) -> None:
        """Commit now; the rest of the block can no longer write.

        Raises:
            UnsavedChangesError: An aggregate raised events after it was last saved.
            UnrecordedEventsError: There are events and nobody who records them.
            UnitOfWorkError: Part of the work failed, so that it can only be rolled back.
            OptimisticConcurrencyError: Another writer was faster.
        """
        self.ensure_active()
        await self._finish()

    async def rollback(self) -> None:
        """Undo everything; the rest of the block can no longer write."""
        if self._state is UnitOfWorkState.ACTIVE:
            self._state = UnitOfWorkState.ROLLED_BACK
            await self._rollback()

    def ensure_active(self) -> None:
        """Refuse work outside the block, after commit or after rollback.

        Raises:
            UnitOfWorkError: This unit of work is not active.
        """
        if self._state is not UnitOfWorkState.ACTIVE:
            msg = f"this unit of work is {self._state.value}; it can no longer be used"
            raise UnitOfWorkError(msg)

    async def _finish(self) -> None:
        try:
            await self._prepare()
            await self._commit()
        except BaseException:
            await self.rollback()
            raise
        self._state = UnitOfWorkState.COMMITTED
        for source in self._sources.values():
            source.mark_events_as_committed()

    async def _prepare(self) -> None:
        for hook in self._before_commit:
            await hook(self)
        recorder = self._recorder or self._fallback_recorder
        if recorder is not None:
            self._recorded = await recorder(self)
        for hook in self._after_record:
            await hook(self)
        if self._doom is not None:
            raise UnitOfWorkError(self._doom)
        self._refuse_unsaved_events()
        if self._raised:
            raise UnrecordedEventsError([event.event_type for _, event in self._raised])

    def _refuse_unsaved_events(self) -> None:
        for source in self._sources.values():
            unsaved = sum(event.event_id not in self._seen for _, event in source.raised_events())
            if unsaved:
                raise UnsavedChangesError(source.aggregate_type, source.id, unsaved)

    async def run_hooks(self) -> None:
        """Run the hooks of a committed unit of work, once, outside of it."""
        if self._state is not UnitOfWorkState.COMMITTED:
            return
        hooks, self._on_commit = self._on_commit, []
        for hook in hooks:
            try:
                await hook()
            except Exception:
                _logger.exception("a hook failed after the commit; the commit stands")

    @abstractmethod
    async def _commit(self) -> None:
        """Make everything durable and visible, and give the connection back."""

    @abstractmethod
    async def _rollback(self) -> None:
        """Undo everything and give the connection back, whatever state it is in."""


def _raise_order(raised: RaisedEvent) -> int:
    return raised[0]
