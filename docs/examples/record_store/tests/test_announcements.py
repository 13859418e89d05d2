"""What other services are told of a purchase."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

from record_store.ingest import ingest
from record_store.purchase_log import Line
from record_store.store import open_store

from cqrs_ddd_core.ports.outbox import OutboxMessage
from cqrs_ddd_persistence_sqlalchemy import SQLAlchemyOutboxStorage, create_engine

LINES = [
    Line(UUID(int=1), number, text)
    for number, text in enumerate(
        [
            b"ann,0001,1997-01-01,2,99.90",
            b"bob,0001,1997-01-02,1,10.00",
            b"ann,0001,1997-01-03,0,1.50",
            b"ann,0001,1997-01-04,3,20.00",
        ]
    )
]


async def test_a_purchase_is_announced_once_in_the_stream_of_its_customer(tmp_path: Path) -> None:
    found = await announced(tmp_path, LINES + LINES)

    wanted = [LINES[0], LINES[1], LINES[3]]
    assert [message.message_id for message in found] == [
        line.to_command().command_id for line in wanted
    ]
    assert [message.stream for message in found] == ["Customer-ann", "Customer-bob", "Customer-ann"]


async def test_an_announcement_tells_what_others_need(tmp_path: Path) -> None:
    (message,) = await announced(tmp_path, LINES[:1])

    assert message.message_type == "PurchaseAnnounced"
    assert message.payload == (
        b'{"purchase_id":"%s","customer_id":"ann","purchased_on":"1997-01-01","amount":"99.90"}'
        % str(message.message_id).encode()
    )
    assert message.correlation_id is not None
    assert message.causation_id is not None


async def test_without_others_the_outbox_has_the_events(tmp_path: Path) -> None:
    found = await announced(tmp_path, LINES[:1], announce=False)

    assert [message.message_type for message in found] == ["CustomerJoined", "PurchaseRecorded"]


async def announced(
    folder: Path, lines: list[Line], *, announce: bool = True
) -> list[OutboxMessage]:
    url = f"sqlite:///{folder}/store.db"
    async with open_store(url, announce=announce) as mediator:
        await ingest(lines, mediator, lambda _: None)
    engine = create_engine(url)
    outbox = SQLAlchemyOutboxStorage(engine)
    found = await outbox.claim_pending(await outbox.lease_partitions("test", seconds=60))
    await engine.dispose()
    return [item.message for item in sorted(found, key=lambda item: item.sequence)]
