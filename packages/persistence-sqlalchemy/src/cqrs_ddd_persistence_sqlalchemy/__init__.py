"""PostgreSQL and SQLite adapters for cqrs-ddd, built on SQLAlchemy 2."""

from cqrs_ddd_persistence_sqlalchemy.checkpoints import SQLAlchemyCheckpointStore
from cqrs_ddd_persistence_sqlalchemy.engine import create_engine
from cqrs_ddd_persistence_sqlalchemy.event_archive import SQLAlchemyEventArchive
from cqrs_ddd_persistence_sqlalchemy.event_store import SQLAlchemyEventStore
from cqrs_ddd_persistence_sqlalchemy.inbox import SQLAlchemyInbox
from cqrs_ddd_persistence_sqlalchemy.locking import PostgresLock, TableLock
from cqrs_ddd_persistence_sqlalchemy.materialized_view import (
    MaterializedView,
    MaterializedViewRefresher,
    MaterializedViews,
)
from cqrs_ddd_persistence_sqlalchemy.outbox import SQLAlchemyOutboxStorage
from cqrs_ddd_persistence_sqlalchemy.parked_events import SQLAlchemyParkedEvents
from cqrs_ddd_persistence_sqlalchemy.projection_store import SQLAlchemyProjectionStore
from cqrs_ddd_persistence_sqlalchemy.repository import SQLAlchemyRepository
from cqrs_ddd_persistence_sqlalchemy.schema import (
    allow_event_changes,
    create_schema,
    drop_schema,
    upgrade,
)
from cqrs_ddd_persistence_sqlalchemy.snapshot_store import SQLAlchemySnapshotStore
from cqrs_ddd_persistence_sqlalchemy.subject_keys import SQLAlchemySubjectKeyStore
from cqrs_ddd_persistence_sqlalchemy.undo_history import SQLAlchemyUndoHistory
from cqrs_ddd_persistence_sqlalchemy.unit_of_work import SQLAlchemyUnitOfWork
from cqrs_ddd_persistence_sqlalchemy.wake_up import PostgresWakeUp

__all__ = [
    "MaterializedView",
    "MaterializedViewRefresher",
    "MaterializedViews",
    "PostgresLock",
    "PostgresWakeUp",
    "SQLAlchemyCheckpointStore",
    "SQLAlchemyEventArchive",
    "SQLAlchemyEventStore",
    "SQLAlchemyInbox",
    "SQLAlchemyOutboxStorage",
    "SQLAlchemyParkedEvents",
    "SQLAlchemyProjectionStore",
    "SQLAlchemyRepository",
    "SQLAlchemySnapshotStore",
    "SQLAlchemySubjectKeyStore",
    "SQLAlchemyUndoHistory",
    "SQLAlchemyUnitOfWork",
    "TableLock",
    "allow_event_changes",
    "create_engine",
    "create_schema",
    "drop_schema",
    "upgrade",
]
