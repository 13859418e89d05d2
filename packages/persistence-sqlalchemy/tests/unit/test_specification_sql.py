"""The SQL of specifications: what is bound, what an index can serve, what cannot be compiled."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from sqlalchemy import JSON, Column, Enum, Integer, MetaData, Numeric, String, Table, select
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import CompileError

from cqrs_ddd_core.domain.query_options import QueryOptions
from cqrs_ddd_core.domain.specification import FieldKind, Specification, field
from cqrs_ddd_core.domain.specification import SpecificationOperator as Op
from cqrs_ddd_core.primitives.exceptions import SpecificationValueError, UnknownFieldError
from cqrs_ddd_core.testing.specimens import INJECTIONS, Colour
from cqrs_ddd_persistence_sqlalchemy.specifications import (
    ColumnField,
    SQLFields,
    apply_query_options,
    column_fields,
    compile_specification,
    document_fields,
)
from cqrs_ddd_persistence_sqlalchemy.specifications._values import decimal_key

POSTGRES: Dialect = postgresql.asyncpg.dialect()  # type: ignore[no-untyped-call]
SQLITE: Dialect = sqlite.dialect()

table = Table(
    "orders",
    MetaData(),
    Column("id", String, primary_key=True),
    Column("document", JSON, nullable=False),
    Column("customer", String, nullable=False),
    Column("colour", Enum(Colour)),
    Column("cents", Integer),
    Column("total", Numeric),
)


class Order(BaseModel):
    id: str
    customer: str
    total: Decimal
    at: datetime
    address: dict[str, str] = {}


DOCUMENT = document_fields(Order, table.c.document, key=table.c.id)
COLUMNS = column_fields(table)


def _sql(
    specification: Specification, dialect: Dialect, fields: SQLFields = DOCUMENT
) -> tuple[str, dict[str, Any]]:
    compiled = (
        select(table.c.id)
        .where(compile_specification(specification, fields))
        .compile(dialect=dialect)
    )
    return str(compiled).partition("WHERE ")[2], dict(compiled.params)


@pytest.mark.parametrize("dialect", [POSTGRES, SQLITE], ids=["postgresql", "sqlite"])
@pytest.mark.parametrize("fields", [DOCUMENT, COLUMNS], ids=["document", "columns"])
@pytest.mark.parametrize("hostile", INJECTIONS)
def test_no_value_is_ever_a_part_of_the_statement(
    dialect: Dialect, fields: SQLFields, hostile: str
) -> None:
    """S-22."""
    for specification in (
        field("customer") == hostile,
        field("customer") > hostile,
        field("customer").in_([hostile]),
        field("customer").is_(Op.BETWEEN, (hostile, hostile)),
        field("customer").is_(Op.ICONTAINS, hostile),
    ):
        statement, _ = _sql(specification, dialect, fields)
        harmless, _ = _sql(_with_plain_values(specification), dialect, fields)
        assert statement == harmless


def _with_plain_values(specification: Any) -> Specification:
    operator = specification.operator
    values = {Op.IN: ["x"], Op.BETWEEN: ("x", "x")}
    return field(specification.field).is_(operator, values.get(operator, "x"))


def test_the_same_specification_with_other_values_is_compiled_once() -> None:
    keys = {
        compile_specification(
            (field("customer") == value) & (field("total") > number) & (field("at") < moment),
            DOCUMENT,
        )
        ._generate_cache_key()
        .key  # type: ignore[union-attr]
        for value, number, moment in (
            ("a", Decimal(1), datetime(2024, 1, 1, tzinfo=UTC)),
            ("b", Decimal("2.5"), datetime(2025, 1, 1, tzinfo=UTC)),
        )
    }
    assert len(keys) == 1


def test_a_field_of_a_document_is_written_as_an_index_on_it_is() -> None:
    """A bound path would never match CREATE INDEX ... ((document ->> 'customer'))."""
    statement, _ = _sql(field("customer") == "x", POSTGRES)
    assert statement.startswith("(orders.document ->> 'customer') = $1")
    statement, _ = _sql(field("customer") == "x", SQLITE)
    assert statement.startswith("json_extract(orders.document, '$.\"customer\"') = ?")


def test_the_key_column_serves_conditions_on_the_id() -> None:
    assert _sql(field("id") == "x", POSTGRES)[0].startswith("orders.id = $1")


def test_a_column_without_nulls_is_ordered_without_a_word_on_nulls() -> None:
    """PostgreSQL does not use an index for NULLS FIRST, not even where there are none."""
    options = QueryOptions().with_ordering("customer")
    statement = str(apply_query_options(select(table), options, COLUMNS).compile(dialect=POSTGRES))
    assert statement.partition("ORDER BY ")[2].count("NULLS") == 0


def test_a_page_behind_a_cursor_begins_where_an_index_on_its_order_does() -> None:
    """No IS NULL for a column without NULLs, and a bound on the first field besides."""
    options = QueryOptions().with_ordering("-customer")
    options = options.after_cursor(options.cursor({"customer": "x", "id": "i"}))
    compiled = apply_query_options(select(table.c.id), options, COLUMNS).compile(dialect=POSTGRES)
    where = str(compiled).partition("WHERE ")[2]
    assert where.startswith('(orders.customer COLLATE "C") <= $')
    assert "IS NULL" not in where


def test_chosen_fields_are_the_only_columns() -> None:
    options = QueryOptions(field("cents") > 1).with_fields("total", "id")
    statement = apply_query_options(select(table), options, COLUMNS)
    assert [column.name for column in statement.selected_columns] == ["total", "id"]
    declared = column_fields(table, {"price": table.c.cents})
    statement = apply_query_options(select(table), QueryOptions().with_fields("price"), declared)
    assert str(statement.compile(dialect=SQLITE)).startswith(
        "SELECT orders.cents AS price \nFROM orders"
    )
    with pytest.raises(UnknownFieldError):
        apply_query_options(select(table), QueryOptions().with_fields("prize"), COLUMNS)
    with pytest.raises(SpecificationValueError, match="cannot be chosen"):
        apply_query_options(select(table), QueryOptions().with_fields("total"), DOCUMENT)


def test_no_condition_adds_none() -> None:
    statement = str(
        apply_query_options(select(table.c.id), QueryOptions(), COLUMNS).compile(dialect=SQLITE)
    )
    assert "LIMIT" not in statement
    assert "OFFSET" not in statement


def test_another_database_is_refused() -> None:
    dialect: Dialect = mysql.dialect()
    with pytest.raises(CompileError, match="PostgreSQL and SQLite"):
        _sql(field("customer") == "x", dialect)


@pytest.mark.parametrize(
    "specification",
    [field("colour") > "a", field("colour").is_(Op.CONTAINS, "a"), field("colour") == 5],
)
def test_a_database_enum_is_compared_for_equality_only(specification: Specification) -> None:
    with pytest.raises(SpecificationValueError):
        compile_specification(specification, COLUMNS)
    with pytest.raises(SpecificationValueError):
        apply_query_options(select(table), QueryOptions().with_ordering("colour"), COLUMNS)


def test_a_database_enum_is_compared_by_value_though_stored_by_name() -> None:
    _, parameters = _sql(field("colour") == "Blue", POSTGRES, COLUMNS)
    assert list(parameters.values()) == [Colour.BLUE]
    statement, parameters = _sql(field("colour") == "green", POSTGRES, COLUMNS)
    assert statement.startswith("orders.colour = $1")
    assert list(parameters.values()) == [None]


def test_a_declared_name_may_stand_for_another_column() -> None:
    fields = column_fields(table, {"price.cents": table.c.cents, "at": ColumnField(table.c.id)})
    assert _sql(field("price.cents") == 5, SQLITE, fields)[0].startswith("orders.cents = ?")
    assert fields("at").kind is FieldKind.TEXT
    assert fields("document.anything").kind is FieldKind.JSON
    for name in ("price", "customer.length", "nothing"):
        with pytest.raises(UnknownFieldError):
            fields(name)


def test_a_number_too_large_for_its_column_is_only_not_there() -> None:
    """Bound as INTEGER, asyncpg would refuse 3,000,000,000."""
    assert "$1::BIGINT" in _sql(field("cents") > 3_000_000_000, POSTGRES, COLUMNS)[0]
    assert "$1::NUMERIC" in _sql(field("cents") > Decimal("0.5"), POSTGRES, COLUMNS)[0]


_decimals = st.decimals(
    allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12
)


@given(_decimals, _decimals)
def test_decimal_keys_sort_as_the_numbers_do(left: Decimal, right: Decimal) -> None:
    assert (decimal_key(left) < decimal_key(right)) is (left < right)
    assert (decimal_key(left) == decimal_key(right)) is (left == right)
