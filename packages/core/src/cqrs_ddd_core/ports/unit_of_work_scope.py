"""Where the current unit of work is found, and made when somebody first asks for it."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from cqrs_ddd_core.primitives.exceptions import UnrecordedEventsError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from contextvars import Token

    from cqrs_ddd_core.domain.events import DomainEvent
    from cqrs_ddd_core.ports.unit_of_work import EventSource, UnitOfWork

__all__ = [
    "EventRecording",
    "UnitOfWorkFactory",
    "UnitOfWorkScope",
    "current_scope",
    "enter_scope",
    "get_current_uow",
    "hand_over_events",
    "leave_scope",
    "require_recording",
    "track_loaded",
]

#: Makes a new unit of work for each root command.
UnitOfWorkFactory: TypeAlias = "Callable[[], UnitOfWork]"
#: Takes the events of a unit of work, puts them where they belong and returns them.
EventRecording: TypeAlias = "Callable[[UnitOfWork], Awaitable[Sequence[DomainEvent]]]"

_current: ContextVar[UnitOfWorkScope | None] = ContextVar("cqrs_ddd_unit_of_work", default=None)


class UnitOfWorkScope:
    """Where ``get_current_uow()`` looks: a unit of work, or the way to make one when needed.

    A command that touches no store then costs no unit of work.

    Args:
        factory: Called at most once, when somebody asks for the unit of work.
        recorder: Takes the events of the unit of work that is made.
        uow: An active unit of work; the factory is not needed then.
    """

    __slots__ = ("_factory", "_recorder", "owner", "uow")

    def __init__(
        self,
        factory: UnitOfWorkFactory,
        recorder: EventRecording | None = None,
        uow: UnitOfWork | None = None,
    ) -> None:
        self._factory = factory
        self._recorder = recorder
        self.owner: asyncio.Task[Any] | None = asyncio.current_task()
        self.uow = uow

    def open(self) -> UnitOfWork:
        """Return the unit of work, made and begun on the first call."""
        if self.uow is None:
            self.uow = self._factory()
            self.uow.begin()
            if self._recorder is not None:
                self.uow.record_with(self._recorder)
        return self.uow


# The variable's own functions: they run for every command.
enter_scope: Final[Callable[[UnitOfWorkScope | None], Token[UnitOfWorkScope | None]]] = _current.set
leave_scope: Final[Callable[[Token[UnitOfWorkScope | None]], None]] = _current.reset


def current_scope() -> UnitOfWorkScope | None:
    """Return the scope this task is in, ``None`` outside any.

    A task that was started inside one does not inherit it, because it may outlive it (C-2).
    """
    scope = _current.get()
    return scope if scope is not None and scope.owner is asyncio.current_task() else None


def get_current_uow() -> UnitOfWork | None:
    """Return the unit of work this task is in, ``None`` outside any.

    A task that was started inside a unit of work does not inherit it, because it may outlive it:
    what it does is on its own, and a command it sends opens a new one.
    """
    scope = current_scope()
    return None if scope is None else scope.open()


def require_recording(aggregate: EventSource) -> None:
    """Refuse to save events outside any unit of work; for repositories, before they write.

    Raises:
        UnrecordedEventsError: The aggregate raised events, and nobody would record them.
    """
    if current_scope() is None and (raised := aggregate.raised_events()):
        raise UnrecordedEventsError([event.event_type for _, event in raised])


def track_loaded(aggregate: EventSource) -> None:
    """Tell the current unit of work, if there is one, of a loaded aggregate; for repositories."""
    uow = get_current_uow()
    if uow is not None:
        uow.track(aggregate)


def hand_over_events(aggregate: EventSource) -> None:
    """Give the events of a saved aggregate to the current unit of work; for repositories."""
    uow = get_current_uow()
    if uow is not None:
        uow.save_events(aggregate)
