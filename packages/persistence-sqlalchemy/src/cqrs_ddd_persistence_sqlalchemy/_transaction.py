"""One transaction, shared by driver statements and SQLAlchemy sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Self

from sqlalchemy import Connection, event
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_sessionmaker
from sqlalchemy.orm import Session
from sqlalchemy.util import await_only, greenlet_spawn

from cqrs_ddd_core.primitives.exceptions import UnitOfWorkError
from cqrs_ddd_persistence_sqlalchemy._errors import translate

if TYPE_CHECKING:
    from cqrs_ddd_persistence_sqlalchemy._database import Database
    from cqrs_ddd_persistence_sqlalchemy._dialect import DriverConnection

__all__ = ["Transaction"]

_KEY: Final = "cqrs_ddd_transaction"
_ROLLED_BACK: Final = (
    "the session was rolled back inside its unit of work, so nothing of it can be committed; "
    "repeat the whole command in a new unit of work"
)
_OVER: Final = "this transaction is over; use the session inside its unit of work only"
_NO_COMMIT: Final = "the unit of work commits at the end of its block; do not commit its connection"


class Transaction:
    """Begins when something first needs it, and ends with ``commit`` or ``rollback``.

    Leaving an ``async with`` block commits; an exception, also one of the commit, rolls back.

    The transaction is begun and ended on the driver connection; SQLAlchemy's connection and
    session only take part in it.

    Args:
        database: Where.
        sessions: Makes the session; its options are the user's.
        writes: Whether to take the write lock on SQLite.
    """

    def __init__(
        self,
        database: Database,
        sessions: async_sessionmaker[Any] | None = None,
        *,
        writes: bool = True,
    ) -> None:
        self._database = database
        self._sessions = sessions or _plain_sessions
        self._writes = writes
        self._driver: DriverConnection | None = None
        self._joined: Connection | None = None
        self._session: AsyncSession | None = None
        self._is_spoilt = False
        self._is_over = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, exc_type: type[BaseException] | None, *_: object) -> None:
        if exc_type is not None:
            await self.rollback()
            return
        try:
            await self.commit()
        except BaseException:
            await self.rollback()
            raise

    async def driver_connection(self) -> DriverConnection:
        """Return the connection of the transaction, which begins now if it has not yet."""
        if self._driver is None:
            self._refuse_when_over()
            self._driver = await self._database.connect(writes=self._writes)
            await self._driver.begin()
        return self._driver

    async def connection(self) -> AsyncConnection:
        """Return SQLAlchemy's connection in this transaction."""
        return AsyncConnection(self._database.engine, await greenlet_spawn(self.join))

    @property
    def session(self) -> AsyncSession:
        """The session in this transaction, made on first use."""
        if self._session is None:
            self._refuse_when_over()
            self._session = self._sessions(
                sync_session_class=_joined_class(self._sessions.kw.get("sync_session_class")),
                info={**self._sessions.kw.get("info", {}), _KEY: self},
            )
        return self._session

    async def flush(self) -> None:
        """Write what the session holds."""
        if self._session is not None:
            try:
                await self._session.flush()
            except Exception as error:
                raise translate(error) from error

    async def commit(self) -> None:
        """Flush, commit and give the connection back; after an error, roll back."""
        await self.flush()
        if self._is_spoilt:
            raise UnitOfWorkError(_ROLLED_BACK)
        if self._driver is not None:
            await self._driver.commit()
        await self._end()

    async def rollback(self) -> None:
        """Undo everything and give the connection back, whatever state it is in."""
        try:
            if self._driver is not None:
                await self._driver.rollback()
        finally:
            await self._end()

    async def _end(self) -> None:
        self._is_over = True
        driver, self._driver = self._driver, None
        if self._session is not None:
            self._session.sync_session.expunge_all()
        if driver is not None:
            await driver.release()

    def join(self) -> Connection:
        """Return SQLAlchemy's connection; only inside a greenlet, where sessions run."""
        if self._joined is None:
            self._joined = self._join(await_only(self.driver_connection()))
        return self._joined

    def _join(self, driver: DriverConnection) -> Connection:
        connection = Connection(self._database.engine.sync_engine, driver.proxied)
        if self._database.is_postgres:
            # Keeps the dialect from a BEGIN of its own; it sends nothing to the server.
            connection = connection.execution_options(isolation_level="AUTOCOMMIT")
        connection.begin()
        event.listen(connection, "commit", _refuse_commit)
        event.listen(connection, "rollback", self._note_rollback)
        event.listen(connection, "before_execute", self._refuse_when_over)
        return connection

    def _note_rollback(self, _connection: Connection) -> None:
        self._is_spoilt = True

    def _refuse_when_over(self, *_: object) -> None:
        if self._is_over:
            raise UnitOfWorkError(_OVER)


def _refuse_commit(_connection: Connection) -> None:
    raise UnitOfWorkError(_NO_COMMIT)


_plain_sessions: async_sessionmaker[AsyncSession] = async_sessionmaker(expire_on_commit=False)


class _JoinedSession(Session):
    """Finds its connection in the transaction at the moment it first needs one."""

    def get_bind(self, *_: Any, **__: Any) -> Connection:
        transaction: Transaction = self.info[_KEY]
        return transaction.join()


_joined_classes: dict[type[Session], type[Session]] = {Session: _JoinedSession}


def _joined_class(base: type[Session] | None) -> type[Session]:
    """Return the user's session class, joined to a transaction."""
    base = base or Session
    found = _joined_classes.get(base)
    if found is None:
        found = _joined_classes[base] = type(base.__name__, (_JoinedSession, base), {})
    return found
