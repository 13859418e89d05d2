"""What the past of aggregates looks like, on every event store."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from cqrs_ddd_advanced_core.domain.exceptions import (
    DeletedAggregateError,
    EventSourcingConfigurationError,
    HistoryRemovedError,
)
from cqrs_ddd_advanced_core.domain.lifecycle import AggregateDeleted
from cqrs_ddd_advanced_core.event_sourcing import EventReplayService
from cqrs_ddd_advanced_core.testing.samples import (
    AccountOpened,
    MoneyDeposited,
    MoneyWithdrawn,
    SampleAccount,
)
from cqrs_ddd_core.correlation import message_context
from cqrs_ddd_core.cqrs.event_serializer import serialize_event
from cqrs_ddd_core.domain.event_registry import EventTypeRegistry
from cqrs_ddd_core.domain.events import locate_event
from cqrs_ddd_core.domain.specification import Specification, field
from cqrs_ddd_core.ports.event_store import EventFilter, IEventStore, StreamId
from cqrs_ddd_core.ports.unit_of_work_scope import UnitOfWorkFactory
from cqrs_ddd_core.primitives.exceptions import (
    EventStoreError,
    SpecificationValueError,
    UnknownEventTypeError,
    UnknownFieldError,
)
from cqrs_ddd_core.primitives.id_generator import new_id
from cqrs_ddd_core.testing.conformance import Conformance, rolled_back

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from cqrs_ddd_core.domain.events import DomainEvent

__all__ = ["EventReplayConformance", "EventReplaySubject"]

_START = datetime(2026, 1, 21, 10, 30, tzinfo=UTC)
_EVENTS = EventTypeRegistry([AccountOpened, MoneyDeposited, MoneyWithdrawn])


@dataclass(frozen=True)
class EventReplaySubject:
    """An empty event store and the units of work of its database."""

    event_store: IEventStore
    unit_of_work: UnitOfWorkFactory


class EventReplayConformance(Conformance):
    """History, states, audit trail, search and causes."""

    @pytest.fixture
    def subject(self) -> EventReplaySubject:
        raise NotImplementedError("yield an EventReplaySubject with an empty event store")

    @pytest.fixture
    def store(self, subject: EventReplaySubject) -> IEventStore:
        return subject.event_store

    @pytest.fixture
    def replay(self, store: IEventStore) -> EventReplayService:
        return EventReplayService(store, _EVENTS)

    # --- history ------------------------------------------------------------------------------

    @pytest.mark.parametrize("aggregate_type", [SampleAccount, "SampleAccount"], ids=str)
    async def test_the_history_is_all_events_in_order(
        self, store: IEventStore, replay: EventReplayService, aggregate_type: Any
    ) -> None:
        events = await _account(store, "1")
        await _account(store, "2")
        assert await _all(replay.get_history(aggregate_type, "1")) == events
        assert await _all(replay.get_history(aggregate_type, "3")) == []

    async def test_a_class_says_which_events_can_be_read(self, store: IEventStore) -> None:
        replay = EventReplayService(store)
        events = await _account(store, "1")
        assert await _all(replay.get_history(SampleAccount, "1")) == events
        with pytest.raises(EventSourcingConfigurationError, match="event_registry"):
            await _all(replay.get_history("SampleAccount", "1"))

    async def test_a_range_of_time_includes_its_beginning_and_not_its_end(
        self, store: IEventStore, replay: EventReplayService
    ) -> None:
        events = await _account(store, "1", deposits=8)
        for start, end in [(0, 10), (2, 5), (3, 3), (5, 2), (9, 99)]:
            found = replay.get_history_in_range(SampleAccount, "1", _at(start), _at(end))
            assert await _all(found) == events[start : max(start, end)]
        assert await _all(replay.get_history_in_range(SampleAccount, "1", _at(7))) == events[7:]
        until = replay.get_history_in_range(SampleAccount, "1", until_time=_at(2))
        assert await _all(until) == events[:2]

    async def test_a_time_without_a_zone_is_refused(
        self, store: IEventStore, replay: EventReplayService
    ) -> None:
        await _account(store, "1")
        naive = _START.replace(tzinfo=None)
        with pytest.raises(EventStoreError, match="time zone"):
            await _all(replay.get_history_in_range(SampleAccount, "1", naive))
        with pytest.raises(EventStoreError, match="time zone"):
            await replay.get_state_at(SampleAccount, "1", naive)

    async def test_the_history_includes_what_the_unit_of_work_appended(
        self, subject: EventReplaySubject, replay: EventReplayService
    ) -> None:
        async with rolled_back(subject.unit_of_work):
            events = await _account(subject.event_store, "1")
            assert await _all(replay.get_history(SampleAccount, "1")) == events
            assert await replay.get_snapshot_at_version(SampleAccount, "1", 1) is not None
        assert await _all(replay.get_history(SampleAccount, "1")) == []

    async def test_an_unknown_event_is_not_passed_over(
        self, store: IEventStore, replay: EventReplayService
    ) -> None:
        await _account(store, "1")
        unknown = replace(serialize_event(MoneyDeposited(amount=Decimal(1))), event_type="Unknown")
        await store.append(_stream("1"), [unknown])
        with pytest.raises(UnknownEventTypeError):
            await _all(replay.get_history(SampleAccount, "1"))

    async def test_tenants_see_their_own_past_only(
        self, store: IEventStore, replay: EventReplayService
    ) -> None:
        await _account(store, "1")
        with message_context(tenant_id="other"):
            assert await _all(replay.get_history(SampleAccount, "1")) == []
            assert await replay.get_audit_trail(SampleAccount, "1") == ""
            assert await _all(replay.search_events()) == []
            assert await replay.get_snapshot_at_version(SampleAccount, "1", 1) is None

    # --- states -------------------------------------------------------------------------------

    async def test_every_version_can_be_looked_at(
        self, store: IEventStore, replay: EventReplayService
    ) -> None:
        await _account(store, "1", deposits=5)
        for version in range(1, 7):
            account = await replay.get_snapshot_at_version(SampleAccount, "1", version)
            assert account is not None
            assert account.version == version
            assert account.balance == sum(range(version))
        last = await replay.get_snapshot_at_version(SampleAccount, "1", 99)
        assert last is not None
        assert last.version == 6
        for version in (0, -1):
            assert await replay.get_snapshot_at_version(SampleAccount, "1", version) is None
        assert await replay.get_snapshot_at_version(SampleAccount, "2", 1) is None

    async def test_every_moment_can_be_looked_at(
        self, store: IEventStore, replay: EventReplayService
    ) -> None:
        await _account(store, "1", deposits=5)
        for hour in range(6):
            for later in (timedelta(0), timedelta(minutes=59)):
                account = await replay.get_state_at(SampleAccount, "1", _at(hour) + later)
                assert account is not None
                assert account.balance == sum(range(hour + 1))
        before = await replay.get_state_at(SampleAccount, "1", _at(0) - timedelta.resolution)
        assert before is None
        last = await replay.get_state_at(SampleAccount, "1", _at(1000))
        assert last is not None
        assert last.version == 6

    async def test_what_was_stored_after_the_moment_does_not_count(
        self, store: IEventStore, replay: EventReplayService
    ) -> None:
        await _account(store, "1", deposits=5)
        backdated = MoneyDeposited(amount=Decimal(1000), occurred_at=_at(1))
        await store.append(_stream("1"), [serialize_event(backdated)])
        account = await replay.get_state_at(SampleAccount, "1", _at(2))
        assert account is not None
        assert account.balance == 3

    async def test_a_deleted_aggregate_is_said_to_be_deleted(
        self, store: IEventStore, replay: EventReplayService
    ) -> None:
        await _account(store, "1")
        tombstone = AggregateDeleted(reason="asked for", occurred_at=_at(10))
        await store.append(_stream("1"), [serialize_event(tombstone)])
        with pytest.raises(DeletedAggregateError, match="asked for") as deleted:
            await replay.get_state_at(SampleAccount, "1", _at(11))
        assert (deleted.value.version, deleted.value.deleted_at) == (4, _at(10))
        with pytest.raises(DeletedAggregateError):
            await replay.get_snapshot_at_version(SampleAccount, "1", 4)
        before = await replay.get_snapshot_at_version(SampleAccount, "1", 3)
        assert before is not None
        assert await _all(replay.get_history(SampleAccount, "1"))
        assert "AggregateDeleted" in await replay.get_audit_trail(SampleAccount, "1")

    async def test_a_removed_past_is_said_to_be_removed(
        self, store: IEventStore, replay: EventReplayService
    ) -> None:
        await _account(store, "1")
        await store.delete_events(_stream("1"), up_to_version=2)
        with pytest.raises(HistoryRemovedError, match="begins at version 3"):
            await replay.get_snapshot_at_version(SampleAccount, "1", 2)
        with pytest.raises(HistoryRemovedError):
            await replay.get_state_at(SampleAccount, "1", _at(1))

    # --- audit trail --------------------------------------------------------------------------

    async def test_the_audit_trail_reads_as_documented(self, store: IEventStore) -> None:
        replay = EventReplayService(store)
        await _account(store, "1", deposits=1)
        assert await replay.get_audit_trail("SampleAccount", "1") == (
            '[2026-01-21T10:30:00.000Z] AccountOpened: {"owner":"Ada"}\n'
            '[2026-01-21T11:30:00.000Z] MoneyDeposited: {"amount":"1"}'
        )
        assert await replay.get_audit_trail(SampleAccount, "2") == ""

    async def test_an_audit_entry_says_who_did_what_and_when(self, store: IEventStore) -> None:
        replay = EventReplayService(store)
        opened = AccountOpened(
            owner="Eve",
            occurred_at=_at(0),
            correlation_id="request",
            causation_id="command",
            metadata={"user_id": "u-1"},
        )
        await store.append(_stream("1"), [serialize_event(opened)])
        await store.append(_stream("1"), [replace(_deposited(1), payload=b"\xff\x00")])
        first, second = await _all(replay.get_audit_entries(SampleAccount, "1"))
        assert (first.version, first.event_id, first.user_id) == (1, opened.event_id, "u-1")
        assert (first.correlation_id, first.causation_id) == ("request", "command")
        assert (first.payload, first.occurred_at) == ('{"owner":"Eve"}', _at(0))
        assert (second.user_id, second.payload) == (None, "<2 encoded bytes>")
        wanted = EventFilter(occurred_from=_at(1))
        assert await _all(replay.get_audit_entries(SampleAccount, "1", event_filter=wanted)) == [
            second
        ]

    # --- search -------------------------------------------------------------------------------

    async def test_events_are_found_by_a_predicate(
        self, store: IEventStore, replay: EventReplayService
    ) -> None:
        events = await _account(store, "1") + await _account(store, "2")
        assert await _all(replay.search_events()) == events
        found = replay.search_events(lambda event: event.aggregate_id == "2")
        assert await _all(found) == events[3:]

    @pytest.mark.parametrize(
        "condition, expected",
        [
            (field("amount") > 2, [3, 4]),
            (field("amount") == Decimal("1.00"), [1]),
            (field("owner") == "Ada", [0]),
            ((field("amount") > 1) & (field("amount") < 3), [2]),
            (field("owner") != "Ada", []),
        ],
        ids=str,
    )
    async def test_events_are_found_by_their_fields(
        self,
        store: IEventStore,
        replay: EventReplayService,
        condition: Specification,
        expected: list[int],
    ) -> None:
        events = await _account(store, "1", deposits=4)
        found = await _all(replay.search_events(payload=condition))
        assert found == [events[index] for index in expected]

    async def test_all_conditions_of_a_search_hold(
        self, store: IEventStore, replay: EventReplayService
    ) -> None:
        events = await _account(store, "1", deposits=9)
        found = replay.search_events(
            lambda event: event.occurred_at.hour % 2 == 0,
            event_filter=EventFilter(
                occurred_until=_at(8), event_types=frozenset({"MoneyDeposited"})
            ),
            payload=field("amount") >= 3,
        )
        assert await _all(found) == [events[4], events[6]]

    @pytest.mark.parametrize(
        "condition, error",
        [
            (field("amuont") > 2, UnknownFieldError),
            (field("amount") == "x", SpecificationValueError),
        ],
        ids=["no such field", "another kind"],
    )
    async def test_a_search_that_can_find_nothing_is_a_mistake(
        self, replay: EventReplayService, condition: Specification, error: type[Exception]
    ) -> None:
        with pytest.raises(error):
            await _all(replay.search_events(payload=condition))

    async def test_a_search_needs_a_registry(self, store: IEventStore) -> None:
        with pytest.raises(EventSourcingConfigurationError, match="event_registry"):
            await _all(EventReplayService(store).search_events())

    # --- causes -------------------------------------------------------------------------------

    async def test_causes_make_a_tree(self, store: IEventStore, replay: EventReplayService) -> None:
        opened, deposited, moved = (_caused(n) for n in range(3))
        command, later = str(new_id()), str(new_id())
        steps = [
            ("1", replace(opened, causation_id=command)),
            ("2", replace(deposited, causation_id=str(opened.event_id))),
            ("1", replace(moved, causation_id=later)),
            ("3", replace(_caused(3), causation_id=str(deposited.event_id))),
            ("3", replace(_caused(4), causation_id=None)),
            ("3", replace(_caused(5), correlation_id="another")),
        ]
        for account, event in steps:
            await store.append(_stream(account), [event])
        tree = await replay.get_causation_tree("request")
        assert tree.to_text().splitlines() == [
            f"command {command}",
            "  [2026-01-21T10:30:00.000Z] Step0 (SampleAccount-1 #1)",
            "    [2026-01-21T10:30:00.000Z] Step1 (SampleAccount-2 #1)",
            "      [2026-01-21T10:30:00.000Z] Step3 (SampleAccount-3 #1)",
            f"command {later}",
            "  [2026-01-21T10:30:00.000Z] Step2 (SampleAccount-1 #2)",
            "[2026-01-21T10:30:00.000Z] Step4 (SampleAccount-3 #2)",
        ]
        assert tree.to_mermaid().splitlines()[:4] == [
            "flowchart TD",
            f'    n0(["command {command}"])',
            '    n1["Step0 (SampleAccount-1 #35;1)"]',
            '    n2["Step1 (SampleAccount-2 #35;1)"]',
        ]
        assert "    n1 --> n2" in tree.to_mermaid()

    async def test_nothing_has_an_empty_tree(self, replay: EventReplayService) -> None:
        tree = await replay.get_causation_tree("nothing")
        assert (tree.roots, tree.to_text(), tree.to_mermaid()) == ([], "", "flowchart TD")


def _at(hour: int) -> datetime:
    return _START + timedelta(hours=hour)


def _stream(account_id: str) -> StreamId:
    return StreamId("SampleAccount", account_id)


def _deposited(hour: int) -> Any:
    return serialize_event(MoneyDeposited(amount=Decimal(hour), occurred_at=_at(hour)))


def _caused(number: int) -> Any:
    event = serialize_event(AccountOpened(owner="", correlation_id="request", occurred_at=_START))
    return replace(event, event_type=f"Step{number}")


async def _account(store: IEventStore, account_id: str, deposits: int = 2) -> list[DomainEvent]:
    """Open an account, then deposit 1, 2, 3, ...: one event each hour."""
    events: list[DomainEvent] = [AccountOpened(owner="Ada", occurred_at=_at(0))]
    events += [
        MoneyDeposited(amount=Decimal(hour), occurred_at=_at(hour))
        for hour in range(1, deposits + 1)
    ]
    for event in events:
        locate_event(event, *_stream(account_id))
    await store.append(_stream(account_id), [serialize_event(event) for event in events])
    return events


async def _all(found: AsyncIterator[Any]) -> list[Any]:
    return [one async for one in found]
