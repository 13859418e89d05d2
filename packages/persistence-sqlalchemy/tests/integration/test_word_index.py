"""Full text through an index: what is found stays the same, and every text can be stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Column, Integer, MetaData, Table, Text, delete, insert, select, text

from cqrs_ddd_core.domain.query_options import QueryOptions
from cqrs_ddd_core.domain.specification import SpecificationOperator as Op
from cqrs_ddd_core.domain.specification import field, words
from cqrs_ddd_core.domain.specification.patterns import WORD_SEPARATORS
from cqrs_ddd_persistence_sqlalchemy.specifications import (
    ColumnField,
    apply_query_options,
    column_fields,
    word_index,
)

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

METADATA: Final = MetaData()
NOTES: Final = Table(
    "notes", METADATA, Column("id", Integer, primary_key=True), Column("body", Text)
)
INDEX: Final = word_index("ix_notes_words", NOTES.c.body)
INDEXED: Final = column_fields(NOTES, {"body": ColumnField(NOTES.c.body, searched=True)})
SCANNED: Final = column_fields(NOTES)

_letters = st.text(
    "aAbBéÉßİ\u0131\u017fK日\u0301\u00a0\u2028\U0001f4bf0\\%_'" + WORD_SEPARATORS,
    min_size=0,
    max_size=12,
)
_long = st.sampled_from(["x" * 59, "x" * 60, "x" * 61, "x" * 60 + "y", "日" * 61, "日" * 62])
_texts = st.lists(_letters | _long, max_size=4).map(" ".join)


async def _found(engine: AsyncEngine, wanted: str, *, indexed: bool) -> list[int]:
    options = QueryOptions(field("body").is_(Op.FTS, wanted))
    fields = INDEXED if indexed else SCANNED
    async with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            await connection.execute(text(f"SET enable_seqscan = {'off' if indexed else 'on'}"))
        return list(
            await connection.scalars(apply_query_options(select(NOTES.c.id), options, fields))
        )


@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(bodies=st.lists(st.none() | _texts, max_size=6), extra=st.lists(_texts.filter(words)))
@example(bodies=["x" * 60 + "y", "x" * 60 + "z", "x" * 60], extra=["x" * 60 + "y", "x" * 60])
@example(bodies=["İ \u0131 K \u017f", "i k s"], extra=["İ", "i", "k", "K"])
async def test_an_index_changes_nothing_that_is_found(
    engine: AsyncEngine, bodies: list[str | None], extra: list[str]
) -> None:
    items = [{"id": number, "body": body} for number, body in enumerate(bodies)]
    async with engine.begin() as connection:
        await connection.run_sync(METADATA.create_all)
        await connection.execute(delete(NOTES))
        if items:
            await connection.execute(insert(NOTES), items)
    for wanted in (*extra, *(body for body in bodies if body and words(body))):
        asked = QueryOptions(field("body").is_(Op.FTS, wanted))
        expected = [item["id"] for item in asked.apply(items)]
        assert await _found(engine, wanted, indexed=True) == expected
        assert await _found(engine, wanted, indexed=False) == expected


@pytest.fixture
async def notes(postgres_engine: AsyncEngine) -> AsyncEngine:
    rows = [{"id": number, "body": f"note {number} of the day"} for number in range(2000)]
    # One entry of an index takes 2,712 bytes at most: incompressible words of 8,000.
    long = "".join(f"{number:x}" for number in range(3000))[:8000]
    rows += [{"id": 9000, "body": f"{long} tail"}, {"id": 9001, "body": long + "z"}]
    async with postgres_engine.begin() as connection:
        await connection.run_sync(METADATA.create_all)
        await connection.execute(insert(NOTES), rows)
    async with postgres_engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(text("VACUUM ANALYZE notes"))
    return postgres_engine


async def test_words_are_found_through_the_index(notes: AsyncEngine) -> None:
    options = QueryOptions(field("body").is_(Op.FTS, "DAY 77 of-the"))
    statement = apply_query_options(select(NOTES.c.id), options, INDEXED)
    compiled = statement.compile(notes.sync_engine, compile_kwargs={"literal_binds": True})
    async with notes.connect() as connection:
        plan = "\n".join(await connection.scalars(text(f"EXPLAIN {compiled}")))
        assert list(await connection.scalars(statement)) == [77]
    assert "Bitmap Index Scan on ix_notes_words" in plan


async def test_a_word_longer_than_an_entry_of_the_index_is_stored_and_found(
    notes: AsyncEngine,
) -> None:
    long = "".join(f"{number:x}" for number in range(3000))[:8000]
    assert await _found(notes, f"tail {long}", indexed=True) == [9000]
    assert await _found(notes, f"{long}z", indexed=True) == [9001]
    assert await _found(notes, long[:60], indexed=True) == []
