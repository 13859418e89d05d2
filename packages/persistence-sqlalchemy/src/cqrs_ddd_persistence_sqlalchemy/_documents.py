"""Aggregates as JSON documents in one table, with nothing to map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError
from sqlalchemy import Text, cast, select

from cqrs_ddd_core.domain.aggregate import AggregateRoot
from cqrs_ddd_core.primitives.exceptions import SerializationError
from cqrs_ddd_persistence_sqlalchemy._aggregate_storage import AggregateStorage, refuse_lost_fields
from cqrs_ddd_persistence_sqlalchemy._schema import documents
from cqrs_ddd_persistence_sqlalchemy._session import reading, single_statement
from cqrs_ddd_persistence_sqlalchemy._sql import sql
from cqrs_ddd_persistence_sqlalchemy.specifications import document_fields

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Select

    from cqrs_ddd_persistence_sqlalchemy._session import Database

__all__ = ["DocumentStorage"]

T = TypeVar("T", bound=AggregateRoot[Any])

_KEY: Final = "tenant_id = $1 AND aggregate_type = $2 AND aggregate_id = $3"
_FIND: Final = f"SELECT CAST(data AS text), version FROM cqrs_documents WHERE {_KEY}"  # noqa: S608
_FIND_VERSION: Final = f"SELECT version FROM cqrs_documents WHERE {_KEY}"  # noqa: S608
_INSERT: Final = """
INSERT INTO cqrs_documents
    (tenant_id, aggregate_type, aggregate_id, version, data, created_at, updated_at)
VALUES ($1, $2, $3, 1, {json $4}, {now}, {now})
ON CONFLICT (tenant_id, aggregate_type, aggregate_id) DO NOTHING
"""
_UPDATE: Final = f"""
UPDATE cqrs_documents SET version = version + 1, data = {{json $4}}, updated_at = {{now}}
WHERE {_KEY} AND version = $5
"""  # noqa: S608 - made of constants
_DELETE: Final = f"DELETE FROM cqrs_documents WHERE {_KEY} AND version = $4"  # noqa: S608


class DocumentStorage(AggregateStorage[T]):
    """Stores what ``model_dump_json`` writes, under the names of the fields.

    Args:
        aggregate_class: What is stored.
        database: Where.

    Raises:
        ConfigurationError: A field would not be stored that is needed for reading.
    """

    def __init__(self, aggregate_class: type[T], database: Database) -> None:
        refuse_lost_fields(aggregate_class, ())
        self._class = aggregate_class
        self._type = aggregate_class.aggregate_type
        self._database = database
        self.fields = document_fields(
            aggregate_class, documents.c.data, key=documents.c.aggregate_id
        )

    async def find(self, tenant_id: str, entity_id: object) -> T | None:
        async with reading(self._database) as connection:
            rows = await connection.fetch(_FIND, tenant_id, self._type, str(entity_id))
        return self.load(rows[0]) if rows else None

    async def find_version(self, tenant_id: str, entity_id: object) -> int:
        async with reading(self._database) as connection:
            rows = await connection.fetch(_FIND_VERSION, tenant_id, self._type, str(entity_id))
        return rows[0][0] if rows else 0

    async def insert(self, tenant_id: str, entity: T) -> bool:
        return await self._write(_INSERT, tenant_id, entity, self._dump(entity))

    async def update(self, tenant_id: str, entity: T) -> bool:
        return await self._write(_UPDATE, tenant_id, entity, self._dump(entity), entity.version)

    async def delete(self, tenant_id: str, entity: T) -> bool:
        return await self._write(_DELETE, tenant_id, entity, entity.version)

    async def _write(self, template: str, tenant_id: str, entity: T, *args: object) -> bool:
        statement = sql(template, postgres=self._database.is_postgres)
        async with single_statement(self._database) as connection:
            return bool(
                await connection.execute(statement, tenant_id, self._type, str(entity.id), *args)
            )

    def select(self, tenant_id: str) -> Select[Any]:
        return select(cast(documents.c.data, Text), documents.c.version).where(
            documents.c.tenant_id == tenant_id, documents.c.aggregate_type == self._type
        )

    def load(self, row: Sequence[Any]) -> T:
        text, version = row
        try:
            entity = self._parse(text)
        except ValidationError as error:
            msg = f"a stored {self._type} cannot be read as {self._class.__name__}: {error}"
            raise SerializationError(msg) from error
        entity.set_version(version)
        return entity

    def _parse(self, text: str) -> T:
        validate = self._class.model_validate_json
        try:
            return validate(text, by_alias=False, by_name=True)
        except ValidationError as error:
            if any(found["type"] != "extra_forbidden" for found in error.errors()):
                raise
        # Written when the class still had those fields.
        return validate(text, by_alias=False, by_name=True, extra="ignore")

    def _dump(self, entity: T) -> str:
        try:
            # A round trip leaves out what the class computes from other fields.
            return entity.model_dump_json(round_trip=True, by_alias=False)
        except PydanticSerializationError as error:
            msg = f"{self._type} {entity.id!r} cannot be written as JSON: {error}"
            raise SerializationError(msg) from error
