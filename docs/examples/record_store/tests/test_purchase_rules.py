"""What the store refuses, on the in-memory adapters."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from uuid import UUID, uuid4

import pytest
from record_store.customer import Customer, CustomerJoined
from record_store.purchase import Purchase, PurchaseRecorded
from record_store.record_purchase import RecordPurchase, RecordPurchaseHandler

from cqrs_ddd_core import DomainError, HandlerRegistry, Mediator, StreamId
from cqrs_ddd_core.adapters.memory import (
    InMemoryDatabase,
    InMemoryEventStore,
    InMemoryInbox,
    InMemoryOutboxStorage,
    InMemoryRepository,
    InMemoryUnitOfWork,
)
from cqrs_ddd_core.middleware import IdempotencyMiddleware
from cqrs_ddd_core.primitives import FixedClock

TODAY = date(1997, 6, 30)


class MemoryStore:
    def __init__(self) -> None:
        database = InMemoryDatabase()
        self.customers = InMemoryRepository(Customer, database)
        self.purchases = InMemoryRepository(Purchase, database)
        self.events = InMemoryEventStore(database)
        self.outbox = InMemoryOutboxStorage(database)
        clock = FixedClock(datetime(1997, 6, 30, 12, tzinfo=UTC))
        registry = HandlerRegistry()
        registry.register_command_handler(
            RecordPurchase, RecordPurchaseHandler(self.customers, self.purchases, clock)
        )
        self.mediator = Mediator(
            registry,
            partial(InMemoryUnitOfWork, database),
            middlewares=[IdempotencyMiddleware(InMemoryInbox(database))],
            event_store=self.events,
            outbox=self.outbox,
        )

    async def record(
        self,
        *,
        on: date = TODAY,
        units: int = 1,
        amount: str = "9.99",
        command_id: UUID | None = None,
    ) -> list[type]:
        response = await self.mediator.send(
            RecordPurchase(
                command_id=command_id or uuid4(),
                customer_id="00004",
                purchased_on=on,
                units=units,
                amount=Decimal(amount),
            )
        )
        return [type(event) for event in response.events]


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


async def test_a_first_purchase_makes_a_customer(store: MemoryStore) -> None:
    assert await store.record(on=date(1997, 1, 1)) == [CustomerJoined, PurchaseRecorded]

    assert (await store.customers.get("00004")).joined_on == date(1997, 1, 1)


async def test_a_later_purchase_makes_no_second_customer(store: MemoryStore) -> None:
    await store.record(on=date(1997, 1, 1))

    assert await store.record(on=date(1997, 1, 1)) == [PurchaseRecorded]

    assert await store.customers.count() == 1
    assert await store.purchases.count() == 2


async def test_a_gift_is_a_purchase(store: MemoryStore) -> None:
    await store.record(amount="0.00")

    assert await store.purchases.count() == 1


async def test_the_amount_is_exact_in_the_stored_event(store: MemoryStore) -> None:
    purchase_id = uuid4()

    await store.record(amount="29.30", command_id=purchase_id)

    (event,) = await store.events.get_events(StreamId("Purchase", str(purchase_id)))
    assert event.payload["amount"] == "29.30"


@pytest.mark.parametrize(
    "purchase, reason",
    [
        ({"units": -1}, "at least one unit"),
        ({"units": 0}, "at least one unit"),
        ({"amount": "-0.01"}, "cannot be negative"),
        ({"on": date(1997, 7, 1)}, "is in the future"),
        ({"on": date(1996, 12, 31)}, "is before customer 00004 joined"),
    ],
)
async def test_a_purchase_against_a_rule_changes_nothing(
    store: MemoryStore, purchase: dict[str, object], reason: str
) -> None:
    await store.record(on=date(1997, 1, 1))

    with pytest.raises(DomainError, match=reason):
        await store.record(**purchase)  # type: ignore[arg-type]

    assert await store.purchases.count() == 1
    assert await store.outbox.count_pending() == 2


@pytest.mark.parametrize("purchase", [{"units": 0}, {"on": date(1997, 7, 1)}])
async def test_a_refused_first_purchase_makes_no_customer(
    store: MemoryStore, purchase: dict[str, object]
) -> None:
    with pytest.raises(DomainError):
        await store.record(**purchase)  # type: ignore[arg-type]

    assert await store.customers.count() == 0
    assert await store.outbox.count_pending() == 0


async def test_the_same_command_again_has_no_effect(store: MemoryStore) -> None:
    command_id = uuid4()
    await store.record(command_id=command_id)

    assert await store.record(command_id=command_id) == []

    assert await store.purchases.count() == 1
    assert await store.events.get_latest_position() == 2


async def test_a_refused_command_can_be_given_again(store: MemoryStore) -> None:
    command_id = uuid4()
    with pytest.raises(DomainError):
        await store.record(units=0, command_id=command_id)

    assert await store.record(units=1, command_id=command_id) == [CustomerJoined, PurchaseRecorded]
