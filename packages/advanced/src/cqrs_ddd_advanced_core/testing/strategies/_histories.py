"""Histories that an aggregate really could have, by calling its methods at random."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast

from hypothesis import strategies as st

from cqrs_ddd_advanced_core.testing.strategies._events import strategy_of
from cqrs_ddd_advanced_core.testing.strategies._values import arguments_of, values_of
from cqrs_ddd_core.domain.aggregate import AggregateRoot
from cqrs_ddd_core.primitives.exceptions import DomainError, ValidationError

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn, SearchStrategy

    from cqrs_ddd_advanced_core.domain import EventSourcedAggregateMixin
    from cqrs_ddd_core.domain.events import DomainEvent

__all__ = ["Call", "aggregates", "calls", "histories"]

A = TypeVar("A", bound=AggregateRoot[Any])

_REFUSALS: Final = (DomainError, ValidationError)


@dataclass(frozen=True)
class Call(Generic[A]):
    """A method and what it is called with.

    Attributes:
        method: As the class has it.
        arguments: By name.
    """

    method: Callable[..., object]
    arguments: dict[str, Any]

    def __call__(self, aggregate: A) -> object:
        return self.method(aggregate, **self.arguments)

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self.arguments.items())
        return f"{self.method.__name__}({given})"


def calls(method: Callable[..., object], /, **overrides: Any) -> SearchStrategy[Call[Any]]:
    """Return a strategy of calls of a method, with any arguments its annotations allow.

    Args:
        method: As the class has it: ``Account.deposit``.
        overrides: Strategies, or fixed values, of single arguments; those with a default are
            drawn only if they stand here.

    Raises:
        ConfigurationError: A parameter has a type nothing is known of, or an override has none.
    """
    arguments = arguments_of(method, {name: strategy_of(one) for name, one in overrides.items()})
    return arguments.map(lambda drawn: Call(method, drawn))


def aggregates(
    aggregate_class: type[A],
    commands: Iterable[SearchStrategy[Callable[[A], object]] | Callable[..., object]],
    *,
    start: SearchStrategy[A] | None = None,
    refusals: tuple[type[Exception], ...] = _REFUSALS,
    max_commands: int = 20,
) -> SearchStrategy[A]:
    """Return a strategy of aggregates after random commands, their events not yet committed.

    A command that is refused leaves nothing, as in a unit of work that is rolled back: the
    aggregate goes on as its events say.

    Args:
        aggregate_class: The class.
        commands: Methods of it, strategies of calls, or of functions that take the aggregate.
        start: How it begins, such as ``st.builds(Account.open, st.uuids().map(str))``; blank, with
            any id, when not given.
        refusals: Errors by which a command is refused; any other is a defect and comes out.
        max_commands: How many commands at most.

    Raises:
        ConfigurationError: A method has a parameter of a type nothing is known of.
    """
    choices = [one if isinstance(one, st.SearchStrategy) else calls(one) for one in commands]
    sequences = st.lists(st.one_of(*choices), max_size=max_commands)
    beginnings = _blank(aggregate_class) if start is None else start

    @st.composite
    def run(draw: DrawFn) -> A:
        aggregate = draw(beginnings)
        for command in draw(sequences):
            events = aggregate.get_uncommitted_events()
            try:
                command(aggregate)
            except refusals:
                aggregate = _replayed(aggregate, events)
        return aggregate

    return run()


def histories(
    aggregate_class: type[A],
    commands: Iterable[SearchStrategy[Callable[[A], object]] | Callable[..., object]],
    **options: Any,
) -> SearchStrategy[Sequence[DomainEvent]]:
    """Return a strategy of the events of aggregates after random commands; see ``aggregates``.

    Args:
        aggregate_class: The class.
        commands: Methods of it, strategies of calls, or of functions that take the aggregate.
        options: The further arguments of ``aggregates``.

    Raises:
        ConfigurationError: A method has a parameter of a type nothing is known of.
    """
    found = aggregates(aggregate_class, commands, **options)
    return found.map(lambda aggregate: aggregate.get_uncommitted_events())


def _blank(aggregate_class: type[A]) -> SearchStrategy[A]:
    mixed = cast("type[EventSourcedAggregateMixin]", aggregate_class)
    field = aggregate_class.model_fields["id"]
    ids = values_of(field.annotation, field.metadata)
    return ids.map(lambda entity_id: cast("A", mixed.blank(entity_id)))


def _replayed(aggregate: A, events: Iterable[DomainEvent]) -> A:
    again = cast("type[EventSourcedAggregateMixin]", type(aggregate)).blank(aggregate.id)
    for event in events:
        again.raise_event(event)
    return cast("A", again)
