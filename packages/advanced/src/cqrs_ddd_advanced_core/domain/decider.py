"""Aggregates written as two functions: what is decided, and what it changes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Generic, TypeVar, cast, get_args, get_type_hints
from uuid import UUID

from pydantic import TypeAdapter, ValidationError, create_model

from cqrs_ddd_advanced_core.domain._state_type import members_of, storable
from cqrs_ddd_advanced_core.domain.aggregate_mixin import EventSourcedAggregateMixin
from cqrs_ddd_advanced_core.domain.event_handlers import (
    EventHandlerMethod,
    EventHandlerTable,
    aggregate_event_handler,
)
from cqrs_ddd_advanced_core.domain.exceptions import (
    EventSourcingConfigurationError,
    MissingEventHandlerError,
    UnknownCommandError,
)
from cqrs_ddd_core.domain.aggregate import AggregateRoot
from cqrs_ddd_core.domain.events import DomainEvent

__all__ = ["DecidedAggregate", "Decider", "aggregate_of"]

C = TypeVar("C")
S = TypeVar("S")
E = TypeVar("E", bound=DomainEvent)


@dataclass(frozen=True)
class Decider(Generic[C, S, E]):
    """The rules of an aggregate without the aggregate: two pure functions and a first state.

    Neither function changes anything, waits for anything, or looks at a clock: what they need
    stands in their arguments, so that a test is a call, and deciding again after a lost race is
    always safe. The pattern is Jérémie Chassaing's, "Functional Event Sourcing Decider", 2021.

    Annotate both functions: the annotations tell which commands, events and states there are.

    Args:
        decide: Takes the state and a command, and returns the events that happen, ``[]`` when
            nothing does; raises when a rule says no.
        evolve: Takes the state and an event that happened, and returns the next state.
        initial_state: Before the first event.

    Raises:
        EventSourcingConfigurationError: A function is async, or does not take two arguments.
    """

    decide: Callable[[S, C], Iterable[E]]
    evolve: Callable[[S, E], S]
    initial_state: S

    def __post_init__(self) -> None:
        for function in (self.decide, self.evolve):
            _check(function)

    def events_for(self, state: S, command: C) -> list[E]:
        """Return what a command makes happen in a state.

        Raises:
            UnknownCommandError: ``decide`` does not know the command, by its annotation or
                because it returned nothing at all.
            Exception: What ``decide`` raised.
        """
        decided: Iterable[E] | None = None
        if not self.command_types or isinstance(command, self.command_types):
            decided = self.decide(state, command)
        if decided is None:
            known = [one.__name__ for one in self.command_types]
            raise UnknownCommandError(_name(self.decide), type(command).__name__, known)
        return list(decided)

    def next_state(self, state: S, event: E) -> S:
        """Return the state after an event.

        Raises:
            MissingEventHandlerError: ``evolve`` returned nothing.
        """
        after = self.evolve(state, event)
        if after is None and self.initial_state is not None:
            remedy = "it returned None: let it return the state, the same one if nothing changes"
            raise MissingEventHandlerError(_name(self.evolve), event.event_type, remedy)
        return after

    def fold(self, events: Iterable[E]) -> S:
        """Return what events make of the initial state, in the order given."""
        state = self.initial_state
        for event in events:
            state = self.next_state(state, event)
        return state

    @cached_property
    def command_types(self) -> tuple[type[C], ...]:
        """The commands ``decide`` is annotated with; empty when that names no classes."""
        found = members_of(_argument(self.decide))
        return found if all(map(_is_class, found)) else ()

    @cached_property
    def event_types(self) -> tuple[type[E], ...]:
        """The events that the annotations of both functions name, in that order."""
        decided = get_args(_hints(self.decide).get("return"))
        found = [*members_of(_argument(self.evolve))]
        found += [one for item in decided for one in members_of(item)]
        return tuple(dict.fromkeys(one for one in found if _is_event_class(one)))

    @cached_property
    def state_type(self) -> Any:
        """What ``evolve`` is annotated to return; ``None`` when it is not."""
        return _hints(self.evolve).get("return")


class DecidedAggregate(EventSourcedAggregateMixin, AggregateRoot[Any], Generic[C, S, E]):
    """An event-sourced aggregate run by a decider; made by ``aggregate_of``.

    Repository, snapshots, cache, replay and deletion take it for what it is: an aggregate.

    Attributes:
        decider: Its rules.
        state: The current state, exactly as ``evolve`` returned it.
    """

    decider: ClassVar[Decider[Any, Any, Any]]
    __evolved__: ClassVar[frozenset[type[DomainEvent]]]

    state: S

    def execute(self, command: C) -> list[E]:
        """Decide on a command, raise the events, and return them.

        Raises:
            UnknownCommandError: The decider does not know the command.
            MissingEventHandlerError: It decided on an event that could not be read back.
            Exception: What ``decide`` raised; nothing has happened then.
        """
        events: list[E] = self.decider.events_for(self.state, command)
        for event in events:
            self.raise_event(event)
        return events

    def raise_event(self, event: DomainEvent) -> None:
        if type(event) not in self.__evolved__:
            remedy = "name it in the annotation of evolve, or in events=, so that it can be read"
            raise MissingEventHandlerError(self.aggregate_type, event.event_type, remedy)
        super().raise_event(event)


def aggregate_of(
    decider: Decider[C, S, E],
    name: str,
    *,
    events: Iterable[type[DomainEvent]] = (),
    state_type: Any = None,
    id_type: type[str | int | UUID] = str,
) -> type[DecidedAggregate[C, S, E]]:
    """Return a class of aggregates for a decider, to give to an ``EventSourcedRepository``.

    Args:
        decider: The rules.
        name: Of the class, and its ``aggregate_type``; keep it once events are stored.
        events: The event classes, where the annotations do not name them.
        state_type: The type of all states, where ``evolve`` is not annotated with it. Anything
            pydantic can write; classes of a union are told apart by their names.
        id_type: The type of the ids.

    Raises:
        EventSourcingConfigurationError: It is not known which events or states there are, or the
            initial state is of another type.
    """
    event_types = tuple(events) or decider.event_types
    if not event_types:
        msg = f"{_name(decider.evolve)} names no event classes: annotate it, or give events=[...]"
        raise EventSourcingConfigurationError(msg)
    states = _state_type(decider, state_type)
    made: Any = create_model(
        name,
        __base__=DecidedAggregate,
        __doc__=f"Made of {_name(decider.decide)} and {_name(decider.evolve)}.",
        __module__=decider.decide.__module__,
        id=(id_type, ...),
        state=(states, decider.initial_state),
    )
    made.decider = decider
    made.__evolved__ = frozenset(event_types)
    for event_type in event_types:
        setattr(made, f"evolve_{event_type.event_type}", _handler_of(event_type, decider))
    made.__event_handlers__ = EventHandlerTable(made)
    return cast("type[DecidedAggregate[C, S, E]]", made)


def _handler_of(event_type: type[DomainEvent], decider: Decider[Any, S, Any]) -> EventHandlerMethod:
    next_state = decider.next_state

    @aggregate_event_handler(event_type)
    def evolve(aggregate: DecidedAggregate[Any, S, Any], event: DomainEvent) -> None:
        # Not validated: a converted copy could differ from the state that evolve is tested with.
        aggregate.__dict__["state"] = next_state(aggregate.__dict__["state"], event)

    return evolve


def _state_type(decider: Decider[Any, Any, Any], state_type: Any) -> Any:
    states = decider.state_type if state_type is None else state_type
    if states is None:
        msg = f"annotate what {_name(decider.evolve)} returns, or give state_type=..."
        raise EventSourcingConfigurationError(msg)
    states = storable(states)
    try:
        TypeAdapter(states).validate_python(decider.initial_state)
    except ValidationError as error:
        msg = f"the initial state {decider.initial_state!r} is not of the type of the states"
        raise EventSourcingConfigurationError(msg) from error
    return states


def _check(function: Callable[..., Any]) -> None:
    if inspect.iscoroutinefunction(function):
        msg = f"{_name(function)} is async: a decider only calculates; load before, save after"
        raise EventSourcingConfigurationError(msg)
    try:
        inspect.signature(function).bind(None, None)
    except TypeError:
        msg = f"{_name(function)} has to take two arguments, the state first"
        raise EventSourcingConfigurationError(msg) from None


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    annotated = function if inspect.isroutine(function) else type(function).__call__
    try:
        return get_type_hints(annotated)
    except NameError:
        # Names of a function's own scope, or imported for type checking only.
        return {}


def _argument(function: Callable[..., Any]) -> Any:
    """Return the annotation of the second argument: the command, or the event."""
    _, second, *_ = inspect.signature(function).parameters
    return _hints(function).get(second, Any)


def _is_event_class(found: Any) -> bool:
    return isinstance(found, type) and issubclass(found, DomainEvent) and found is not DomainEvent


def _is_class(found: Any) -> bool:
    # A parametrised base, such as Command[Any], is not the base of the others.
    origin = getattr(found, "__pydantic_generic_metadata__", {}).get("origin")
    return isinstance(found, type) and found is not Any and origin is None


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__qualname__", type(function).__qualname__)
