"""The replay service with upcasters, snapshots, codecs, and any stream there may be."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cqrs_ddd_advanced_core.adapters.memory import InMemorySnapshotStore
from cqrs_ddd_advanced_core.codecs import AesGcmCodec, EncodedEventStore, KeyRing, PayloadCodecs
from cqrs_ddd_advanced_core.event_sourcing import AuditEntry, EventReplayService
from cqrs_ddd_advanced_core.snapshots import EveryNEventsStrategy, SnapshotStore
from cqrs_ddd_advanced_core.testing.samples import (
    AccountOpened,
    MoneyDeposited,
    MoneyWithdrawn,
    SampleAccount,
)
from cqrs_ddd_advanced_core.upcasting import EventUpcaster, UpcasterRegistry
from cqrs_ddd_core.adapters.memory import InMemoryEventStore
from cqrs_ddd_core.cqrs.event_serializer import serialize_event
from cqrs_ddd_core.domain.event_registry import EventTypeRegistry
from cqrs_ddd_core.domain.events import DomainEvent
from cqrs_ddd_core.domain.specification import field
from cqrs_ddd_core.ports.event_store import EventFilter, IEventStore, StoredEvent, StreamId
from cqrs_ddd_core.testing.samples import MOMENT

STREAM = StreamId("SampleAccount", "1")
EVENTS = EventTypeRegistry([AccountOpened, MoneyDeposited, MoneyWithdrawn])


async def _store(store: IEventStore, *events: DomainEvent) -> None:
    await store.append(STREAM, [serialize_event(event) for event in events])


def _deposits(count: int) -> list[DomainEvent]:
    return [
        AccountOpened(owner="Ada", occurred_at=MOMENT),
        *(
            MoneyDeposited(amount=Decimal(n), occurred_at=MOMENT + timedelta(hours=n))
            for n in range(1, count + 1)
        ),
    ]


class PaymentReceived(DomainEvent):
    schema_version = 2

    euros: Decimal


class CentsToEuros(EventUpcaster):
    event_type = "PaymentReceived"
    source_version = 1
    target_version = 2

    def upcast(self, payload: dict[str, Any]) -> dict[str, Any]:
        return {"euros": str(Decimal(payload["cents"]) / 100)}


async def test_older_shapes_are_read_and_found_as_what_they_are_today() -> None:
    store = InMemoryEventStore()
    old = replace(
        serialize_event(PaymentReceived(euros=Decimal(0))),
        payload=b'{"cents": 1250}',
        schema_version=1,
    )
    await store.append(STREAM, [old, serialize_event(PaymentReceived(euros=Decimal(7)))])
    upcasters = UpcasterRegistry([CentsToEuros()])
    replay = EventReplayService(
        store, EventTypeRegistry([PaymentReceived]), upcaster_registry=upcasters
    )
    history = [event async for event in replay.get_history("SampleAccount", "1")]
    assert [getattr(event, "euros", None) for event in history] == [Decimal("12.5"), Decimal(7)]
    for condition, expected in ((field("euros") > 10, 12.5), (field("euros") < 10, 7)):
        [found] = [event async for event in replay.search_events(payload=condition)]
        assert getattr(found, "euros", None) == expected
    assert '{"cents": 1250}' in await replay.get_audit_trail("SampleAccount", "1")


async def test_encoded_payloads_are_searched_here() -> None:
    inner = InMemoryEventStore()
    store = EncodedEventStore(
        inner, PayloadCodecs([AesGcmCodec(KeyRing({"k": KeyRing.generate_key()}))])
    )
    await _store(store, *_deposits(5))
    assert not any(e.payload_bytes.startswith(b"{") for e in await inner.get_events(STREAM))
    for view in (store, inner):
        replay = EventReplayService(view, EVENTS)
        condition = field("amount") >= 4
        if view is store:
            found = [event async for event in replay.search_events(payload=condition)]
            assert [getattr(event, "amount", None) for event in found] == [4, 5]
        trail = await replay.get_audit_trail(SampleAccount, "1")
        assert ('{"owner":"Ada"}' in trail) is (view is store)
        assert ("encoded bytes>" in trail) is (view is inner)


class CountingEventStore(InMemoryEventStore):
    """Remembers how many events were read."""

    read = 0

    async def get_events(self, *args: Any, **options: Any) -> list[StoredEvent]:
        found = await super().get_events(*args, **options)
        self.read += len(found)
        return found


async def test_a_state_of_the_past_begins_with_the_newest_snapshot_before_it() -> None:
    store = CountingEventStore()
    await _store(store, *_deposits(99))
    snapshots = SnapshotStore(InMemorySnapshotStore(), EveryNEventsStrategy(n=1))
    account = await EventReplayService(store).get_snapshot_at_version(SampleAccount, "1", 60)
    assert account is not None
    snapshots.after_commit(account, 0)
    await snapshots.drain()
    store.read = 0
    replay = EventReplayService(store, snapshot_store=snapshots)
    for version in (70, 50):
        state = await replay.get_snapshot_at_version(SampleAccount, "1", version)
        assert state is not None
        assert state.balance == sum(range(version))
    assert store.read == 11 + 50


async def test_a_search_reads_no_more_than_a_batch_at_a_time() -> None:
    """G11."""

    class Batched(InMemoryEventStore):
        largest = 0

        async def read_page(self, *args: Any, **options: Any) -> Any:
            page = await super().read_page(*args, **options)
            self.largest = max(self.largest, len(page.events))
            return page

    store = Batched()
    await _store(store, *_deposits(2000))
    replay = EventReplayService(store, EVENTS)
    found = [event async for event in replay.search_events(lambda _: True)]
    assert len(found) == 2001
    assert store.largest <= 500


async def test_an_audit_entry_is_one_line_whatever_was_stored() -> None:
    store = InMemoryEventStore()
    event = replace(serialize_event(AccountOpened(owner="")), payload=b'{"a":\n 1,\r\n"b": 2}')
    await store.append(STREAM, [replace(event, event_type="Account\nOpened")])
    trail = await EventReplayService(store).get_audit_trail(SampleAccount, "1")
    assert len(trail.splitlines()) == 1


@pytest.mark.parametrize("missing", [b"[1]", b"", b"\xff"])
async def test_what_is_no_json_object_is_shown_as_bytes(missing: bytes) -> None:
    store = InMemoryEventStore()
    event = replace(serialize_event(AccountOpened(owner="")), payload=missing)
    await store.append(STREAM, [event])
    [stored] = await store.get_events(STREAM)
    assert AuditEntry.of(stored).payload == f"<{len(missing)} encoded bytes>"


@given(hours=st.lists(st.integers(0, 20), min_size=1, max_size=12), moment=st.integers(-1, 21))
async def test_a_state_is_that_of_the_events_up_to_the_first_that_came_later(
    hours: list[int], moment: int
) -> None:
    store = InMemoryEventStore()
    opened = AccountOpened(owner="Ada", occurred_at=MOMENT)
    events = [
        MoneyDeposited(amount=Decimal(1), occurred_at=MOMENT + timedelta(hours=hour))
        for hour in hours
    ]
    await _store(store, opened, *events)
    replay = EventReplayService(store)
    until = MOMENT + timedelta(hours=moment)
    state = await replay.get_state_at(SampleAccount, "1", until)
    times = [opened.occurred_at, *(event.occurred_at for event in events)]
    count = next((n for n, time in enumerate(times) if time > until), len(times))
    assert (0 if state is None else state.version) == count
    inside = replay.get_history_in_range(SampleAccount, "1", MOMENT, until)
    outside = replay.get_history_in_range(SampleAccount, "1", until)
    split = [e async for e in inside] + [e async for e in outside]
    everything = [e async for e in replay.get_history(SampleAccount, "1")]
    if moment >= 0:
        assert sorted(e.event_id for e in split) == sorted(e.event_id for e in everything)


async def test_a_search_is_narrowed_to_the_types_that_have_the_field() -> None:
    filters: list[EventFilter | None] = []

    class Watched(InMemoryEventStore):
        async def read_page(self, *args: Any, **options: Any) -> Any:
            filters.append(options["event_filter"])
            return await super().read_page(*args, **options)

    store = Watched()
    await _store(store, *_deposits(3))
    replay = EventReplayService(store, EVENTS)
    found = [event async for event in replay.search_events(payload=field("owner") == "Ada")]
    assert len(found) == 1
    assert filters[0] is not None
    assert filters[0].event_types == frozenset({"AccountOpened"})
