"""The table that a materialised view is to its readers."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from sqlalchemy import Column, Index, MetaData, Table, Text
from sqlalchemy.exc import CompileError

from cqrs_ddd_advanced_core.domain.projection_exceptions import ProjectionDefinitionError
from cqrs_ddd_persistence_sqlalchemy._row_table import column_type
from cqrs_ddd_persistence_sqlalchemy.specifications import word_index

if TYPE_CHECKING:
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

    def named(self, name: str, digest: str | None = None) -> Table:
        """Return the table under a name, with its indexes if their names get a digest."""
        view, schema = self.view, self.view.schema
        owner = [] if view.tenant_column is None else [Column(view.tenant_column, Text)]
        columns = [
            Column(name, column_type(column.type), nullable=column.nullable)
            for name, column in schema.columns.items()
        ]
        table = Table(name, MetaData(), *owner, *columns)
        if digest is not None:
            for number, names in enumerate([schema.key, *schema.indexes]):
                indexed = [*owner, *(table.c[name] for name in names)]
                Index(f"ix_{view.name}_{digest}_{number}", *indexed, unique=not number)
            for number, searched in enumerate(schema.searched):
                word_index(f"ix_{view.name}_{digest}_w{number}", table.c[searched])
        return table

    def select(self, dialect: Dialect) -> str:
        """Return the definition as SQL that returns exactly the columns, with their types.

        Raises:
            ProjectionDefinitionError: The definition cannot be written as SQL without parameters.
        """
        quote = dialect.identifier_preparer.quote_identifier
        columns = ", ".join(
            _cast(quote(column.name), column.type, dialect) for column in self.table.columns
        )
        # A line of its own: the definition may end with a comment.
        return f"SELECT {columns} FROM (\n{self._definition(dialect)}\n) AS d"  # noqa: S608

    def fingerprint(self, dialect: Dialect) -> str:
        """Return what differs when the definition, its version, a type, key or index differs."""
        view, schema = self.view, self.view.schema
        parts = [
            view.version,
            self.select(dialect),
            view.tenant_column,
            schema.key,
            *schema.indexes,
        ]
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
