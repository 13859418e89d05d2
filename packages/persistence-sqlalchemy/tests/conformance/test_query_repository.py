"""Query repositories over read models on each database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from cqrs_ddd_advanced_core.testing import QueryRepositoryConformance, QueryRepositorySubject
from cqrs_ddd_persistence_sqlalchemy import (
    SQLAlchemyProjectionStore,
    create_engine,
    create_schema,
)
from tools.services.postgres import create_database, drop_database


async def _create_schema(url: str) -> None:
    engine = create_engine(url)
    await create_schema(engine)
    await engine.dispose()


async def _subject(url: str) -> AsyncIterator[QueryRepositorySubject]:
    engine = create_engine(url)
    yield QueryRepositorySubject(SQLAlchemyProjectionStore(engine))
    await engine.dispose()


# One database for all tests of the module: each of them fills its tables anew.
@pytest.fixture(scope="module")
def sqlite_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    url = f"sqlite:///{tmp_path_factory.mktemp('queries')}/test.db"
    asyncio.run(_create_schema(url))
    return url


@pytest.fixture(scope="module")
def own_postgres_url(postgres_url: str) -> Iterator[str]:
    url = create_database(postgres_url)
    asyncio.run(_create_schema(url))
    yield url
    drop_database(url)


class TestSQLiteQueryRepository(QueryRepositoryConformance):
    @pytest.fixture
    async def subject(self, sqlite_url: str) -> AsyncIterator[QueryRepositorySubject]:
        async for subject in _subject(sqlite_url):
            yield subject


class TestPostgresQueryRepository(QueryRepositoryConformance):
    @pytest.fixture
    async def subject(self, own_postgres_url: str) -> AsyncIterator[QueryRepositorySubject]:
        async for subject in _subject(own_postgres_url):
            yield subject
