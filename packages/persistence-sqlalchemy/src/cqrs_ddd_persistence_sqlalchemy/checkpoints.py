"""Checkpoints of projections on PostgreSQL and SQLite."""

from __future__ import annotations

import json
from copy import copy
from functools import partial
from time import time_ns
from typing import TYPE_CHECKING, Any, Final, Self

from cqrs_ddd_advanced_core.domain.projection_exceptions import CheckpointLostError
from cqrs_ddd_advanced_core.ports.checkpoint_store import (
    Checkpoint,
    CheckpointKey,
    CheckpointLease,
    CheckpointState,
    ICheckpointStore,
    fair_share,
)
from cqrs_ddd_core.correlation import get_context
from cqrs_ddd_core.primitives.exceptions import PersistenceError, UnitOfWorkError
from cqrs_ddd_persistence_sqlalchemy import _checkpoint_sql as statements
from cqrs_ddd_persistence_sqlalchemy._advisory_lock import lock_key
from cqrs_ddd_persistence_sqlalchemy._dialect import storable_text, to_datetime
from cqrs_ddd_persistence_sqlalchemy._session import (
    database_of,
    reading,
    single_statement,
    writing,
    writing_unit,
)
from cqrs_ddd_persistence_sqlalchemy._sql import sql

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence
    from contextlib import AbstractAsyncContextManager

    from cqrs_ddd_persistence_sqlalchemy._dialect import DriverConnection
    from cqrs_ddd_persistence_sqlalchemy._session import Snapshot, Source

__all__ = ["SQLAlchemyCheckpointStore"]

#: Tables are shared by all tenants, and so is which version they hold.
_ALL_TENANTS: Final = ""


