"""SQLite behind the face of ``_dialect``, through aiosqlite."""

from __future__ import annotations

import asyncio
import re
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from uuid import UUID

from cqrs_ddd_persistence_sqlalchemy._dialect import DriverConnection, from_datetime
from cqrs_ddd_persistence_sqlalchemy._errors import connection_was_lost

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["SQLiteConnection"]


class SQLiteConnection(DriverConnection):
    """A SQLite connection through aiosqlite: one thread, statements in the order they were sent."""

    __slots__ = ()

    @property
    def is_aborted_by_errors(self) -> bool:
        return False

    async def begin(self) -> None:
        self.in_transaction = True
        await self.execute("BEGIN IMMEDIATE" if self.writes else "BEGIN")

    async def commit(self) -> None:
        try:
            await self.driver.commit()
        except Exception as error:
            raise self._translate(error) from error
        self.in_transaction = False

    async def rollback(self) -> None:
        if not self.in_transaction:
            return
        self.in_transaction = False
        try:
            # Queued behind what was sent before: even if this wait is cancelled, it will run.
            await self.driver.rollback()
        except Exception as error:  # noqa: BLE001 - a closed connection has rolled back
            if connection_was_lost(error):
                return
            self.discard()

    async def fetch(self, sql: str, *args: Any) -> Sequence[Any]:
        try:
            rows: Sequence[Any] = await self.driver.execute_fetchall(_numbered(sql), _encoded(args))
        except Exception as error:
            raise self._translate(error) from error
        return rows

    async def execute(self, sql: str, *args: Any) -> int:
        try:
            cursor = await self.driver.execute(_numbered(sql), _encoded(args))
        except Exception as error:
            raise self._translate(error) from error
        return max(int(cursor.rowcount), 0)

    async def execute_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        try:
            await self.driver.executemany(_numbered(sql), [_encoded(row) for row in rows])
        except Exception as error:
            raise self._translate(error) from error

    async def release(self) -> None:
        # The pool asks the thread for a rollback; cut short, it would drop the connection, and
        # with it a database in memory.
        await asyncio.shield(super().release())


@lru_cache(maxsize=512)
def _numbered(sql: str) -> str:
    """Turn PostgreSQL's ``$1`` into SQLite's ``?1``."""
    return re.sub(r"\$(\d+)", r"?\1", sql)


def _encoded(args: Sequence[Any]) -> list[Any]:
    return [_encode(value) for value in args]


def _encode(value: Any) -> Any:
    if isinstance(value, datetime):
        return from_datetime(value)
    if isinstance(value, UUID):
        return value.hex
    return value
