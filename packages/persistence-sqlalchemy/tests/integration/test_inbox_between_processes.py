"""Several processes receive the same messages at the same time."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE
from typing import TYPE_CHECKING, Final

from cqrs_ddd_core.primitives.id_generator import new_id

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

# Receives every message it is given; the effect is a row. One in five attempts is rolled back.
CONSUMER: Final = """
import asyncio, sys, uuid
from cqrs_ddd_persistence_sqlalchemy import SQLAlchemyInbox, SQLAlchemyUnitOfWork, create_engine

class Crash(Exception): pass

async def handle(engine, inbox, message_id, fail):
    async with SQLAlchemyUnitOfWork(engine) as uow:
        known = await inbox.receive("billing", message_id)
        if known is not None:
            assert known.outcome == str(message_id).encode(), known
            return
        connection = await uow.driver_connection()
        await connection.execute("INSERT INTO effects (message_id) VALUES ($1)", message_id)
        await inbox.record_outcome("billing", message_id, str(message_id).encode())
        await asyncio.sleep(0)
        if fail:
            raise Crash

async def consume(engine, inbox, ids, offset):
    for number, message_id in enumerate(ids):
        try:
            await handle(engine, inbox, message_id, (number + offset) % 5 == 0)
        except Crash:
            await handle(engine, inbox, message_id, False)

async def main():
    engine = create_engine(sys.argv[1])
    inbox = SQLAlchemyInbox(engine)
    ids = [uuid.UUID(line) for line in sys.stdin.read().split()]
    await asyncio.gather(*(consume(engine, inbox, ids, offset) for offset in range(4)))
    await engine.dispose()

asyncio.run(main())
"""


async def test_each_message_has_one_effect_however_many_processes_receive_it(
    engine: AsyncEngine,
) -> None:
    """G5: with eight consumers in two processes, some of which roll back."""
    async with engine.begin() as connection:
        uuid = "uuid" if engine.dialect.name == "postgresql" else "text"
        await connection.exec_driver_sql(f"CREATE TABLE effects (message_id {uuid})")
    ids = sorted(new_id() for _ in range(60))
    url = engine.url.render_as_string(hide_password=False)
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", CONSUMER, url, stdin=PIPE, stderr=PIPE
        )
        for _ in range(2)
    ]
    text = "\n".join(map(str, ids)).encode()
    for _, errors in await asyncio.gather(*(process.communicate(text) for process in processes)):
        assert errors == b""
    async with engine.connect() as connection:
        rows = await connection.exec_driver_sql("SELECT message_id FROM effects")
        found = sorted(str(row[0]).replace("-", "") for row in rows)
    assert found == [message_id.hex for message_id in ids]
