"""What fits into a model is told when the repository is made, not when a row is written."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import Enum, StrEnum
from typing import Any
from uuid import UUID

import pytest
from pydantic import Field
from sqlalchemy import JSON, DateTime, Float, ForeignKey, Numeric, String, Text
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from cqrs_ddd_core.domain.aggregate import AggregateRoot
from cqrs_ddd_core.domain.value_object import ValueObject
from cqrs_ddd_core.primitives.exceptions import ConfigurationError
from cqrs_ddd_persistence_sqlalchemy import SQLAlchemyRepository, create_engine


class Base(DeclarativeBase):
    pass


class Colour(StrEnum):
    RED = "red"


class Size(Enum):
    SMALL = 1


class Address(ValueObject):
    street: str
    city: str


class Leg(ValueObject):
    start: str


class Parcel(AggregateRoot[UUID]):
    total: Decimal
    sent_at: datetime
    target: Address | None = None
    colour: Colour = Colour.RED
    tags: list[str] = Field(default_factory=list)
    legs: list[Leg] = Field(default_factory=list)


class ParcelRow(Base):
    __tablename__ = "parcels"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    version: Mapped[int]
    total: Mapped[Decimal] = mapped_column(Numeric(12, 2))
    sent_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    target_street: Mapped[str | None]
    target_city: Mapped[str | None]
    colour: Mapped[Colour]
    tags: Mapped[list[Any]] = mapped_column(JSON)
    legs: Mapped[list[Any]] = mapped_column(JSON)


@pytest.fixture
def engine() -> AsyncEngine:
    return create_engine("sqlite://")


def _refused(engine: AsyncEngine, model: type[Any], **options: Any) -> str:
    with pytest.raises(ConfigurationError) as refused:
        SQLAlchemyRepository(Parcel, engine, model=model, **options)
    return str(refused.value)


def test_a_model_that_fits_is_accepted(engine: AsyncEngine) -> None:
    SQLAlchemyRepository(Parcel, engine, model=ParcelRow)


def test_everything_that_is_missing_is_listed_at_once(engine: AsyncEngine) -> None:
    class Missing(Base):
        __tablename__ = "missing"
        number: Mapped[int] = mapped_column(primary_key=True)
        total: Mapped[Decimal]
        target_street: Mapped[str | None]
        weight: Mapped[int]

    message = _refused(engine, Missing, exclude=["tags", "colour", "legs"])
    for problem in (
        "field 'id' has no column 'id'",
        "field 'sent_at' has no column 'sent_at'",
        "field 'target.city' has no column 'target_city'",
        "no integer column 'version'",
        "column 'weight' must not be NULL and no field goes into it",
        "the primary key is neither",
    ):
        assert problem in message


def test_types_that_would_lose_something_are_refused(engine: AsyncEngine) -> None:
    class Lossy(Base):
        __tablename__ = "lossy"
        id: Mapped[str] = mapped_column(String(36), primary_key=True)
        version: Mapped[int]
        total: Mapped[float] = mapped_column(Float)
        sent_at: Mapped[str] = mapped_column(Text)
        target: Mapped[str | None] = mapped_column(Text)
        colour: Mapped[Size]
        tags: Mapped[str] = mapped_column(Text)
        legs_start: Mapped[str]

    message = _refused(engine, Lossy)
    for problem in (
        "field 'total' cannot go into lossy.total: a decimal number would be rounded",
        "field 'sent_at' cannot go into lossy.sent_at: it holds a point in time",
        "field 'target' cannot go into lossy.target: it holds a list or an object",
        "field 'colour' cannot go into lossy.colour: the column is of another enum",
        "field 'tags' cannot go into lossy.tags: it holds a list or an object; use a JSON column",
        "field 'legs' has no column 'legs'",
    ):
        assert problem in message
    assert len(message.splitlines()) == 1 + 7


def test_a_value_object_that_may_be_none_needs_columns_that_may_be_null(
    engine: AsyncEngine,
) -> None:
    class Strict(Base):
        __tablename__ = "strict"
        id: Mapped[UUID] = mapped_column(primary_key=True)
        version: Mapped[int]
        total: Mapped[Decimal] = mapped_column(Numeric(12, 2))
        sent_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
        target_street: Mapped[str]
        target_city: Mapped[str | None]
        colour: Mapped[Colour]
        tags: Mapped[list[Any]] = mapped_column(JSON)
        legs: Mapped[list[Any]] = mapped_column(JSON)

    message = _refused(engine, Strict)
    assert "column 'target_street' must not be NULL, but 'target' may be None" in message
    assert "target_city" not in message


def test_names_that_mean_nothing_are_refused(engine: AsyncEngine) -> None:
    message = _refused(engine, ParcelRow, field_map={"totl": "total"}, exclude=["tagz"])
    assert "'totl', which is no field" in message
    assert "'tagz', which is no field" in message


def test_a_field_that_is_needed_for_reading_cannot_be_left_out(engine: AsyncEngine) -> None:
    assert "total would not be stored" in _refused(engine, ParcelRow, exclude=["total"])


def test_what_pydantic_never_dumps_must_have_a_default(engine: AsyncEngine) -> None:
    class Secretive(AggregateRoot[str]):
        secret: str = Field(exclude=True)

    with pytest.raises(ConfigurationError, match="secret would not be stored"):
        SQLAlchemyRepository(Secretive, engine)


def test_a_model_of_several_tables_is_refused(engine: AsyncEngine) -> None:
    class Gift(ParcelRow):
        __tablename__ = "gifts"
        id: Mapped[UUID] = mapped_column(ForeignKey("parcels.id"), primary_key=True)

    assert "spread over several tables" in _refused(engine, Gift)


def test_what_is_no_model_is_refused(engine: AsyncEngine) -> None:
    assert "no declarative model" in _refused(engine, Parcel)


def test_options_of_a_model_need_a_model(engine: AsyncEngine) -> None:
    with pytest.raises(ConfigurationError, match="columns of a model"):
        SQLAlchemyRepository(Parcel, engine, exclude=["tags"])


def test_the_tenant_is_no_field(engine: AsyncEngine) -> None:
    class Owned(AggregateRoot[str]):
        tenant_id: str

    class OwnedRow(Base):
        __tablename__ = "owned"
        id: Mapped[str] = mapped_column(primary_key=True)
        tenant_id: Mapped[str]
        version: Mapped[int]

    with pytest.raises(ConfigurationError, match="filled from the context"):
        SQLAlchemyRepository(Owned, engine, model=OwnedRow)
