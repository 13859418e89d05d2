"""Snapshots, undo history, keys of personal data, and archived events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

if TYPE_CHECKING:
    from sqlalchemy.types import TypeEngine

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_counter: TypeEngine[Any] = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_json: TypeEngine[Any] = sa.JSON().with_variant(JSONB(), "postgresql")
_time: TypeEngine[Any] = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")


_IMMUTABILITY = {
    "postgresql": (
        """
        CREATE TRIGGER cqrs_event_archive_immutable BEFORE UPDATE OR DELETE ON cqrs_event_archive
        FOR EACH ROW EXECUTE FUNCTION cqrs_refuse_event_changes()
        """,
        """
        CREATE TRIGGER cqrs_event_archive_not_truncated BEFORE TRUNCATE ON cqrs_event_archive
        FOR EACH STATEMENT EXECUTE FUNCTION cqrs_refuse_event_changes()
        """,
    ),
    "sqlite": (
        """
        CREATE TRIGGER cqrs_event_archive_no_update BEFORE UPDATE ON cqrs_event_archive
        WHEN (SELECT allowed FROM cqrs_event_changes WHERE id = 1) IS NOT 1
        BEGIN SELECT RAISE(ABORT, 'events are immutable: UPDATE of cqrs_event_archive refused'); END
        """,
        """
        CREATE TRIGGER cqrs_event_archive_no_delete BEFORE DELETE ON cqrs_event_archive
        WHEN (SELECT allowed FROM cqrs_event_changes WHERE id = 1) IS NOT 1
        BEGIN SELECT RAISE(ABORT, 'events are immutable: DELETE of cqrs_event_archive refused'); END
        """,
    ),
}


def upgrade() -> None:
    """Add the tables of event sourcing and undo."""
    _snapshots()
    _undo_history()
    _subject_keys()
    _event_archive()
    for statement in _IMMUTABILITY[op.get_bind().dialect.name]:
        op.execute(statement)


def _tenant() -> sa.Column[str]:
    return sa.Column("tenant_id", sa.Text(), nullable=False, server_default="")


def _snapshots() -> None:
    op.create_table(
        "cqrs_snapshots",
        _tenant(),
        sa.Column("aggregate_type", sa.Text(), nullable=False),
        sa.Column("aggregate_id", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("state", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", _time, nullable=False),
        sa.PrimaryKeyConstraint(
            "tenant_id", "aggregate_type", "aggregate_id", "version", name="pk_cqrs_snapshots"
        ),
    )


def _undo_history() -> None:
    op.create_table(
        "cqrs_undo_history",
        sa.Column("sequence", _counter, sa.Identity(always=True, cache=1), nullable=False),
        sa.Column("token", sa.Uuid(), nullable=False),
        _tenant(),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("group_id", sa.Uuid()),
        sa.Column("command_type", sa.Text(), nullable=False),
        sa.Column("schema_version", sa.Integer(), nullable=False, server_default="1"),
        sa.Column("command", sa.LargeBinary(), nullable=False),
        sa.Column("memento", sa.LargeBinary()),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text()),
        sa.Column("user_id", sa.Text()),
        sa.Column("correlation_id", sa.Text()),
        sa.Column("created_at", _time, nullable=False),
        sa.Column("updated_at", _time, nullable=False),
        sa.PrimaryKeyConstraint("sequence", name="pk_cqrs_undo_history"),
        sa.UniqueConstraint("tenant_id", "token", name="uq_cqrs_undo_history_token"),
        sqlite_autoincrement=True,
    )
    place = ["tenant_id", "scope", "sequence"]
    op.create_index("ix_cqrs_undo_history_scope", "cqrs_undo_history", place)
    _partial_index("ix_cqrs_undo_history_undone", place, "status = 'undone'")
    group = ["tenant_id", "scope", "group_id"]
    _partial_index("ix_cqrs_undo_history_group", group, "group_id IS NOT NULL")
    op.create_index("ix_cqrs_undo_history_updated_at", "cqrs_undo_history", ["updated_at"])


def _partial_index(name: str, columns: list[str], condition: str) -> None:
    where = sa.text(condition)
    op.create_index(name, "cqrs_undo_history", columns, postgresql_where=where, sqlite_where=where)


def _subject_keys() -> None:
    op.create_table(
        "cqrs_subject_keys",
        _tenant(),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("wrapped_key", sa.LargeBinary()),
        sa.Column("created_at", _time, nullable=False),
        sa.Column("shredded_at", _time),
        sa.PrimaryKeyConstraint("tenant_id", "subject", name="pk_cqrs_subject_keys"),
    )


def _event_archive() -> None:
    op.create_table(
        "cqrs_event_archive",
        sa.Column("position", sa.BigInteger(), nullable=False, autoincrement=False),
        _tenant(),
        sa.Column("aggregate_type", sa.Text(), nullable=False),
        sa.Column("aggregate_id", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("event_type", sa.Text(), nullable=False),
        sa.Column("schema_version", sa.Integer(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("metadata", _json),
        sa.Column("correlation_id", sa.Text()),
        sa.Column("causation_id", sa.Text()),
        sa.Column("occurred_at", _time, nullable=False),
        sa.Column("recorded_at", _time, nullable=False),
        sa.PrimaryKeyConstraint("position", name="pk_cqrs_event_archive"),
        sa.UniqueConstraint(
            "tenant_id",
            "aggregate_type",
            "aggregate_id",
            "version",
            name="uq_cqrs_event_archive_stream",
        ),
    )
