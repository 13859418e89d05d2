"""Relays as processes, and a ledger of what was committed and what arrived."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

import pytest

from cqrs_ddd_core.ports.outbox import OutboxMessage
from cqrs_ddd_core.testing.conformance import rolled_back
from cqrs_ddd_core.testing.samples import new_message
from cqrs_ddd_persistence_sqlalchemy import (
    SQLAlchemyOutboxStorage,
    SQLAlchemyUnitOfWork,
    create_engine,
)
from tools.services.tables import make_tables

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

LEASE_SECONDS: Final = 2.0
PROGRAM: Final = Path(__file__).with_name("relay_process.py")


@dataclass(frozen=True)
class Account:
    """What the ids say."""

    lost: set[str]
    ghosts: set[str]
    inverted: list[str]
    duplicates: int


class Ledger:
    """Writes messages in units of work, and compares what was committed with what arrived."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self.storage = SQLAlchemyOutboxStorage(engine)
        self.committed: defaultdict[str, list[str]] = defaultdict(list)

    async def write(self, count: int, *, streams: int = 20) -> list[OutboxMessage]:
        """Commit messages at once."""
        messages = [new_message(f"Order-{number % streams}") for number in range(count)]
        await self.storage.save_messages(messages)
        self._note(messages)
        return messages

    async def write_transactions(self, count: int, *, writers: int = 4) -> None:
        """Commit and roll back small units of work, each writer for its own streams."""
        await asyncio.gather(*(self._write(number, count) for number in range(writers)))

    async def _write(self, writer: int, count: int) -> None:
        chance = random.Random(writer)  # noqa: S311 - repeatable
        for _ in range(count):
            stream = f"Order-{writer}-{chance.randrange(5)}"
            messages = [new_message(stream) for _ in range(chance.randint(1, 5))]
            if chance.random() < 0.2:
                async with rolled_back(lambda: SQLAlchemyUnitOfWork(self.engine)):
                    await self.storage.save_messages(messages)
            else:
                async with SQLAlchemyUnitOfWork(self.engine):
                    await self.storage.save_messages(messages)
                self._note(messages)
            await asyncio.sleep(chance.random() * 0.02)

    def _note(self, messages: Sequence[OutboxMessage]) -> None:
        for message in messages:
            self.committed[message.stream].append(str(message.message_id))

    async def wait_until_published(self) -> None:
        async with asyncio.timeout(120):
            while await self.storage.count_pending():  # noqa: ASYNC110 - others publish
                await asyncio.sleep(0.05)

    def account(self, arrived: Sequence[str]) -> Account:
        """Compare; first deliveries have to be in the order of their stream."""
        first = {message_id: place for place, message_id in reversed(list(enumerate(arrived)))}
        all_committed = {one for ids in self.committed.values() for one in ids}
        places = {
            stream: [first[one] for one in ids if one in first]
            for stream, ids in self.committed.items()
        }
        return Account(
            lost=all_committed - first.keys(),
            ghosts=first.keys() - all_committed,
            inverted=[stream for stream, found in places.items() if found != sorted(found)],
            duplicates=len(arrived) - len(first),
        )


class Relays:
    """Starts relays and ends them."""

    batch_size: ClassVar[int] = 20

    def __init__(self, database: str, broker: Any) -> None:
        self._options = {
            "database": database,
            "broker": broker.url,
            "prefix": broker.settings.prefix,
            "batch_size": self.batch_size,
            "lease_seconds": LEASE_SECONDS,
        }
        self.running: list[Process] = []

    async def start(self, *, dies_by: signal.Signals | None = None) -> Process:
        """Start one; it sends itself the signal after its first confirmed batch, when given."""
        options = self._options | {"signal": dies_by.name if dies_by else ""}
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(PROGRAM), json.dumps(options), stdout=PIPE, stderr=PIPE
        )
        self.running.append(process)
        await self.expect(process, b"started")
        return process

    async def expect(self, process: Process, said: bytes) -> bytes:
        """Wait until a process says something, and return the line."""
        assert process.stdout is not None
        async with asyncio.timeout(120):
            while line := await process.stdout.readline():
                if line.startswith(said):
                    return line
        assert process.stderr is not None
        pytest.fail((await process.stderr.read()).decode())

    async def kill(self, process: Process) -> None:
        self.running.remove(process)
        with suppress(ProcessLookupError):
            process.kill()
        await process.communicate()

    async def stop(self, process: Process) -> str:
        """End one in order and return what it logged."""
        self.running.remove(process)
        process.terminate()
        async with asyncio.timeout(60):
            _, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()
        return errors.decode()

    async def close(self) -> None:
        for process in list(self.running):
            await self.kill(process)


@asynccontextmanager
async def _engine(url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(url)
    try:
        await make_tables(engine)
        yield engine
    finally:
        await engine.dispose()


@pytest.fixture
async def postgres_engine(postgres_database: str) -> AsyncIterator[AsyncEngine]:
    async with _engine(postgres_database) as engine:
        yield engine


@pytest.fixture
async def sqlite_engine(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    async with _engine(f"sqlite:///{tmp_path}/test.db") as engine:
        yield engine


@pytest.fixture(params=["sqlite", "postgres"])
def engine(request: pytest.FixtureRequest) -> AsyncEngine:
    """Each database in turn."""
    engine: AsyncEngine = request.getfixturevalue(f"{request.param}_engine")
    return engine


@pytest.fixture
def ledger(postgres_engine: AsyncEngine) -> Ledger:
    return Ledger(postgres_engine)


@pytest.fixture
async def relays(
    postgres_engine: AsyncEngine,
    postgres_database: str,
    broker: Any,
) -> AsyncIterator[Relays]:
    relays = Relays(postgres_database, broker)
    yield relays
    await relays.close()
