"""Tables of read models in the database: whether they are there, and as declared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sqlalchemy import Column, Dialect, Table

    from cqrs_ddd_persistence_sqlalchemy._dialect import DriverConnection

__all__ = ["differences", "is_there"]

_POSTGRES: Final = """
SELECT a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
       (a.attnum = ANY (i.indkey)) IS TRUE
FROM pg_attribute AS a LEFT JOIN pg_index AS i ON i.indrelid = a.attrelid AND i.indisprimary
WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped
"""
_SQLITE: Final = 'SELECT name, type, "notnull", pk > 0 FROM pragma_table_info($1)'


class _Column(NamedTuple):
    type: str
    is_required: bool
    in_key: bool

    def __str__(self) -> str:
        return f"{self.type}{'' if self.is_required else ', nullable'}"


async def is_there(connection: DriverConnection, table: Table, dialect: Dialect) -> bool:
    """Whether there is a table of this name."""
    return bool(await _columns(connection, table, dialect))


async def differences(
    connection: DriverConnection, table: Table, dialect: Dialect, *, is_own: bool
) -> list[str] | None:
    """Return in what the table in the database is not as declared; ``None`` if there is none.

    Args:
        connection: To look through.
        table: As declared.
        dialect: Of the database.
        is_own: Whether it is the user's own, where types have many names, and more columns.
    """
    found = await _columns(connection, table, dialect)
    return list(_differences(found, table, dialect, is_own=is_own)) if found else None


def _differences(
    found: Mapping[str, _Column], table: Table, dialect: Dialect, *, is_own: bool
) -> Iterator[str]:
    wanted = {column.name: _declared(column, dialect) for column in table.columns}
    for name, column in wanted.items():
        there = found.get(name)
        if there is None:
            yield f"column {name} is missing"
        elif there.in_key != column.in_key:
            yield f"column {name} is {'' if there.in_key else 'not '}in its key"
        elif not is_own and there != column:
            yield f"column {name} is {there} and not {column}"
    for name in found.keys() - wanted.keys():
        if not is_own:
            yield f"column {name} is not declared"


async def _columns(
    connection: DriverConnection, table: Table, dialect: Dialect
) -> dict[str, _Column]:
    postgres = dialect.name == "postgresql"
    name = dialect.identifier_preparer.format_table(table) if postgres else table.name
    rows = await connection.fetch(_POSTGRES if postgres else _SQLITE, name)
    return {row[0]: _Column(row[1].lower(), bool(row[2]), bool(row[3])) for row in rows}


def _declared(column: Column[Any], dialect: Dialect) -> _Column:
    # A collation is no part of what the database calls the type.
    type_ = column.type.compile(dialect).partition(" COLLATE")[0].lower()
    return _Column(type_, not column.nullable, column.primary_key)
