"""The sending side of commands for other bounded contexts."""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Self, TypeAlias, TypeVar
from uuid import UUID

from pydantic_core import to_json

from cqrs_ddd_core.correlation import get_context
from cqrs_ddd_core.cqrs.command import Command, CommandResponse
from cqrs_ddd_core.cqrs.result_codec import ResultCodec
from cqrs_ddd_core.ports.unit_of_work_scope import current_scope
from cqrs_ddd_core.primitives.exceptions import ConfigurationError, UnitOfWorkError
from cqrs_ddd_infrastructure_messaging.commands.message import to_command_message
from cqrs_ddd_infrastructure_messaging.commands.reply import REPLY_PREFIX, Reply
from cqrs_ddd_infrastructure_messaging.exceptions import CommandRefusedError, ReplyTimeoutError

if TYPE_CHECKING:
    from cqrs_ddd_core.ports.consumer import IMessageConsumer
    from cqrs_ddd_core.ports.outbox import IOutboxStorage, OutboxMessage
    from cqrs_ddd_core.ports.publisher import IMessagePublisher

__all__ = ["RemoteCommandBus"]

R = TypeVar("R")

_Key: TypeAlias = tuple[str, UUID]

_is_name = re.compile(r"[A-Za-z0-9_-]{1,50}").fullmatch


