"""What every inbox must do."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from cqrs_ddd_core.correlation import message_context
from cqrs_ddd_core.ports.event_store import IEventStore
from cqrs_ddd_core.ports.inbox import IInbox, InboxEntry
from cqrs_ddd_core.ports.unit_of_work_scope import UnitOfWorkFactory
from cqrs_ddd_core.primitives.clock import utc_now
from cqrs_ddd_core.primitives.exceptions import InboxError, UnitOfWorkError
from cqrs_ddd_core.primitives.id_generator import new_id
from cqrs_ddd_core.testing.conformance import Conformance, Veto, rolled_back
from cqrs_ddd_core.testing.samples import AWKWARD_TEXT, new_events, new_stream

if TYPE_CHECKING:
    from uuid import UUID

__all__ = ["InboxConformance", "InboxSubject"]


@dataclass(frozen=True)
class InboxSubject:
    """An empty inbox, the units of work of its database, and a store for effects in it."""

    inbox: IInbox
    unit_of_work: UnitOfWorkFactory
    event_store: IEventStore


class InboxConformance(Conformance):
    """One effect per consumer and message."""

    @pytest.fixture
    def subject(self) -> InboxSubject:
        raise NotImplementedError("yield an InboxSubject with an empty inbox")

    async def test_a_message_is_new_once(self, subject: InboxSubject) -> None:
        message_id, before = new_id(), utc_now()
        assert await _receive(subject, message_id) is None
        known = await _receive(subject, message_id)
        assert known is not None
        assert known.outcome is None
        assert known.received_at.utcoffset() == timedelta(0)
        assert abs(known.received_at - before) < timedelta(minutes=5)

    async def test_it_is_known_in_the_same_unit_of_work(self, subject: InboxSubject) -> None:
        message_id = new_id()
        async with subject.unit_of_work():
            assert await subject.inbox.receive("billing", message_id) is None
            assert await subject.inbox.receive("billing", message_id) is not None

    async def test_each_consumer_receives_it(self, subject: InboxSubject) -> None:
        message_id = new_id()
        assert await _receive(subject, message_id, "billing") is None
        assert await _receive(subject, message_id, AWKWARD_TEXT) is None
        assert await _receive(subject, message_id, AWKWARD_TEXT) is not None

    async def test_each_tenant_receives_it(self, subject: InboxSubject) -> None:
        message_id = new_id()
        for tenant in ("", "a", "b"):
            with message_context(tenant_id=tenant):
                assert await _receive(subject, message_id) is None

    async def test_it_needs_a_unit_of_work(self, subject: InboxSubject) -> None:
        with pytest.raises(UnitOfWorkError):
            await subject.inbox.receive("billing", new_id())

    async def test_concurrent_deliveries_have_one_effect(self, subject: InboxSubject) -> None:
        """G5, X-6."""
        message_id, stream = new_id(), new_stream()

        async def deliver() -> InboxEntry | None:
            async with subject.unit_of_work():
                known = await subject.inbox.receive("billing", message_id)
                if known is None:
                    await asyncio.sleep(0.01)
                    await subject.event_store.append(stream, new_events(1))
                    await subject.inbox.record_outcome("billing", message_id, b'"done"')
                return known

        known = await asyncio.gather(*(deliver() for _ in range(16)))
        assert known.count(None) == 1
        assert {entry.outcome for entry in known if entry is not None} == {b'"done"'}
        assert await subject.event_store.get_stream_version(stream) == 1

    async def test_of_many_messages_the_known_ones_are_told(self, subject: InboxSubject) -> None:
        ids = [new_id() for _ in range(4)]
        await _receive(subject, ids[1])
        assert await _receive_many(subject, ids[:3]) == {ids[1]}
        assert await _receive_many(subject, ids) == set(ids[:3])
        assert await _receive_many(subject, ids, "shipping") == set()
        assert await _receive(subject, ids[3]) is not None

    async def test_an_id_that_is_there_twice_is_new_once(self, subject: InboxSubject) -> None:
        message_id = new_id()
        assert await _receive_many(subject, [message_id, message_id]) == set()
        assert await _receive_many(subject, [message_id, message_id]) == {message_id}
        assert await _receive_many(subject, []) == set()

    async def test_each_tenant_receives_many(self, subject: InboxSubject) -> None:
        ids = [new_id(), new_id()]
        for tenant in ("", "a"):
            with message_context(tenant_id=tenant):
                assert await _receive_many(subject, ids) == set()
                assert await _receive_many(subject, ids) == set(ids)

    async def test_many_need_a_unit_of_work(self, subject: InboxSubject) -> None:
        with pytest.raises(UnitOfWorkError):
            await subject.inbox.receive_many("billing", [new_id()])
        with pytest.raises(UnitOfWorkError):
            await subject.inbox.receive_many("billing", [])

    async def test_a_rollback_frees_many(self, subject: InboxSubject) -> None:
        ids = [new_id(), new_id()]
        async with rolled_back(subject.unit_of_work):
            await subject.inbox.receive_many("billing", ids)
        assert await _receive_many(subject, ids) == set()

    async def test_one_of_many_can_record_its_outcome(self, subject: InboxSubject) -> None:
        ids = [new_id(), new_id()]
        async with subject.unit_of_work():
            await subject.inbox.receive_many("billing", ids)
            await subject.inbox.record_outcome("billing", ids[1], b"7")
        known = await _receive(subject, ids[1])
        assert known is not None
        assert known.outcome == b"7"

    async def test_concurrent_batches_that_overlap_have_one_effect(
        self, subject: InboxSubject
    ) -> None:
        """G5, X-6: in whatever order the ids stand, nobody waits in a circle."""
        ids, stream = [new_id() for _ in range(12)], new_stream()

        async def deliver(batch: list[UUID]) -> None:
            async with subject.unit_of_work():
                known = await subject.inbox.receive_many("billing", batch)
                await asyncio.sleep(0.005)
                new = len(batch) - len(known)
                if new:
                    await subject.event_store.append(stream, new_events(new))

        batches = [ids[start:] + ids[: start // 2] for start in range(8)]
        await asyncio.gather(*(deliver(one) for batch in batches for one in (batch, batch[::-1])))
        assert await subject.event_store.get_stream_version(stream) == len(ids)

    async def test_a_place_in_a_stream_only_moves_forward(self, subject: InboxSubject) -> None:
        assert await _advance(subject, 3) is None
        assert await _advance(subject, 3) == 3
        assert await _advance(subject, 2) == 3
        assert await _advance(subject, 9) is None
        assert await _advance(subject, 1, stream=AWKWARD_TEXT) is None

    async def test_a_place_can_be_moved_without_a_gap(self, subject: InboxSubject) -> None:
        assert await _advance(subject, 2, after=1) == 0
        assert await _advance(subject, 1, after=0) is None
        assert await _advance(subject, 3, after=2) == 1
        assert await _advance(subject, 2, after=1) is None

    async def test_places_of_consumers_and_tenants_are_their_own(
        self, subject: InboxSubject
    ) -> None:
        for tenant in ("", "a"):
            with message_context(tenant_id=tenant):
                assert await _advance(subject, 5) is None
                assert await _advance(subject, 1, consumer="shipping") is None

    async def test_a_rollback_moves_a_place_back(self, subject: InboxSubject) -> None:
        await _advance(subject, 1)
        async with rolled_back(subject.unit_of_work):
            assert await subject.inbox.advance("billing", "Order-1", 2) is None
        assert await _advance(subject, 2, after=1) is None

    async def test_of_two_that_move_a_place_at_once_one_does(self, subject: InboxSubject) -> None:
        await _advance(subject, 1)
        places = await asyncio.gather(*(_advance(subject, 2, after=1) for _ in range(8)))
        assert sorted(place or 0 for place in places) == [0] + [2] * 7

    async def test_a_place_needs_a_unit_of_work(self, subject: InboxSubject) -> None:
        with pytest.raises(UnitOfWorkError):
            await subject.inbox.advance("billing", "Order-1", 1)

    async def test_a_rollback_frees_the_message(self, subject: InboxSubject) -> None:
        message_id = new_id()
        async with rolled_back(subject.unit_of_work):
            await subject.inbox.receive("billing", message_id)
        assert await _receive(subject, message_id) is None

    async def test_a_waiting_delivery_handles_it_after_a_rollback(
        self, subject: InboxSubject
    ) -> None:
        message_id, stream = new_id(), new_stream()
        failures = iter([True, True, False])

        async def deliver() -> None:
            async with subject.unit_of_work():
                if await subject.inbox.receive("billing", message_id) is None:
                    await subject.event_store.append(stream, new_events(1))
                    await asyncio.sleep(0.01)
                    if next(failures):
                        raise Veto

        outcomes = await asyncio.gather(*(deliver() for _ in range(5)), return_exceptions=True)
        assert sum(isinstance(outcome, Veto) for outcome in outcomes) == 2
        assert outcomes.count(None) == 3
        assert await subject.event_store.get_stream_version(stream) == 1

    @pytest.mark.parametrize("outcome", [b"", b"null", '{"text": "é 日本語"}'.encode()])
    async def test_the_outcome_is_kept_exactly(self, subject: InboxSubject, outcome: bytes) -> None:
        message_id = new_id()
        async with subject.unit_of_work():
            await subject.inbox.receive("billing", message_id)
            await subject.inbox.record_outcome("billing", message_id, outcome)
        known = await _receive(subject, message_id)
        assert known is not None
        assert known.outcome == outcome

    async def test_an_outcome_needs_a_message_received_in_the_same_unit_of_work(
        self, subject: InboxSubject
    ) -> None:
        message_id = new_id()
        with pytest.raises(InboxError):
            async with subject.unit_of_work():
                await subject.inbox.record_outcome("billing", message_id, b"{}")
        await _receive(subject, message_id)
        async with subject.unit_of_work():
            await subject.inbox.receive("billing", message_id)
            with pytest.raises(InboxError):
                await subject.inbox.record_outcome("billing", message_id, b"{}")

    async def test_old_messages_are_forgotten_for_all_tenants(self, subject: InboxSubject) -> None:
        ids = [new_id() for _ in range(3)]
        for tenant, message_id in zip(("", "a", "b"), ids, strict=True):
            with message_context(tenant_id=tenant):
                await _receive(subject, message_id)
        assert await subject.inbox.purge(utc_now() - timedelta(hours=1)) == 0
        future = utc_now() + timedelta(hours=1)
        assert await subject.inbox.purge(future, limit=2) == 2
        assert await subject.inbox.purge(future) == 1
        assert await subject.inbox.purge(future) == 0
        assert await _receive(subject, ids[0]) is None


async def _receive(
    subject: InboxSubject, message_id: UUID, consumer: str = "billing"
) -> InboxEntry | None:
    async with subject.unit_of_work():
        return await subject.inbox.receive(consumer, message_id)


async def _receive_many(
    subject: InboxSubject, message_ids: list[UUID], consumer: str = "billing"
) -> set[UUID]:
    async with subject.unit_of_work():
        return await subject.inbox.receive_many(consumer, message_ids)


async def _advance(
    subject: InboxSubject,
    version: int,
    *,
    after: int = 0,
    stream: str = "Order-1",
    consumer: str = "billing",
) -> int | None:
    async with subject.unit_of_work():
        return await subject.inbox.advance(consumer, stream, version, after=after)
