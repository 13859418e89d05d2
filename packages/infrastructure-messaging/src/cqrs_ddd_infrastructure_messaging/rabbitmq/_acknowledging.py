"""The acknowledgement of deliveries, many in one frame where that is possible."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from cqrs_ddd_infrastructure_messaging.rabbitmq._errors import is_lost

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiormq.abc import AbstractChannel

__all__ = ["Acknowledger"]

_logger = logging.getLogger(__name__)

# So many seconds an acknowledgement may wait for others; a crash doubles that much more.
_SOON = 0.005


class Acknowledger:
    """Acknowledges the deliveries of one channel; their numbers die with it.

    When the channel is gone nothing is acknowledged, and the broker delivers them again.

    Args:
        channel: The channel they come through.
        timeout: Seconds to hand acknowledgements to the connection.

    Attributes:
        closed: Set when what has not begun is left to the broker: the channel is gone, or the
            consumer stops. What has begun may still be acknowledged while the channel is open.
    """

    def __init__(self, channel: AbstractChannel, *, timeout: float) -> None:
        self._channel = channel
        self._timeout = timeout
        self.closed = asyncio.Event()
        # In the order of arrival, which is that of the tags.
        self._unsettled: dict[int, None] = {}
        self._settled: list[int] = []
        self._one_at_a_time = asyncio.Lock()
        self._timer: asyncio.TimerHandle | None = None
        self._flushing: asyncio.Task[None] | None = None

    @property
    def is_closed(self) -> bool:
        """Whether deliveries that wait are not to be begun."""
        return self.closed.is_set() or self._channel.is_closed

    def expect(self, tag: int) -> None:
        """Note a delivery that is to be acknowledged some time."""
        self._unsettled[tag] = None

    async def acknowledge(self, tags: Sequence[int]) -> None:
        """Acknowledge deliveries soon: at once when half of what is here is settled."""
        for tag in tags:
            self._unsettled.pop(tag, None)
        self._settled.extend(tags)
        if len(self._settled) >= len(self._unsettled):
            await self.flush()
        elif self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(_SOON, self._begin_to_flush)

    async def flush(self) -> None:
        """Send what is to be acknowledged, in one frame as far as no other delivery is between."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        # One at a time: a frame for many would overtake that for one of them, and the broker
        # closes the channel of who acknowledges twice.
        async with self._one_at_a_time:
            settled, self._settled = sorted(self._settled), []
            first_open = next(iter(self._unsettled), None)
            together = [tag for tag in settled if first_open is None or tag < first_open]
            try:
                async with asyncio.timeout(self._timeout):
                    if together:
                        await self._send(together[-1], multiple=len(together) > 1)
                    for tag in settled[len(together) :]:
                        await self._send(tag, multiple=False)
            except BaseException as error:
                if not is_lost(error):
                    raise
                _logger.info("not acknowledged, comes again: %s", type(error).__name__)

    async def reject(self, tag: int) -> None:
        """Have the broker make a delivery a dead letter."""
        try:
            async with asyncio.timeout(self._timeout):
                await self._channel.basic_reject(tag, requeue=False, wait=False)
        except BaseException as error:
            if not is_lost(error):
                raise
            _logger.info("not rejected, comes again: %s", type(error).__name__)

    async def _send(self, tag: int, *, multiple: bool) -> None:
        # Not waiting for the socket: the broker does not answer anyway.
        await self._channel.basic_ack(tag, multiple=multiple, wait=False)

    def _begin_to_flush(self) -> None:
        self._timer = None
        self._flushing = asyncio.get_running_loop().create_task(self.flush())
