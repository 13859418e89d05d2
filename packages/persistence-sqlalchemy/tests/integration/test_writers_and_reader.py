"""G3 and G1 under load: sixteen writers in four processes, and a reader that follows them."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest

from cqrs_ddd_persistence_sqlalchemy._session import database_of, reading

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

_PROGRAM = Path(__file__).with_name("writers_and_reader.py")
_PROCESSES = 4


@pytest.mark.parametrize(
    "transactions",
    [25, pytest.param(2000, marks=[pytest.mark.fault, pytest.mark.timeout(1800)])],
)
async def test_a_reader_beside_sixteen_writers_sees_every_event_once_and_in_order(
    engine: AsyncEngine, transactions: int
) -> None:
    """F01, S-4: none lost, none doubled, no stream out of order; sets of ids are compared."""
    async with _Processes(engine) as processes:
        reader = await processes.start("read")
        assert reader.stdout is not None
        assert await reader.stdout.readline() == b"ready\n"
        writers = [await processes.start("write", transactions, n) for n in range(_PROCESSES)]
        reports = await asyncio.gather(*(_finish(writer) for writer in writers))
        expected = sum(len(report["committed"]) for report in reports)
        seen = (await _finish(reader, f"{expected}\n"))["seen"]
    committed = [event_id for report in reports for event_id in report["committed"]]
    marks = {mark for report in reports for mark in report["marks"]}

    assert {event_id for event_id, *_ in seen} == set(committed)
    assert len(seen) == len(committed) == len(set(committed))
    positions = [position for *_, position in seen]
    assert positions == sorted(positions)
    versions: defaultdict[str, list[int]] = defaultdict(list)
    for _, stream, version, _ in seen:
        versions[stream].append(version)
    assert all(found == list(range(1, len(found) + 1)) for found in versions.values())
    assert await _inbox_marks(engine) == len(marks)
    # The load was the one that was meant.
    assert sum(report["rollbacks"] for report in reports) > 0
    assert engine.dialect.name == "sqlite" or sum(report["conflicts"] for report in reports) > 0


class _Processes:
    """Processes on one database; none outlives the block."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._url = engine.url.render_as_string(hide_password=False)
        self._started: list[Process] = []

    async def start(self, role: str, transactions: int = 0, seed: int = 0) -> Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(_PROGRAM), self._url, role, str(transactions), str(seed),
            stdin=PIPE, stdout=PIPE, limit=2**28,
        )  # fmt: skip
        self._started.append(process)
        return process

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for process in self._started:
            if process.returncode is None:
                process.kill()
            await process.communicate()


async def _finish(process: Process, text: str = "") -> dict[str, Any]:
    output, _ = await process.communicate(text.encode())
    assert process.returncode == 0
    result: dict[str, Any] = json.loads(output)
    return result


async def _inbox_marks(engine: AsyncEngine) -> int:
    async with reading(database_of(engine)) as connection:
        rows = await connection.fetch("SELECT count(*) FROM cqrs_inbox")
    count: int = rows[0][0]
    return count
