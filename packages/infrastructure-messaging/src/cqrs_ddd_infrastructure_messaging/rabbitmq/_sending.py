"""Single messages, each sent where it belongs and confirmed before the next."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from aiormq.exceptions import DeliveryError, PublishError

from cqrs_ddd_core.primitives.exceptions import MessagingError
from cqrs_ddd_infrastructure_messaging.rabbitmq._errors import is_lost, unavailable

if TYPE_CHECKING:
    from aio_pika import Message
    from aio_pika.abc import AbstractChannel

    from cqrs_ddd_infrastructure_messaging.rabbitmq.link import RabbitMQLink

__all__ = ["ConfirmedSender"]


class ConfirmedSender:
    """Sends copies of messages and waits until the broker has each.

    One at a time, because the driver tells a message that came back by its id, and copies of one
    message share it.

    Args:
        link: The connection for publishing.
        timeout: Seconds the broker has to confirm one.
    """

    def __init__(self, link: RabbitMQLink, *, timeout: float) -> None:
        self._link = link
        self._timeout = timeout
        self._one_at_a_time = asyncio.Lock()
        self._channel: AbstractChannel | None = None

    async def send(self, message: Message, *, exchange: str, routing_key: str) -> None:
        """Send a message to an exchange.

        Raises:
            MessagingError: It is not certain that the broker has it.
        """
        async with self._one_at_a_time:
            channel = await self._usable_channel()
            try:
                async with asyncio.timeout(self._timeout):
                    await _publish(channel, message, exchange, routing_key)
            except (PublishError, DeliveryError) as error:
                # Whatever was to receive it may be gone.
                self._link.check_again()
                self._channel = None
                raise MessagingError(f"{exchange or routing_key} did not take it") from error
            except BaseException as error:
                self._channel = None
                if not is_lost(error):
                    raise
                failure = unavailable(f"{exchange or routing_key} did not confirm it", error)
                self._give_up(error, failure)
                raise failure from error

    async def close(self) -> None:
        """Close the channel; the connection stays."""
        channel, self._channel = self._channel, None
        if channel is not None:
            with suppress(MessagingError):
                await self._link.close_channel(channel)

    async def _usable_channel(self) -> AbstractChannel:
        if self._channel is None or self._channel.is_closed:
            self._channel = await self._link.channel()
        return self._channel

    def _give_up(self, error: BaseException, failure: Exception) -> None:
        if isinstance(error, TimeoutError):
            self._link.drop(failure)
        else:
            self._link.check_again()


async def _publish(
    channel: AbstractChannel, message: Message, exchange: str, routing_key: str
) -> None:
    driver = await channel.get_underlay_channel()
    await driver.basic_publish(
        message.body,
        exchange=exchange,
        routing_key=routing_key,
        properties=message.properties,
        mandatory=True,
    )
