"""The table that a materialised view is to its readers."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from sqlalchemy import Column, Index, MetaData, Table, Text
from sqlalchemy.exc import CompileError

from cqrs_ddd_advanced_core.domain.projection_exceptions import ProjectionDefinitionError
from cqrs_ddd_persistence_sqlalchemy._row_table import column_type, free_name
from cqrs_ddd_persistence_sqlalchemy.specifications import word_index

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Dialect
    from sqlalchemy.types import TypeEngine

    from cqrs_ddd_persistence_sqlalchemy.materialized_view.definition import MaterializedView

__all__ = ["ViewTable"]


class ViewTable:
    """The columns and indexes of a view, and the SELECT that fills them.

    Attributes:
        view: Which view.
        table: What readers select from.
    """

    def __init__(self, view: MaterializedView) -> None:
        self.view: MaterializedView = view
        self.table: Table = self.named(view.name)
        self._select: str | None = None

    def named(self, name: str, *, indexed: bool = False) -> Table:
        """Return the table under a name, with or without its indexes."""
        view, schema = self.view, self.view.schema
        owner = [] if view.tenant_column is None else [Column(view.tenant_column, Text)]
        columns = [
            Column(name, column_type(column.type), nullable=column.nullable)
            for name, column in schema.columns.items()
        ]
        table = Table(name, MetaData(), *owner, *columns)
        if indexed:
            Index(free_name(), *owner, *(table.c[name] for name in schema.key), unique=True)
            for names in schema.indexes:
                Index(free_name(), *owner, *(table.c[name] for name in names))
            for searched in schema.searched:
                word_index(free_name(), table.c[searched])
        return table

    def select(self, dialect: Dialect) -> str:
        """Return the definition as SQL that returns exactly the columns, with their types.

        Args:
            dialect: Of the database, once it was connected to: it tells how text is quoted.

        Raises:
            ProjectionDefinitionError: The definition cannot be written as SQL without parameters.
        """
        if self._select is None:
            self._select = self._compile(dialect)
        return self._select

    def _compile(self, dialect: Dialect) -> str:
        quote = dialect.identifier_preparer.quote_identifier
        columns = ", ".join(
            _cast(quote(column.name), column.type, dialect) for column in self.table.columns
        )
        # A line of its own: the definition may end with a comment.
        return f"SELECT {columns} FROM (\n{self._definition(dialect)}\n) AS d"  # noqa: S608

    def fingerprint(self, dialect: Dialect, versions: Mapping[str, int]) -> str:
        """Return what differs when the view has to be built anew.

        Args:
            dialect: As above.
            versions: Of the projections it reads, which have other tables after a rebuild.
        """
        view, schema = self.view, self.view.schema
        shape = [view.tenant_column, *schema.key, *schema.indexes, *schema.searched]
        parts = [view.version, self.select(dialect), shape, sorted(versions.items())]
        return blake2b(repr(parts).encode(), digest_size=16).hexdigest()

    def _definition(self, dialect: Dialect) -> str:
        definition = self.view.definition
        if not isinstance(definition, str):
            try:
                compiled = definition.compile(
                    dialect=dialect, compile_kwargs={"literal_binds": True}
                )
            except CompileError as error:
                msg = f"the definition of {self.view.name} has a value that is no literal: {error}"
                raise ProjectionDefinitionError(msg) from error
            definition = str(compiled)
        return definition.strip().rstrip(";")


def _cast(name: str, type_: TypeEngine[Any], dialect: Dialect) -> str:
    # Aggregates widen their types: a sum of integers is a numeric on PostgreSQL. SQLite converts
    # by the columns of the table.
    if dialect.name != "postgresql":
        return f"d.{name}"
    return f"(d.{name})::{type_.compile(dialect=dialect)} AS {name}"
