"""What is encrypted in the event store stays encrypted in the archive, and is read all the same."""

from __future__ import annotations

from decimal import Decimal

from cqrs_ddd_advanced_core.adapters.memory import InMemoryEventArchive
from cqrs_ddd_advanced_core.codecs import AesGcmCodec, EncodedEventStore, KeyRing, PayloadCodecs
from cqrs_ddd_advanced_core.event_sourcing import (
    ArchivedEventStore,
    EventReplayService,
    EventSourcedRepository,
    StreamArchiver,
    StreamCompactor,
)
from cqrs_ddd_advanced_core.testing.samples import SampleAccount
from cqrs_ddd_core.adapters.memory import InMemoryDatabase, InMemoryEventStore, InMemoryUnitOfWork
from cqrs_ddd_core.domain import DomainEvent
from cqrs_ddd_core.ports.event_store import StreamId

STREAM = StreamId("SampleAccount", "1")


class AccountSummarised(DomainEvent):
    owner: str
    balance: Decimal


class Account(SampleAccount):
    aggregate_type = "SampleAccount"

    def apply_account_summarised(self, event: AccountSummarised) -> None:
        self.owner, self.balance = event.owner, event.balance


def _summary(account: Account) -> AccountSummarised:
    return AccountSummarised(owner=account.owner, balance=account.balance)


async def test_encrypted_events_are_archived_and_compacted_as_they_are() -> None:
    database = InMemoryDatabase()
    live, archive = InMemoryEventStore(database), InMemoryEventArchive(database)
    codecs = PayloadCodecs([AesGcmCodec(KeyRing({"k": KeyRing.generate_key()}))])
    store = EncodedEventStore(ArchivedEventStore(live, archive), codecs)
    accounts = EventSourcedRepository(store, Account)
    account = Account.open("1")
    for _ in range(5):
        account.deposit(1)
    await accounts.save(account)
    stored = await live.get_events(STREAM)

    archiver = StreamArchiver(live, archive, lambda: InMemoryUnitOfWork(database))
    compactor = StreamCompactor(store, lambda: InMemoryUnitOfWork(database), archiver=archiver)
    assert await archiver.archive(STREAM, up_to_version=2) == 2
    assert await compactor.compact(Account, "1", _summary) == 7

    assert await archive.get_events(STREAM) == stored
    assert not any(event.payload_bytes.startswith(b"{") for event in stored)
    assert (await accounts.get("1")).balance == 5
    past = await EventReplayService(store).get_snapshot_at_version(Account, "1", 3)
    assert past is not None
    assert past.balance == 2
    alone = EventSourcedRepository(EncodedEventStore(live, codecs), Account)
    assert (await alone.get("1")).balance == 5