class RemoteCommandBus:
    """Sends commands to other bounded contexts, and waits for their answers when asked to.

    Guarantee: a command sent inside a unit of work commits with it and is published after the
    commit, or neither; its message id is its ``command_id``, so that the receiver handles it
    once however often it is sent.

    For ``request`` it needs a consumer for the answers, and to be entered with ``async with`` or
    started. Answers nobody waits for any more are dropped and counted.

    Args:
        outbox: Where commands wait for the relay, of the database of the units of work.
        publisher: Sends at once what is sent outside of a unit of work. Without it that goes to
            the outbox as well, in a transaction of its own.
        replies: Receives the answers; started and stopped with the bus, and by nobody else.
        name: Of this process among those that wait for answers, such as ``orders-1``. Give the
            same one after a restart: each name is a queue on the broker.

    Raises:
        ConfigurationError: There is neither outbox nor publisher, answers have no name, or the
            name is not made of letters, digits, ``-`` and ``_``.
    """

    def __init__(
        self,
        *,
        outbox: IOutboxStorage | None = None,
        publisher: IMessagePublisher | None = None,
        replies: IMessageConsumer | None = None,
        name: str | None = None,
    ) -> None:
        if outbox is None and publisher is None:
            raise ConfigurationError("a remote command bus needs an outbox, a publisher, or both")
        if (replies is None) != (name is None) or not _is_name(name or "-"):
            msg = f"name={name!r}: who receives replies has a name of 1 to 50 letters, digits, - _"
            raise ConfigurationError(msg)
        self._outbox = outbox
        self._publisher = publisher
        self._replies = replies
        self._reply_to = f"{REPLY_PREFIX}{name}"
        self._waiting: defaultdict[_Key, set[asyncio.Future[Reply]]] = defaultdict(set)
        self._codecs: dict[type[Any], ResultCodec] = {}
        self._is_subscribed = False
        self._is_started = False
        self._late_replies = 0

    @property
    def late_replies(self) -> int:
        """How many answers came when nobody waited for them any more."""
        return self._late_replies

    async def start(self) -> None:
        """Begin to receive answers."""
        if self._replies is None:
            return
        if not self._is_subscribed:
            await self._replies.subscribe([self._reply_to], self._on_reply, consumer=self._reply_to)
            self._is_subscribed = True
        await self._replies.start()
        self._is_started = True

    async def stop(self) -> None:
        """Receive no more answers; who waits for one is told that it will not come."""
        self._is_started = False
        if self._replies is not None:
            await self._replies.stop()
        for key, waiting in self._waiting.items():
            for one in waiting:
                if not one.done():
                    one.set_exception(ReplyTimeoutError(key[1], None))

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def send(self, command: Command[Any], *, stream: str | None = None) -> None:
        """Send a command and do not wait for what it comes to.

        Inside a unit of work it waits in the outbox for the commit; otherwise it is published,
        or in the outbox, when this returns.

        Args:
            command: What is asked for.
            stream: Commands of one stream arrive in order, such as those for one order; each is
                alone when not given.

        Raises:
            ConfigurationError: There is a unit of work and no outbox.
            MessagingError: The broker did not confirm it. Sending it again does no harm.
        """
        message = to_command_message(command, stream=stream)
        if current_scope() is None and self._publisher is not None:
            await _publish(self._publisher, message)
        elif self._outbox is not None:
            await self._outbox.save_messages([message])
        else:
            msg = "a command sent inside a unit of work commits with it, which takes an outbox"
            raise ConfigurationError(msg)

    async def request(
        self, command: Command[R], *, timeout: float, stream: str | None = None
    ) -> CommandResponse[R]:
        """Send a command at once and return what it came to.

        Args:
            command: What is asked for.
            timeout: Seconds to wait for the answer, publishing included.
            stream: As with ``send``.

        Returns:
            Its result, ``replayed`` when it had been handled before, and without ``success`` when
            its handler returned a failed ``Result``. Events and position stay there.

        Raises:
            ReplyTimeoutError: Nobody knows what it came to. Repeat it with the same command id:
                it has one effect, and the answer is the recorded one.
            CommandRefusedError: It was refused for good; nothing was changed.
            MessagingError: The broker did not confirm it. Sending it again does no harm.
            UnitOfWorkError: There is a unit of work: it would be open for as long as the other
                side takes, and could roll back what the other side has done.
            ConfigurationError: The bus has no publisher or no replies, or is not started.
        """
        publisher = self._check_request()
        codec = self._codecs.get(type(command))
        if codec is None:
            codec = self._codecs[type(command)] = ResultCodec(type(command), default=None)
        message = to_command_message(command, stream=stream, reply_to=self._reply_to)
        reply = await self._exchange(publisher, message, timeout)
        return _response(command, reply, codec)

    def _check_request(self) -> IMessagePublisher:
        if current_scope() is not None:
            msg = "request() inside a unit of work would keep it open: use send(), or ask outside"
            raise UnitOfWorkError(msg)
        if self._publisher is None or not self._is_started:
            msg = "request() takes a publisher and replies, and a bus that is started"
            raise ConfigurationError(msg)
        return self._publisher

    async def _exchange(
        self, publisher: IMessagePublisher, message: OutboxMessage, timeout: float
    ) -> Reply:
        key = get_context().tenant_id, message.message_id
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting[key].add(answer)
        try:
            async with asyncio.timeout(timeout):
                await _publish(publisher, message)
                return await answer
        except TimeoutError:
            raise ReplyTimeoutError(message.message_id, timeout) from None
        finally:
            self._waiting[key].discard(answer)
            if not self._waiting[key]:
                del self._waiting[key]

    async def _on_reply(self, message: OutboxMessage) -> None:
        reply = Reply.read(message)
        waiting = self._waiting.get((message.tenant_id, reply.command_id), ())
        open_ = [one for one in waiting if not one.done()]
        if not open_:
            self._late_replies += 1
        for one in open_:
            one.set_result(reply)


async def _publish(publisher: IMessagePublisher, message: OutboxMessage) -> None:
    (failure,) = await publisher.publish([message])
    if failure is not None:
        raise failure


def _response(command: Command[R], reply: Reply, codec: ResultCodec) -> CommandResponse[R]:
    outcome = reply.outcome
    if outcome.refusal is not None:
        refusal = outcome.refusal
        raise CommandRefusedError(
            command.command_id, refusal.error_type, refusal.message, refusal.errors
        )
    return CommandResponse(
        codec.load(to_json(outcome.result)),
        success=outcome.success,
        command_id=command.command_id,
        replayed=reply.replayed,
    )
