"""Checkpoints in memory."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Self

from cqrs_ddd_advanced_core.domain.projection_exceptions import CheckpointLostError
from cqrs_ddd_advanced_core.ports.checkpoint_store import (
    Checkpoint,
    CheckpointKey,
    CheckpointLease,
    CheckpointState,
    ICheckpointStore,
    fair_share,
)
from cqrs_ddd_core.adapters.memory.database import InMemoryDatabase, Table
from cqrs_ddd_core.adapters.memory.unit_of_work import current_transaction, write_transaction
from cqrs_ddd_core.correlation import get_context
from cqrs_ddd_core.ports.unit_of_work_scope import get_current_uow
from cqrs_ddd_core.primitives.clock import IClock, SystemClock
from cqrs_ddd_core.primitives.exceptions import PersistenceError, UnitOfWorkError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from cqrs_ddd_core.adapters.memory.database import Transaction

__all__ = ["InMemoryCheckpointStore"]

_STOPPED: Final = (CheckpointState.HALTED, CheckpointState.PAUSED)


@dataclass(frozen=True, slots=True)
class _Row:
    checkpoint: Checkpoint
    epoch: int
    until: datetime

    def is_owned_by(self, lease: CheckpointLease) -> bool:
        """Whether nobody has taken it since the lease, be it over or not."""
        return self.checkpoint.owner is not None and self.epoch == lease.epoch

    def holder(self, now: datetime) -> str | None:
        """Return whose lease lasts."""
        return self.checkpoint.owner if self.until > now else None


@dataclass(frozen=True, slots=True)
class _Presence:
    """An owner that is there, and what it would take."""

    wants: frozenset[CheckpointKey]
    until: datetime


class InMemoryCheckpointStore(ICheckpointStore):
    """Keeps in memory how far projections have come.

    Args:
        database: Shared with the store of the rows.
        clock: Measures leases.
    """

    def __init__(
        self, database: InMemoryDatabase | None = None, *, clock: IClock | None = None
    ) -> None:
        self._database = database or InMemoryDatabase()
        self._clock = clock or SystemClock()
        self._rows: Table[tuple[str, CheckpointKey], _Row] = Table()
        self._owners: Table[tuple[str, str], _Presence] = Table()
        self._serving: Table[str, int] = Table()
        # Epochs of deleted checkpoints must not come again.
        self._last_epoch = 0

    async def ensure(self, keys: Collection[CheckpointKey]) -> None:
        async with write_transaction(self._database) as transaction:
            for key in keys:
                if self._find(key, transaction) is None:
                    now = self._clock.now()
                    new = Checkpoint(key, 0, CheckpointState.RUNNING, None, None, now)
                    self._put(_Row(new, self._next_epoch(), now), transaction)

    async def lease(
        self, owner: str, keys: Collection[CheckpointKey], *, seconds: float
    ) -> list[CheckpointLease]:
        now = self._clock.now()
        until = now + timedelta(seconds=seconds)
        async with write_transaction(self._database) as transaction:
            presence = _Presence(frozenset(keys), until)
            self._owners.put((_tenant(), owner), presence, transaction)
            share = self._share(owner, now, transaction)
            leases = []
            for row in self._all(transaction):
                key = row.checkpoint.key
                if key in share:
                    leases.append(self._take(row, owner, until, transaction))
                elif row.checkpoint.owner == owner and key in presence.wants:
                    self._free(row, transaction)
            return leases

    def _share(self, owner: str, now: datetime, transaction: Transaction) -> set[CheckpointKey]:
        rows = {
            row.checkpoint.key: row
            for row in self._all(transaction)
            if row.checkpoint.state is CheckpointState.RUNNING
        }
        holders = {key: row.holder(now) for key, row in rows.items()}
        wants = {
            name: one.wants & rows.keys()
            for (tenant, name), one in self._owners.items(transaction)
            if tenant == _tenant() and one.until > now
        }
        held = {key: holder for key, holder in holders.items() if holder is not None}
        return set(fair_share(owner, held=held, wants=wants))

    def _take(
        self, row: _Row, owner: str, until: datetime, transaction: Transaction
    ) -> CheckpointLease:
        is_own = row.holder(self._clock.now()) == owner
        epoch = row.epoch if is_own else self._next_epoch()
        self._put(_Row(replace(row.checkpoint, owner=owner), epoch, until), transaction)
        return CheckpointLease(row.checkpoint.key, epoch, row.checkpoint.position)

    def _free(self, row: _Row, transaction: Transaction) -> None:
        freed = replace(row.checkpoint, owner=None)
        self._put(_Row(freed, self._next_epoch(), self._clock.now()), transaction)

    async def renew(
        self, leases: Collection[CheckpointLease], *, seconds: float
    ) -> list[CheckpointLease]:
        until = self._clock.now() + timedelta(seconds=seconds)
        async with write_transaction(self._database) as transaction:
            kept = []
            for lease in sorted(leases):
                row = self._find(lease.key, transaction)
                if row is not None and row.is_owned_by(lease):
                    self._put(replace(row, until=until), transaction)
                    kept.append(lease)
            return kept

    async def release(self, owner: str) -> None:
        async with write_transaction(self._database) as transaction:
            self._owners.delete((_tenant(), owner), transaction)
            for row in self._all(transaction):
                if row.checkpoint.owner == owner:
                    self._free(row, transaction)

    async def lock(self, key: CheckpointKey, *, shared: bool = False) -> Checkpoint | None:  # noqa: ARG002 - one writer for all
        if get_current_uow() is None:
            msg = "a checkpoint is locked in a unit of work, and until its end"
            raise UnitOfWorkError(msg)
        async with write_transaction(self._database) as transaction:
            row = self._find(key, transaction)
            return None if row is None else self._seen(row)

    async def advance(self, lease: CheckpointLease, position: int) -> CheckpointLease:
        if position < lease.position:
            msg = f"a checkpoint moves forward only, not from {lease.position} to {position}"
            raise PersistenceError(msg)
        async with write_transaction(self._database) as transaction:
            row = self._owned(lease, transaction)
            if row.checkpoint.position != lease.position:
                raise CheckpointLostError(lease.key)
            moved = replace(row.checkpoint, position=position, updated_at=self._clock.now())
            self._put(replace(row, checkpoint=moved), transaction)
        return lease._replace(position=position)

    async def get(self, projection: str, version: int | None = None) -> Sequence[Checkpoint]:
        return [
            one
            for one in await self.list_all()
            if one.key.projection == projection and version in (None, one.key.version)
        ]

    async def list_all(self) -> Sequence[Checkpoint]:
        return [self._seen(row) for row in self._all(current_transaction(self._database))]

    async def tenants(self, projection: str, version: int) -> Sequence[str]:
        rows = self._rows.items(current_transaction(self._database))
        return sorted({tenant for (tenant, key), _ in rows if key[:2] == (projection, version)})

    async def halt(self, lease: CheckpointLease, error: str) -> None:
        async with write_transaction(self._database) as transaction:
            row = self._owned(lease, transaction)
            self._stop(row, CheckpointState.HALTED, transaction, error)

    async def pause(self, projection: str, version: int) -> int:
        def pause(row: _Row, transaction: Transaction) -> bool:
            is_running = row.checkpoint.state is CheckpointState.RUNNING
            if is_running:
                self._stop(row, CheckpointState.PAUSED, transaction)
            return is_running

        return await self._change(projection, version, pause)

    async def resume(self, projection: str, version: int) -> int:
        def resume(row: _Row, transaction: Transaction) -> bool:
            is_stopped = row.checkpoint.state in _STOPPED
            if is_stopped:
                self._stop(row, CheckpointState.RUNNING, transaction)
            return is_stopped

        return await self._change(projection, version, resume)

    async def set_position(
        self,
        projection: str,
        version: int,
        position: int,
        *,
        partition: int | None = None,
        state: CheckpointState | None = None,
    ) -> None:
        def move(row: _Row, transaction: Transaction) -> bool:
            if partition not in (None, row.checkpoint.key.partition):
                return False
            moved = replace(row.checkpoint, position=position, updated_at=self._clock.now())
            kept = moved.state if state is None else state
            self._stop(replace(row, checkpoint=moved), kept, transaction, moved.error)
            return True

        await self._change(projection, version, move)

    async def delete(self, projection: str, version: int) -> None:
        def delete(row: _Row, transaction: Transaction) -> bool:
            self._rows.delete((_tenant(), row.checkpoint.key), transaction)
            return True

        await self._change(projection, version, delete)

    async def serving_version(self, projection: str) -> int | None:
        return self._serving.get(projection, current_transaction(self._database))

    async def serve(self, projection: str, version: int, *, unless_set: bool = False) -> None:
        async with write_transaction(self._database) as transaction:
            if not unless_set or self._serving.get(projection, transaction) is None:
                self._serving.put(projection, version, transaction)

    def frozen(self) -> Self:
        """Return what is committed now, as a store that later changes do not reach."""
        frozen = copy(self)
        frozen._database = InMemoryDatabase()  # noqa: SLF001 - another one of this class
        frozen._rows = Table(self._rows.items(None))  # noqa: SLF001
        frozen._serving = Table(self._serving.items(None))  # noqa: SLF001
        return frozen

    def _next_epoch(self) -> int:
        self._last_epoch += 1
        return self._last_epoch

    def _find(self, key: CheckpointKey, transaction: Transaction | None) -> _Row | None:
        return self._rows.get((_tenant(), key), transaction)

    def _put(self, row: _Row, transaction: Transaction) -> None:
        self._rows.put((_tenant(), row.checkpoint.key), row, transaction)

    def _owned(self, lease: CheckpointLease, transaction: Transaction) -> _Row:
        row = self._find(lease.key, transaction)
        if row is None or not row.is_owned_by(lease):
            raise CheckpointLostError(lease.key)
        return row

    def _stop(
        self,
        row: _Row,
        state: CheckpointState,
        transaction: Transaction,
        error: str | None = None,
    ) -> None:
        """Take a checkpoint from its owner."""
        stopped = replace(row.checkpoint, state=state, error=error, owner=None)
        self._put(_Row(stopped, self._next_epoch(), self._clock.now()), transaction)

    async def _change(
        self, projection: str, version: int, change: Callable[[_Row, Transaction], bool]
    ) -> int:
        async with write_transaction(self._database) as transaction:
            return sum(
                change(row, transaction)
                for row in self._all(transaction)
                if row.checkpoint.key[:2] == (projection, version)
            )

    def _all(self, transaction: Transaction | None) -> list[_Row]:
        tenant_id = _tenant()
        rows = (row for (tenant, _), row in self._rows.items(transaction) if tenant == tenant_id)
        return sorted(rows, key=lambda row: row.checkpoint.key)

    def _seen(self, row: _Row) -> Checkpoint:
        if row.checkpoint.owner is None or row.holder(self._clock.now()) is not None:
            return row.checkpoint
        return replace(row.checkpoint, owner=None)


def _tenant() -> str:
    return get_context().tenant_id
