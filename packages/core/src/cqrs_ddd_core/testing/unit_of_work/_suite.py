"""What is tested, and what the tests of this suite share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import pytest

from cqrs_ddd_core.ports.event_store import IEventStore, StreamId
from cqrs_ddd_core.ports.inbox import IInbox
from cqrs_ddd_core.ports.outbox import IOutboxStorage
from cqrs_ddd_core.ports.unit_of_work_scope import UnitOfWorkFactory
from cqrs_ddd_core.primitives.id_generator import new_id
from cqrs_ddd_core.testing.conformance import Conformance
from cqrs_ddd_core.testing.samples import new_events, new_message, new_stream

if TYPE_CHECKING:
    from uuid import UUID


__all__ = ["ALL", "NOTHING", "UnitOfWorkSubject", "UnitOfWorkSuite", "Work"]


@dataclass(frozen=True)
class UnitOfWorkSubject:
    """Units of work of one empty database, and the stores that join them."""

    unit_of_work: UnitOfWorkFactory
    event_store: IEventStore
    outbox: IOutboxStorage
    inbox: IInbox


class UnitOfWorkSuite(Conformance):
    """The fixtures of the suite."""

    #: How many awaits of a writing unit of work are cancelled at most.
    max_suspensions: ClassVar[int] = 400

    @pytest.fixture
    def subject(self) -> UnitOfWorkSubject:
        raise NotImplementedError("yield a UnitOfWorkSubject of an empty database")

    @pytest.fixture
    def unit_of_work(self, subject: UnitOfWorkSubject) -> UnitOfWorkFactory:
        return subject.unit_of_work


#: Version of the stream, whether the outbox has the message, whether the inbox has the mark.
ALL = (2, True, True)
NOTHING = (0, False, False)


class Work:
    """One write to each store, and what is left of it afterwards."""

    def __init__(self, subject: UnitOfWorkSubject) -> None:
        self._subject = subject
        self.stream: StreamId = new_stream()
        self._message_id: UUID = new_id()

    async def write(self) -> None:
        assert await self._subject.inbox.receive("worker", self._message_id) is None
        await self._subject.event_store.append(self.stream, new_events(2))
        message = new_message(str(self.stream), message_id=self._message_id)
        await self._subject.outbox.save_messages([message])

    async def traces(self) -> tuple[int, bool, bool]:
        version = await self._subject.event_store.get_stream_version(self.stream)
        return version, await self._is_in_outbox(), await self._is_in_inbox()

    async def _is_in_outbox(self) -> bool:
        outbox = self._subject.outbox
        leases = await outbox.lease_partitions("traces", seconds=60)
        claimed = await outbox.claim_pending(leases, limit=10_000)
        await outbox.release_partitions("traces")
        return any(item.message.message_id == self._message_id for item in claimed)

    async def _is_in_inbox(self) -> bool:
        async with self._subject.unit_of_work() as uow:
            known = await self._subject.inbox.receive("worker", self._message_id)
            await uow.rollback()
        return known is not None
