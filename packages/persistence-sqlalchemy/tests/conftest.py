"""Empty databases with the tables in them, one for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cqrs_ddd_persistence_sqlalchemy import create_engine
from tools.services.tables import make_tables

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine


#: Tests that start processes, which takes seconds each.
_WITH_PROCESSES = ("_between_processes.py", "test_killed_workers.py", "test_killed_rebuilds.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave processes on SQLite to the slow tests: those on PostgreSQL are of the normal run."""
    here = Path(__file__).parent
    for item in items:
        has_processes = item.path.is_relative_to(here) and item.path.name.endswith(_WITH_PROCESSES)
        if has_processes and "[sqlite" in item.name:
            item.add_marker(pytest.mark.slow)


@pytest.fixture
async def sqlite_engine(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    async with _engine(f"sqlite:///{tmp_path}/test.db") as engine:
        yield engine


@pytest.fixture
async def sqlite_memory_engine() -> AsyncIterator[AsyncEngine]:
    async with _engine("sqlite://") as engine:
        yield engine


@pytest.fixture
async def postgres_engine(postgres_database: str) -> AsyncIterator[AsyncEngine]:
    async with _engine(postgres_database) as engine:
        yield engine


@pytest.fixture(params=["sqlite", "postgres"])
def engine(request: pytest.FixtureRequest) -> AsyncEngine:
    """Each database in turn."""
    engine: AsyncEngine = request.getfixturevalue(f"{request.param}_engine")
    return engine


@asynccontextmanager
async def _engine(url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(url)
    try:
        await make_tables(engine)
        yield engine
    finally:
        await engine.dispose()
