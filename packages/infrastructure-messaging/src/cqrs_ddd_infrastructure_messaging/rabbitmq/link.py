"""One connection to RabbitMQ that is opened again when needed, and hides no outage."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from cqrs_ddd_core.primitives.exceptions import BrokerUnavailableError, ConfigurationError
from cqrs_ddd_infrastructure_messaging.exceptions import TopologyMismatchError
from cqrs_ddd_infrastructure_messaging.rabbitmq._declaring import declare, title_of
from cqrs_ddd_infrastructure_messaging.rabbitmq._driver import (
    AbortableTransport,
    aio_pika,
    new_connection,
)
from cqrs_ddd_infrastructure_messaging.rabbitmq._errors import MISMATCHES, is_lost, unavailable

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Sequence

    from aio_pika.abc import AbstractChannel

    from cqrs_ddd_core.primitives.retry import ExponentialBackoff
    from cqrs_ddd_infrastructure_messaging.rabbitmq._url import BrokerURL
    from cqrs_ddd_infrastructure_messaging.rabbitmq.topology import Declaration

__all__ = ["RabbitMQLink"]

_logger = logging.getLogger(__name__)


class RabbitMQLink:
    """One connection to a broker, opened again when it is needed after it was lost.

    Everything that was required is declared before the first channel of each new connection, so
    that an exchange or queue that vanished meanwhile is there again, and one that is different
    is noticed.
    """

    def __init__(
        self,
        address: BrokerURL,
        *,
        name: str,
        timeout: float,
        heartbeat: int,
        backoff: ExponentialBackoff,
        ssl_context: ssl.SSLContext | None,
    ) -> None:
        self._address = address
        self._name = name
        self._timeout = timeout
        self._heartbeat = heartbeat
        self._backoff = backoff
        self._ssl_context = ssl_context
        self._one_at_a_time = asyncio.Lock()
        self._required: list[tuple[Declaration, bool]] = []
        self._declared = 0
        self._connection: aio_pika.Connection | None = None
        self._transport: AbortableTransport | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._failures = 0
        self._next_try = 0.0
        self._is_closed = False
        self._opened = 0
        self._error: Exception | None = None

    def __repr__(self) -> str:
        return f"<RabbitMQLink {self}, {'open' if self.is_open else 'not open'}>"

    def __str__(self) -> str:
        return f"{self._name} at {self._address}"

    @property
    def is_open(self) -> bool:
        """Whether the connection is there at this moment, as far as anybody can know."""
        connection = self._connection
        if connection is None or connection.transport is None:
            return False
        return connection.transport.connection.is_opened

    @property
    def opened(self) -> int:
        """How often it was opened; every time but the first was after a loss."""
        return self._opened

    @property
    def error(self) -> Exception | None:
        """Why it could not be opened the last time, ``None`` if it could."""
        return self._error

    async def queue_length(self, name: str) -> int:
        """Return how many messages wait in a queue; asks the broker, connecting where needed.

        Raises:
            BrokerUnavailableError: It does not answer.
            TopologyMismatchError: There is no such queue.
        """
        channel = await self.channel()
        async with self._answering(f"looking at queue {name!r}"):
            try:
                queue = await channel.declare_queue(name, passive=True)
            except MISMATCHES as error:
                raise TopologyMismatchError(f"queue {name!r}", str(error)) from error
        await self.close_channel(channel)
        return queue.declaration_result.message_count or 0

    def require(self, declarations: Sequence[Declaration], *, may_declare: bool = True) -> None:
        """Have these declared before the next channel, and after each loss of the connection.

        Args:
            declarations: In the order in which they depend on each other.
            may_declare: If not, exchanges and queues are only looked for.
        """
        for declaration in declarations:
            if (declaration, may_declare) not in self._required:
                self._required.append((declaration, may_declare))

    def check_again(self) -> None:
        """Have everything declared before the next channel; for who was told that it is gone."""
        self._declared = 0

    async def channel(self) -> AbstractChannel:
        """Return a new channel with confirmations, on which a returned message is an error.

        Raises:
            BrokerUnavailableError: There is no connection, or it is too early to try again.
            TopologyMismatchError: Something required is there and is different, or may not be
                made.
        """
        async with self._one_at_a_time:
            if not self.is_open:
                self._check_time()
            try:
                channel = await self._new_channel()
            except BrokerUnavailableError as error:
                self._failures += 1
                self._next_try = _now() + self._backoff.delay(self._failures)
                self._error = error
                raise
            self._failures, self._next_try, self._error = 0, 0.0, None
            return channel

    async def channel_when_open(self) -> AbstractChannel:
        """Return a new channel, however often connecting takes; for consumers.

        Raises:
            TopologyMismatchError: Something required is there and is different.
            ConfigurationError: The link was closed.
        """
        while True:
            await asyncio.sleep(max(0.0, self._next_try - _now()))
            try:
                return await self.channel()
            except TopologyMismatchError:
                raise
            except BrokerUnavailableError as error:
                _logger.warning("%s", error)

    async def is_blocked(self) -> bool:
        """Whether the broker has asked to be spared: it is low on memory or disk."""
        connection = self._connection
        if not self.is_open or connection is None or connection.transport is None:
            return False
        try:
            # Without waiting: it returns at once unless it has to wait for an unblocking.
            async with asyncio.timeout(0):
                await connection.transport.ready()
        except TimeoutError:
            return True
        return False

    async def close_channel(self, channel: AbstractChannel) -> None:
        """Close a channel, if the broker still knows it."""
        if not channel.is_closed and self.is_open:
            async with self._answering("closing a channel"):
                await channel.close()

    def drop(self, reason: Exception) -> None:
        """End the connection at once; for who did not get an answer through it."""
        connection, transport = self._connection, self._transport
        self._connection = self._transport = None
        if connection is None or transport is None:
            return
        _logger.warning("connection dropped: %s", reason)
        transport.abort()
        self._close_behind(connection)

    async def close(self) -> None:
        """Close the connection for good."""
        self._is_closed = True
        connection, transport = self._connection, self._transport
        self._connection = self._transport = None
        if connection is not None and transport is not None:
            try:
                async with asyncio.timeout(self._timeout):
                    await connection.close()
            except TimeoutError:
                transport.abort()
                self._close_behind(connection)
        if self._closing:
            await asyncio.wait(self._closing, timeout=self._timeout)

    def _check_time(self) -> None:
        if self._is_closed:
            raise ConfigurationError(f"{self}: it was closed")
        wait = self._next_try - _now()
        if wait > 0:
            msg = f"{self}: next try in {wait:.1f} s, after: {self._error}"
            raise BrokerUnavailableError(msg)

    async def _new_channel(self) -> AbstractChannel:
        connection = await self._usable_connection()
        await self._declare(connection)
        async with self._answering("opening a channel"):
            return await _open_channel(connection)

    async def _usable_connection(self) -> aio_pika.Connection:
        if self._connection is not None:
            if self.is_open:
                return self._connection
            self.drop(BrokerUnavailableError(f"{self}: it was lost"))
        self._declared = 0
        transport = AbortableTransport(is_secure=self._address.is_secure)
        connection = new_connection(
            self._address.full,
            transport,
            name=self._name,
            heartbeat=self._heartbeat,
            ssl_context=self._ssl_context,
        )
        self._connection, self._transport = connection, transport
        async with self._answering("connecting"):
            await connection.connect()
        self._opened += 1
        _logger.info("%s: connected", self)
        return connection

    async def _declare(self, connection: aio_pika.Connection) -> None:
        missing = self._required[self._declared :]
        if not missing:
            return
        async with self._answering("opening a channel"):
            opened = await _open_channel(connection)
            channel = await opened.get_underlay_channel()
        for declaration, may_declare in missing:
            title = title_of(declaration)
            async with self._answering(f"declaring {title}"):
                try:
                    await declare(channel, declaration, may_declare=may_declare)
                except MISMATCHES as error:
                    raise TopologyMismatchError(title, str(error)) from error
            self._declared += 1
        await self.close_channel(opened)

    @asynccontextmanager
    async def _answering(self, doing: str) -> AsyncIterator[None]:
        """Give the broker its time, and end a connection that does not keep it."""
        try:
            async with asyncio.timeout(self._timeout):
                yield
        except BaseException as error:
            if not is_lost(error):
                raise
            failure = unavailable(f"{self}: {doing}", error)
            self.drop(failure)
            raise failure from error

    def _close_behind(self, connection: aio_pika.Connection) -> None:
        task = asyncio.create_task(_close(connection, self._timeout))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


async def _open_channel(connection: aio_pika.Connection) -> AbstractChannel:
    channel = connection.channel(publisher_confirms=True, on_return_raises=True)
    await channel.initialize()
    return channel


async def _close(connection: aio_pika.Connection, timeout: float) -> None:
    with suppress(TimeoutError, OSError):
        async with asyncio.timeout(timeout):
            await connection.close()


def _now() -> float:
    return asyncio.get_running_loop().time()
