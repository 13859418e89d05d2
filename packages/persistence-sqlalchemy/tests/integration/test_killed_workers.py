"""Workers of projections that are killed at the worst moments."""

from __future__ import annotations

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from cqrs_ddd_advanced_core.testing import ProjectionSubject
from cqrs_ddd_advanced_core.testing.projection._suite import Shop
from cqrs_ddd_persistence_sqlalchemy import SQLAlchemyEventStore, SQLAlchemyProjectionStore

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

_PROGRAM: Final = Path(__file__).with_name("dying_program.py")
_SHORT: Final = [("advance", "after"), ("_commit", "after")]
_LONG: Final = [
    ("advance", "before"),
    ("apply", "before"),
    ("apply", "after"),
    ("_commit", "before"),
    ("lease", "after"),
]


@pytest.mark.parametrize("number", [2, pytest.param(3, marks=pytest.mark.fault)])
@pytest.mark.parametrize(
    "method, when",
    [*_SHORT, *(pytest.param(*point, marks=pytest.mark.fault) for point in _LONG)],
)
async def test_a_killed_worker_loses_and_doubles_nothing(
    engine: AsyncEngine, method: str, when: str, number: int
) -> None:
    """F35: rows are those of the checkpoint after the kill, and of all events after the next."""
    shop = Shop(ProjectionSubject(SQLAlchemyProjectionStore(engine), SQLAlchemyEventStore(engine)))
    for basket in range(5):
        await shop.buy(f"b-{basket}", 10)
    await shop.catch_up(batch_size=10, owner="first")
    for basket in range(5):
        await shop.buy(f"b-{basket}", 10)
    before = (await shop.checkpoint()).position
    await _run_killed(engine, method, 1 if method == "lease" else number, when)
    position = (await shop.checkpoint()).position
    assert position >= before
    assert await shop.rows() == await shop.fold(up_to=position)
    async with asyncio.timeout(30):
        # Its lease has to end first.
        while (await shop.checkpoint()).position < 100:
            await shop.catch_up(batch_size=10)
    assert await shop.rows() == await shop.fold()


async def _run_killed(engine: AsyncEngine, method: str, number: int, when: str) -> None:
    url = engine.url.render_as_string(hide_password=False)
    arguments = ("work", url, method, str(number), when)
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(_PROGRAM), *arguments, stdout=PIPE, stderr=PIPE
    )
    output, errors = await process.communicate()
    assert process.returncode == -signal.SIGKILL, (output, errors.decode())
