"""The snapshot store in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from cqrs_ddd_advanced_core.ports.snapshot_store import ISnapshotStore, Snapshot
from cqrs_ddd_core.adapters.memory.database import InMemoryDatabase, Table
from cqrs_ddd_core.adapters.memory.unit_of_work import current_transaction, write_transaction
from cqrs_ddd_core.correlation import get_context
from cqrs_ddd_core.ports.event_store import StreamId

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cqrs_ddd_core.adapters.memory.database import Transaction

__all__ = ["InMemorySnapshotStore"]

_Key: TypeAlias = tuple[str, StreamId]


class InMemorySnapshotStore(ISnapshotStore):
    """Keeps snapshots in memory.

    Args:
        database: Shared with the other adapters; one of its own when not given.
    """

    def __init__(self, database: InMemoryDatabase | None = None) -> None:
        self._database = database or InMemoryDatabase()
        # Of each stream, by version.
        self._snapshots: Table[_Key, tuple[Snapshot, ...]] = Table()

    async def save_snapshot(self, snapshot: Snapshot) -> None:
        async with write_transaction(self._database) as transaction:
            key = _key(snapshot.stream)
            kept = self._snapshots.get(key, transaction) or ()
            others = [one for one in kept if one.version != snapshot.version]
            row = tuple(sorted([*others, snapshot], key=_version))
            self._snapshots.put(key, row, transaction)

    async def get_latest_snapshot(
        self, stream: StreamId, *, fingerprint: str | None = None, up_to_version: int | None = None
    ) -> Snapshot | None:
        kept = self._snapshots.get(_key(stream), current_transaction(self._database)) or ()
        for snapshot in reversed(kept):
            if (up_to_version is None or snapshot.version <= up_to_version) and (
                fingerprint in (None, snapshot.fingerprint)
            ):
                return snapshot
        return None

    async def delete_snapshots(self, stream: StreamId, *, keep: int = 0) -> int:
        async with write_transaction(self._database) as transaction:
            key = _key(stream)
            kept = self._snapshots.get(key, transaction) or ()
            removed = max(len(kept) - keep, 0)
            if removed == len(kept):
                self._snapshots.delete(key, transaction)
            elif removed:
                self._snapshots.put(key, kept[removed:], transaction)
            return removed

    async def clear(self, aggregate_type: str | None = None) -> int:
        async with write_transaction(self._database) as transaction:
            found = list(self._find(aggregate_type, transaction))
            for key, _ in found:
                self._snapshots.delete(key, transaction)
            return sum(count for _, count in found)

    async def get_snapshot_count(self, aggregate_type: str | None = None) -> int:
        transaction = current_transaction(self._database)
        return sum(count for _, count in self._find(aggregate_type, transaction))

    def _find(
        self, aggregate_type: str | None, transaction: Transaction | None
    ) -> Iterator[tuple[_Key, int]]:
        tenant_id = get_context().tenant_id
        for key, kept in self._snapshots.items(transaction):
            if key[0] == tenant_id and aggregate_type in (None, key[1].aggregate_type):
                yield key, len(kept)


def _key(stream: StreamId) -> _Key:
    return get_context().tenant_id, stream


def _version(snapshot: Snapshot) -> int:
    return snapshot.version
