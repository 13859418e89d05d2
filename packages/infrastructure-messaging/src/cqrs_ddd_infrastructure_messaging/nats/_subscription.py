"""The places of one consumer name on the server, pulled from across losses of the connection."""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from cqrs_ddd_core.primitives.exceptions import BrokerUnavailableError, ConfigurationError
from cqrs_ddd_core.primitives.retry import ExponentialBackoff
from cqrs_ddd_infrastructure_messaging.exceptions import TopologyMismatchError
from cqrs_ddd_infrastructure_messaging.nats._driver import Msg, api, nats
from cqrs_ddd_infrastructure_messaging.nats._errors import FAILURES, unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from cqrs_ddd_infrastructure_messaging.nats._delivery import Hands
    from cqrs_ddd_infrastructure_messaging.nats.connection import NATSConnection
    from cqrs_ddd_infrastructure_messaging.nats.link import NATSLink
    from cqrs_ddd_infrastructure_messaging.nats.topology import NATSTopology

__all__ = ["Subscription"]

_logger = logging.getLogger(__name__)

# The server ends a request after so many seconds and says so; if it does not say so within some
# more, the place is gone.
_EXPIRES = 10.0
_GRACE = 5.0

# https://github.com/nats-io/nats-architecture-and-design/blob/main/adr/ADR-13.md
_STATUS = "Status"
_IS_ALIVE = "100"
_NOTHING_THERE = ("404", "408")


class Subscription:
    """Pulls from all places of a consumer name, and makes them again when they are gone.

    Args:
        consumer: Its name.
        connection: To the server.
        topology: Names the streams.
        durables: The places.
        hands: Say how many more may come.
        arrived: Told of each message.
    """

    def __init__(
        self,
        consumer: str,
        connection: NATSConnection,
        topology: NATSTopology,
        durables: Sequence[api.ConsumerConfig],
        *,
        hands: Hands,
        arrived: Callable[[Msg], Awaitable[None]],
    ) -> None:
        self._consumer = consumer
        self._connection = connection
        self._topology = topology
        self._durables = durables
        self._hands = hands
        self._arrived = arrived
        self._backoff = ExponentialBackoff()
        self._tasks: list[asyncio.Task[None]] = []
        self._link: NATSLink | None = None

    @property
    def is_consuming(self) -> bool:
        """Whether messages arrive at this moment, as far as anybody can know."""
        return self._link is not None and self._link.is_open

    async def start(self) -> None:
        """Begin to pull.

        Raises:
            MessagingError: The server cannot be reached, or what is needed is not there.
        """
        self._link = await self._bind()
        every = self._topology.settings.ack_wait / 3
        self._tasks = [
            asyncio.create_task(self._keep_pulling(self._link), name=f"consumer {self._consumer}"),
            asyncio.create_task(self._hands.keep(every=every), name=f"hands of {self._consumer}"),
        ]

    async def stop_pulling(self) -> None:
        """Take no more; what was taken is still kept."""
        link, self._link = self._link, None
        await _end(self._tasks[:1])
        if link is not None:
            await self._let_go(link)

    async def _let_go(self, link: NATSLink) -> None:
        # A server of 2.9 that meets our last request when a message is put back delivers that
        # message late and another one twice. Asked about the place, it drops such requests.
        for config in self._durables:
            asked = link.jetstream.consumer_info(self._topology.messages, config.durable_name or "")
            with suppress(*FAILURES):
                await link.answer(asked, timeout=self._connection.timeout)

    async def close(self) -> None:
        """Give back what is still held."""
        await _end(self._tasks)
        await self._hands.put_all_back()

    async def _keep_pulling(self, link: NATSLink) -> None:
        while True:
            try:
                self._link = link
                await self._pull(link)
            except FAILURES as error:
                _logger.warning("%s: consuming was interrupted: %s", self._consumer, error)
            self._link, failures = None, 1
            while (again := await self._bound_again(failures)) is None:
                failures += 1
            link = again

    async def _bound_again(self, failures: int) -> NATSLink | None:
        await asyncio.sleep(self._backoff.delay(failures))
        try:
            return await self._bind()
        except (BrokerUnavailableError, ConfigurationError) as error:
            _logger.warning("%s cannot consume yet: %s", self._consumer, error)
            return None

    async def _bind(self) -> NATSLink:
        link = await self._connection.link(self._topology)
        for config in self._durables:
            title = f"durable {config.durable_name!r}"
            try:
                adding = link.jetstream.add_consumer(self._topology.messages, config)
                await link.answer(adding, timeout=self._connection.timeout)
            except nats.js.errors.BadRequestError as error:
                raise TopologyMismatchError(title, str(error.description)) from error
            except FAILURES as error:
                link.check_again(self._topology)
                raise unavailable(f"declaring {title}", error) from error
        return link

    async def _pull(self, link: NATSLink) -> None:
        """Pull from all places until the connection or one of them is gone."""
        pulls = [
            _Pull(link, self._topology.messages, config.durable_name or "", self._hands)
            for config in self._durables
        ]
        tasks = [asyncio.create_task(pull.run(self._arrived)) for pull in pulls]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            await _end(tasks)


class _Pull:
    """Asks one place for messages, again and again."""

    def __init__(self, link: NATSLink, stream: str, durable: str, hands: Hands) -> None:
        self._link = link
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}"
        self._hands = hands
        self._missing = 0
        self._over = asyncio.Event()
        self._end = ""

    async def run(self, arrived: Callable[[Msg], Awaitable[None]]) -> None:
        """Pull until the connection or the place is gone."""

        async def take(incoming: Msg) -> None:
            if not incoming.reply:
                self._note(incoming)
                return
            self._missing -= 1
            if self._missing <= 0:
                self._over.set()
            await arrived(incoming)

        inbox = self._link.client.new_inbox()
        subscription = await self._link.client.subscribe(inbox, cb=take)
        try:
            while await self._ask(inbox):
                pass
        finally:
            with suppress(*FAILURES):
                await subscription.unsubscribe()

    async def _ask(self, inbox: str) -> bool:
        """Ask once, and say whether there is a reason to ask again.

        Raises:
            ConnectionError: The place or the connection is gone.
        """
        self._missing = await self._hands.room()
        self._over.clear()
        request = {"batch": self._missing, "expires": round(_EXPIRES * 1e9)}
        await self._link.client.publish(self._subject, json.dumps(request).encode(), reply=inbox)
        await self._link.answer(self._over.wait(), timeout=_EXPIRES + _GRACE)
        if self._end:
            raise ConnectionError(self._end)
        return self._link.is_open

    def _note(self, incoming: Msg) -> None:
        headers = incoming.headers or {}
        status = headers.get(_STATUS)
        if status == _IS_ALIVE:
            return
        if status not in _NOTHING_THERE:
            self._end = f"{status} {headers.get(api.Header.DESCRIPTION)}"
        self._over.set()


async def _end(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
