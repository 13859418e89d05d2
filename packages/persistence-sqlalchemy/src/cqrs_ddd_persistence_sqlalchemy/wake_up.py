"""Wake-ups between processes, through LISTEN and NOTIFY of PostgreSQL."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy.util import greenlet_spawn

from cqrs_ddd_core.adapters.memory.wake_up import InMemoryWakeUp
from cqrs_ddd_core.ports.wake_up import IWakeUp
from cqrs_ddd_core.primitives.exceptions import ConfigurationError
from cqrs_ddd_core.primitives.retry import ExponentialBackoff
from cqrs_ddd_persistence_sqlalchemy._session import database_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from cqrs_ddd_persistence_sqlalchemy._dialect import DriverConnection
    from cqrs_ddd_persistence_sqlalchemy._session import Source

__all__ = ["PostgresWakeUp"]

_logger = logging.getLogger(__name__)

_CHANNEL: Final = "cqrs_wake_up"
_NOTIFY: Final = "SELECT pg_notify($1, topic) FROM unnest($2::text[]) AS topic"
#: A connection over which nothing happens is asked after so many seconds whether it lives, and
#: given up when there is no answer.
_QUIET_SECONDS: Final = 30.0
_ANSWER_SECONDS: Final = 10.0


class PostgresWakeUp(IWakeUp):
    """Wakes listeners in all processes on one database.

    Announcements are sent from a connection of its own, outside of every transaction, where they
    would slow the commits down; those that come while one is under way are sent together. A lost
    connection is opened again, and then all listeners are woken, for hints were lost with it.
    Needs a direct connection: a pooler that hands out a connection per transaction loses LISTEN.

    Args:
        source: The engine, or what has one; it tells how to connect, its pool is not used up.
        backoff: How long to wait, in seconds, before it connects again.

    Raises:
        ConfigurationError: The database is not PostgreSQL.
    """

    def __init__(self, source: Source, *, backoff: ExponentialBackoff | None = None) -> None:
        self._database = database_of(source)
        if not self._database.is_postgres:
            msg = "PostgresWakeUp needs PostgreSQL; use InMemoryWakeUp in one process on SQLite"
            raise ConfigurationError(msg)
        self._backoff = backoff or ExponentialBackoff()
        self._local = InMemoryWakeUp()
        self._announced: dict[str, None] = {}
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def announce(self, topic: str) -> None:
        self._local.announce(topic)
        if self._task is not None:
            self._announced[topic] = None
            self._changed.set()

    def listen(self, topic: str, wake: Callable[[], None]) -> Callable[[], None]:
        return self._local.listen(topic, wake)

    async def start(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="wake-up")

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _run(self) -> None:
        failures = 0
        while True:
            try:
                async with await self._connect() as connection:
                    failures = 0
                    await self._exchange(connection)
            except Exception as error:  # noqa: BLE001 - hints go on as soon as they can
                failures += 1
                _logger.warning("wake-ups between processes wait for the database: %r", error)
                await asyncio.sleep(self._backoff.delay(failures))

    async def _connect(self) -> DriverConnection:
        connection = await self._database.connect(writes=False)
        # Out of the pool, which opens another one: it is kept for as long as this process runs.
        await greenlet_spawn(connection.proxied.detach)
        return connection

    async def _exchange(self, connection: DriverConnection) -> None:
        """Listen and send until the connection breaks."""
        driver = connection.driver
        driver.add_termination_listener(lambda _: self._changed.set())
        try:
            await driver.add_listener(_CHANNEL, self._hear)
            self._local.announce_all()
            while not driver.is_closed():
                await self._send(driver)
        finally:
            # It is told to nobody else, and a goodbye could wait for a server that is gone.
            driver.terminate()

    async def _send(self, driver: Any) -> None:
        """Send what was announced, or ask whether anybody is there when that is long ago."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_QUIET_SECONDS):
                await self._changed.wait()
        self._changed.clear()
        topics, self._announced = list(self._announced), {}
        if not driver.is_closed():
            await driver.execute(_NOTIFY, _CHANNEL, topics, timeout=_ANSWER_SECONDS)

    def _hear(self, driver: Any, pid: int, _channel: str, topic: str) -> None:
        if pid != driver.get_server_pid():
            self._local.announce(topic)
