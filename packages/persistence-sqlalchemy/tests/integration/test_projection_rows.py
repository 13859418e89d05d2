"""Rows of read models on SQLite and PostgreSQL: guards, races, awkward values, tables."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Context, Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import BigInteger, Column, Index, MetaData, Numeric, String, Table, Text, text

from cqrs_ddd_advanced_core.domain.projection_exceptions import (
    ProjectionDefinitionError,
    ProjectionSchemaMismatchError,
    ProjectionValueError,
)
from cqrs_ddd_advanced_core.ports.projection_schema import ProjectionColumn, ProjectionSchema
from cqrs_ddd_advanced_core.ports.projection_store import RowChange
from cqrs_ddd_core.correlation import message_context
from cqrs_ddd_core.domain.query_options import QueryOptions
from cqrs_ddd_core.domain.specification import SpecificationBuilder
from cqrs_ddd_core.primitives.exceptions import UnknownFieldError
from cqrs_ddd_core.testing.conformance import rolled_back
from cqrs_ddd_persistence_sqlalchemy import SQLAlchemyProjectionStore, SQLAlchemyUnitOfWork
from cqrs_ddd_persistence_sqlalchemy.types import ExactDecimal, UTCDateTime

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

SALES = ProjectionSchema(
    "sales",
    {
        "product": ProjectionColumn(str),
        "title": ProjectionColumn(str, nullable=True),
        "sold": ProjectionColumn(int, default=0),
        "total": ProjectionColumn(Decimal, default=Decimal(0)),
    },
    ("product",),
    indexes=[("sold",)],
)
EXACT = Context(prec=500)
#: A row of it cannot be made without its name.
CUSTOMERS = ProjectionSchema(
    "customers",
    {
        "region": ProjectionColumn(str),
        "number": ProjectionColumn(int),
        "name": ProjectionColumn(str),
        "orders": ProjectionColumn(int, default=5),
    },
    ("region", "number"),
)


@pytest.fixture
async def store(engine: AsyncEngine) -> SQLAlchemyProjectionStore:
    store = SQLAlchemyProjectionStore(engine)
    for schema in (SALES, CUSTOMERS):
        await store.ensure(schema)
    return store


def sold(product: str, position: int, number: int = 1, *, last: int | None = None) -> RowChange:
    amounts = {"sold": number, "total": Decimal("0.10") * number}
    return RowChange((product,), position, last or position, adds=amounts)


async def row(
    store: SQLAlchemyProjectionStore, key: tuple[Any, ...], schema: ProjectionSchema = SALES
) -> dict[str, Any] | None:
    found = (await store.fetch(schema, [key])).get(key)
    return None if found is None else dict(found)


async def test_versions_and_positions_of_rows_move(store: SQLAlchemyProjectionStore) -> None:
    """S-17: and what is not newer is refused and reported."""
    assert await store.apply(SALES, [sold("a", 1)]) == []
    assert await store.apply(SALES, [sold("a", 5), sold("b", 5)]) == []
    assert await store.apply(SALES, [sold("a", 3), sold("b", 6)]) == [("a",)]
    assert await store.apply(SALES, [sold("a", 5)]) == [("a",)]
    found = await row(store, ("a",))
    assert found == {
        "product": "a",
        "title": None,
        "sold": 2,
        "total": Decimal("0.20"),
        "_version": 2,
        "_last_position": 5,
    }


async def test_each_row_is_judged_by_its_own_first_position(
    store: SQLAlchemyProjectionStore,
) -> None:
    await store.apply(SALES, [sold("a", 10), sold("b", 10)])
    changes = [sold("a", 11, last=20), sold("b", 10, last=20), sold("c", 2)]
    assert await store.apply(SALES, changes) == [("b",)]
    rows = await store.fetch(SALES, [("a",), ("b",), ("c",)])
    assert {key[0]: one["_last_position"] for key, one in rows.items()} == {
        "a": 20,
        "b": 10,
        "c": 2,
    }


async def test_rows_written_without_a_unit_of_work_are_committed(
    engine: AsyncEngine, store: SQLAlchemyProjectionStore
) -> None:
    """S-18: and those of one that is rolled back are not."""
    await store.apply(SALES, [sold("a", 1)])
    async with rolled_back(lambda: SQLAlchemyUnitOfWork(engine)):
        await store.apply(SALES, [sold("b", 2)])
    assert await SQLAlchemyProjectionStore(engine).count(SALES) == 1


async def test_the_key_is_written_from_the_key(store: SQLAlchemyProjectionStore) -> None:
    """S-19: for a key of one column and of several."""
    await store.apply(SALES, [RowChange(("x",), 1, 1, sets={"title": "X"})])
    await store.apply(CUSTOMERS, [RowChange(("eu", 7), 1, 1, sets={"name": "Ada"})])
    assert [one["product"] for one in await store.query(SALES, QueryOptions())] == ["x"]
    found = await row(store, ("eu", 7), CUSTOMERS)
    assert found is not None
    assert (found["region"], found["number"], found["orders"]) == ("eu", 7, 5)


async def test_many_processes_may_ensure_several_tables_at_once(engine: AsyncEngine) -> None:
    """S-20: and again, and remove everything of one tenant or of all."""
    stores = [SQLAlchemyProjectionStore(engine) for _ in range(6)]
    await asyncio.gather(*(one.ensure(schema) for one in stores for schema in (SALES, CUSTOMERS)))
    await asyncio.gather(*(one.ensure(schema) for one in stores for schema in (CUSTOMERS, SALES)))
    store = stores[0]
    await store.apply(SALES, [sold("a", 1)])
    with message_context(tenant_id="other"):
        await store.apply(SALES, [sold("a", 1)])
        await store.clear(SALES)
        assert await store.count(SALES) == 0
    assert await store.count(SALES) == 1
    await store.drop(SALES)
    await store.drop(SALES)
    assert not await store.exists(SALES)


async def test_part_of_a_row_can_be_changed_if_it_is_there(
    store: SQLAlchemyProjectionStore,
) -> None:
    await store.apply(CUSTOMERS, [RowChange(("eu", 1), 1, 1, sets={"name": "Ada"})])
    more = RowChange(("eu", 1), 2, 2, adds={"orders": 2})
    assert await store.apply(CUSTOMERS, [more]) == []
    found = await row(store, ("eu", 1), CUSTOMERS)
    assert found is not None
    assert (found["name"], found["orders"], found["_version"]) == ("Ada", 7, 2)
    assert await store.apply(CUSTOMERS, [more]) == [("eu", 1)]
    with pytest.raises(ProjectionValueError, match="name has no value"):
        await store.apply(CUSTOMERS, [RowChange(("eu", 2), 3, 3, adds={"orders": 2})])


async def test_a_default_is_added_to(store: SQLAlchemyProjectionStore) -> None:
    made = RowChange(("eu", 1), 1, 1, sets={"name": "Ada"}, adds={"orders": 2})
    await store.apply(CUSTOMERS, [made])
    found = await row(store, ("eu", 1), CUSTOMERS)
    assert found is not None
    assert found["orders"] == 7


async def test_kinds_of_changes_may_be_mixed(store: SQLAlchemyProjectionStore) -> None:
    await store.apply(SALES, [sold("a", 1), sold("b", 1), sold("c", 1), sold("d", 1)])
    left = await store.apply(
        SALES,
        [
            sold("e", 2),
            RowChange(("d",), 1, 2, deletes=True, is_delete=True),
            RowChange(("a",), 2, 2, deletes=True, is_delete=True),
            RowChange(("c",), 2, 2, deletes=True, sets={"title": "again"}),
            RowChange(("b",), 2, 2, sets={"title": "B"}),
            RowChange(("unknown",), 2, 2, deletes=True, is_delete=True),
        ],
    )
    assert left == [("d",)]
    rows = await store.query(SALES, QueryOptions())
    assert [(one["product"], one["title"], one["sold"], one["_version"]) for one in rows] == [
        ("b", "B", 1, 2),
        ("c", "again", 0, 2),
        ("d", None, 1, 1),
        ("e", None, 1, 1),
    ]


async def test_a_change_can_expect_a_version(store: SQLAlchemyProjectionStore) -> None:
    def expecting(product: str, version: int, position: int, *, delete: bool = False) -> RowChange:
        change = sold(product, position)
        if delete:
            change = RowChange((product,), position, position, deletes=True, is_delete=True)
        change.expected_version = version
        return change

    await store.apply(SALES, [sold("a", 1), sold("b", 1)])
    changes = [
        expecting("a", 1, 2),
        expecting("b", 0, 2),
        expecting("c", 0, 2),
        expecting("d", 1, 2),
    ]
    assert await store.apply(SALES, changes) == [("b",), ("d",)]
    gone = [expecting("a", 1, 9, delete=True), expecting("c", 1, 9, delete=True)]
    assert await store.apply(SALES, gone, guarded=False) == [("a",)]
    assert [one["product"] for one in await store.query(SALES, QueryOptions())] == ["a", "b"]


async def test_rows_that_are_not_guarded_take_everything(store: SQLAlchemyProjectionStore) -> None:
    await store.apply(SALES, [sold("a", 9)])
    assert await store.apply(SALES, [sold("a", 3), sold("b", 3)], guarded=False) == []
    found = await row(store, ("a",))
    assert found is not None
    assert (found["sold"], found["_version"], found["_last_position"]) == (2, 2, 9)


async def test_upserts_in_opposite_order_do_not_deadlock(postgres_engine: AsyncEngine) -> None:
    store = SQLAlchemyProjectionStore(postgres_engine)
    await store.ensure(SALES)
    names = [f"p{number:02}" for number in range(40)]
    await store.apply(SALES, [sold(name, 1) for name in names])

    def changes(place: int) -> list[RowChange]:
        some: list[RowChange] = [sold(name, place) for name in names]
        if place % 3 == 0:
            some[::2] = [
                RowChange((name,), place, place, sets={"title": str(place)}) for name in names[::2]
            ]
        return some[:: 1 if place % 2 else -1]

    batches = (store.apply(SALES, changes(place), guarded=False) for place in range(12))
    assert all(left == [] for left in await asyncio.gather(*batches))
    assert {one["_version"] for one in await store.query(SALES, QueryOptions())} == {13}


async def test_of_those_who_make_a_row_at_once_nobody_is_lost(engine: AsyncEngine) -> None:
    """Rows that partitions share, made by a change that is an upsert, and by one that is not."""
    store = SQLAlchemyProjectionStore(engine)
    await store.ensure(CUSTOMERS)
    await store.ensure(SALES)
    made = RowChange(("eu", 1), 1, 1, sets={"name": "Ada"}, adds={"orders": 1})
    both = ((CUSTOMERS, made), (SALES, sold("a", 1)))
    await asyncio.gather(
        *(store.apply(schema, [one], guarded=False) for _ in range(8) for schema, one in both)
    )
    customer, product = await row(store, ("eu", 1), CUSTOMERS), await row(store, ("a",))
    assert customer is not None
    assert product is not None
    assert (customer["orders"], customer["_version"]) == (5 + 8, 8)
    assert (product["sold"], product["_version"]) == (8, 8)


async def test_any_number_of_rows_costs_one_statement(postgres_engine: AsyncEngine) -> None:
    store = SQLAlchemyProjectionStore(postgres_engine)
    await store.ensure(SALES)
    await store.apply(SALES, [sold("a", 1)])
    seen: list[str] = []
    async with SQLAlchemyUnitOfWork(postgres_engine) as uow:
        driver = (await uow.driver_connection()).driver
        driver.add_query_logger(lambda record: seen.append(record.query))
        await store.apply(SALES, [sold(f"p{number}", 1) for number in range(2_000)])
        await store.apply(SALES, [sold(f"p{number}", 2) for number in range(2_000)])
    assert [statement.split()[0] for statement in seen if statement != "COMMIT"] == ["INSERT"] * 2


# --- values ---------------------------------------------------------------------------------------

VALUES = ProjectionSchema(
    "order",  # a word of SQL
    {
        "select": ProjectionColumn(str),
        "flag": ProjectionColumn(bool, nullable=True),
        "whole": ProjectionColumn(int, nullable=True),
        "real": ProjectionColumn(float, nullable=True),
        "money": ProjectionColumn(Decimal, nullable=True),
        "text": ProjectionColumn(str, nullable=True),
        "raw": ProjectionColumn(bytes, nullable=True),
        "at": ProjectionColumn(datetime, nullable=True),
        "day": ProjectionColumn(date, nullable=True),
        "uid": ProjectionColumn(UUID, nullable=True),
        "details": ProjectionColumn(dict, nullable=True),
        "parts": ProjectionColumn(list, nullable=True),
    },
    ("select",),
)
AWKWARD: list[tuple[str, Any]] = [
    ("flag", False),
    ("whole", 2**63 - 1),
    ("whole", -(2**63)),
    ("real", 0.1 + 0.2),
    ("real", 5e-324),
    ("real", -1.7976931348623157e308),
    ("money", Decimal("9" * 200 + "." + "123456789" * 20)),
    ("money", Decimal("-0.00000000000000000000000000000000001")),
    ("money", Decimal("1E+300")),
    ("text", "'; DROP TABLE sales; -- \\ % _ $1 ?1 \" {}"),
    ("text", "\U0001f600 ß İ \u202e \x01 \r\n"),
    ("text", ""),
    ("raw", bytes(range(256))),
    ("raw", b""),
    ("at", datetime(1, 1, 1, tzinfo=UTC)),
    ("at", datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)),
    ("at", datetime(2024, 2, 29, 23, 59, 59, 1, tzinfo=timezone(timedelta(hours=14)))),
    ("day", date(1, 1, 1)),
    ("day", date(9999, 12, 31)),
    ("uid", UUID(int=0)),
    ("details", {"ключ": [1, 1.5, None, True, {"a": "\u2028'\""}], "": "", "big": 2**62}),
    ("parts", [[], {}, "x" * 1000]),
]
REFUSED: list[tuple[str, Any]] = [
    ("text", "NUL \0"),
    ("text", "half \udc80"),
    ("whole", 2**63),
    ("whole", True),
    ("money", 1.5),
    ("money", Decimal("NaN")),
    ("money", Decimal("1E+131072")),
    ("money", Decimal("1E-16384")),
    ("real", float("nan")),
    ("at", datetime(2024, 1, 1)),  # noqa: DTZ001 - that is the point
    ("details", [1]),
    ("details", {"a": "\0"}),
    ("unknown", 1),
]


@pytest.fixture
async def values(engine: AsyncEngine) -> SQLAlchemyProjectionStore:
    store = SQLAlchemyProjectionStore(engine)
    await store.ensure(VALUES)
    return store


@pytest.mark.parametrize("name, value", AWKWARD)
async def test_awkward_values_come_back_as_they_were(
    values: SQLAlchemyProjectionStore, name: str, value: Any
) -> None:
    key = ("\U0001f600 'x'",)
    await values.apply(VALUES, [RowChange(key, 1, 1, sets={name: value})])
    found = await row(values, key, VALUES)
    assert found is not None
    assert found[name] == value
    assert isinstance(found[name], type(value))
    [queried] = await values.query(VALUES, QueryOptions())
    assert dict(queried) == found
    assert [found[other] for other in VALUES.columns if other not in ("select", name)] == [
        None
    ] * 10


@pytest.mark.parametrize("name, value", REFUSED)
async def test_values_that_do_not_fit_are_refused(
    values: SQLAlchemyProjectionStore, name: str, value: Any
) -> None:
    with pytest.raises(ProjectionValueError):
        await values.apply(VALUES, [RowChange(("k",), 1, 1, sets={name: value})])
    assert await values.count(VALUES) == 0


@pytest.mark.parametrize(
    "name, first, second",
    [
        ("money", Decimal("9" * 60), Decimal("0." + "0" * 60 + "1")),
        ("money", Decimal("0.1"), Decimal("0.2")),
        ("whole", 2**62, -(2**63)),
        ("real", 0.1, 0.2),
    ],
)
async def test_sums_are_exact(
    values: SQLAlchemyProjectionStore, name: str, first: Any, second: Any
) -> None:
    for position, amount in enumerate((first, second), 1):
        await values.apply(VALUES, [RowChange(("k",), position, position, adds={name: amount})])
    found = await row(values, ("k",), VALUES)
    assert found is not None
    assert found[name] == (EXACT.add(first, second) if name == "money" else first + second)


async def test_a_sum_that_does_not_fit_is_refused(values: SQLAlchemyProjectionStore) -> None:
    await values.apply(VALUES, [RowChange(("k",), 1, 1, sets={"whole": 2**63 - 1})])
    with pytest.raises(ProjectionValueError):
        await values.apply(VALUES, [RowChange(("k",), 2, 2, adds={"whole": 1})])
    found = await row(values, ("k",), VALUES)
    assert found is not None
    assert found["whole"] == 2**63 - 1


async def test_equal_keys_are_one_row(engine: AsyncEngine) -> None:
    schema = ProjectionSchema(
        "prices",
        {
            "price": ProjectionColumn(Decimal),
            "at": ProjectionColumn(datetime),
            "uid": ProjectionColumn(UUID),
            "real": ProjectionColumn(float),
            "raw": ProjectionColumn(bytes),
            "flag": ProjectionColumn(bool),
            "day": ProjectionColumn(date),
            "seen": ProjectionColumn(int, default=0),
        },
        ("price", "at", "uid", "real", "raw", "flag", "day"),
    )
    store = SQLAlchemyProjectionStore(engine)
    await store.ensure(schema)
    at, uid = datetime(2024, 5, 1, 12, tzinfo=UTC), uuid4()
    elsewhere = at.astimezone(timezone(timedelta(hours=5)))
    keys = [
        (Decimal(price), moment, uid, 0.1, b"\0", True, date(2024, 5, 1))
        for price, moment in [("1.50", at), ("1.5", elsewhere), ("15E-1", at)]
    ]
    for position, key in enumerate(keys, 1):
        assert (
            await store.apply(schema, [RowChange(key, position, position, adds={"seen": 1})]) == []
        )
        assert await store.apply(schema, [RowChange(key, position, position)]) == [key]
    found = await row(store, keys[0], schema)
    assert found is not None
    assert found["seen"] == 3
    gone = RowChange(keys[1], 9, 9, deletes=True, is_delete=True)
    assert await store.apply(schema, [gone]) == []
    assert await store.count(schema) == 0


async def test_decimals_are_searched_and_ordered_as_numbers(
    store: SQLAlchemyProjectionStore,
) -> None:
    totals = ["9.5", "10", "-3", "100.25", "0"]
    await store.apply(
        SALES,
        [
            RowChange((f"p{place}",), 1, 1, sets={"total": Decimal(total)})
            for place, total in enumerate(totals)
        ],
    )
    rows = await store.query(SALES, QueryOptions().with_ordering("-total"))
    assert [str(one["total"]) for one in rows] == ["100.25", "10", "9.5", "0", "-3"]
    above = SpecificationBuilder().where("total", ">", Decimal("9.50")).build()
    assert await store.count(SALES, QueryOptions(above)) == 2
    page = QueryOptions(above).with_ordering("total").with_pagination(limit=1, offset=1)
    assert [one["product"] for one in await store.query(SALES, page)] == ["p3"]


async def test_the_tenant_is_no_column_to_ask_for(store: SQLAlchemyProjectionStore) -> None:
    everybody = SpecificationBuilder().where("tenant_id", "=", "").build()
    with pytest.raises(UnknownFieldError):
        await store.query(SALES, QueryOptions(everybody))


# --- tables ---------------------------------------------------------------------------------------


async def test_versions_of_a_table_are_swapped_by_renaming(
    engine: AsyncEngine, store: SQLAlchemyProjectionStore
) -> None:
    for version in (2, 3):
        new = SALES.named(f"sales__v{version}")
        await store.ensure(new)
        await store.apply(new, [sold(f"version {version}", 1)])
        async with rolled_back(lambda: SQLAlchemyUnitOfWork(engine)):
            await store.rename([("sales", "old"), (new.name, "sales")])
        async with SQLAlchemyUnitOfWork(engine):
            await store.rename([("sales", f"sales__was{version}"), (new.name, "sales")])
        assert [one["product"] for one in await store.query(SALES, QueryOptions())] == [
            f"version {version}"
        ]
        await store.ensure(SALES)
    assert await store.exists(SALES.named("sales__was3"))
    assert not await store.exists(SALES.named("sales__v3"))


async def test_a_table_with_other_columns_is_refused(store: SQLAlchemyProjectionStore) -> None:
    columns = dict(SALES.columns)
    del columns["title"]
    columns["sold"] = ProjectionColumn(str)
    columns["region"] = ProjectionColumn(str)
    other = ProjectionSchema("sales", columns, ("product", "region"))
    with pytest.raises(ProjectionSchemaMismatchError) as caught:
        await store.ensure(other)
    assert {difference.split()[1] for difference in caught.value.differences} == {
        "title",
        "sold",
        "region",
    }


async def test_a_snapshot_does_not_see_what_is_committed_later(
    engine: AsyncEngine, store: SQLAlchemyProjectionStore
) -> None:
    await store.apply(SALES, [sold("a", 1)])
    async with store.snapshot() as then:
        await store.apply(SALES, [sold("a", 2), sold("b", 2)])
        assert await then.count(SALES) == 1
        assert (await then.fetch(SALES, [("a",)]))[("a",)]["sold"] == 1
        assert await store.count(SALES) == 2


def _own_table(*columns: Column[Any]) -> Table:
    return Table(
        "rm_sales",
        MetaData(),
        Column("tenant_id", String(40), primary_key=True),
        Column("product", String(40), primary_key=True),
        Column("title", Text),
        Column("sold", BigInteger, nullable=False),
        Column("_version", BigInteger, nullable=False),
        Column("_last_position", BigInteger, nullable=False),
        *columns,
    )


async def test_rows_may_go_into_a_table_of_your_own(engine: AsyncEngine) -> None:
    own = _own_table(
        Column("total", ExactDecimal, nullable=False),
        Column("touched", UTCDateTime),
    )
    Index("ix_rm_sales_sold", own.c.sold)
    store = SQLAlchemyProjectionStore(engine, tables={"sales": own})
    new = SALES.named("sales__v2")
    await store.ensure(SALES)
    await store.ensure(new)
    await store.apply(SALES, [sold("a", 1)])
    await store.apply(new, [sold("b", 1)])
    async with SQLAlchemyUnitOfWork(engine) as uow:
        await store.rename([("sales", "sales__v1"), ("sales__v2", "sales")])
        found = await (await uow.connection()).execute(text("SELECT product FROM rm_sales"))
        assert list(found.scalars()) == ["b"]
    assert [one["product"] for one in await store.query(SALES, QueryOptions())] == ["b"]
    with pytest.raises(ProjectionValueError):
        await store.apply(
            SALES, [RowChange(("long" * 20,), 2, 2, sets={"title": None, "sold": None})]
        )


async def test_a_table_of_your_own_that_would_lose_something_is_refused(
    engine: AsyncEngine,
) -> None:
    own = _own_table(Column("total", String(40)), Column("needed", BigInteger, nullable=False))
    store = SQLAlchemyProjectionStore(engine, tables={"sales": own})
    with pytest.raises(ProjectionSchemaMismatchError) as caught:
        await store.ensure(SALES)
    assert [difference.split()[1] for difference in caught.value.differences] == ["needed", "total"]


async def test_a_number_with_too_many_digits_for_your_own_column_is_refused(
    postgres_engine: AsyncEngine,
) -> None:
    own = _own_table(Column("total", Numeric(12, 2), nullable=False))
    store = SQLAlchemyProjectionStore(postgres_engine, tables={"sales": own})
    await store.ensure(SALES)
    await store.apply(SALES, [RowChange(("a",), 1, 1, sets={"total": Decimal("1.500")})])
    for total in (Decimal("1.505"), Decimal("1E+11")):
        with pytest.raises(ProjectionValueError):
            await store.apply(SALES, [RowChange(("a",), 2, 2, sets={"total": total})])


@pytest.mark.parametrize(
    "columns, key",
    [
        ({"id": ProjectionColumn(str), "tenant_id": ProjectionColumn(str)}, ("id",)),
        ({"id": ProjectionColumn(dict)}, ("id",)),
    ],
    ids=["tenant", "json key"],
)
async def test_a_schema_that_cannot_be_kept_is_refused(
    sqlite_engine: AsyncEngine, columns: dict[str, ProjectionColumn], key: tuple[str, ...]
) -> None:
    with pytest.raises(ProjectionDefinitionError):
        await SQLAlchemyProjectionStore(sqlite_engine).ensure(ProjectionSchema("t", columns, key))
