"""The repository on PostgreSQL and SQLite."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import func, select

from cqrs_ddd_core.correlation import get_context
from cqrs_ddd_core.domain.aggregate import AggregateRoot
from cqrs_ddd_core.domain.query_options import QueryOptions
from cqrs_ddd_core.ports.event_store import StreamId
from cqrs_ddd_core.ports.repository import IRepository
from cqrs_ddd_core.ports.unit_of_work_scope import hand_over_events, require_recording, track_loaded
from cqrs_ddd_core.primitives.exceptions import (
    ConfigurationError,
    EntityNotFoundError,
    OptimisticConcurrencyError,
)
from cqrs_ddd_persistence_sqlalchemy._aggregate_storage import AggregateStorage, translated
from cqrs_ddd_persistence_sqlalchemy._documents import DocumentStorage
from cqrs_ddd_persistence_sqlalchemy._mapped import MappedStorage
from cqrs_ddd_persistence_sqlalchemy._mapping import AggregateMapping
from cqrs_ddd_persistence_sqlalchemy._session import database_of, reading_session
from cqrs_ddd_persistence_sqlalchemy.specifications import (
    apply_query_options,
    compile_specification,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Mapping, Sequence

    from cqrs_ddd_core.domain.specification import Specification
    from cqrs_ddd_persistence_sqlalchemy._session import Source

__all__ = ["SQLAlchemyRepository"]

T = TypeVar("T", bound=AggregateRoot[Any])


class SQLAlchemyRepository(IRepository[T]):
    """Stores aggregates as JSON documents, or in the tables of your own models.

    ``SQLAlchemyRepository(Order, engine)`` needs nothing else: aggregates of all types share the
    table ``cqrs_documents``. With ``model=OrderRow`` each field goes into the column of the same
    name; a value object goes into one JSON column, or into columns such as ``address_city``. The
    model needs an integer column for the version and, with tenants, ``tenant_id`` in its key. It
    belongs to your own metadata and migrations.

    Only fields are stored: neither private attributes nor what is computed. ``save`` and
    ``delete`` write at once, so that a conflict shows there; a refused one leaves the unit of
    work usable. Searching costs what the database's indexes make of it.

    Args:
        aggregate_class: What it stores.
        source: The engine, or what has one.
        model: A declarative model of one table; ``None`` for documents.
        field_map: Attribute of the model for a field, where it is not the field's name;
            ``{"id": "order_id", "address.city": "town"}``.
        exclude: Fields that are not stored; they need a default.
        version_column: Attribute of the model that keeps the version.

    Raises:
        ConfigurationError: Some field could not be stored or read back.
    """

    def __init__(
        self,
        aggregate_class: type[T],
        source: Source,
        *,
        model: type[Any] | None = None,
        field_map: Mapping[str, str] | None = None,
        exclude: Collection[str] = (),
        version_column: str = "version",
    ) -> None:
        self._type = aggregate_class.aggregate_type
        self._database = database_of(source)
        self._storage: AggregateStorage[T]
        if model is None:
            if field_map or exclude:
                msg = "field_map and exclude say how fields go into the columns of a model"
                raise ConfigurationError(msg)
            self._storage = DocumentStorage(aggregate_class, self._database)
        else:
            mapping = AggregateMapping(
                aggregate_class,
                model,
                field_map=field_map or {},
                exclude=exclude,
                version_column=version_column,
                postgres=self._database.is_postgres,
            )
            self._storage = MappedStorage(mapping, self._database)

    async def get(self, entity_id: Any) -> T:
        entity = await self.get_by_id(entity_id)
        if entity is None:
            raise EntityNotFoundError(self._type, entity_id)
        return entity

    async def get_by_id(self, entity_id: Any) -> T | None:
        entity = await self._storage.find(_tenant_id(), entity_id)
        return None if entity is None else _tracked(entity)

    async def save(self, entity: T) -> None:
        require_recording(entity)
        write = self._storage.update if entity.version else self._storage.insert
        if not await write(_tenant_id(), entity):
            raise await self._conflict(entity)
        entity.set_version(entity.version + 1)
        hand_over_events(entity)

    async def delete(self, entity: T) -> None:
        require_recording(entity)
        if not await self._storage.delete(_tenant_id(), entity):
            raise await self._conflict(entity)
        hand_over_events(entity)

    async def exists(self, entity_id: Any) -> bool:
        return await self._storage.find_version(_tenant_id(), entity_id) > 0

    async def search(self, criteria: Specification | QueryOptions | None = None) -> Sequence[T]:
        return await self._search(_tenant_id(), QueryOptions.of(criteria))

    async def count(self, specification: Specification | None = None) -> int:
        statement = self._storage.select(_tenant_id())
        if specification is not None:
            fields = self._storage.fields
            statement = statement.where(compile_specification(specification, fields))
        async with reading_session(self._database) as session:
            with translated():
                found = await session.scalar(select(func.count()).select_from(statement.subquery()))
        return found or 0

    async def stream(
        self, specification: Specification | None = None, *, batch_size: int = 500
    ) -> AsyncIterator[T]:
        # One tenant for all batches, whatever its consumer does meanwhile.
        tenant_id = _tenant_id()
        options = QueryOptions(specification).with_pagination(limit=batch_size)
        while batch := await self._search(tenant_id, options):
            # Taken before the batch is handed out, for its consumer may change it.
            after = options.cursor(batch[-1])
            for entity in batch:
                yield entity
            if len(batch) < batch_size:
                return
            options = options.after_cursor(after)

    async def _search(self, tenant_id: str, options: QueryOptions) -> list[T]:
        options.refuse_fields()
        statement = apply_query_options(
            self._storage.select(tenant_id), options, self._storage.fields
        )
        async with reading_session(self._database) as session:
            with translated():
                rows = (await session.execute(statement)).all()
        return [_tracked(self._storage.load(row)) for row in rows]

    async def _conflict(self, entity: T) -> OptimisticConcurrencyError:
        actual = await self._storage.find_version(_tenant_id(), entity.id)
        return OptimisticConcurrencyError(
            StreamId(self._type, str(entity.id)), entity.version, actual
        )


def _tenant_id() -> str:
    return get_context().tenant_id


def _tracked(entity: T) -> T:
    track_loaded(entity)
    return entity
