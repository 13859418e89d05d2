"""Compiled specifications select what they select in memory, from documents and from columns."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import (
    JSON,
    BigInteger,
    Double,
    MetaData,
    String,
    delete,
    select,
)
from sqlalchemy import Enum as DatabaseEnum
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from cqrs_ddd_core.domain.query_options import QueryOptions
from cqrs_ddd_core.testing import SpecificationConformance, SpecificationSubject
from cqrs_ddd_core.testing.specimens import Colour, Specimen
from cqrs_ddd_persistence_sqlalchemy import create_engine
from cqrs_ddd_persistence_sqlalchemy.specifications import (
    ColumnField,
    SQLFields,
    apply_query_options,
    column_fields,
    document_fields,
    word_index,
)
from cqrs_ddd_persistence_sqlalchemy.types import ExactDecimal, UTCDateTime
from tools.services.postgres import create_database, drop_database

_json = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


class Base(DeclarativeBase):
    metadata = MetaData()


class DocumentRow(Base):
    __tablename__ = "specimen_documents"

    id: Mapped[str] = mapped_column(String, primary_key=True)
    document: Mapped[dict[str, Any]] = mapped_column(_json)


class SpecimenRow(Base):
    """A user's own table: other names, a flattened address, an enum stored by name."""

    __tablename__ = "specimen_rows"

    id: Mapped[str] = mapped_column("row_id", String, primary_key=True)
    name: Mapped[str | None]
    colour: Mapped[Colour | None] = mapped_column(DatabaseEnum(Colour))
    total: Mapped[Decimal | None] = mapped_column(ExactDecimal)
    score: Mapped[float | None] = mapped_column(Double)
    count: Mapped[int | None] = mapped_column(BigInteger)
    active: Mapped[bool | None]
    at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    day: Mapped[date | None]
    reference: Mapped[UUID | None]
    city: Mapped[str | None]
    address: Mapped[dict[str, Any] | None] = mapped_column(_json)
    tags: Mapped[list[str]] = mapped_column(_json)
    details: Mapped[dict[str, Any]] = mapped_column(_json)


_DOCUMENTS = document_fields(Specimen, DocumentRow.__table__.c.document)
_KEYED = document_fields(Specimen, DocumentRow.__table__.c.document, key=DocumentRow.__table__.c.id)
_NAME = SpecimenRow.__table__.c.name
word_index("ix_specimen_rows_words", _NAME)
_COLUMNS = column_fields(
    SpecimenRow,
    {"address.city": SpecimenRow.__table__.c.city, "name": ColumnField(_NAME, searched=True)},
)


async def _create_tables(url: str) -> None:
    engine = create_engine(url)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    await engine.dispose()


# One database for all tests of the module: each of them stores its own specimens and no others.
@pytest.fixture(scope="module")
def sqlite_tables(tmp_path_factory: pytest.TempPathFactory) -> str:
    url = f"sqlite:///{tmp_path_factory.mktemp('specimens')}/test.db"
    asyncio.run(_create_tables(url))
    return url


@pytest.fixture(scope="module")
def postgres_tables(postgres_url: str) -> Iterator[str]:
    url = create_database(postgres_url)
    asyncio.run(_create_tables(url))
    yield url
    drop_database(url)


@pytest.fixture
async def sqlite(sqlite_tables: str) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(sqlite_tables)
    yield engine
    await engine.dispose()


@pytest.fixture
async def postgres(postgres_tables: str) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(postgres_tables)
    yield engine
    await engine.dispose()


def _document(item: Specimen) -> dict[str, Any]:
    return {"id": item.id, "document": item.model_dump(mode="json")}


def _row(item: Specimen) -> dict[str, Any]:
    stored = item.model_dump(mode="json")
    values = {name: getattr(item, name) for name in Specimen.model_fields}
    json = {name: stored[name] for name in ("address", "tags", "details")}
    return values | json | {"city": item.address.city if item.address else None}


def _subject(engine: AsyncEngine, row: type[Base], fields: SQLFields) -> SpecificationSubject:
    async def store(items: Sequence[Specimen]) -> None:
        make = _document if row is DocumentRow else _row
        async with AsyncSession(engine) as session, session.begin():
            await session.execute(delete(row))
            session.add_all(row(**make(item)) for item in items)

    async def find(options: QueryOptions) -> list[str]:
        statement = apply_query_options(select(row.__table__.columns[0]), options, fields)
        async with engine.connect() as connection:
            return list(await connection.scalars(statement))

    return SpecificationSubject(store, find)


class TestSQLiteDocuments(SpecificationConformance):
    @pytest.fixture
    def subject(self, sqlite: AsyncEngine) -> SpecificationSubject:
        return _subject(sqlite, DocumentRow, _DOCUMENTS)


class TestPostgresDocuments(SpecificationConformance):
    @pytest.fixture
    def subject(self, postgres: AsyncEngine) -> SpecificationSubject:
        return _subject(postgres, DocumentRow, _KEYED)


class TestSQLiteColumns(SpecificationConformance):
    @pytest.fixture
    def subject(self, sqlite: AsyncEngine) -> SpecificationSubject:
        return _subject(sqlite, SpecimenRow, _COLUMNS)


class TestPostgresColumns(SpecificationConformance):
    @pytest.fixture
    def subject(self, postgres: AsyncEngine) -> SpecificationSubject:
        return _subject(postgres, SpecimenRow, _COLUMNS)