class SQLAlchemyCheckpointStore(ICheckpointStore):
    """Keeps how far projections have come in a table, with leases by the database's clock.

    Every promise hangs on one statement: taking a checkpoint that is free, moving one whose epoch
    is still current. Nobody waits for a checkpoint that somebody else is working on; only ``lock``
    does.

    Args:
        source: The engine, or what has one.
    """

    def __init__(self, source: Source) -> None:
        self._database = database_of(source)
        self._reading: Callable[[], AbstractAsyncContextManager[DriverConnection]] = partial(
            reading, self._database
        )

    def as_of(self, snapshot: Snapshot) -> Self:
        """Return a store that reads what was there at one moment; it is not for writing."""
        found = copy(self)
        found._reading = snapshot.reading  # noqa: SLF001 - another one of this class
        return found

    async def ensure(self, keys: Collection[CheckpointKey]) -> None:
        # A checkpoint that was deleted and made again must not count from an epoch it had before.
        epoch = time_ns() // 1000
        await self._execute(statements.ENSURE, _keys(keys), epoch)

    async def lease(
        self, owner: str, keys: Collection[CheckpointKey], *, seconds: float
    ) -> list[CheckpointLease]:
        tenant_id = get_context().tenant_id
        async with writing(self._database) as connection:
            show_up = self._sql(statements.SHOW_UP)
            await connection.execute(show_up, tenant_id, owner, _keys(keys), float(seconds))
            await connection.execute(self._sql(statements.FORGET_OWNERS), tenant_id)
            keep, give_up = await self._share(connection, tenant_id, owner, keys)
            free, take = self._sql(statements.FREE), self._sql(statements.TAKE)
            await connection.execute(free, tenant_id, owner, _keys(give_up))
            rows = await connection.fetch(take, tenant_id, owner, float(seconds), _keys(keep))
        return sorted(_to_lease(row) for row in rows)

    async def _share(
        self,
        connection: DriverConnection,
        tenant_id: str,
        owner: str,
        keys: Collection[CheckpointKey],
    ) -> tuple[Sequence[CheckpointKey], Sequence[CheckpointKey]]:
        """Return which checkpoints an owner is to have from now on, and which it gives up."""
        owners = await connection.fetch(self._sql(statements.LIST_OWNERS), tenant_id)
        rows = await connection.fetch(self._sql(statements.LIST_LEASABLE), tenant_id)
        holders = {CheckpointKey(*row[:3]): row[3] for row in rows}
        held = {key: holder for key, holder in holders.items() if holder is not None}
        wants = {name: holders.keys() & _from_json(wanted) for name, wanted in owners}
        wants[owner] = holders.keys() & set(keys)
        keep = fair_share(owner, held=held, wants=wants)
        give_up = [key for key in keys if held.get(key) == owner and key not in keep]
        return keep, give_up

    async def renew(
        self, leases: Collection[CheckpointLease], *, seconds: float
    ) -> list[CheckpointLease]:
        if not leases:
            return []
        renew, owned = self._sql(statements.RENEW), _leases(leases)
        async with single_statement(self._database) as connection:
            rows = await connection.fetch(renew, get_context().tenant_id, owned, float(seconds))
        current = {(CheckpointKey(*row[:3]), row[3]) for row in rows}
        return sorted(lease for lease in leases if (lease.key, lease.epoch) in current)

    async def release(self, owner: str) -> None:
        tenant_id = get_context().tenant_id
        async with writing(self._database) as connection:
            await connection.execute(self._sql(statements.RELEASE), tenant_id, owner)
            await connection.execute(statements.GO_AWAY, tenant_id, owner)

    async def lock(self, key: CheckpointKey, *, shared: bool = False) -> Checkpoint | None:
        if writing_unit(self._database) is None:
            msg = "a checkpoint is locked in a unit of work, and until its end"
            raise UnitOfWorkError(msg)
        template = statements.LOCK_SHARED if shared else statements.LOCK
        place = (lock_key(f"checkpoint:{get_context().tenant_id}:{tuple(key)}"),)
        found = await self._list(template, *key, *(place if self._database.is_postgres else ()))
        return found[0] if found else None

    async def advance(self, lease: CheckpointLease, position: int) -> CheckpointLease:
        if position < lease.position:
            msg = f"a checkpoint moves forward only, not from {lease.position} to {position}"
            raise PersistenceError(msg)
        moved = await self._execute(
            statements.ADVANCE, *lease.key, lease.epoch, lease.position, position
        )
        if not moved:
            raise CheckpointLostError(lease.key)
        return lease._replace(position=position)

    async def get(self, projection: str, version: int | None = None) -> Sequence[Checkpoint]:
        return await self._list(statements.LIST_OF_PROJECTION, projection, version)

    async def list_all(self) -> Sequence[Checkpoint]:
        return await self._list(statements.LIST_ALL)

    async def tenants(self, projection: str, version: int) -> Sequence[str]:
        async with self._reading() as connection:
            rows = await connection.fetch(statements.TENANTS, projection, version)
        return [row[0] for row in rows]

    async def halt(self, lease: CheckpointLease, error: str) -> None:
        if not await self._execute(statements.HALT, *lease.key, lease.epoch, storable_text(error)):
            raise CheckpointLostError(lease.key)

    async def pause(self, projection: str, version: int) -> int:
        return await self._execute(statements.PAUSE, projection, version)

    async def resume(self, projection: str, version: int) -> int:
        return await self._execute(statements.RESUME, projection, version)

    async def set_position(
        self,
        projection: str,
        version: int,
        position: int,
        *,
        partition: int | None = None,
        state: CheckpointState | None = None,
    ) -> None:
        new_state = None if state is None else state.value
        await self._execute(
            statements.SET_POSITION, projection, version, position, partition, new_state
        )

    async def delete(self, projection: str, version: int) -> None:
        await self._execute(statements.DELETE, projection, version)

    async def serving_version(self, projection: str) -> int | None:
        async with self._reading() as connection:
            rows = await connection.fetch(statements.SERVING_VERSION, _ALL_TENANTS, projection)
        return rows[0][0] if rows else None

    async def serve(self, projection: str, version: int, *, unless_set: bool = False) -> None:
        statement = statements.SERVE_FIRST if unless_set else statements.SERVE
        async with single_statement(self._database) as connection:
            await connection.execute(statement, _ALL_TENANTS, projection, version)

    async def _execute(self, template: str, *args: object) -> int:
        async with single_statement(self._database) as connection:
            return await connection.execute(self._sql(template), get_context().tenant_id, *args)

    async def _list(self, template: str, *args: object) -> list[Checkpoint]:
        async with self._reading() as connection:
            rows = await connection.fetch(self._sql(template), get_context().tenant_id, *args)
        return [_to_checkpoint(row) for row in rows]

    def _sql(self, template: str) -> str:
        return sql(template, postgres=self._database.is_postgres)


def _keys(keys: Iterable[CheckpointKey]) -> str:
    return json.dumps([key._asdict() for key in keys])


def _leases(leases: Iterable[CheckpointLease]) -> str:
    return json.dumps([{**lease.key._asdict(), "epoch": lease.epoch} for lease in leases])


def _from_json(keys: str) -> set[CheckpointKey]:
    return {CheckpointKey(**key) for key in json.loads(keys)}


def _to_lease(row: Any) -> CheckpointLease:
    return CheckpointLease(CheckpointKey(*row[:3]), row[3], row[4])


def _to_checkpoint(row: Any) -> Checkpoint:
    return Checkpoint(
        CheckpointKey(*row[:3]),
        position=row[3],
        state=CheckpointState(row[4]),
        error=row[5],
        owner=row[6],
        updated_at=to_datetime(row[7]),
    )
