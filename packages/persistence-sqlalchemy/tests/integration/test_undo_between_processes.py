"""Several processes undo the same commands at the same time."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE
from typing import TYPE_CHECKING, Final

from cqrs_ddd_advanced_core.ports.undo_history import UndoEntry, UndoStatus
from cqrs_ddd_core.primitives.clock import utc_now
from cqrs_ddd_core.primitives.id_generator import new_id
from cqrs_ddd_persistence_sqlalchemy import SQLAlchemyUndoHistory, SQLAlchemyUnitOfWork

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

# Undoes and redoes every command it is given; each effect is a row.
PROGRAM: Final = """
import asyncio, sys, uuid
from cqrs_ddd_advanced_core.undo import UndoExecutorRegistry, UndoService
from cqrs_ddd_core import Command, HandlerRegistry, Mediator
from cqrs_ddd_persistence_sqlalchemy import (
    SQLAlchemyUndoHistory, SQLAlchemyUnitOfWork, create_engine
)

class Write(Command[None]):
    pass

class Erase(Command[None]):
    pass

async def record(command):
    connection = await SQLAlchemyUnitOfWork.current().driver_connection()
    await connection.execute(
        "INSERT INTO effects (command_id, command_type) VALUES ($1, $2)",
        str(command.command_id), command.command_type,
    )

async def main():
    engine = create_engine(sys.argv[1])
    registry, executors = HandlerRegistry(), UndoExecutorRegistry()
    for command_type in (Write, Erase):
        registry.register_command_handler(command_type, record)
    executors.undo(Write)(lambda command: Erase())
    mediator = Mediator(registry, lambda: SQLAlchemyUnitOfWork(engine))
    service = UndoService(mediator, SQLAlchemyUndoHistory(engine), executors)
    tokens = [uuid.UUID(line) for line in sys.stdin.read().split()]

    async def undo_all():
        for token in tokens:
            await service.undo(token)

    await asyncio.gather(*(undo_all() for _ in range(4)))
    await engine.dispose()

asyncio.run(main())
"""


async def test_each_command_is_undone_once_however_many_processes_ask(
    engine: AsyncEngine,
) -> None:
    """H-6: eight callers in two processes."""
    async with engine.begin() as connection:
        await connection.exec_driver_sql(
            "CREATE TABLE effects (command_id text PRIMARY KEY, command_type text)"
        )
    history = SQLAlchemyUndoHistory(engine)
    entries = [await history.add(_written(number)) for number in range(40)]
    await _run_twice(engine, "\n".join(str(entry.token) for entry in entries))
    async with engine.connect() as connection:
        rows = (await connection.exec_driver_sql("SELECT command_type FROM effects")).all()
    assert [row[0] for row in rows] == ["Erase"] * len(entries)
    for entry in entries:
        undone = await history.get(entry.token)
        assert undone is not None
        assert (undone.status, undone.revision) == (UndoStatus.UNDONE, 2)


async def test_scopes_do_not_wait_for_each_other(postgres_engine: AsyncEngine) -> None:
    history = SQLAlchemyUndoHistory(postgres_engine)
    async with SQLAlchemyUnitOfWork(postgres_engine):
        await history.lock("ada")
        await asyncio.create_task(_lock(postgres_engine, history, "grace"))
        waiting = asyncio.create_task(_lock(postgres_engine, history, "ada"))
        done, _ = await asyncio.wait([waiting], timeout=0.1)
        assert not done
    await waiting


async def _lock(engine: AsyncEngine, history: SQLAlchemyUndoHistory, scope: str) -> None:
    async with SQLAlchemyUnitOfWork(engine):
        await history.lock(scope)


async def _run_twice(engine: AsyncEngine, tokens: str) -> None:
    url = engine.url.render_as_string(hide_password=False)
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", PROGRAM, url, stdin=PIPE, stderr=PIPE
        )
        for _ in range(2)
    ]
    outcomes = await asyncio.gather(*(one.communicate(tokens.encode()) for one in processes))
    assert [errors for _, errors in outcomes] == [b"", b""]


def _written(number: int) -> UndoEntry:
    now, token = utc_now(), new_id()
    command = f'{{"command_id": "{token}"}}'.encode()
    return UndoEntry(token, f"scope {number}", "Write", command, now, now)
