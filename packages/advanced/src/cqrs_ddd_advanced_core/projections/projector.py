"""Projectors: which event changes which rows, and how."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable
from types import SimpleNamespace, UnionType
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    TypeAlias,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    overload,
)

from cqrs_ddd_advanced_core.domain.projection_exceptions import ProjectionDefinitionError
from cqrs_ddd_core.domain.events import DomainEvent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cqrs_ddd_advanced_core.ports.projection_schema import ProjectionSchema
    from cqrs_ddd_advanced_core.projections.policy import ErrorPolicy
    from cqrs_ddd_advanced_core.projections.rows import ProjectionRows
    from cqrs_ddd_core.ports.event_store import IEventStore, StoredEvent

__all__ = ["EventHandler", "FunctionProjector", "Projector", "StoredEventHandler", "projects"]

F = TypeVar("F", bound=Callable[..., Any])

#: Applies an event to rows; a plain function is faster than a coroutine.
EventHandler: TypeAlias = Callable[[Any, "ProjectionRows"], Awaitable[None] | None]
#: Applies an event as it is stored; it never waits.
StoredEventHandler: TypeAlias = Callable[["StoredEvent", "ProjectionRows"], None]

_MARK: Final = "__projects__"


@overload
def projects(*event_classes: type[DomainEvent]) -> Callable[[F], F]: ...
@overload
def projects(method: F, /) -> F: ...
def projects(*event_classes: Any) -> Any:
    """Mark a method of a projector as the handler of events.

    Used bare, as ``@projects``, the annotation of its first parameter tells which. The handler of
    a class gets the events derived from it too, unless they have one of their own.

    Args:
        event_classes: The event classes, where the annotation does not tell.
    """
    if len(event_classes) == 1 and not isinstance(event_classes[0], type):
        return _mark(event_classes[0], ())
    return lambda method: _mark(method, event_classes)


def _mark(method: F, event_classes: tuple[type[DomainEvent], ...]) -> F:
    setattr(method, _MARK, event_classes)
    return method


class Projector:
    """Keeps read models: methods marked with ``@projects`` change rows when events happen.

    A handler takes the event and the rows, as ``def`` or ``async def``. It changes rows through
    ``rows``, or by SQL of its own in the unit of work of the store, and does nothing else: it
    may run several times for an event, until its batch has committed.

    Attributes:
        name: Of the projection, for ever: its checkpoint is kept under it.
        version: Of the definition; raise it when old rows are wrong, and rebuild.
        tables: What the rows look like.
        partitions: Into how many shares the streams are divided, for as many workers at once.
            With more than one, the order of events is kept within each stream only.
        error_policy: What becomes of an event that cannot be applied; the worker's when ``None``.
        depends_on: Names of projections it waits for: it applies an event when all of them have
            applied it, so that it may read their rows, which may be further on by then.
    """

    name: str = ""
    version: int = 1
    tables: Sequence[ProjectionSchema] = ()
    partitions: int = 1
    error_policy: ErrorPolicy | None = None
    depends_on: Sequence[str] = ()

    def handlers(self) -> Mapping[type[DomainEvent], EventHandler]:
        """Return what is called for which event class.

        Raises:
            ProjectionDefinitionError: A handler cannot be one, or an event has two.
        """
        handlers: dict[type[DomainEvent], EventHandler] = {}
        for method_name, marked in inspect.getmembers_static(type(self), _is_marked):
            method = getattr(self, method_name)
            for event_class in getattr(marked, _MARK) or _annotated_classes(method):
                _check_handler(self.name, event_class, method)
                if event_class in handlers:
                    msg = f"{self.name} has two handlers of {event_class.__name__}"
                    raise ProjectionDefinitionError(msg)
                handlers[event_class] = method
        return handlers

    def reads(self, event: Any) -> Iterable[tuple[str | ProjectionSchema, Any]]:  # noqa: ARG002
        """Return table and key of the rows the handler of an event will ask for.

        A batch fetches them with one statement for each table. A row that is not named here is
        fetched when it is asked for, so this changes nothing but speed.
        """
        return ()

    async def starting_position(self, event_store: IEventStore | None) -> int:  # noqa: ARG002
        """Return behind which position it begins when it has no checkpoint yet."""
        return 0

    def stored_handler(self, event_class: type[DomainEvent]) -> StoredEventHandler | None:  # noqa: ARG002
        """Return what handles stored events of today's shape without reading them as a class.

        ``None`` when the handler needs the event itself.
        """
        return None


class FunctionProjector(Projector):
    """A projector made of functions.

    Args:
        name: Of the projection.
        handlers: A function for each event class; it takes the event and the rows.
        tables: What the rows look like.
        version: Of the definition.
        partitions: Into how many shares the streams are divided.
        error_policy: What becomes of an event that cannot be applied.
        depends_on: Names of projections it waits for.

    Raises:
        ProjectionDefinitionError: A handler cannot be one.
    """

    def __init__(
        self,
        name: str,
        handlers: Mapping[type[DomainEvent], EventHandler],
        *,
        tables: Sequence[ProjectionSchema],
        version: int = 1,
        partitions: int = 1,
        error_policy: ErrorPolicy | None = None,
        depends_on: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.version = version
        self.tables = tables
        self.partitions = partitions
        self.error_policy = error_policy
        self.depends_on = depends_on
        for event_class, handler in handlers.items():
            _check_handler(name, event_class, handler)
        self._handlers = dict(handlers)

    def handlers(self) -> Mapping[type[DomainEvent], EventHandler]:
        return self._handlers


def _is_marked(member: object) -> bool:
    return hasattr(member, _MARK)


def _annotated_classes(method: Callable[..., Any]) -> Sequence[type[DomainEvent]]:
    parameters = list(inspect.signature(method).parameters.values())
    annotation = parameters[0].annotation if parameters else None
    try:
        hint = _evaluated(annotation, method)
    except NameError as error:
        msg = f"{method.__qualname__}: {error}; name the event: @projects(TheEvent)"
        raise ProjectionDefinitionError(msg) from None
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def _evaluated(annotation: Any, method: Callable[..., Any]) -> Any:
    # This annotation alone: that of the rows is often imported for type checkers only.
    namespace = inspect.unwrap(method).__globals__
    holder = SimpleNamespace(__annotations__={"event": annotation})
    return get_type_hints(holder, globalns=namespace)["event"]


def _check_handler(name: str, event_class: Any, handler: Callable[..., Any]) -> None:
    if not (isinstance(event_class, type) and issubclass(event_class, DomainEvent)):
        msg = f"{name}: a handler is for {event_class!r}, which is no event class"
        raise ProjectionDefinitionError(msg)
    try:
        inspect.signature(handler).bind(None, None)
    except TypeError:
        msg = f"{name}: the handler of {event_class.__name__} has to take the event and the rows"
        raise ProjectionDefinitionError(msg) from None
