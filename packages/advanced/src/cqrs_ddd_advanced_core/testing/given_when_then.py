"""Tests of aggregates and deciders that read like their rules: given, when, then."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeVar, cast, overload

from cqrs_ddd_advanced_core.domain import Decider, EventSourcedAggregateMixin
from cqrs_ddd_advanced_core.testing._differences import (
    check_events,
    check_message,
    check_values,
    failure,
    show_events,
)
from cqrs_ddd_core.domain.aggregate import AggregateRoot
from cqrs_ddd_core.domain.events import DomainEvent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["GivenAggregate", "GivenDecider", "When", "given"]

A = TypeVar("A", bound=AggregateRoot[Any])
C = TypeVar("C")
S = TypeVar("S")
E = TypeVar("E", bound=DomainEvent)
X = TypeVar("X", bound=Exception)

_ANY: Final[Any] = object()


@overload
def given(decider: Decider[C, S, E], /, *events: E) -> GivenDecider[C, S, E]: ...
@overload
def given(
    aggregate_class: type[A], entity_id: object, /, *events: DomainEvent
) -> GivenAggregate[A]: ...
def given(subject: Any, /, *past: Any) -> Any:
    """Say what has happened so far: to a decider, or to the aggregate of a class and an id.

    ``given(Account, "a-1", AccountOpened(owner="Ada"))`` or ``given(decider, AccountOpened())``.
    """
    if isinstance(subject, Decider):
        return GivenDecider(subject, past)
    return GivenAggregate(subject, past[0], past[1:])


class GivenAggregate(Generic[A]):
    """An aggregate with a past.

    Args:
        aggregate_class: Its class, with ``EventSourcedAggregateMixin``.
        entity_id: Its id.
        events: What happened to it, applied the way stored events are.
    """

    def __init__(
        self, aggregate_class: type[A], entity_id: object, events: Sequence[DomainEvent] = ()
    ) -> None:
        self._class = aggregate_class
        self._id = entity_id
        self._events = events

    def when(self, action: Callable[[A], object]) -> When[A]:
        """Say what is done to it: ``lambda account: account.deposit(5)``.

        An action that returns an aggregate of the class, as a factory does, is about that one.
        """
        return When(lambda: self._run(action))

    def _run(self, action: Callable[[A], object]) -> _Outcome[A]:
        blank = cast("type[EventSourcedAggregateMixin]", self._class).blank(self._id)
        blank.load_from_history(self._events)
        aggregate = cast("A", blank)
        result = action(aggregate)
        if isinstance(result, self._class):
            aggregate = result
        return _Outcome(aggregate, aggregate.get_uncommitted_events(), result)


class GivenDecider(Generic[C, S, E]):
    """A decider with a past.

    Args:
        decider: The rules.
        events: What happened.
    """

    def __init__(self, decider: Decider[C, S, E], events: Sequence[E] = ()) -> None:
        self._decider = decider
        self._events = events

    def when(self, command: C) -> When[S]:
        """Say which command it decides on."""
        return When(lambda: self._run(command))

    def _run(self, command: C) -> _Outcome[S]:
        before = self._decider.fold(self._events)
        decided = self._decider.events_for(before, command)
        after = self._decider.fold([*self._events, *decided])
        return _Outcome(after, decided, decided)


class _Outcome(NamedTuple, Generic[S]):
    state: S
    events: Sequence[DomainEvent]
    result: object


class When(Generic[S]):
    """What is done, and what is expected of it; it is done once, when the first is asked for.

    An error nobody expects comes out as it is.

    Args:
        run: Does it.
    """

    def __init__(self, run: Callable[[], _Outcome[S]]) -> None:
        self._run = run

    @property
    def events(self) -> Sequence[DomainEvent]:
        """The events that came, in the order they were raised."""
        return self._outcome.events

    @property
    def state(self) -> S:
        """The aggregate, or the decider's state, afterwards."""
        return self._outcome.state

    @property
    def result(self) -> object:
        """What the action returned."""
        return self._outcome.result

    def then(self, *events: DomainEvent) -> When[S]:
        """Expect exactly these events, in this order.

        Their own fields are compared; ids, times and the rest of the envelope only where the
        expected event was given them.

        Raises:
            AssertionError: Others came, or none.
        """
        __tracebackhide__ = True
        check_events("raised", events, self.events)
        return self

    def then_nothing(self) -> When[S]:
        """Expect that nothing happens.

        Raises:
            AssertionError: Some event came.
        """
        __tracebackhide__ = True
        if self.events:
            raise failure("nothing was expected to happen", show_events(self.events))
        return self

    def then_state(self, state: S = _ANY, /, **fields: object) -> When[S]:
        """Expect a state as a whole, or some of its fields: ``then_state(balance=5)``.

        Raises:
            AssertionError: It is another one.
        """
        __tracebackhide__ = True
        actual = self.state
        for name in fields:
            if not hasattr(actual, name):
                msg = f"{type(actual).__name__} has no {name!r}: {actual!r}"
                raise AssertionError(msg)
        check_values(fields, {name: getattr(actual, name) for name in fields})
        if state is not _ANY:
            check_values({"": state}, {"": actual})
        return self

    def then_raises(self, error_class: type[X], match: str | None = None) -> X:
        """Expect an error, and return it.

        Args:
            error_class: Its class, or a base.
            match: A regular expression that occurs in its message.

        Raises:
            AssertionError: There was none, or its message is another one.
        """
        __tracebackhide__ = True
        try:
            events = self.events
        except error_class as error:
            check_message(error, match)
            return error
        raise failure(f"{error_class.__name__} was expected and not raised", show_events(events))

    @cached_property
    def _outcome(self) -> _Outcome[S]:
        return self._run()
