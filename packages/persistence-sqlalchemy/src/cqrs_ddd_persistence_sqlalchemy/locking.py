"""Locks between processes: advisory locks of PostgreSQL, or rows of a table."""

from __future__ import annotations

from cqrs_ddd_persistence_sqlalchemy._advisory_lock import PostgresLock
from cqrs_ddd_persistence_sqlalchemy._table_lock import TableLock

__all__ = ["PostgresLock", "TableLock"]
