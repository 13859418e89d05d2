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
