"""Prove that events which a policy lets follow each other come to one state in either order."""

from __future__ import annotations

from copy import deepcopy
from itertools import product
from typing import TYPE_CHECKING, Any, cast

from hypothesis import strategies as st

from cqrs_ddd_advanced_core.conflict import EventVerdict
from cqrs_ddd_core.primitives.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hypothesis.strategies import SearchStrategy

    from cqrs_ddd_advanced_core.conflict import EventConflictPolicy
    from cqrs_ddd_advanced_core.domain import EventSourcedAggregateMixin
    from cqrs_ddd_core.domain.aggregate import AggregateRoot
    from cqrs_ddd_core.domain.events import DomainEvent

__all__ = ["assert_commutes", "commuting_pairs"]


def assert_commutes(
    aggregate: EventSourcedAggregateMixin, mine: DomainEvent, theirs: DomainEvent
) -> None:
    """Check that two events bring an aggregate to one state, whichever comes first.

    Args:
        aggregate: The state before both; it stays as it is.
        mine: One event.
        theirs: The other.

    Raises:
        AssertionError: The states differ.
    """
    mine_last = _state_after(aggregate, theirs, mine)
    mine_first = _state_after(aggregate, mine, theirs)
    differing = [
        f"{name} is {mine_last.get(name)!r} when {mine.event_type} comes last and "
        f"{mine_first.get(name)!r} when it comes first"
        for name in {**mine_last, **mine_first}
        if mine_last.get(name) != mine_first.get(name)
    ]
    if differing:
        msg = f"{mine!r} and {theirs!r} do not commute: {'; '.join(differing)}"
        raise AssertionError(msg)


def commuting_pairs(
    policy: EventConflictPolicy, events: Mapping[type[DomainEvent], SearchStrategy[Any]]
) -> SearchStrategy[tuple[DomainEvent, DomainEvent]]:
    """Return a hypothesis strategy of pairs, mine and theirs, that a policy lets commute.

    Args:
        policy: Which events commute.
        events: How events are made, by class; subclasses of declared classes are tried too.

    Raises:
        ConfigurationError: A commuting pair is declared whose events are not given, so that it
            would not be tested.
    """
    pairs: list[SearchStrategy[tuple[DomainEvent, DomainEvent]]] = []
    for mine, theirs in policy.declared(EventVerdict.COMMUTES):
        found = [
            st.tuples(events[my_class], events[their_class])
            for my_class, their_class in product(events, repeat=2)
            if issubclass(my_class, mine) and issubclass(their_class, theirs)
        ]
        if not found:
            msg = f"nothing makes {mine.__name__} and {theirs.__name__}, which are to commute"
            raise ConfigurationError(msg)
        pairs += found
    return st.one_of(pairs).filter(
        lambda pair: policy.judge(*pair).verdict is EventVerdict.COMMUTES
    )


def _state_after(aggregate: EventSourcedAggregateMixin, *events: DomainEvent) -> dict[str, Any]:
    copy = deepcopy(aggregate)
    for event in events:
        copy.apply(event)
    # Not the objects themselves: entities are equal when their ids are.
    return cast("AggregateRoot[Any]", copy).model_dump()
