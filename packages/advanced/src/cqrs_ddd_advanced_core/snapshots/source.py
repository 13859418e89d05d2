"""Where snapshots are stored, for what an application has at hand."""

from __future__ import annotations

from functools import singledispatch

from cqrs_ddd_advanced_core.ports.snapshot_store import ISnapshotStore
from cqrs_ddd_core.primitives.exceptions import ConfigurationError

__all__ = ["snapshot_store_of"]


@singledispatch
def snapshot_store_of(source: object) -> ISnapshotStore:
    """Return the snapshot store that belongs to a session, an engine or the like.

    Adapters register what they know when they are imported:
    ``snapshot_store_of.register(AsyncSession, SQLAlchemySnapshotStore)``. A snapshot store is
    its own.

    Raises:
        ConfigurationError: Nobody has registered its type.
    """
    if isinstance(source, ISnapshotStore):
        return source
    msg = (
        f"a {type(source).__name__} is no ISnapshotStore, and no adapter knows it: give an "
        "adapter such as InMemorySnapshotStore(), or install and import the package of your "
        "database, such as cqrs_ddd_persistence_sqlalchemy for SQLAlchemy sessions and engines"
    )
    raise ConfigurationError(msg)
