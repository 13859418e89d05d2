"""Which tables the read models of a database are in, and making, renaming and dropping them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from sqlalchemy import MetaData, PrimaryKeyConstraint, UniqueConstraint, quoted_name

from cqrs_ddd_advanced_core.domain.projection_exceptions import ProjectionSchemaMismatchError
from cqrs_ddd_core.primitives.exceptions import UnknownFieldError
from cqrs_ddd_persistence_sqlalchemy._advisory_lock import lock_key
from cqrs_ddd_persistence_sqlalchemy._errors import translate
from cqrs_ddd_persistence_sqlalchemy._row_schema import differences
from cqrs_ddd_persistence_sqlalchemy._row_sql import RowSQL
from cqrs_ddd_persistence_sqlalchemy._row_table import (
    COUNTERS,
    check_table,
    free_name,
    make_table,
)
from cqrs_ddd_persistence_sqlalchemy._session import reading, writing_unit
from cqrs_ddd_persistence_sqlalchemy._transaction import Transaction
from cqrs_ddd_persistence_sqlalchemy.specifications import ColumnField, column_fields

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection, Table

    from cqrs_ddd_advanced_core.ports.projection_schema import ProjectionSchema
    from cqrs_ddd_persistence_sqlalchemy._dialect import DriverConnection
    from cqrs_ddd_persistence_sqlalchemy._session import Database
    from cqrs_ddd_persistence_sqlalchemy.specifications import SQLField, SQLFields
    from cqrs_ddd_persistence_sqlalchemy.unit_of_work import SQLAlchemyUnitOfWork

__all__ = ["RowTable", "RowTables"]

_LOCK: Final = "SELECT pg_advisory_xact_lock($1)"
#: Tables beside the one that serves: of another version, of the same once more, or set aside.
_version_of: Final = re.compile(r"(.+?)(__(?:v|again)[0-9]+(?:_x)?)").fullmatch


class RowTable:
    """One read model in this database.

    Attributes:
        schema: What its rows are.
        table: Where they are.
        is_own: Whether the table is the user's.
        sql: The statements on it.
    """

    def __init__(
        self, schema: ProjectionSchema, table: Table, database: Database, *, is_own: bool
    ) -> None:
        self.schema: ProjectionSchema = schema
        self.table: Table = table
        self.is_own: bool = is_own
        self.sql: RowSQL = RowSQL(schema, table, database.engine.dialect)
        searched = {name: ColumnField(table.c[name], searched=True) for name in schema.searched}
        self._fields: SQLFields = column_fields(table, {} if is_own else searched)

    def field(self, name: str) -> SQLField:
        """Return a field that is declared; the tenant is nobody's to ask for."""
        first = name.partition(".")[0]
        if first not in self.schema.columns and first not in COUNTERS:
            raise UnknownFieldError(name, self.schema.name)
        return self._fields(name)


class RowTables:
    """The tables of read models, made of their schemas or the user's own.

    Args:
        database: Where they are.
        own: The user's tables by name of the schema; other versions of a table are made like it.
    """

    def __init__(self, database: Database, own: Mapping[str, Table]) -> None:
        self._database = database
        self._dialect = database.engine.dialect
        self._own = own
        self._known: dict[str, RowTable] = {}

    def of(self, schema: ProjectionSchema) -> RowTable:
        """Return the table of a schema.

        Raises:
            ProjectionSchemaMismatchError: It is the user's own, and does not fit.
        """
        known = self._known.get(schema.name)
        if known is None or (known.schema is not schema and known.schema != schema):
            known = self._known[schema.name] = self._make(schema)
        return known

    def _make(self, schema: ProjectionSchema) -> RowTable:
        base, version = self._split(schema.name)
        own = self._own.get(base)
        if own is None:
            return RowTable(schema, make_table(schema), self._database, is_own=False)
        check_table(schema, own, postgres=self._database.is_postgres)
        table = own if not version else _like(own, own.name + version)
        return RowTable(schema, table, self._database, is_own=True)

    def _split(self, name: str) -> tuple[str, str]:
        """Return the name of a schema without its version, if that makes it one of the user's."""
        found = None if name in self._own else _version_of(name)
        return (found[1], found[2]) if found and found[1] in self._own else (name, "")

    def renaming(self, old: str, new: str) -> str:
        """Return the statement that gives a table another name."""
        preparer = self._dialect.identifier_preparer
        base, version = self._split(old)
        own = self._own.get(base)
        if own is None:
            quoted = preparer.quote(old)
        else:
            quoted = preparer.format_table(_like(own, own.name + version))
        return f"ALTER TABLE {quoted} RENAME TO {preparer.quote(self._physical(new))}"

    def dropping(self, schema: ProjectionSchema) -> str:
        """Return the statement that removes a table if it is there."""
        table = self.of(schema).table
        return f"DROP TABLE IF EXISTS {self._dialect.identifier_preparer.format_table(table)}"

    def locking(self, schema: ProjectionSchema) -> str:
        """Return the statement that keeps others from writing a table, but not from reading."""
        table = self._dialect.identifier_preparer.format_table(self.of(schema).table)
        return f"LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE"

    def _physical(self, name: str) -> str:
        base, version = self._split(name)
        return self._own[base].name + version if base in self._own else name

    async def ensure(self, schema: ProjectionSchema) -> None:
        """Make a table if there is none, whoever else is about to.

        Raises:
            ProjectionSchemaMismatchError: There is one that is not as declared.
        """
        found = self.of(schema)
        async with reading(self._database) as connection:
            if _is_as_declared(found, await self.differences(connection, found)):
                return
        uow = writing_unit(self._database)
        if uow is not None:
            await self._create(found, uow)
            return
        async with Transaction(self._database) as own:
            await self._create(found, own)

    async def _create(
        self, found: RowTable, transaction: Transaction | SQLAlchemyUnitOfWork
    ) -> None:
        driver = await transaction.driver_connection()
        if self._database.is_postgres:
            # CREATE TABLE IF NOT EXISTS fails when another one makes it at the same moment.
            await driver.fetch(_LOCK, lock_key(f"read-model:{found.table.fullname}"))
        if _is_as_declared(found, await self.differences(driver, found)):
            return
        connection = await transaction.connection()
        try:
            await connection.run_sync(_create, found.table)
        except Exception as error:
            raise translate(error) from error

    async def differences(self, connection: DriverConnection, found: RowTable) -> list[str] | None:
        """Return in what a table is not as declared; ``None`` when there is none."""
        return await differences(connection, found.table, self._dialect, is_own=found.is_own)


def _is_as_declared(found: RowTable, differing: list[str] | None) -> bool:
    if differing:
        raise ProjectionSchemaMismatchError(found.table.name, differing)
    return differing is not None


def _create(connection: Connection, table: Table) -> None:
    table.create(connection)


def _like(table: Table, name: str) -> Table:
    """Return a table like another one, with no name that would be taken already."""
    if name == table.name:
        return table
    made = table.to_metadata(MetaData(), name=name)
    for index in made.indexes:
        index.name = quoted_name(free_name(), quote=False)
    for constraint in made.constraints:
        if isinstance(constraint, PrimaryKeyConstraint | UniqueConstraint):
            # Its index has the same name; without one the database chooses a free one.
            constraint.name = None
    return made
