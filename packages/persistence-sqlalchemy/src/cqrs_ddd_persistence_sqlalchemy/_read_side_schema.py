"""The tables of the read side: how far projections and materialised views have come."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Double,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
)

from cqrs_ddd_persistence_sqlalchemy._schema_types import JSON_TYPE, UTCDateTime, metadata

__all__ = [
    "materialized_view_positions",
    "materialized_views",
    "parked_events",
    "projection_checkpoints",
    "projection_owners",
    "projection_serving",
]

#: How far each projection has come, and who carries it on.
projection_checkpoints = Table(
    "cqrs_projection_checkpoints",
    metadata,
    Column("tenant_id", Text, nullable=False, server_default=""),
    Column("projection", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("position", BigInteger, nullable=False, server_default="0"),
    Column("state", Text, nullable=False, server_default="running"),
    Column("error", Text),
    Column("owner", Text),
    Column("epoch", BigInteger, nullable=False),
    Column("lease_until", UTCDateTime),
    Column("updated_at", UTCDateTime, nullable=False),
    PrimaryKeyConstraint(
        "tenant_id", "projection", "version", "partition", name="pk_cqrs_projection_checkpoints"
    ),
    CheckConstraint(
        "state IN ('running', 'halted', 'paused', 'switching', 'inline', 'kept')",
        name="ck_cqrs_projection_checkpoints_state",
    ),
)

#: Who shares the checkpoints, whether it has any or not.
projection_owners = Table(
    "cqrs_projection_owners",
    metadata,
    Column("tenant_id", Text, nullable=False, server_default=""),
    Column("owner", Text, nullable=False),
    Column("wants", JSON_TYPE, nullable=False),
    Column("here_until", UTCDateTime, nullable=False),
    PrimaryKeyConstraint("tenant_id", "owner", name="pk_cqrs_projection_owners"),
)

#: Which version of a projection answers queries.
projection_serving = Table(
    "cqrs_projection_serving",
    metadata,
    Column("tenant_id", Text, nullable=False, server_default=""),
    Column("projection", Text, nullable=False),
    Column("version", Integer, nullable=False),
    PrimaryKeyConstraint("tenant_id", "projection", name="pk_cqrs_projection_serving"),
)

#: Events a projection could not apply, and those that wait behind them.
parked_events = Table(
    "cqrs_parked_events",
    metadata,
    Column("tenant_id", Text, nullable=False, server_default=""),
    Column("projection", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("aggregate_type", Text, nullable=False),
    Column("aggregate_id", Text, nullable=False),
    Column("event_type", Text, nullable=False),
    Column("error", Text),
    Column("parked_at", UTCDateTime, nullable=False),
    PrimaryKeyConstraint(
        "tenant_id",
        "projection",
        "version",
        "partition",
        "position",
        name="pk_cqrs_parked_events",
    ),
)
Index(
    "ix_cqrs_parked_events_stream",
    parked_events.c.tenant_id,
    parked_events.c.projection,
    parked_events.c.version,
    parked_events.c.partition,
    parked_events.c.aggregate_type,
    parked_events.c.aggregate_id,
)

#: Materialised views: what they are made of, and how their refreshes went.
materialized_views = Table(
    "cqrs_materialized_views",
    metadata,
    Column("name", Text, nullable=False),
    Column("version", Integer, nullable=False, server_default="0"),
    Column("fingerprint", Text),
    Column("refreshes", BigInteger, nullable=False, server_default="0"),
    Column("refreshed_at", UTCDateTime),
    Column("seconds", Double),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("error", Text),
    Column("retry_at", UTCDateTime),
    PrimaryKeyConstraint("name", name="pk_cqrs_materialized_views"),
)

#: Up to which position a materialised view shows everything, for each tenant.
materialized_view_positions = Table(
    "cqrs_materialized_view_positions",
    metadata,
    Column("name", Text, nullable=False),
    Column("tenant_id", Text, nullable=False, server_default=""),
    Column("position", BigInteger, nullable=False),
    PrimaryKeyConstraint("name", "tenant_id", name="pk_cqrs_materialized_view_positions"),
)
