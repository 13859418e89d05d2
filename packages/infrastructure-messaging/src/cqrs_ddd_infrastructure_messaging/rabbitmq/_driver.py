"""The driver, or what to install; and a transport that can be ended at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cqrs_ddd_core.primitives.exceptions import MissingExtraError

try:
    import aio_pika
    from aiormq.connection import TCPTransportFactory, TLSTransportFactory, TransportFactory
    from yarl import URL
except ImportError as error:
    raise MissingExtraError("RabbitMQ", "cqrs-ddd-infrastructure-messaging", "rabbitmq") from error

if TYPE_CHECKING:
    import asyncio
    import ssl

__all__ = ["AbortableTransport", "aio_pika", "new_connection"]


class AbortableTransport(TransportFactory):
    """Opens the socket of a connection, and closes it without waiting for anybody.

    The driver closes a connection politely, which takes minutes when the broker is silent.
    """

    def __init__(self, *, is_secure: bool) -> None:
        self._inner = TLSTransportFactory() if is_secure else TCPTransportFactory()
        self._writer: asyncio.StreamWriter | None = None

    async def create(
        self,
        url: URL,
        **kwargs: Any,
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, self._writer = await self._inner.create(url, **kwargs)
        return reader, self._writer

    def abort(self) -> None:
        """Close the socket now."""
        if self._writer is not None:
            self._writer.transport.abort()


def new_connection(
    url: str,
    transport: AbortableTransport,
    *,
    name: str,
    heartbeat: int,
    ssl_context: ssl.SSLContext | None,
) -> aio_pika.Connection:
    """Return a connection that is not open yet.

    It is not a "robust" one of the driver's: that hides outages, and publishing through it waits
    for ever while the broker is down.
    """
    address = URL(url).update_query(heartbeat=heartbeat, name=name)
    connection = aio_pika.Connection(address, ssl_context=ssl_context)
    connection.kwargs["transport_factory"] = transport
    return connection
