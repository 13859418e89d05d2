"""The subject keys on PostgreSQL and SQLite."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pydantic_core import to_json

from cqrs_ddd_advanced_core.ports.subject_keys import ISubjectKeyStore, SubjectKey
from cqrs_ddd_core.correlation import get_context
from cqrs_ddd_persistence_sqlalchemy._dialect import to_datetime
from cqrs_ddd_persistence_sqlalchemy._session import (
    database_of,
    reading,
    single_statement,
    writing,
)
from cqrs_ddd_persistence_sqlalchemy._sql import sql

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from cqrs_ddd_persistence_sqlalchemy._dialect import DriverConnection
    from cqrs_ddd_persistence_sqlalchemy._session import Source

__all__ = ["SQLAlchemySubjectKeyStore"]

_FIND: Final = """
SELECT subject, wrapped_key, created_at, shredded_at FROM cqrs_subject_keys
WHERE tenant_id = $1 AND subject IN (SELECT value FROM {subjects})
"""
_SUBJECTS_POSTGRES: Final = "json_array_elements_text($2::text::json)"
_SUBJECTS_SQLITE: Final = "json_each($2)"
# Waits for another transaction that has inserted the same subject: after its commit nothing is
# inserted, after its rollback the key is ours.
_CREATE: Final = """
INSERT INTO cqrs_subject_keys (tenant_id, subject, wrapped_key, created_at)
VALUES ($1, $2, $3, {now}) ON CONFLICT (tenant_id, subject) DO NOTHING
"""
# A subject without a key leaves a row as well, so that none is made later.
_SHRED: Final = """
INSERT INTO cqrs_subject_keys (tenant_id, subject, created_at, shredded_at)
VALUES ($1, $2, {now}, {now})
ON CONFLICT (tenant_id, subject) DO UPDATE
SET wrapped_key = NULL, shredded_at = excluded.shredded_at
WHERE cqrs_subject_keys.shredded_at IS NULL
"""


class SQLAlchemySubjectKeyStore(ISubjectKeyStore):
    """Keeps the keys of subjects in a table.

    A look-up is one statement for any number of subjects. Databases keep what was overwritten
    for a while, in row versions until a vacuum, in logs, replicas and backups: a shredded key is
    gone for good when these are gone too.

    Args:
        source: The engine, or what has one.
    """

    def __init__(self, source: Source) -> None:
        self._database = database_of(source)
        is_postgres = self._database.is_postgres
        subjects = _SUBJECTS_POSTGRES if is_postgres else _SUBJECTS_SQLITE
        self._find = _FIND.format(subjects=subjects)
        self._create = sql(_CREATE, postgres=is_postgres)
        self._shred = sql(_SHRED, postgres=is_postgres)

    async def find(self, subjects: Collection[str]) -> dict[str, SubjectKey]:
        if not subjects:
            return {}
        async with reading(self._database) as connection:
            return await self._fetch(connection, subjects)

    async def get_or_create(self, proposed: Mapping[str, bytes]) -> dict[str, SubjectKey]:
        if not proposed:
            return {}
        tenant_id = get_context().tenant_id
        async with writing(self._database) as connection:
            # In one order, so that two writers never wait for each other.
            rows = [(tenant_id, *item) for item in sorted(proposed.items())]
            await connection.execute_many(self._create, rows)
            return await self._fetch(connection, proposed)

    async def shred(self, subject: str) -> bool:
        async with single_statement(self._database) as connection:
            return await connection.execute(self._shred, get_context().tenant_id, subject) > 0

    async def _fetch(
        self, connection: DriverConnection, subjects: Collection[str]
    ) -> dict[str, SubjectKey]:
        listed = to_json(list(subjects)).decode()
        rows = await connection.fetch(self._find, get_context().tenant_id, listed)
        return {row[0]: _to_key(*row) for row in rows}


def _to_key(
    subject: str, wrapped_key: bytes | None, created_at: Any, shredded_at: Any
) -> SubjectKey:
    return SubjectKey(
        subject,
        wrapped_key,
        to_datetime(created_at),
        None if shredded_at is None else to_datetime(shredded_at),
    )
