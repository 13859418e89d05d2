"""The repository in memory."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from cqrs_ddd_core.adapters.memory.database import InMemoryDatabase, Table
from cqrs_ddd_core.adapters.memory.unit_of_work import current_transaction, write_transaction
from cqrs_ddd_core.correlation import get_context
from cqrs_ddd_core.domain.aggregate import AggregateRoot
from cqrs_ddd_core.domain.query_options import QueryOptions
from cqrs_ddd_core.domain.specification import field_kind
from cqrs_ddd_core.ports.event_store import StreamId
from cqrs_ddd_core.ports.repository import IRepository
from cqrs_ddd_core.ports.unit_of_work_scope import hand_over_events, require_recording, track_loaded
from cqrs_ddd_core.primitives.exceptions import EntityNotFoundError, OptimisticConcurrencyError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from cqrs_ddd_core.adapters.memory.database import Transaction
    from cqrs_ddd_core.domain.specification import Specification

__all__ = ["InMemoryRepository"]

T = TypeVar("T", bound=AggregateRoot[Any])


class InMemoryRepository(IRepository[T]):
    """Keeps deep copies of aggregates in memory, and every promise of the port.

    Args:
        aggregate_class: What it stores.
        database: Shared with the other adapters; one of its own when not given.
    """

    def __init__(self, aggregate_class: type[T], database: InMemoryDatabase | None = None) -> None:
        self._aggregate_class = aggregate_class
        self._database = database or InMemoryDatabase()
        self._tables: defaultdict[str, Table[object, T]] = defaultdict(Table)

    async def get(self, entity_id: Any) -> T:
        entity = await self.get_by_id(entity_id)
        if entity is None:
            raise EntityNotFoundError(self._aggregate_class.aggregate_type, entity_id)
        return entity

    async def get_by_id(self, entity_id: Any) -> T | None:
        stored = self._table().get(entity_id, self._transaction())
        return None if stored is None else _load(stored)

    async def save(self, entity: T) -> None:
        require_recording(entity)
        async with write_transaction(self._database) as transaction:
            self._check_version(entity, transaction)
            stored = _copy(entity)
            stored.set_version(entity.version + 1)
            self._table().put(entity.id, stored, transaction)
        entity.set_version(stored.version)
        hand_over_events(entity)

    async def delete(self, entity: T) -> None:
        require_recording(entity)
        async with write_transaction(self._database) as transaction:
            self._check_version(entity, transaction, must_exist=True)
            self._table().delete(entity.id, transaction)
        hand_over_events(entity)

    async def exists(self, entity_id: Any) -> bool:
        return self._table().get(entity_id, self._transaction()) is not None

    async def search(self, criteria: Specification | QueryOptions | None = None) -> Sequence[T]:
        return [_load(stored) for stored in self._find(criteria)]

    async def count(self, specification: Specification | None = None) -> int:
        return len(self._find(specification))

    async def stream(
        self, specification: Specification | None = None, *, batch_size: int = 500
    ) -> AsyncIterator[T]:
        for index, stored in enumerate(self._find(specification), 1):
            yield _load(stored)
            if index % batch_size == 0:
                await asyncio.sleep(0)

    def _find(self, criteria: Specification | QueryOptions | None) -> list[T]:
        options = QueryOptions.of(criteria)
        options.refuse_fields()
        options.check(partial(field_kind, self._aggregate_class))
        return options.apply(stored for _, stored in self._table().items(self._transaction()))

    def _check_version(
        self, entity: T, transaction: Transaction, *, must_exist: bool = False
    ) -> None:
        stored = self._table().get(entity.id, transaction)
        actual = 0 if stored is None else stored.version
        if actual != entity.version or (must_exist and stored is None):
            target = StreamId(entity.aggregate_type, str(entity.id))
            raise OptimisticConcurrencyError(target, entity.version, actual)

    def _table(self) -> Table[object, T]:
        return self._tables[get_context().tenant_id]

    def _transaction(self) -> Transaction | None:
        return current_transaction(self._database)


def _copy(entity: T) -> T:
    copy = entity.model_copy(deep=True)
    copy.mark_events_as_committed()
    return copy


def _load(stored: T) -> T:
    entity = _copy(stored)
    track_loaded(entity)
    return entity
