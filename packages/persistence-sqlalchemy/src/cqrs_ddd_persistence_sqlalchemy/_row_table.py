"""The table behind the rows of a read model: one made of its schema, or the user's own."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID, uuid4

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Double,
    Enum,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    Uuid,
)
from sqlalchemy.types import JSON

from cqrs_ddd_advanced_core.domain.projection_exceptions import (
    ProjectionDefinitionError,
    ProjectionSchemaMismatchError,
)
from cqrs_ddd_advanced_core.ports.projection_schema import LAST_POSITION, ROW_VERSION
from cqrs_ddd_persistence_sqlalchemy._row_codec import POSTGRES, SQLITE, key_codec, scaled
from cqrs_ddd_persistence_sqlalchemy._schema_types import JSON_TYPE
from cqrs_ddd_persistence_sqlalchemy.specifications import word_index
from cqrs_ddd_persistence_sqlalchemy.types import ExactDecimal, UTCDateTime

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy.types import TypeEngine

    from cqrs_ddd_advanced_core.ports.projection_schema import ProjectionColumn, ProjectionSchema
    from cqrs_ddd_persistence_sqlalchemy._row_codec import RowCodec

__all__ = [
    "COUNTERS",
    "TENANT",
    "check_table",
    "codecs_of",
    "column_type",
    "free_name",
    "make_table",
]

TENANT: Final = "tenant_id"
#: Columns of every row besides those of its schema and the tenant.
COUNTERS: Final = (ROW_VERSION, LAST_POSITION)

# By code point in every locale: that is the order queries ask for, and one comparison is cheap.
_TEXT: Final[TypeEngine[Any]] = Text().with_variant(Text(collation="C"), "postgresql")
#: What a table is made of, and what the user's own column has to be.
_TYPES: Final[Mapping[type, tuple[TypeEngine[Any], type[Any]]]] = {
    bool: (Boolean(), Boolean),
    int: (BigInteger(), Integer),
    float: (Double(), Float),
    Decimal: (ExactDecimal(), ExactDecimal),
    str: (_TEXT, String),
    bytes: (LargeBinary(), LargeBinary),
    datetime: (UTCDateTime(), UTCDateTime),
    date: (Date(), Date),
    UUID: (Uuid(), Uuid),
    dict: (JSON_TYPE, JSON),
    list: (JSON_TYPE, JSON),
}


def make_table(schema: ProjectionSchema) -> Table:
    """Return a table for the rows of a schema, in metadata of its own."""
    if TENANT in schema.columns:
        msg = f"{schema.name}: every table has a column {TENANT!r} besides; name yours otherwise"
        raise ProjectionDefinitionError(msg)
    for name in schema.key:
        if schema.columns[name].type in (dict, list):
            msg = f"{schema.name}: key column {name!r} holds JSON, which is equal in many forms"
            raise ProjectionDefinitionError(msg)
    columns = [
        Column(name, column_type(column.type), nullable=column.nullable)
        for name, column in schema.columns.items()
    ]
    table = Table(
        schema.name,
        MetaData(),
        Column(TENANT, _TEXT, nullable=False),
        *columns,
        *(Column(name, BigInteger, nullable=False) for name in COUNTERS),
        # Without a name the database chooses a free one: names of constraints stay when a table
        # is renamed, and would be in the way of the next one.
        PrimaryKeyConstraint(TENANT, *schema.key),
    )
    for names in schema.indexes:
        _index(table, [table.c[name] for name in names])
    for name in schema.searched:
        word_index(free_name(), table.c[name])
    return table


def _index(table: Table, columns: Sequence[Column[Any]]) -> None:
    Index(free_name(), table.c[TENANT], *columns).ddl_if(dialect="sqlite")
    # NULL is the smallest value for queries; an index that has it last does not serve their order.
    ordered = [one.nulls_first() if one.nullable else one for one in columns]
    Index(free_name(), table.c[TENANT], *ordered).ddl_if(dialect="postgresql")


def column_type(type_: type) -> TypeEngine[Any]:
    """Return what a column is in the database that holds such values."""
    return _TYPES[type_][0]


def free_name() -> str:
    """Return a name for an index that no other index has."""
    return f"ix_{uuid4().hex}"


def codecs_of(schema: ProjectionSchema, table: Table, *, postgres: bool) -> dict[str, RowCodec]:
    """Return how the columns of a table travel, by name."""
    kinds = POSTGRES if postgres else SQLITE
    codecs = {name: kinds[column.type] for name, column in schema.columns.items()}
    codecs |= {name: key_codec(codecs[name], schema.columns[name].type) for name in schema.key}
    for name, codec in codecs.items():
        type_ = table.c[name].type
        if isinstance(type_, Numeric) and type_.scale is not None:
            codecs[name] = scaled(codec, type_.scale)
    return codecs | dict.fromkeys(COUNTERS, kinds[int])


# --- the user's own table -------------------------------------------------------------------------


def check_table(schema: ProjectionSchema, table: Table, *, postgres: bool) -> None:
    """Refuse the user's own table if rows of the schema could not be kept in it.

    Raises:
        ProjectionSchemaMismatchError: The message lists everything that is missing.
    """
    differences = [
        *_missing_besides(schema, table),
        *_missing(schema, table, postgres=postgres),
        *_key_differences(schema, table),
    ]
    if differences:
        raise ProjectionSchemaMismatchError(table.name, differences)


def _missing(schema: ProjectionSchema, table: Table, *, postgres: bool) -> Iterator[str]:
    for name, column in schema.columns.items():
        if name not in table.c:
            yield f"column {name} is missing"
        elif not _can_hold(table.c[name].type, column, postgres=postgres):
            wanted = _TYPES[column.type][1].__name__
            yield f"column {name} is {table.c[name].type!r} and not {wanted}"
        elif column.nullable and not table.c[name].nullable:
            yield f"column {name} must not be NULL, but may be None"


def _missing_besides(schema: ProjectionSchema, table: Table) -> Iterator[str]:
    for name in (TENANT, *COUNTERS):
        kind = String if name == TENANT else BigInteger
        if name not in table.c or not isinstance(table.c[name].type, kind):
            yield f"column {name} is missing, or not {kind.__name__}"
    for extra in table.columns:
        if extra.name not in {*schema.columns, TENANT, *COUNTERS} and _needs_value(extra):
            yield f"column {extra.name} is not declared and has no default"


def _key_differences(schema: ProjectionSchema, table: Table) -> Iterator[str]:
    wanted, key = {TENANT, *schema.key}, {column.name for column in table.primary_key}
    if key != wanted:
        yield f"its key is {', '.join(sorted(key))} and not {', '.join(sorted(wanted))}"


def _can_hold(type_: TypeEngine[Any], column: ProjectionColumn, *, postgres: bool) -> bool:
    if isinstance(type_, Enum) or (isinstance(type_, Uuid) and postgres and not type_.native_uuid):
        return False
    if postgres and column.type is Decimal and isinstance(type_, Numeric):
        return not isinstance(type_, Float)
    if postgres and column.type is datetime and isinstance(type_, DateTime):
        return type_.timezone
    return isinstance(type_, _TYPES[column.type][1])


def _needs_value(column: Column[Any]) -> bool:
    has_default = (
        column.server_default is not None
        or column.computed is not None
        or column.identity is not None
    )
    return not column.nullable and not has_default
