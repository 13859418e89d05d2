"""What every store of parked events must do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import pytest

from cqrs_ddd_advanced_core.ports.checkpoint_store import CheckpointKey
from cqrs_ddd_advanced_core.ports.parked_events import IParkedEvents
from cqrs_ddd_core.correlation import message_context
from cqrs_ddd_core.ports.event_store import StoredEvent, StreamId
from cqrs_ddd_core.ports.unit_of_work_scope import UnitOfWorkFactory
from cqrs_ddd_core.primitives.id_generator import new_id
from cqrs_ddd_core.testing.conformance import Conformance, elsewhere, needs, rolled_back
from cqrs_ddd_core.testing.samples import AWKWARD_TEXT, MOMENT

__all__ = ["ParkedEventsConformance", "ParkedEventsSubject"]

_KEY: Final = CheckpointKey("orders")
_OTHER: Final = CheckpointKey("orders", 1, 1)
_STREAM: Final = StreamId("Order", "1")


@dataclass(frozen=True)
class ParkedEventsSubject:
    """An empty store, and the units of work of its database."""

    parked_events: IParkedEvents
    unit_of_work: UnitOfWorkFactory


class ParkedEventsConformance(Conformance):
    """Events that projections gave up."""

    @pytest.fixture
    def subject(self) -> ParkedEventsSubject:
        raise NotImplementedError("yield a ParkedEventsSubject with an empty store")

    @pytest.fixture
    def store(self, subject: ParkedEventsSubject) -> IParkedEvents:
        return subject.parked_events

    async def test_a_parked_event_comes_back_as_it_was(self, store: IParkedEvents) -> None:
        key = CheckpointKey(AWKWARD_TEXT, 3, 2)
        stream = StreamId(AWKWARD_TEXT, AWKWARD_TEXT)
        await store.park(key, _event(2**62, stream, AWKWARD_TEXT), AWKWARD_TEXT)
        [found] = await store.list_parked(AWKWARD_TEXT)
        assert (found.key, found.position, found.stream) == (key, 2**62, stream)
        assert (found.event_type, found.error) == (AWKWARD_TEXT, AWKWARD_TEXT)
        assert found.parked_at.utcoffset() == timedelta(0)

    async def test_an_event_that_only_waits_has_no_error(self, store: IParkedEvents) -> None:
        await store.park(_KEY, _event(1), None)
        assert [one.error for one in await store.list_parked("orders")] == [None]

    async def test_parking_again_replaces_the_error(self, store: IParkedEvents) -> None:
        await store.park(_KEY, _event(1), None)
        await store.park(_KEY, _event(1), "second")
        [found] = await store.list_parked("orders")
        assert found.error == "second"
        assert await store.count("orders", 1) == 1

    async def test_streams_with_a_parked_event_are_held(self, store: IParkedEvents) -> None:
        other = StreamId("Order", "2")
        assert await store.held_streams(_KEY) == set()
        await store.park(_KEY, _event(1), "because")
        await store.park(_KEY, _event(3), None)
        await store.park(_KEY, _event(2, other), "because")
        await store.park(_OTHER, _event(4, StreamId("Order", "3")), "because")
        assert await store.held_streams(_KEY) == {_STREAM, other}
        await store.remove(_KEY, [1])
        assert await store.held_streams(_KEY) == {_STREAM, other}
        await store.remove(_KEY, [3])
        assert await store.held_streams(_KEY) == {other}

    async def test_parked_events_are_listed_in_order_page_by_page(
        self, store: IParkedEvents
    ) -> None:
        for position in (5, 2, 9, 1, 7):
            await store.park(_KEY, _event(position), "because")
        await store.park(CheckpointKey("orders", 2), _event(3), "because")
        await store.park(CheckpointKey("other"), _event(4), "because")
        positions, after = [], 0
        while page := await store.list_parked("orders", version=1, limit=2, after=after):
            positions += [one.position for one in page]
            after = positions[-1]
        assert positions == [1, 2, 5, 7, 9]
        everything = await store.list_parked("orders")
        assert [one.position for one in everything] == [1, 2, 3, 5, 7, 9]
        assert list(await store.list_parked("unknown")) == []

    async def test_a_stream_is_listed_in_order(self, store: IParkedEvents) -> None:
        for position in (3, 1, 2):
            await store.park(_KEY, _event(position), None)
        await store.park(_KEY, _event(4, StreamId("Order", "2")), "because")
        await store.park(_OTHER, _event(5), "because")
        found = await store.list_stream(_KEY, _STREAM)
        assert [one.position for one in found] == [1, 2, 3]

    async def test_what_was_removed_is_forgotten(self, store: IParkedEvents) -> None:
        for position in (1, 2, 3):
            await store.park(_KEY, _event(position), "because")
        assert await store.remove(_KEY, [1, 3, 99]) == 2
        assert await store.remove(_KEY, [1]) == 0
        assert await store.remove(_KEY, []) == 0
        assert await store.remove(_OTHER, [2]) == 0
        assert [one.position for one in await store.list_parked("orders")] == [2]

    async def test_a_version_is_counted_and_cleared(self, store: IParkedEvents) -> None:
        await store.park(_KEY, _event(1), "because")
        await store.park(_OTHER, _event(2), None)
        await store.park(CheckpointKey("orders", 2), _event(1), "because")
        assert await store.count("orders", 1) == 2
        assert await store.count("unknown", 1) == 0
        assert await store.clear("orders", 1) == 2
        assert await store.clear("orders", 1) == 0
        assert await store.count("orders", 2) == 1

    async def test_parking_commits_with_its_unit_of_work(
        self, subject: ParkedEventsSubject
    ) -> None:
        """G9: an event is never passed over before it is parked."""
        store = subject.parked_events
        async with subject.unit_of_work():
            await store.park(_KEY, _event(1), "because")
            assert await store.held_streams(_KEY) == {_STREAM}
            assert len(await store.list_stream(_KEY, _STREAM)) == 1
        assert await store.count("orders", 1) == 1

    async def test_parking_and_removing_vanish_with_their_unit_of_work(
        self, subject: ParkedEventsSubject
    ) -> None:
        store = subject.parked_events
        await store.park(_KEY, _event(1), "because")
        async with rolled_back(subject.unit_of_work):
            await store.park(_KEY, _event(2), "because")
            await store.remove(_KEY, [1])
            assert [one.position for one in await store.list_parked("orders")] == [2]
        async with rolled_back(subject.unit_of_work):
            await store.clear("orders", 1)
        assert [one.position for one in await store.list_parked("orders")] == [1]

    @needs("concurrent_transactions")
    async def test_others_see_nothing_before_the_commit(self, subject: ParkedEventsSubject) -> None:
        store = subject.parked_events
        async with subject.unit_of_work():
            await store.park(_KEY, _event(1), "because")
            assert await elsewhere(store.count("orders", 1)) == 0

    async def test_tenants_do_not_see_each_other(self, store: IParkedEvents) -> None:
        for tenant in ("", "a", AWKWARD_TEXT):
            with message_context(tenant_id=tenant):
                await store.park(_KEY, _event(1), tenant)
        with message_context(tenant_id="a"):
            assert await store.remove(_KEY, [1]) == 1
            assert await store.clear("orders", 1) == 0
            assert await store.held_streams(_KEY) == set()
        for tenant in ("", AWKWARD_TEXT):
            with message_context(tenant_id=tenant):
                assert [one.error for one in await store.list_parked("orders")] == [tenant]


def _event(
    position: int, stream: StreamId = _STREAM, event_type: str = "OrderPlaced"
) -> StoredEvent:
    return StoredEvent(position, *stream, 1, new_id(), event_type, 1, b"{}", MOMENT, MOMENT)
