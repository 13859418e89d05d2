"""The tables, for both databases."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Identity,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)

from cqrs_ddd_persistence_sqlalchemy._read_side_schema import (
    materialized_view_positions,
    materialized_views,
    parked_events,
    projection_checkpoints,
    projection_owners,
    projection_serving,
)
from cqrs_ddd_persistence_sqlalchemy._schema_types import JSON_TYPE, UTCDateTime, metadata

__all__ = [
    "EVENT_ID_UNIQUE",
    "STREAM_UNIQUE",
    "UTCDateTime",
    "documents",
    "event_archive",
    "event_changes",
    "event_horizon",
    "events",
    "inbox",
    "inbox_places",
    "locks",
    "materialized_view_positions",
    "materialized_views",
    "metadata",
    "outbox",
    "outbox_owners",
    "outbox_partitions",
    "parked_events",
    "projection_checkpoints",
    "projection_owners",
    "projection_serving",
    "snapshots",
    "subject_keys",
    "undo_history",
]

EVENT_ID_UNIQUE: Final = "uq_cqrs_events_event_id"
STREAM_UNIQUE: Final = "uq_cqrs_events_stream"


_by_code_point = Text().with_variant(Text(collation="C"), "postgresql")
# SQLite counts by itself only in columns that are exactly INTEGER.
_counter = BigInteger().with_variant(Integer(), "sqlite")
#: CACHE 1: with more, sessions hand out positions out of order, and readers would skip events.
_identity = Identity(always=True, cache=1)

events = Table(
    "cqrs_events",
    metadata,
    Column("position", _counter, _identity, nullable=False),
    Column("tenant_id", Text, nullable=False, server_default=""),
    Column("aggregate_type", Text, nullable=False),
    # By code point in every locale, so that the index of the streams serves their order.
    Column("aggregate_id", _by_code_point, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("event_id", Uuid, nullable=False),
    Column("event_type", Text, nullable=False),
    Column("schema_version", Integer, nullable=False, server_default="1"),
    Column("payload", LargeBinary, nullable=False),
    Column("metadata", JSON_TYPE),
    Column("correlation_id", Text),
    Column("causation_id", Text),
    Column("occurred_at", UTCDateTime, nullable=False),
    Column("recorded_at", UTCDateTime, nullable=False),
    PrimaryKeyConstraint("position", name="pk_cqrs_events"),
    UniqueConstraint("event_id", name=EVENT_ID_UNIQUE),
    UniqueConstraint("tenant_id", "aggregate_type", "aggregate_id", "version", name=STREAM_UNIQUE),
    sqlite_autoincrement=True,
)

#: One row: the highest position below which nothing can still appear. It is raised only.
event_horizon = Table(
    "cqrs_event_horizon",
    metadata,
    Column("id", SmallInteger, nullable=False, autoincrement=False),
    Column("position", BigInteger, nullable=False, server_default="0"),
    PrimaryKeyConstraint("id", name="pk_cqrs_event_horizon"),
    CheckConstraint("id = 1", name="ck_cqrs_event_horizon_one_row"),
)

#: One row, only used on SQLite: whether the current transaction may change events.
event_changes = Table(
    "cqrs_event_changes",
    metadata,
    Column("id", SmallInteger, nullable=False, autoincrement=False),
    Column("allowed", Integer, nullable=False, server_default="0"),
    PrimaryKeyConstraint("id", name="pk_cqrs_event_changes"),
    CheckConstraint("id = 1", name="ck_cqrs_event_changes_one_row"),
)

outbox = Table(
    "cqrs_outbox",
    metadata,
    Column("sequence", _counter, _identity, nullable=False),
    Column("message_id", Uuid, nullable=False),
    Column("kind", Text, nullable=False),
    Column("message_type", Text, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("stream", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("tenant_id", Text, nullable=False, server_default=""),
    Column("headers", JSON_TYPE),
    Column("correlation_id", Text),
    Column("causation_id", Text),
    Column("occurred_at", UTCDateTime, nullable=False),
    Column("schema_version", Integer, nullable=False, server_default="1"),
    Column("status", Text, nullable=False, server_default="pending"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("available_at", UTCDateTime),
    Column("published_at", UTCDateTime),
    Column("error", Text),
    PrimaryKeyConstraint("sequence", name="pk_cqrs_outbox"),
    # Ids are made from names that two tenants may both use.
    UniqueConstraint("tenant_id", "message_id", name="uq_cqrs_outbox_message_id"),
    CheckConstraint("status IN ('pending', 'published', 'parked')", name="ck_cqrs_outbox_status"),
    sqlite_autoincrement=True,
)
Index(
    "ix_cqrs_outbox_unpublished",
    outbox.c.partition,
    outbox.c.sequence,
    postgresql_where=text("status <> 'published'"),
    sqlite_where=text("status <> 'published'"),
)
#: Messages that failed: few, and looked up for every message that could be behind one of them.
Index(
    "ix_cqrs_outbox_failed",
    outbox.c.stream,
    outbox.c.tenant_id,
    outbox.c.sequence,
    postgresql_where=text("status <> 'published' AND available_at IS NOT NULL"),
    sqlite_where=text("status <> 'published' AND available_at IS NOT NULL"),
)

outbox_partitions = Table(
    "cqrs_outbox_partitions",
    metadata,
    Column("number", Integer, nullable=False, autoincrement=False),
    Column("owner", Text),
    Column("epoch", BigInteger, nullable=False, server_default="0"),
    Column("lease_until", UTCDateTime),
    PrimaryKeyConstraint("number", name="pk_cqrs_outbox_partitions"),
)

#: Who shares the partitions, whether it has any or not.
outbox_owners = Table(
    "cqrs_outbox_owners",
    metadata,
    Column("owner", Text, nullable=False),
    Column("wants", Integer, nullable=False),
    Column("here_until", UTCDateTime, nullable=False),
    PrimaryKeyConstraint("owner", name="pk_cqrs_outbox_owners"),
)

inbox = Table(
    "cqrs_inbox",
    metadata,
    Column("consumer", Text, nullable=False),
    Column("tenant_id", Text, nullable=False, server_default=""),
    Column("message_id", Uuid, nullable=False),
    Column("received_at", UTCDateTime, nullable=False),
    Column("outcome", LargeBinary),
    PrimaryKeyConstraint("consumer", "tenant_id", "message_id", name="pk_cqrs_inbox"),
)
Index("ix_cqrs_inbox_received_at", inbox.c.received_at)

#: How far a consumer has come in the streams it follows in order.
inbox_places = Table(
    "cqrs_inbox_places",
    metadata,
    Column("consumer", Text, nullable=False),
    Column("tenant_id", Text, nullable=False, server_default=""),
    Column("stream", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    PrimaryKeyConstraint("consumer", "tenant_id", "stream", name="pk_cqrs_inbox_places"),
)

documents = Table(
    "cqrs_documents",
    metadata,
    Column("tenant_id", Text, nullable=False, server_default=""),
    Column("aggregate_type", Text, nullable=False),
    # By code point in every locale, so that the primary key serves the order of ids.
    Column("aggregate_id", _by_code_point, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("data", JSON_TYPE, nullable=False),
    Column("created_at", UTCDateTime, nullable=False),
    Column("updated_at", UTCDateTime, nullable=False),
    PrimaryKeyConstraint("tenant_id", "aggregate_type", "aggregate_id", name="pk_cqrs_documents"),
)

#: Locks of ``TableLock``; ``PostgresLock`` needs no table.
locks = Table(
    "cqrs_locks",
    metadata,
    Column("resource", Text, nullable=False),
    Column("token", Text, nullable=False),
    Column("mode", Text, nullable=False),
    Column("expires_at", UTCDateTime, nullable=False),
    PrimaryKeyConstraint("resource", "token", name="pk_cqrs_locks"),
)

snapshots = Table(
    "cqrs_snapshots",
    metadata,
    Column("tenant_id", Text, nullable=False, server_default=""),
    Column("aggregate_type", Text, nullable=False),
    Column("aggregate_id", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("state", LargeBinary, nullable=False),
    Column("created_at", UTCDateTime, nullable=False),
    PrimaryKeyConstraint(
        "tenant_id", "aggregate_type", "aggregate_id", "version", name="pk_cqrs_snapshots"
    ),
)

undo_history = Table(
    "cqrs_undo_history",
    metadata,
    Column("sequence", _counter, _identity, nullable=False),
    Column("token", Uuid, nullable=False),
    Column("tenant_id", Text, nullable=False, server_default=""),
    Column("scope", Text, nullable=False),
    Column("group_id", Uuid),
    Column("command_type", Text, nullable=False),
    Column("schema_version", Integer, nullable=False, server_default="1"),
    Column("command", LargeBinary, nullable=False),
    Column("memento", LargeBinary),
    Column("status", Text, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("error", Text),
    Column("user_id", Text),
    Column("correlation_id", Text),
    Column("created_at", UTCDateTime, nullable=False),
    Column("updated_at", UTCDateTime, nullable=False),
    PrimaryKeyConstraint("sequence", name="pk_cqrs_undo_history"),
    # Tokens are ids of commands, which two tenants may both have made from a name.
    UniqueConstraint("tenant_id", "token", name="uq_cqrs_undo_history_token"),
    sqlite_autoincrement=True,
)
Index(
    "ix_cqrs_undo_history_scope",
    undo_history.c.tenant_id,
    undo_history.c.scope,
    undo_history.c.sequence,
)
#: Looked up for every command that is executed, and mostly empty.
Index(
    "ix_cqrs_undo_history_undone",
    undo_history.c.tenant_id,
    undo_history.c.scope,
    undo_history.c.sequence,
    postgresql_where=text("status = 'undone'"),
    sqlite_where=text("status = 'undone'"),
)
Index(
    "ix_cqrs_undo_history_group",
    undo_history.c.tenant_id,
    undo_history.c.scope,
    undo_history.c.group_id,
    postgresql_where=text("group_id IS NOT NULL"),
    sqlite_where=text("group_id IS NOT NULL"),
)
Index("ix_cqrs_undo_history_updated_at", undo_history.c.updated_at)

#: A key that was shredded leaves its row, so that it is never made anew.
subject_keys = Table(
    "cqrs_subject_keys",
    metadata,
    Column("tenant_id", Text, nullable=False, server_default=""),
    Column("subject", Text, nullable=False),
    Column("wrapped_key", LargeBinary),
    Column("created_at", UTCDateTime, nullable=False),
    Column("shredded_at", UTCDateTime),
    PrimaryKeyConstraint("tenant_id", "subject", name="pk_cqrs_subject_keys"),
)

#: Events that were taken out of their streams.
event_archive = Table(
    "cqrs_event_archive",
    metadata,
    Column("position", BigInteger, nullable=False, autoincrement=False),
    Column("tenant_id", Text, nullable=False, server_default=""),
    Column("aggregate_type", Text, nullable=False),
    Column("aggregate_id", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("event_id", Uuid, nullable=False),
    Column("event_type", Text, nullable=False),
    Column("schema_version", Integer, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("metadata", JSON_TYPE),
    Column("correlation_id", Text),
    Column("causation_id", Text),
    Column("occurred_at", UTCDateTime, nullable=False),
    Column("recorded_at", UTCDateTime, nullable=False),
    PrimaryKeyConstraint("position", name="pk_cqrs_event_archive"),
    UniqueConstraint(
        "tenant_id",
        "aggregate_type",
        "aggregate_id",
        "version",
        name="uq_cqrs_event_archive_stream",
    ),
)
