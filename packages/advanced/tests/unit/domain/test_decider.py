"""Deciders: two functions, and the aggregate that is made of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import StrEnum
from functools import partial
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

import pytest
from pydantic import Field
from typing_extensions import TypeAliasType

from cqrs_ddd_advanced_core.domain import (
    DecidedAggregate,
    Decider,
    EventSourcingConfigurationError,
    EventValidationConfig,
    EventValidator,
    MissingEventHandlerError,
    UnknownCommandError,
    aggregate_of,
)
from cqrs_ddd_advanced_core.snapshots.codec import SnapshotCodec
from cqrs_ddd_advanced_core.testing.sample_decider import (
    AddEstimate,
    ApproveClaim,
    ApprovedClaim,
    ClaimApproved,
    ClaimEvent,
    ClaimFiled,
    ClaimState,
    EstimateAdded,
    FileClaim,
    FiledClaim,
    SampleClaim,
    claim_decider,
)
from cqrs_ddd_core import Command, DomainEvent, ValueObject
from cqrs_ddd_core.domain.event_registry import EventTypeRegistry
from cqrs_ddd_core.primitives.exceptions import InvariantViolationError

DAY = date(2026, 2, 28)
FILED = FiledClaim(holder="Ada", happened_on=DAY)


class Counted(DomainEvent):
    by: int = 1


class CountedTwice(Counted):
    pass


@dataclass(frozen=True)
class Count:
    by: int = 1


def count(state: int, command: Count) -> list[Counted]:
    return [Counted() for _ in range(command.by)]


Named = TypeAliasType("Named", Counted | ClaimApproved)


def add(state: int, event: Counted) -> int:
    return state + event.by


COUNTER = Decider(count, add, initial_state=0)


# --- the functions --------------------------------------------------------------------------------


def test_a_decision_is_a_list_of_events() -> None:
    assert [type(event) for event in COUNTER.events_for(0, Count(2))] == [Counted, Counted]


def test_a_generator_decides_too() -> None:
    def generate(state: int, command: Count) -> Iterable[Counted]:
        yield Counted()

    decider = Decider(generate, add, initial_state=0)
    assert len(decider.events_for(0, Count())) == 1


def test_events_are_folded_in_order() -> None:
    events: list[ClaimEvent] = [
        ClaimFiled(holder="Ada", happened_on=DAY),
        EstimateAdded(amount=Decimal(1)),
        ClaimApproved(),
        EstimateAdded(amount=Decimal(2)),
    ]
    assert claim_decider.fold(events) == ApprovedClaim(
        holder="Ada", happened_on=DAY, estimates=(Decimal(1),)
    )
    assert claim_decider.fold([]) is None


def test_a_rule_that_says_no_is_heard() -> None:
    with pytest.raises(InvariantViolationError):
        claim_decider.events_for(FILED, FileClaim(claim_id="c"))


def test_a_command_of_another_type_is_unknown() -> None:
    with pytest.raises(UnknownCommandError) as caught:
        claim_decider.events_for(FILED, "approve")  # type: ignore[arg-type]
    assert (caught.value.command_type, caught.value.known) == (
        "str",
        ("FileClaim", "AddEstimate", "ApproveClaim"),
    )
    assert str(caught.value) == (
        "decide does not decide on str; it knows FileClaim, AddEstimate, ApproveClaim: return its "
        "events, or [] where nothing happens"
    )


def test_a_command_that_nothing_is_returned_for_is_unknown() -> None:
    def forget(state: int, command: Any) -> Any:
        return None

    decider: Decider[Any, int, Counted] = Decider(forget, add, initial_state=0)
    with pytest.raises(UnknownCommandError, match="forget does not decide on Count: return"):
        decider.events_for(0, Count())


def test_an_event_that_evolve_returns_nothing_for_is_an_error() -> None:
    def forget(state: int, event: Counted) -> Any:
        return None

    decider: Decider[Count, int, Counted] = Decider(count, forget, initial_state=0)
    with pytest.raises(MissingEventHandlerError, match="returned None"):
        decider.fold([Counted()])


def test_the_annotations_tell_commands_events_and_states() -> None:
    assert claim_decider.command_types == (FileClaim, AddEstimate, ApproveClaim)
    assert claim_decider.event_types == (ClaimFiled, EstimateAdded, ClaimApproved)
    assert claim_decider.state_type == ClaimState
    assert COUNTER.command_types == (Count,)


def test_named_unions_are_looked_into() -> None:
    class Evolve:
        def __call__(self, state: int, event: Named) -> int:
            return state

    decider: Decider[Any, int, Any] = Decider(count, Evolve(), initial_state=0)
    assert decider.event_types == (Counted, ClaimApproved)


def test_a_base_of_commands_lets_all_of_them_through() -> None:
    def decide(state: int, command: Command[Any]) -> list[Counted]:
        return [Counted()]

    decider = Decider(decide, add, initial_state=0)
    assert decider.command_types == ()
    assert len(decider.events_for(0, FileClaim(claim_id="c"))) == 1


async def _decide_later(state: int, command: Count) -> list[Counted]:
    return []


@pytest.mark.parametrize(
    "decide, problem",
    [
        (_decide_later, "_decide_later is async"),
        (lambda state: [], "has to take two arguments"),
        (lambda state, command, clock: [], "has to take two arguments"),
        (partial(count, 0, Count()), "partial has to take two arguments"),
    ],
)
def test_what_cannot_decide_is_refused_at_once(decide: Callable[..., Any], problem: str) -> None:
    with pytest.raises(EventSourcingConfigurationError, match=problem):
        Decider(decide, add, initial_state=0)


# --- the aggregate --------------------------------------------------------------------------------


def test_an_aggregate_executes_commands() -> None:
    claim = SampleClaim.blank("c-1")
    events = claim.execute(FileClaim(claim_id="c-1"))
    claim.execute(AddEstimate(claim_id="c-1", amount=Decimal("1.50")))
    assert claim.state == FiledClaim(holder="Ada", happened_on=DAY, estimates=(Decimal("1.50"),))
    assert claim.get_uncommitted_events()[:1] == events
    assert events[0].aggregate_id == "c-1"
    assert events[0].aggregate_type == "SampleClaim"


def test_a_refused_command_changes_nothing() -> None:
    claim = SampleClaim.blank("c-1")
    assert claim.state is None
    with pytest.raises(InvariantViolationError):
        claim.execute(ApproveClaim(claim_id="c-1"))
    assert (claim.state, claim.get_uncommitted_events()) == (None, [])


def test_an_aggregate_is_an_event_sourced_aggregate_class_of_its_name() -> None:
    assert issubclass(SampleClaim, DecidedAggregate)
    assert (SampleClaim.__name__, SampleClaim.aggregate_type) == ("SampleClaim", "SampleClaim")
    assert SampleClaim.__module__ == "cqrs_ddd_advanced_core.testing.sample_decider"
    assert SampleClaim.supported_event_types() == (ClaimApproved, ClaimFiled, EstimateAdded)
    assert SampleClaim.has_handler_for_event(ClaimFiled)
    assert not SampleClaim.has_handler_for_event(Counted)


def test_an_aggregate_passes_the_strictest_validation() -> None:
    validator = EventValidator(
        EventValidationConfig(strict_mode=True, allow_fallback_handler=False)
    )
    validator.validate_all(SampleClaim, SampleClaim.supported_event_types())


def test_ids_are_of_the_type_that_was_said() -> None:
    counter = aggregate_of(COUNTER, "Counter", id_type=UUID)
    entity_id = uuid4()
    assert counter.blank(str(entity_id)).id == entity_id
    assert aggregate_of(COUNTER, "Other", id_type=int).blank(7).id == 7


def test_the_state_is_what_evolve_returned_and_nothing_else() -> None:
    state = {"total": Decimal(1)}
    decider: Decider[Count, Any, Counted] = Decider(count, lambda _, event: state, initial_state={})
    kept = aggregate_of(decider, "Kept", events=[Counted], state_type=dict[str, int])
    aggregate = kept.blank("k")
    aggregate.execute(Count())
    assert aggregate.state is state


def test_a_first_state_that_can_change_is_not_shared() -> None:
    def append(state: list[int], event: Counted) -> list[int]:
        state.append(event.by)
        return state

    decider: Decider[Any, list[int], Counted] = Decider(
        lambda _, command: [Counted()], append, initial_state=[]
    )
    impure = aggregate_of(decider, "Impure", events=[Counted])
    impure.blank("a").execute("count")
    assert impure.blank("b").state == []


def test_an_event_that_could_not_be_read_back_is_not_raised() -> None:
    decider: Decider[Any, int, Any] = Decider(
        lambda _, command: [CountedTwice()], add, initial_state=0
    )
    counter = aggregate_of(decider, "Counter").blank("c")
    with pytest.raises(MissingEventHandlerError, match="CountedTwice: name it in the annotation"):
        counter.execute("count")
    assert counter.get_uncommitted_events() == []
    wider = aggregate_of(decider, "Counter", events=[Counted, CountedTwice]).blank("c")
    wider.execute("count")
    assert wider.state == 1


def test_events_that_nothing_names_are_asked_for() -> None:
    decider: Decider[Any, int, Any] = Decider(
        lambda state, command: [], lambda state, event: state, initial_state=0
    )
    with pytest.raises(EventSourcingConfigurationError, match=r"annotate it, or give events="):
        aggregate_of(decider, "Counter")
    with pytest.raises(EventSourcingConfigurationError, match=r"or give state_type="):
        aggregate_of(decider, "Counter", events=[Counted])
    assert aggregate_of(decider, "Counter", events=[Counted], state_type=int).blank("c").state == 0


def test_a_first_state_of_another_type_is_refused() -> None:
    decider: Decider[Any, Any, Any] = Decider(count, add, initial_state="zero")
    with pytest.raises(EventSourcingConfigurationError, match="'zero' is not of the type"):
        aggregate_of(decider, "Counter")


# --- snapshots ------------------------------------------------------------------------------------


class Level(StrEnum):
    LOW = "low"


@dataclass(frozen=True)
class Point:
    x: Decimal
    seen: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Other:
    x: Decimal
    seen: frozenset[int] = frozenset()
    parts: dict[str, Point] = field(default_factory=dict)


class Strict(ValueObject, strict=True):
    on: date


class Cat(ValueObject):
    kind: Literal["cat"] = "cat"


class Dog(ValueObject):
    kind: Literal["dog"] = "dog"


STATES = [
    (int, 3),
    (int | str, "3"),
    (Level | None, Level.LOW),
    (Level | str, "low"),
    (dict[str, list[Decimal]], {"a": [Decimal("1.10")]}),
    (Point, Point(Decimal("0.1"), frozenset({1, 2}))),
    (Point | Other, Other(Decimal(1), parts={"a": Point(Decimal(2))})),
    (Point | Other | None, Point(Decimal(1))),
    (Point | Other | None, None),
    (Strict | Other, Strict(on=DAY)),
    (ClaimState, FILED),
    (ClaimState, ApprovedClaim(**dict(FILED))),
    (Annotated[Cat | Dog, Field(discriminator="kind")], Dog()),
    (Cat | list[int], [1]),
]


@pytest.mark.parametrize("state_type, state", STATES, ids=repr)
def test_a_snapshot_brings_a_state_back_as_the_same_class(state_type: Any, state: Any) -> None:
    decider: Decider[Any, Any, Any] = Decider(count, lambda _, event: state, initial_state=state)
    kept = aggregate_of(decider, "Kept", events=[Counted], state_type=state_type)
    codec = SnapshotCodec(kept)
    restored = codec.load(codec.dump(kept.blank("k")))
    assert (type(restored.state), restored.state) == (type(state), state)


def test_the_shape_of_each_state_is_part_of_the_fingerprint() -> None:
    class ApprovedClaim(ValueObject):
        holder: str

    def fingerprint(state_type: Any) -> str:
        decider: Decider[Any, Any, Any] = Decider(count, add, initial_state=FILED)
        return SnapshotCodec(
            aggregate_of(decider, "Claim", events=[Counted], state_type=state_type)
        ).fingerprint

    known = fingerprint(FiledClaim | globals()["ApprovedClaim"])
    assert known == fingerprint(FiledClaim | globals()["ApprovedClaim"])
    assert known != fingerprint(FiledClaim | ApprovedClaim)
    assert known != fingerprint(FiledClaim | Point)


def test_the_events_of_an_aggregate_make_a_registry() -> None:
    registry = EventTypeRegistry(SampleClaim.supported_event_types())
    assert registry.registered_types() == ("ClaimApproved", "ClaimFiled", "EstimateAdded")
