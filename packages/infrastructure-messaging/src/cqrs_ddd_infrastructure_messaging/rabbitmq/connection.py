"""The way to RabbitMQ: one connection for publishing, and one for consuming."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from cqrs_ddd_core.primitives.exceptions import ConfigurationError
from cqrs_ddd_core.primitives.retry import ExponentialBackoff
from cqrs_ddd_infrastructure_messaging.rabbitmq._url import BrokerURL
from cqrs_ddd_infrastructure_messaging.rabbitmq.link import RabbitMQLink

if TYPE_CHECKING:
    import ssl
    from types import TracebackType

__all__ = ["RabbitMQConnection"]


class RabbitMQConnection:
    """The way to a broker, in two connections.

    They are separate because the broker stops reading from a connection that publishes too much,
    and ends one that misbehaves: consumers must not be hurt by publishers. Each is opened when
    it is first needed and again after it was lost, at the earliest when the wait after the last
    failure is over. Nothing waits for the broker longer than ``timeout``, and nobody is told
    that all is well while a connection is gone.

    Use it as an asynchronous context manager, or call ``close`` at the end.

    Args:
        url: ``amqp://user:password@host:5672/vhost``, or ``amqps://`` for TLS, where the
            broker's certificate is verified. Its password is never shown.
        name: What the broker lists the connections under.
        timeout: Seconds the broker has for every single answer.
        heartbeat: Seconds between signs of life; a silent broker counts as lost after three.
        backoff: How long to wait after connecting failed.
        ssl_context: Whom to trust instead of the system's authorities.

    Raises:
        ConfigurationError: The address is malformed or switches verification off.
    """

    def __init__(
        self,
        url: str,
        *,
        name: str = "cqrs-ddd",
        timeout: float = 10.0,
        heartbeat: int = 20,
        backoff: ExponentialBackoff | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        if timeout <= 0 or heartbeat < 1:
            raise ConfigurationError("a connection needs timeout > 0 and heartbeat >= 1")
        self._address = BrokerURL.parse(url)
        waits = backoff or ExponentialBackoff(initial=0.1, maximum=30.0)

        def link(role: str) -> RabbitMQLink:
            return RabbitMQLink(
                self._address,
                name=f"{name} {role}",
                timeout=timeout,
                heartbeat=heartbeat,
                backoff=waits,
                ssl_context=ssl_context,
            )

        self.publishing: RabbitMQLink = link("publishing")
        self.consuming: RabbitMQLink = link("consuming")

    def __repr__(self) -> str:
        return f"<RabbitMQConnection {self._address}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close both connections; what waits for them fails."""
        await self.publishing.close()
        await self.consuming.close()
