"""What indexes serve: pages behind cursors begin where they begin, words are looked up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event, text

from cqrs_ddd_advanced_core.ports import ProjectionSchema, RowChange
from cqrs_ddd_advanced_core.queries import QueryRepository
from cqrs_ddd_core.domain import QueryOptions, Specification, field
from cqrs_ddd_persistence_sqlalchemy import SQLAlchemyProjectionStore
from cqrs_ddd_persistence_sqlalchemy._row_sql import RowSQL
from cqrs_ddd_persistence_sqlalchemy._row_table import make_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.ext.asyncio import AsyncEngine

_ROWS = 3000


@dataclass(frozen=True)
class Sale:
    sale_id: int
    customer: str
    title: str
    sold_at: datetime
    returned_at: datetime | None = None


_SALES = ProjectionSchema.of(
    Sale,
    key="sale_id",
    name="sales",
    indexes=[("sold_at", "sale_id"), ("customer", "sale_id"), ("returned_at",)],
    searched=["title"],
)


@pytest.fixture
async def sales(engine: AsyncEngine) -> QueryRepository[Sale]:
    store = SQLAlchemyProjectionStore(engine)
    await store.ensure(_SALES)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    changes = [
        RowChange(
            (number,),
            number,
            number,
            sets={
                "customer": f"c-{number % 700:04}",
                "title": f"record {number}",
                "sold_at": start + timedelta(seconds=number // 2),
                "returned_at": start + timedelta(days=number) if number % 2 else None,
            },
        )
        for number in range(1, _ROWS + 1)
    ]
    async with store.unit_of_work():
        await store.apply(_SALES, changes)
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        postgres = engine.dialect.name == "postgresql"
        await connection.execute(text("VACUUM ANALYZE" if postgres else "ANALYZE"))
    return QueryRepository(store, _SALES, Sale)


async def _plan(engine: AsyncEngine, sales: QueryRepository[Sale], options: QueryOptions) -> str:
    """Ask, and return how the database found the answer."""
    seen: list[tuple[str, Any]] = []

    def note(_c: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        seen.append((statement, parameters))

    event.listen(engine.sync_engine, "before_cursor_execute", note)
    await sales.page(options)
    event.remove(engine.sync_engine, "before_cursor_execute", note)
    statement, parameters = seen[-1]
    explain = "EXPLAIN" if engine.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN"
    async with engine.connect() as connection:
        rows: Sequence[Any] = (
            await connection.exec_driver_sql(f"{explain} {statement}", parameters)
        ).all()
    return "\n".join(str(row[-1]) for row in rows)


async def test_a_page_behind_a_cursor_begins_where_an_index_does(
    engine: AsyncEngine, sales: QueryRepository[Sale]
) -> None:
    for order in ("sold_at", "-sold_at", "customer", "sale_id"):
        options = QueryOptions().with_key("sale_id").with_ordering(order).with_pagination(limit=20)
        middle = await sales.rows(options.with_pagination(limit=1, offset=_ROWS // 2))
        plan = await _plan(engine, sales, options.after_cursor(options.cursor(middle[0])))
        name = order.removeprefix("-")
        if engine.dialect.name == "postgresql":
            assert "Seq Scan" not in plan, plan
            assert name in plan[plan.index("Index Cond") :].splitlines()[0], plan
        else:
            assert "SEARCH sales" in plan, plan
            assert f"AND {name}" in plan, plan


async def test_an_index_serves_the_order_of_a_column_that_may_be_none(
    engine: AsyncEngine, sales: QueryRepository[Sale]
) -> None:
    for order in ("returned_at", "-returned_at"):
        plan = await _plan(engine, sales, QueryOptions(limit=5).with_ordering(order))
        assert "Seq Scan" not in plan, plan
        assert "Index Scan" in plan or "SEARCH sales USING INDEX" in plan, plan


async def test_words_are_looked_up_on_postgresql(
    engine: AsyncEngine, sales: QueryRepository[Sale]
) -> None:
    wanted: Specification = field("title").is_("fts", "RECORD 1500")
    plan = await _plan(engine, sales, QueryOptions(wanted))
    assert ("Bitmap Index Scan" in plan) is (engine.dialect.name == "postgresql")
    assert [sale.sale_id for sale in await sales.query(wanted)] == [1500]


async def test_rows_are_looked_up_by_key_however_many_there_are(
    sqlite_engine: AsyncEngine,
) -> None:
    """SQLite knows nothing of a new table and would read all its rows for each one wanted."""
    store = SQLAlchemyProjectionStore(sqlite_engine)
    await store.ensure(_SALES)
    sql = RowSQL(_SALES, make_table(_SALES), sqlite_engine.dialect)
    for statement in (
        sql.fetch(),
        sql.lock(),
        sql.delete(guarded=True),
        sql.update(("customer",), (), True),
    ):
        async with sqlite_engine.connect() as connection:
            rows = await connection.exec_driver_sql(
                f"EXPLAIN QUERY PLAN {statement}".replace("$", "?"), ("", "[]")
            )
            plan = "\n".join(row[-1] for row in rows)
        assert "(tenant_id=? AND sale_id=?)" in plan, plan
        assert "(tenant_id=?)" not in plan, plan
