"""Replaying: a stream into an aggregate, with and without a snapshot of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from functools import partial
from typing import Any, Self
from uuid import uuid4

from cqrs_ddd_advanced_core.domain import EventSourcedAggregateMixin
from cqrs_ddd_advanced_core.event_sourcing import EventSourcedLoader, EventSourcedRepository
from cqrs_ddd_advanced_core.snapshots import SnapshotStore, TailSizeStrategy
from cqrs_ddd_core.adapters.memory import InMemoryEventStore
from cqrs_ddd_core.cqrs.event_serializer import serialize_event
from cqrs_ddd_core.domain import AggregateRoot, DomainEvent
from cqrs_ddd_core.ports.event_store import NewEvent, StoredEvent, StreamId
from cqrs_ddd_persistence_sqlalchemy import SQLAlchemySnapshotStore
from tools.bench.harness import Comparison, Operation
from tools.bench.postgres import Bench, opened
from tools.bench.read import SELECT_STREAM

__all__ = ["COMPARISONS"]

_EVENTS = 10_000
_SNAPSHOT_LOADS = 20


class AccountOpened(DomainEvent):
    owner: str
    currency: str


class MoneyDeposited(DomainEvent):
    amount: Decimal
    note: str


class MoneyWithdrawn(DomainEvent):
    amount: Decimal
    note: str


class Account(EventSourcedAggregateMixin, AggregateRoot[str]):
    """A pydantic aggregate that validates its assignments, as all of ours do."""

    owner: str
    currency: str
    balance: Decimal = Decimal(0)
    movements: int = 0

    @classmethod
    def with_history(cls, account_id: str, events: int) -> Self:
        """Return an account to which so many things have happened."""
        account = cls.blank(account_id)
        account.raise_event(AccountOpened(owner="Ada", currency="EUR"))
        for number in range(events - 1):
            kind = MoneyWithdrawn if number % 3 == 2 else MoneyDeposited
            account.raise_event(kind(amount=Decimal("12.50"), note=f"movement {number}"))
        return account

    def apply_account_opened(self, event: AccountOpened) -> None:
        """Take over whose it is."""
        self.owner = event.owner
        self.currency = event.currency

    def apply_money_deposited(self, event: MoneyDeposited) -> None:
        """Add to the balance."""
        self.balance += event.amount
        self.movements += 1

    def apply_money_withdrawn(self, event: MoneyWithdrawn) -> None:
        """Take from the balance."""
        self.balance -= event.amount
        self.movements += 1


_CLASSES: dict[str, type[DomainEvent]] = {
    one.event_type: one for one in (AccountOpened, MoneyDeposited, MoneyWithdrawn)
}


def _by_hand(account_id: str, rows: Sequence[tuple[str, bytes]]) -> Account:
    """Replay as one would without a toolkit: no envelope, no check for gaps or older versions."""
    account = Account.blank(account_id)
    for event_type, payload in rows:
        event = _CLASSES[event_type].model_validate_json(payload)
        if isinstance(event, MoneyDeposited):
            account.apply_money_deposited(event)
        elif isinstance(event, MoneyWithdrawn):
            account.apply_money_withdrawn(event)
        elif isinstance(event, AccountOpened):
            account.apply_account_opened(event)
    return account


class _DecodedEventStore(InMemoryEventStore):
    """Gives out the same rows again, so that only what is made of them is measured."""

    def __init__(self, events: Sequence[StoredEvent]) -> None:
        super().__init__()
        self._decoded = list(events)

    async def get_events(
        self,
        stream: StreamId,  # noqa: ARG002 - it has one stream
        *,
        after_version: int = 0,
        up_to_version: int | None = None,
        limit: int | None = None,
        event_filter: Any = None,  # noqa: ARG002 - nobody asks for a part
    ) -> list[StoredEvent]:
        end = after_version + (limit or len(self._decoded))
        return self._decoded[after_version : min(end, up_to_version or end)]


def _new_events(account: Account) -> list[NewEvent]:
    return [serialize_event(event) for event in account.get_uncommitted_events()]


async def _stored(bench: Bench, events: int) -> Account:
    account = Account.with_history(str(uuid4()), events)
    stream, new = StreamId("Account", account.id), _new_events(account)
    for start in range(0, len(new), 1000):
        await bench.store.append(stream, new[start : start + 1000])
    # Without statistics the planner may choose a plan that no grown table would get.
    await bench.pool.execute("ANALYZE cqrs_events")
    return account


async def _with_snapshot(bench: Bench, account: Account) -> EventSourcedLoader[Account]:
    """Return a loader that finds a snapshot as new as the stream."""
    snapshots = SnapshotStore(SQLAlchemySnapshotStore(bench.engine), TailSizeStrategy(1))
    repository = EventSourcedRepository(bench.store, Account, snapshot_store=snapshots)
    loaded = await repository.get(account.id)
    loaded.raise_event(MoneyDeposited(amount=Decimal(1), note="the last one"))
    await repository.save(loaded)
    await snapshots.drain()
    return EventSourcedLoader(Account, bench.store, snapshot_store=snapshots)


@asynccontextmanager
async def _decoded() -> AsyncIterator[tuple[Operation, Operation]]:
    account = Account.with_history("a-1", _EVENTS)
    store = InMemoryEventStore()
    await store.append(StreamId("Account", account.id), _new_events(account))
    stored = await store.get_events(StreamId("Account", account.id))
    rows = [(event.event_type, event.payload_bytes) for event in stored]
    loader = EventSourcedLoader(Account, _DecodedEventStore(stored))

    async def raw() -> int:
        return _by_hand(account.id, rows).movements + 1

    async def ours() -> int:
        return _movements(await loader.load(account.id)) + 1

    yield raw, ours


@asynccontextmanager
async def _from_postgres(*, snapshot: bool) -> AsyncIterator[tuple[Operation, Operation]]:
    async with opened(1) as bench:
        account = await _stored(bench, _EVENTS)
        loader = EventSourcedLoader(Account, bench.store)
        if snapshot:
            loader = await _with_snapshot(bench, account)

        async def raw() -> int:
            async with bench.pool.acquire() as connection:
                rows = await connection.fetch(SELECT_STREAM, "Account", account.id)
            decoded = [(row["event_type"], row["payload"]) for row in rows]
            return _by_hand(account.id, decoded).movements + 1

        async def ours() -> int:
            return _movements(await loader.load(account.id)) + 1

        yield raw, ours


@asynccontextmanager
async def _long_beside_short(events: int) -> AsyncIterator[tuple[Operation, Operation]]:
    async with opened(1) as bench:
        short, long = [await _stored(bench, count) for count in (100, events)]
        load_short = (await _with_snapshot(bench, short)).load
        load_long = (await _with_snapshot(bench, long)).load

        async def baseline() -> int:
            for _ in range(_SNAPSHOT_LOADS):
                await load_short(short.id)
            return _SNAPSHOT_LOADS

        async def candidate() -> int:
            for _ in range(_SNAPSHOT_LOADS):
                await load_long(long.id)
            return _SNAPSHOT_LOADS

        yield baseline, candidate


def _movements(account: Account | None) -> int:
    assert account is not None  # noqa: S101 - it was stored a moment ago
    return account.movements


_LOOP = "model_validate_json and if/elif in a loop"

COMPARISONS = [
    Comparison(f"replay-{_EVENTS}-decoded", "events", f"{_LOOP}, rows at hand", _decoded, aim=0.7),
    Comparison(
        f"replay-{_EVENTS}",
        "events",
        f"asyncpg, {_LOOP}",
        partial(_from_postgres, snapshot=False),
        aim=0.7,
    ),
    Comparison(
        f"replay-{_EVENTS}-snapshot",
        "events",
        f"asyncpg, {_LOOP}",
        partial(_from_postgres, snapshot=True),
        aim=10,
    ),
    *(
        Comparison(
            f"snapshot-load-{events}",
            "loads",
            "the same with a stream of 100 events",
            partial(_long_beside_short, events),
            aim=0.8,
        )
        for events in (1_000, 10_000, 100_000)
    ),
]
