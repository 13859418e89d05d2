"""Alembic's entry: run the migrations on the connection that ``schema.upgrade`` hands over."""

from __future__ import annotations

from alembic import context

from cqrs_ddd_persistence_sqlalchemy._schema import metadata
from cqrs_ddd_persistence_sqlalchemy.schema import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    # The transaction is the caller's; Alembic must not commit it.
    transactional_ddl=True,
)
context.run_migrations()
