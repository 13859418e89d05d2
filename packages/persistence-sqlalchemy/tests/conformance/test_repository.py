"""The repository on SQLite and PostgreSQL keeps the promises of its port."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import UUID

import pytest
from sqlalchemy import JSON, BigInteger, DateTime, Numeric, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from cqrs_ddd_core.testing import RepositoryConformance, RepositorySubject
from cqrs_ddd_core.testing.samples import SampleOrder
from cqrs_ddd_persistence_sqlalchemy.repository import SQLAlchemyRepository
from cqrs_ddd_persistence_sqlalchemy.unit_of_work import SQLAlchemyUnitOfWork

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.ext.asyncio import AsyncEngine


class Base(DeclarativeBase):
    """The metadata of an application."""


class OrderRow(Base):
    """A table as an application would have it, with names and types of its own."""

    __tablename__ = "orders"

    tenant_id: Mapped[str] = mapped_column(Text, primary_key=True)
    order_id: Mapped[str] = mapped_column(Text, primary_key=True)
    customer: Mapped[str] = mapped_column(Text)
    total: Mapped[Decimal] = mapped_column(Numeric(20, 2))
    status: Mapped[str] = mapped_column(Text)
    placed_on: Mapped[date]
    due_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    lines: Mapped[list[Any]] = mapped_column(JSON)
    note: Mapped[str] = mapped_column("remark", Text)
    reference: Mapped[UUID]
    coupon: Mapped[str | None] = mapped_column(Text)
    row_version: Mapped[int] = mapped_column(BigInteger)
    imported: Mapped[bool] = mapped_column(default=False)


def _documents(engine: AsyncEngine) -> RepositorySubject:
    return RepositorySubject(
        SQLAlchemyRepository(SampleOrder, engine), lambda: SQLAlchemyUnitOfWork(engine)
    )


async def _rows(engine: AsyncEngine) -> RepositorySubject:
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    repository = SQLAlchemyRepository(
        SampleOrder,
        engine,
        model=OrderRow,
        field_map={"id": "order_id"},
        version_column="row_version",
    )
    return RepositorySubject(repository, lambda: SQLAlchemyUnitOfWork(engine))


class TestSQLiteDocuments(RepositoryConformance):
    @pytest.fixture
    def subject(self, sqlite_engine: AsyncEngine) -> RepositorySubject:
        return _documents(sqlite_engine)


@pytest.mark.slow
class TestSQLiteMemoryDocuments(RepositoryConformance):
    lacks: ClassVar[Mapping[str, str]] = {
        "concurrent_transactions": "a database in memory has one connection"
    }

    @pytest.fixture
    def subject(self, sqlite_memory_engine: AsyncEngine) -> RepositorySubject:
        return _documents(sqlite_memory_engine)


class TestPostgresDocuments(RepositoryConformance):
    @pytest.fixture
    def subject(self, postgres_engine: AsyncEngine) -> RepositorySubject:
        return _documents(postgres_engine)


# SQLite has no decimals: a Numeric column is a float there, and SQLAlchemy says so.
@pytest.mark.filterwarnings("ignore:Dialect sqlite:sqlalchemy.exc.SAWarning")
class TestSQLiteModel(RepositoryConformance):
    @pytest.fixture
    async def subject(self, sqlite_engine: AsyncEngine) -> RepositorySubject:
        return await _rows(sqlite_engine)


class TestPostgresModel(RepositoryConformance):
    @pytest.fixture
    async def subject(self, postgres_engine: AsyncEngine) -> RepositorySubject:
        return await _rows(postgres_engine)
