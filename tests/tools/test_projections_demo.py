"""The demo's past and its judgement, and a short run of the whole."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from itertools import islice
from pathlib import Path

import asyncpg
import pytest
from record_store.customer import CustomerJoined
from record_store.projections import open_read_side
from record_store.purchase import PurchaseRecorded

from cqrs_ddd_advanced_core.projections import ProjectionWorker
from tools.messaging_demo.processes import EXAMPLES
from tools.projections_demo.audit import Verdict, judge
from tools.projections_demo.history import load, read_customers, resampled
from tools.uv import ROOT

LOG = EXAMPLES / "record_store" / "data" / "cdnow_sample.csv"
EVENTS = 400


def past(count: int, *, seed: int = 1) -> list[dict[str, object]]:
    """Return the first events without their ids."""
    envelope = {"event_id", "occurred_at"}
    events = islice(resampled(read_customers(LOG), seed), count)
    return [event.model_dump(exclude=envelope) for event in events]


def test_the_same_seed_makes_the_same_past() -> None:
    assert past(20_000) == past(20_000)
    assert past(50) != past(50, seed=2)


def test_everybody_joins_with_the_first_purchase() -> None:
    joined: dict[str, object] = {}
    for event in islice(resampled(read_customers(LOG), 1), 30_000):
        if isinstance(event, CustomerJoined):
            assert event.customer_id not in joined
            joined[event.customer_id] = event.joined_on
        else:
            assert isinstance(event, PurchaseRecorded)
            assert event.purchased_on >= joined[event.customer_id]  # type: ignore[operator]
    assert len(joined) > 2357


@pytest.fixture
async def projected(postgres_database: str) -> str:
    """A database with a short past and its read models."""
    async with open_read_side(postgres_database) as read_side:
        events = resampled(read_customers(LOG), 1)
        assert [n async for n in load(events, EVENTS, read_side.events)] == [EVENTS]
        worker = ProjectionWorker(read_side.registry, read_side.events)
        await worker.run_once()
        await worker.stop()
    return postgres_database


async def change(database: str, statement: str) -> None:
    connection = await asyncpg.connect(database)
    await connection.execute(statement)
    await connection.close()


async def test_read_models_that_are_a_fold_of_the_events_are_right(projected: str) -> None:
    verdict = await judge(projected, version=1, answered=[])
    assert verdict == Verdict(EVENTS, EVENTS, 0, 0, 0)
    assert verdict.is_right
    assert str(verdict) == f"events={EVENTS} rebuilt={EVENTS} differences=0 lost=0 doubled=0"


ONE_IS_GONE = """
DELETE FROM customer_value
WHERE customer_id = (SELECT min(customer_id) FROM customer_value WHERE purchases = 1)
"""
COUNTED_TWICE = """
UPDATE customer_value SET purchases = purchases + 1
WHERE customer_id = (SELECT min(customer_id) FROM customer_value)
"""


@pytest.mark.parametrize(
    "statement, differences, lost, doubled",
    [
        (ONE_IS_GONE, 1, 1, 0),
        (COUNTED_TWICE, 1, 0, 1),
        ("UPDATE weekday_sales SET revenue = revenue + 0.01", 7, 0, 0),
        ("UPDATE cohorts SET customers = 0 WHERE months_since = 0", 1, 0, 0),
        ("DELETE FROM month_sales", 1, 0, 0),
    ],
)
async def test_what_is_amiss_is_counted(
    projected: str, statement: str, differences: int, lost: int, doubled: int
) -> None:
    await change(projected, statement)
    verdict = await judge(projected, version=1, answered=[])
    assert verdict == Verdict(EVENTS, EVENTS, differences, lost, doubled)


async def test_an_answer_without_its_event_is_lost(projected: str) -> None:
    verdict = await judge(projected, version=1, answered=["00000000-0000-0000-0000-000000000000"])
    assert verdict.lost == 1
    assert not verdict.is_right


async def test_a_version_that_does_not_serve_has_rebuilt_nothing(projected: str) -> None:
    await change(projected, "UPDATE cqrs_projection_serving SET version = 2")
    verdict = await judge(projected, version=1, answered=[])
    assert verdict.rebuilt == 0
    assert not verdict.is_right


@pytest.mark.slow
def test_a_short_past_is_rebuilt_exactly_through_two_kills(
    postgres_url: str, tmp_path: Path
) -> None:
    run_demo(postgres_url, tmp_path, events=5000, kills=2)


@pytest.mark.fault
def test_a_million_events_are_rebuilt_exactly_through_eight_kills(
    postgres_url: str, tmp_path: Path
) -> None:
    run_demo(postgres_url, tmp_path, events=1_000_000, kills=8)


def run_demo(postgres_url: str, folder: Path, *, events: int, kills: int) -> None:
    """Run the demo as a user does."""
    numbers = {"--events": events, "--kills": kills, "--folder": folder / "out"}
    result = subprocess.run(
        [sys.executable, "-m", "tools.projections_demo", *map(str, sum(numbers.items(), ()))],
        cwd=ROOT,
        env={
            **os.environ,
            "PYTHONPATH": str(EXAMPLES),
            "CQRS_DDD_TEST_POSTGRES_URL": postgres_url,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    *_, killed, verdict = result.stdout.splitlines()
    assert killed.startswith(f"{kills} killed")
    found = re.fullmatch(r"events=(\d+) rebuilt=(\d+) differences=0 lost=0 doubled=0", verdict)
    assert found is not None
    assert int(found[1]) == int(found[2]) > events
