"""The undo history in memory."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, TypeAlias
from uuid import UUID

from cqrs_ddd_advanced_core.ports.undo_history import (
    UNSETTLED,
    IUndoHistory,
    UndoEntry,
    UndoStatus,
)
from cqrs_ddd_core.adapters.memory.database import InMemoryDatabase, Table, Transaction
from cqrs_ddd_core.adapters.memory.unit_of_work import current_transaction, write_transaction
from cqrs_ddd_core.correlation import get_context
from cqrs_ddd_core.ports.unit_of_work_scope import get_current_uow
from cqrs_ddd_core.primitives.exceptions import (
    OptimisticConcurrencyError,
    UniqueViolationError,
    UnitOfWorkError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from datetime import datetime

__all__ = ["InMemoryUndoHistory"]

_Key: TypeAlias = tuple[str, UUID]
_Unit: TypeAlias = tuple[str, str, UUID]


class InMemoryUndoHistory(IUndoHistory):
    """Keeps executed commands in memory.

    Args:
        database: Shared with the adapters the commands write to, so that all commits as one.
    """

    def __init__(self, database: InMemoryDatabase | None = None) -> None:
        self._database = database or InMemoryDatabase()
        self._entries: Table[_Key, UndoEntry] = Table()
        self._sequence = count(1)

    async def lock(self, scope: str) -> None:  # noqa: ARG002 - there is one writer for all scopes
        if get_current_uow() is None:
            msg = "a scope is locked in a unit of work, and until its end"
            raise UnitOfWorkError(msg)
        async with write_transaction(self._database):
            return

    async def add(self, entry: UndoEntry) -> UndoEntry:
        async with write_transaction(self._database) as transaction:
            key = _key(entry.token)
            if self._entries.get(key, transaction) is not None:
                msg = f"the undo history has an entry of {entry.token} already"
                raise UniqueViolationError("tenant_id, token", msg)
            sequence = next(self._sequence)
            added = replace(entry, tenant_id=key[0], sequence=sequence, revision=1)
            self._entries.put(key, added, transaction)
            return added

    async def get(self, token: UUID) -> UndoEntry | None:
        return self._entries.get(_key(token), current_transaction(self._database))

    async def get_group(self, scope: str, group_id: UUID) -> list[UndoEntry]:
        return [entry for entry in self._of_scope(scope) if entry.group_id == group_id]

    async def find(
        self,
        scope: str,
        *,
        statuses: Collection[UndoStatus] = tuple(UndoStatus),
        newest_first: bool = True,
        after: int | None = None,
        limit: int = 100,
    ) -> list[UndoEntry]:
        entries = [one for one in self._of_scope(scope) if one.status in statuses]
        if newest_first:
            entries.reverse()
        if after is not None:
            way = -1 if newest_first else 1
            entries = [one for one in entries if way * (one.sequence - after) > 0]
        return entries[:limit]

    async def update(self, entry: UndoEntry) -> UndoEntry:
        async with write_transaction(self._database) as transaction:
            key = _key(entry.token)
            known = self._entries.get(key, transaction)
            if known is None or known.revision != entry.revision:
                actual = known.revision if known is not None else None
                target = f"undo entry {entry.token}"
                raise OptimisticConcurrencyError(target, entry.revision, actual)
            updated = replace(
                known,
                command_type=entry.command_type,
                schema_version=entry.schema_version,
                command=entry.command,
                memento=entry.memento,
                status=entry.status,
                error=entry.error,
                updated_at=entry.updated_at,
                revision=known.revision + 1,
            )
            self._entries.put(key, updated, transaction)
            return updated

    async def discard_undone(self, scope: str, reason: str, at: datetime) -> int:
        async with write_transaction(self._database) as transaction:
            undone = [one for one in self._of_scope(scope) if one.status is UndoStatus.UNDONE]
            for entry in undone:
                discarded = replace(
                    entry,
                    status=UndoStatus.DISCARDED,
                    error=reason,
                    updated_at=at,
                    revision=entry.revision + 1,
                )
                self._entries.put(_key(entry.token), discarded, transaction)
            return len(undone)

    async def purge(self, before: datetime, *, limit: int = 10_000) -> int:
        async with write_transaction(self._database) as transaction:
            entries = self._all(transaction)
            old = {
                unit
                for unit, members in _units(entries).items()
                if all(one.updated_at < before and one.status not in UNSETTLED for one in members)
            }
            candidates = sorted(
                (one for one in entries if _unit(one) in old), key=lambda one: one.updated_at
            )
            chosen = {_unit(one) for one in candidates[:limit]}
            return self._remove(entries, lambda one: _unit(one) in chosen, transaction)

    async def trim(self, scope: str, *, keep: int) -> int:
        async with write_transaction(self._database) as transaction:
            entries = self._of_scope(scope)
            kept = {_unit(one) for one in entries[max(len(entries) - keep, 0) :]}
            kept |= {_unit(one) for one in entries if one.status in UNSETTLED}
            return self._remove(entries, lambda one: _unit(one) not in kept, transaction)

    def _remove(
        self,
        entries: Collection[UndoEntry],
        is_removed: Callable[[UndoEntry], bool],
        transaction: Transaction,
    ) -> int:
        removed = [one for one in entries if is_removed(one)]
        for entry in removed:
            self._entries.delete((entry.tenant_id, entry.token), transaction)
        return len(removed)

    def _of_scope(self, scope: str) -> list[UndoEntry]:
        tenant_id = get_context().tenant_id
        entries = self._all(current_transaction(self._database))
        return [one for one in entries if one.tenant_id == tenant_id and one.scope == scope]

    def _all(self, transaction: Transaction | None) -> list[UndoEntry]:
        entries = (entry for _, entry in self._entries.items(transaction))
        return sorted(entries, key=lambda entry: entry.sequence)


def _key(token: UUID) -> _Key:
    return get_context().tenant_id, token


def _unit(entry: UndoEntry) -> _Unit:
    """Return what an entry is removed together with: its group, or itself."""
    return entry.tenant_id, entry.scope, entry.group_id or entry.token


def _units(entries: Collection[UndoEntry]) -> dict[_Unit, list[UndoEntry]]:
    units: dict[_Unit, list[UndoEntry]] = {}
    for entry in entries:
        units.setdefault(_unit(entry), []).append(entry)
    return units
