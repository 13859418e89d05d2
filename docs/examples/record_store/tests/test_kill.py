"""A run that is killed at any moment, and run again, ends as if nothing had happened."""

from __future__ import annotations

import asyncio
import csv
import os
import random
import time
from decimal import Decimal
from pathlib import Path

import pytest
from record_store import __file__ as package_file
from record_store.tests.contents import assert_consistent
from record_store.tests.program import Program, last_line

SAMPLE = Path(package_file).parent / "data" / "cdnow_sample.csv"
KILLS = 10


@pytest.mark.parametrize(
    "program", [pytest.param("sqlite", marks=pytest.mark.slow), "postgres"], indirect=True
)
def test_kills_change_nothing(program: Program) -> None:
    run_with_kills(program, lines=300, kills=4)


@pytest.mark.slow
def test_kills_change_nothing_when_aggregates_are_events(event_sourced: Program) -> None:
    run_with_kills(event_sourced, lines=600)


@pytest.mark.fault
def test_ten_kills_in_the_whole_sample_change_nothing(program: Program) -> None:
    run_with_kills(program, lines=6919)


def run_with_kills(program: Program, *, lines: int, kills: int = KILLS) -> None:
    seed = int(os.environ.get("KILL_SEED", time.time_ns()))
    print(f"to repeat these kills: KILL_SEED={seed}")
    chance = random.Random(seed)  # noqa: S311 - not for secrets
    log = program.folder / "log.csv"
    log.write_bytes(b"".join(SAMPLE.read_bytes().splitlines(keepends=True)[: lines + 1]))

    kill_at_start(program, log, seconds=chance.uniform(0, 1.5))
    for done in sorted(chance.sample(range(1, lines * 9 // 10), kills - 1)):
        kill(program, log, after=done, seconds=chance.uniform(0, 0.004))
        assert_consistent_now(program)

    assert last_line(program.run("--input", str(log))) == expected_line(log)
    assert_consistent_now(program)


def assert_consistent_now(program: Program) -> None:
    asyncio.run(assert_consistent(program.database_url, event_sourced=program.event_sourced))


def kill_at_start(program: Program, log: Path, *, seconds: float) -> None:
    """Kill a run while it imports, migrates or begins to work."""
    with program.start("--input", str(log)) as process:
        time.sleep(seconds)
        process.kill()


def kill(program: Program, log: Path, *, after: int, seconds: float) -> None:
    """Kill a run some time after it has done that many lines: in the middle of a transaction."""
    with program.start("--input", str(log), "--every", "1") as process:
        assert process.stdout is not None
        assert any(line.startswith(f"{after:,} of ") for line in process.stdout)
        time.sleep(seconds)
        process.kill()
    assert process.returncode == -9


def expected_line(log: Path) -> str:
    """Return the last line, worked out without the program."""
    with log.open(newline="") as file:
        rows = list(csv.DictReader(file))
    customers = len({row["customer_id"] for row in rows})
    units = sum(int(row["units"]) for row in rows)
    revenue = sum(Decimal(row["amount"]) for row in rows)
    events = customers + len(rows)
    return (
        f"customers={customers} purchases={len(rows)} units={units} revenue={revenue} "
        f"events={events} outbox={events}"
    )
