"""Events, outbox, inbox, documents and locks.

A migration that has been released is never edited: it says what happened to users' databases.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

if TYPE_CHECKING:
    from sqlalchemy.types import TypeEngine

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_counter: TypeEngine[Any] = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_json: TypeEngine[Any] = sa.JSON().with_variant(JSONB(), "postgresql")
_by_code_point: TypeEngine[Any] = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_time: TypeEngine[Any] = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")

_IMMUTABILITY = {
    "postgresql": (
        """
        CREATE FUNCTION cqrs_refuse_event_changes() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF current_setting('cqrs_ddd.allow_event_changes', true) = 'on' THEN
                RETURN CASE TG_OP WHEN 'UPDATE' THEN NEW ELSE OLD END;
            END IF;
            RAISE EXCEPTION 'events are immutable: % of % refused', TG_OP, TG_TABLE_NAME
                USING ERRCODE = 'object_not_in_prerequisite_state';
        END $$
        """,
        """
        CREATE TRIGGER cqrs_events_immutable BEFORE UPDATE OR DELETE ON cqrs_events
        FOR EACH ROW EXECUTE FUNCTION cqrs_refuse_event_changes()
        """,
        """
        CREATE TRIGGER cqrs_events_not_truncated BEFORE TRUNCATE ON cqrs_events
        FOR EACH STATEMENT EXECUTE FUNCTION cqrs_refuse_event_changes()
        """,
    ),
    "sqlite": (
        """
        CREATE TRIGGER cqrs_events_no_update BEFORE UPDATE ON cqrs_events
        WHEN (SELECT allowed FROM cqrs_event_changes WHERE id = 1) IS NOT 1
        BEGIN SELECT RAISE(ABORT, 'events are immutable: UPDATE of cqrs_events refused'); END
        """,
        """
        CREATE TRIGGER cqrs_events_no_delete BEFORE DELETE ON cqrs_events
        WHEN (SELECT allowed FROM cqrs_event_changes WHERE id = 1) IS NOT 1
        BEGIN SELECT RAISE(ABORT, 'events are immutable: DELETE of cqrs_events refused'); END
        """,
    ),
}


def upgrade() -> None:
    """Make the first version of the schema."""
    _events()
    _outbox()
    _inbox()
    _aggregates()
    _first_rows()
    for statement in _IMMUTABILITY[op.get_bind().dialect.name]:
        op.execute(statement)


def _identity() -> sa.Identity:
    return sa.Identity(always=True, cache=1)


def _tenant() -> sa.Column[str]:
    return sa.Column("tenant_id", sa.Text(), nullable=False, server_default="")


def _events() -> None:
    op.create_table(
        "cqrs_events",
        sa.Column("position", _counter, _identity(), nullable=False),
        _tenant(),
        sa.Column("aggregate_type", sa.Text(), nullable=False),
        sa.Column("aggregate_id", _by_code_point, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("event_type", sa.Text(), nullable=False),
        sa.Column("schema_version", sa.Integer(), nullable=False, server_default="1"),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("metadata", _json),
        sa.Column("correlation_id", sa.Text()),
        sa.Column("causation_id", sa.Text()),
        sa.Column("occurred_at", _time, nullable=False),
        sa.Column("recorded_at", _time, nullable=False),
        sa.PrimaryKeyConstraint("position", name="pk_cqrs_events"),
        sa.UniqueConstraint("event_id", name="uq_cqrs_events_event_id"),
        sa.UniqueConstraint(
            "tenant_id", "aggregate_type", "aggregate_id", "version", name="uq_cqrs_events_stream"
        ),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "cqrs_event_horizon",
        sa.Column("id", sa.SmallInteger(), nullable=False, autoincrement=False),
        sa.Column("position", sa.BigInteger(), nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("id", name="pk_cqrs_event_horizon"),
        sa.CheckConstraint("id = 1", name="ck_cqrs_event_horizon_one_row"),
    )
    op.create_table(
        "cqrs_event_changes",
        sa.Column("id", sa.SmallInteger(), nullable=False, autoincrement=False),
        sa.Column("allowed", sa.Integer(), nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("id", name="pk_cqrs_event_changes"),
        sa.CheckConstraint("id = 1", name="ck_cqrs_event_changes_one_row"),
    )


def _outbox() -> None:
    op.create_table(
        "cqrs_outbox",
        sa.Column("sequence", _counter, _identity(), nullable=False),
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("message_type", sa.Text(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        _tenant(),
        sa.Column("headers", _json),
        sa.Column("correlation_id", sa.Text()),
        sa.Column("causation_id", sa.Text()),
        sa.Column("occurred_at", _time, nullable=False),
        sa.Column("schema_version", sa.Integer(), nullable=False, server_default="1"),
        sa.Column("status", sa.Text(), nullable=False, server_default="pending"),
        sa.Column("attempts", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("available_at", _time),
        sa.Column("published_at", _time),
        sa.Column("error", sa.Text()),
        sa.PrimaryKeyConstraint("sequence", name="pk_cqrs_outbox"),
        sa.UniqueConstraint("tenant_id", "message_id", name="uq_cqrs_outbox_message_id"),
        sa.CheckConstraint(
            "status IN ('pending', 'published', 'parked')", name="ck_cqrs_outbox_status"
        ),
        sqlite_autoincrement=True,
    )
    unpublished = sa.text("status <> 'published'")
    op.create_index(
        "ix_cqrs_outbox_unpublished",
        "cqrs_outbox",
        ["partition", "sequence"],
        postgresql_where=unpublished,
        sqlite_where=unpublished,
    )
    failed = sa.text("status <> 'published' AND available_at IS NOT NULL")
    op.create_index(
        "ix_cqrs_outbox_failed",
        "cqrs_outbox",
        ["stream", "tenant_id", "sequence"],
        postgresql_where=failed,
        sqlite_where=failed,
    )
    op.create_table(
        "cqrs_outbox_partitions",
        sa.Column("number", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("owner", sa.Text()),
        sa.Column("epoch", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("lease_until", _time),
        sa.PrimaryKeyConstraint("number", name="pk_cqrs_outbox_partitions"),
    )
    op.create_table(
        "cqrs_outbox_owners",
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("wants", sa.Integer(), nullable=False),
        sa.Column("here_until", _time, nullable=False),
        sa.PrimaryKeyConstraint("owner", name="pk_cqrs_outbox_owners"),
    )


def _inbox() -> None:
    op.create_table(
        "cqrs_inbox",
        sa.Column("consumer", sa.Text(), nullable=False),
        _tenant(),
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("received_at", _time, nullable=False),
        sa.Column("outcome", sa.LargeBinary()),
        sa.PrimaryKeyConstraint("consumer", "tenant_id", "message_id", name="pk_cqrs_inbox"),
    )
    op.create_index("ix_cqrs_inbox_received_at", "cqrs_inbox", ["received_at"])


def _aggregates() -> None:
    op.create_table(
        "cqrs_documents",
        _tenant(),
        sa.Column("aggregate_type", sa.Text(), nullable=False),
        sa.Column("aggregate_id", _by_code_point, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("data", _json, nullable=False),
        sa.Column("created_at", _time, nullable=False),
        sa.Column("updated_at", _time, nullable=False),
        sa.PrimaryKeyConstraint(
            "tenant_id", "aggregate_type", "aggregate_id", name="pk_cqrs_documents"
        ),
    )
    op.create_table(
        "cqrs_locks",
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("expires_at", _time, nullable=False),
        sa.PrimaryKeyConstraint("resource", "token", name="pk_cqrs_locks"),
    )


def _first_rows() -> None:
    op.execute("INSERT INTO cqrs_event_horizon (id) VALUES (1)")
    op.execute("INSERT INTO cqrs_event_changes (id) VALUES (1)")
    partitions = sa.table("cqrs_outbox_partitions", sa.column("number", sa.Integer))
    op.bulk_insert(partitions, [{"number": number} for number in range(16)])
