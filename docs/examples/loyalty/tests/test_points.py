"""How many points there are, whatever the transport does."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest
from loyalty.points import REGULAR_FROM, points_for
from loyalty.service import CONSUMER, MESSAGE_TYPES, open_service
from record_store.ingest import ingest
from record_store.purchase_log import Line
from record_store.store import open_store
from sqlalchemy import text

from cqrs_ddd_core.outbox import OutboxService
from cqrs_ddd_core.ports.outbox import OutboxMessage
from cqrs_ddd_core.primitives import BrokerUnavailableError, EventPayloadError
from cqrs_ddd_infrastructure_messaging.memory import FaultPlan, InMemoryTransport
from cqrs_ddd_persistence_sqlalchemy import SQLAlchemyOutboxStorage, create_engine

PURCHASES = [
    b"ann,0001,1997-01-01,2,99.99",
    b"bob,0001,1997-01-02,1,10.00",
    b"ann,0001,1997-01-03,1,1.50",
    b"ann,0001,1997-01-04,3,20.00",
]


@pytest.mark.parametrize(
    "amount, balance, points",
    [("0.00", 0, 0), ("0.99", 0, 0), ("1.00", 99, 1), ("14.96", 0, 14), ("14.96", 100, 28)],
)
def test_a_point_for_each_whole_dollar_and_two_for_regular_customers(
    amount: str, balance: int, points: int
) -> None:
    assert points_for(Decimal(amount), balance=balance) == points
    assert REGULAR_FROM == 100


@pytest.mark.parametrize("faults", [FaultPlan(), FaultPlan(double=1.0), FaultPlan(unconfirmed=0.5)])
async def test_points_follow_from_what_the_record_store_announces(
    tmp_path: Path, faults: FaultPlan
) -> None:
    transport = InMemoryTransport(faults)
    await take_in(tmp_path)
    async with open_service(f"sqlite:///{tmp_path}/loyalty.db") as service:
        consumer = transport.new_consumer()
        await consumer.subscribe_batch(MESSAGE_TYPES, service.handle_batch, consumer=CONSUMER)
        await consumer.start()
        await relay(tmp_path, transport)
        await transport.drain()
        await consumer.stop()

    assert await points(tmp_path) == {"ann": 99 + 1 + 2 * 20, "bob": 10}
    assert await transport.dead_letters.list(CONSUMER) == []


async def test_a_message_that_comes_again_earns_nothing(tmp_path: Path) -> None:
    announced = await announcements(tmp_path)

    async with open_service(f"sqlite:///{tmp_path}/loyalty.db") as service:
        for message in announced * 2:
            await service(message)
        await service.handle_batch(announced)

    assert await points(tmp_path) == {"ann": 140, "bob": 10}


async def test_a_message_that_cannot_be_read_changes_nothing(tmp_path: Path) -> None:
    first, *_ = await announcements(tmp_path)
    broken = replace(first, payload=b'{"amount": "all"}')

    async with open_service(f"sqlite:///{tmp_path}/loyalty.db") as service:
        (error,) = await service.handle_batch([broken])
        assert isinstance(error, EventPayloadError)
        await service(first)

    assert await points(tmp_path) == {"ann": 99}


async def take_in(folder: Path) -> None:
    lines = [Line(UUID(int=1), number, text) for number, text in enumerate(PURCHASES)]
    async with open_store(f"sqlite:///{folder}/store.db", announce=True) as mediator:
        summary = await ingest(lines, mediator, print)
    assert summary.recorded == len(PURCHASES)


async def relay(folder: Path, transport: InMemoryTransport) -> None:
    """Publish until the outbox is empty."""
    engine = create_engine(f"sqlite:///{folder}/store.db")
    outbox = SQLAlchemyOutboxStorage(engine)
    service = OutboxService(outbox, transport.publisher)
    while await outbox.count_pending():
        with suppress(BrokerUnavailableError):
            await service.process_batch()
    await engine.dispose()


async def announcements(folder: Path) -> list[OutboxMessage]:
    """Take the purchases in and return what the outbox has for others."""
    await take_in(folder)
    engine = create_engine(f"sqlite:///{folder}/store.db")
    outbox = SQLAlchemyOutboxStorage(engine)
    leases = await outbox.lease_partitions("test", seconds=60)
    found = await outbox.claim_pending(leases)
    await engine.dispose()
    return [item.message for item in sorted(found, key=lambda item: item.sequence)]


async def points(folder: Path) -> dict[str, int]:
    engine = create_engine(f"sqlite:///{folder}/loyalty.db")
    async with engine.connect() as connection:
        rows = await connection.execute(text("SELECT customer_id, points FROM loyalty_accounts"))
        found = {customer: points for customer, points in rows}  # noqa: C416 - rows are no tuples
    await engine.dispose()
    return found
