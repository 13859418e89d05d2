"""PostgreSQL behind the face of ``_dialect``, through asyncpg."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any, Final

from cqrs_ddd_core.primitives.exceptions import UnitOfWorkError
from cqrs_ddd_persistence_sqlalchemy._dialect import DriverConnection
from cqrs_ddd_persistence_sqlalchemy._errors import translate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.engine.interfaces import DBAPIConnection

__all__ = ["PostgresConnection", "notice_silence"]

#: Seconds after which a connection that does not answer a ROLLBACK is thrown away.
_ROLLBACK_TIMEOUT: Final = 5.0
#: When a peer that says nothing, not even that it is there, counts as gone: after 10 s it is asked,
#: every 5 s, three times. A server that is busy with a long statement answers these.
_KEEP_ALIVE: Final = (
    (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
    (socket.IPPROTO_TCP, "TCP_KEEPIDLE", 10),
    (socket.IPPROTO_TCP, "TCP_KEEPINTVL", 5),
    (socket.IPPROTO_TCP, "TCP_KEEPCNT", 3),
    # Milliseconds for which what was sent may stay unacknowledged.
    (socket.IPPROTO_TCP, "TCP_USER_TIMEOUT", 25_000),
)
_BEGIN: Final = {
    None: "BEGIN",
    "autocommit": "BEGIN",
    "read_committed": "BEGIN ISOLATION LEVEL READ COMMITTED",
    "read_uncommitted": "BEGIN ISOLATION LEVEL READ COMMITTED",
    "repeatable_read": "BEGIN ISOLATION LEVEL REPEATABLE READ",
    "serializable": "BEGIN ISOLATION LEVEL SERIALIZABLE",
}


def notice_silence(connection: DBAPIConnection) -> None:
    """Have the connection end when the server's machine or the network is gone (F12).

    The driver would wait for an answer as long as the operating system does, often for hours.
    """
    transport = connection.driver_connection._transport  # noqa: SLF001
    own = transport.get_extra_info("socket")
    if own is None or own.family not in (socket.AF_INET, socket.AF_INET6):
        return
    for level, name, value in _KEEP_ALIVE:
        # Other systems lack some of them.
        option = getattr(socket, name, None)
        if option is not None:
            own.setsockopt(level, option, value)


class PostgresConnection(DriverConnection):
    """A PostgreSQL connection through asyncpg."""

    __slots__ = ()

    @property
    def is_aborted_by_errors(self) -> bool:
        return self.in_transaction

    async def begin(self) -> None:
        # Once sent it may succeed although its caller was cancelled, so it is undone from here on.
        self.in_transaction = True
        await self.execute(_BEGIN[self._isolation_level()])

    async def commit(self) -> None:
        try:
            status = await self.driver.execute("COMMIT")
        except Exception as error:
            self.discard()
            raise translate(error, committing=True) from error
        # Not reached when cancelled: nobody knows how far the server came, and a ROLLBACK follows.
        self.in_transaction = False
        if status != "COMMIT":
            msg = "an earlier statement of this transaction failed, so it was rolled back"
            raise UnitOfWorkError(msg)

    async def rollback(self) -> None:
        if not self.in_transaction:
            return
        self.in_transaction = False
        if self.driver.is_closed():
            return
        try:
            await self.driver.execute("ROLLBACK", timeout=_ROLLBACK_TIMEOUT)
        except Exception:  # noqa: BLE001 - the server rolls back when the connection is gone
            self.discard()
        except BaseException:
            self.discard()
            raise

    async def fetch(self, sql: str, *args: Any) -> Sequence[Any]:
        try:
            rows: Sequence[Any] = await self.driver.fetch(sql, *args)
        except Exception as error:
            raise self._translate(error) from error
        return rows

    async def execute(self, sql: str, *args: Any) -> int:
        try:
            status: str = await self.driver.execute(sql, *args)
        except Exception as error:
            raise self._translate(error) from error
        # "INSERT 0 3", "UPDATE 3"; commands without a count, such as BEGIN, changed no row.
        count = status.rpartition(" ")[2]
        return int(count) if count.isdigit() else 0

    async def execute_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        try:
            await self.driver.executemany(sql, rows)
        except Exception as error:
            raise self._translate(error) from error

    async def release(self) -> None:
        if self.driver.is_closed():
            self.discard()
        await super().release()

    def _isolation_level(self) -> str | None:
        # What create_async_engine(isolation_level=...) asked for; SQLAlchemy would send it itself.
        level: str | None = getattr(self.proxied.dbapi_connection, "isolation_level", None)
        return level
