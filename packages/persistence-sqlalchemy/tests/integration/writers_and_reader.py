"""What the processes of test_writers_and_reader.py do; each prints what it committed or saw."""

from __future__ import annotations

import asyncio
import json
import random
import sys
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncEngine

from cqrs_ddd_core.ports.event_store import ANY, NewEvent, StreamId
from cqrs_ddd_core.primitives.exceptions import ConcurrencyError, TransientPersistenceError
from cqrs_ddd_core.primitives.id_generator import new_id
from cqrs_ddd_core.testing.samples import new_events
from cqrs_ddd_persistence_sqlalchemy import (
    SQLAlchemyEventStore,
    SQLAlchemyInbox,
    SQLAlchemyUnitOfWork,
    create_engine,
)

HOT_STREAMS = [StreamId("Hot", str(number)) for number in range(6)]
TASKS = 4


class _Rollback(Exception):  # noqa: N818 - wanted
    pass


@dataclass
class Writer:
    """Four tasks that write to hot streams: slowly, in conflict, and not always to the end."""

    engine: AsyncEngine
    transactions: int
    random: random.Random
    committed: list[str] = field(default_factory=list)
    marks: list[str] = field(default_factory=list)
    conflicts: int = 0
    rollbacks: int = 0

    def __post_init__(self) -> None:
        self.store = SQLAlchemyEventStore(self.engine)
        self.inbox = SQLAlchemyInbox(self.engine)

    async def run(self) -> None:
        await asyncio.gather(*(self._task() for _ in range(TASKS)))

    async def _task(self) -> None:
        for number in range(self.transactions):
            try:
                await (self._append_alone() if number % 8 == 7 else self._transaction())
            except _Rollback:
                self.rollbacks += 1
            except (ConcurrencyError, TransientPersistenceError):
                self.conflicts += 1

    async def _transaction(self) -> None:
        message_id, written = new_id(), list[NewEvent]()
        async with SQLAlchemyUnitOfWork(self.engine):
            assert await self.inbox.receive("writer", message_id) is None
            await self._dawdle()
            # In one order, or deadlocks would be most of what happens.
            for stream in sorted(self.random.sample(HOT_STREAMS, self.random.choice((1, 1, 2)))):
                written += await self._append(stream)
            await self._dawdle()
            if self.random.random() < 0.1:
                raise _Rollback
        self.marks.append(str(message_id))
        self.committed += [str(event.event_id) for event in written]

    async def _append(self, stream: StreamId) -> list[NewEvent]:
        events = new_events(self.random.randint(1, 3))
        exact = self.random.random() < 0.6
        expected = await self.store.get_stream_version(stream) if exact else ANY
        await self.store.append(stream, events, expected_version=expected)
        return events

    async def _append_alone(self) -> None:
        written = await self._append(self.random.choice(HOT_STREAMS))
        self.committed += [str(event.event_id) for event in written]

    async def _dawdle(self) -> None:
        if self.random.random() < 0.2:
            await asyncio.sleep(self.random.random() * 0.02)


async def write(engine: AsyncEngine, transactions: int, seed: int) -> object:
    writer = Writer(engine, transactions, random.Random(seed))  # noqa: S311 - a plan, not a secret
    await writer.run()
    return {
        "committed": writer.committed,
        "marks": writer.marks,
        "conflicts": writer.conflicts,
        "rollbacks": writer.rollbacks,
    }


async def read(engine: AsyncEngine) -> object:
    """Follow everything; once the writers are done, a line says how many events there are."""
    store, seen, position = SQLAlchemyEventStore(engine), list[tuple[str, str, int, int]](), 0
    told = asyncio.ensure_future(asyncio.to_thread(sys.stdin.readline))
    print("ready", flush=True)
    pages_left = 3
    while pages_left:
        page = await store.read_page(position, limit=50)
        position = page.position
        seen += [(str(e.event_id), str(e.stream), e.version, e.position) for e in page.events]
        if told.done() and len(seen) >= int(told.result()):
            pages_left -= 1
        await asyncio.sleep(0.001)
    return {"seen": seen}


async def main(url: str, role: str, transactions: int, seed: int) -> None:
    engine = create_engine(url)
    result = await (read(engine) if role == "read" else write(engine, transactions, seed))
    await engine.dispose()
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
