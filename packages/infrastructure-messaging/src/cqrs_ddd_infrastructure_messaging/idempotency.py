"""Messages that come again have no second effect."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING

from cqrs_ddd_core.correlation import MessageContext, reset_context, set_context
from cqrs_ddd_core.cqrs.event_serializer import STREAM_VERSION_HEADER
from cqrs_ddd_core.primitives.exceptions import DatabaseUnavailableError
from cqrs_ddd_infrastructure_messaging._transactions import MessageTransactions, handling
from cqrs_ddd_infrastructure_messaging.exceptions import MalformedMessageError, MessageOrderError

if TYPE_CHECKING:
    from cqrs_ddd_core.ports.consumer import MessageHandler
    from cqrs_ddd_core.ports.inbox import IInbox
    from cqrs_ddd_core.ports.outbox import OutboxMessage
    from cqrs_ddd_core.ports.retry import IRetryPolicy
    from cqrs_ddd_core.ports.unit_of_work_scope import EventRecording, UnitOfWorkFactory

__all__ = ["IdempotentConsumer", "StreamOrder"]

_logger = logging.getLogger(__name__)


class StreamOrder(Enum):
    """What a consumer insists on where messages of a stream come out of order.

    ``INCREASING`` refuses a version at or below one that was handled, and lets gaps pass: right
    for a consumer of some types of a stream. ``GAPLESS`` refuses a version until the one before
    it was handled: for a consumer of all types of a stream, from its first event on.
    """

    INCREASING = "increasing"
    GAPLESS = "gapless"


class IdempotentConsumer:
    """Handles each message once, in one transaction with the mark that says so.

    Guarantee (G5, X-6): one effect per consumer name and message id, however often and however
    concurrently it is delivered. The inbox row is the first statement of the unit of work, the
    handler runs in it and commands it sends join it; only after the commit does the call return,
    and so the transport acknowledges. A known message returns at once. An error rolls everything
    back and is raised, so that the transport tries again or gives up (C-10). What the handler
    does elsewhere, such as sending mail, is not part of that.

    The handler runs in the tenant, correlation, user and trace of the message, which is the cause
    of whatever it does. An instance is a ``MessageHandler``, for ``subscribe``, and its
    ``handle_batch`` is a ``BatchHandler``, for ``subscribe_batch``.

    Args:
        handler: Does what follows from a message, such as ``handle_events`` returns.
        consumer: Name the marks are kept under; that of the subscription.
        inbox: Where handled ids are marked; of the database the handler writes to.
        uow_factory: Makes the unit of work of each message or batch.
        record: Takes events of aggregates the handler saves itself, not through commands:
            ``EventRecorder(...).record``.
        ordered: What is refused with ``MessageOrderError``, by the ``stream_version`` that events
            of an event store carry; nothing when not given. It costs a statement per message.
        retry: Whether to try again at once, in a fresh unit of work; 3 times after a lost race
            when not given. After that the transport's retries begin.
    """

    def __init__(
        self,
        handler: MessageHandler,
        *,
        consumer: str,
        inbox: IInbox,
        uow_factory: UnitOfWorkFactory,
        record: EventRecording | None = None,
        ordered: StreamOrder | None = None,
        retry: IRetryPolicy | None = None,
    ) -> None:
        self._handler = handler
        self._consumer = consumer
        self._inbox = inbox
        self._transactions = MessageTransactions(uow_factory, record=record, retry=retry)
        self._order = ordered
        self._handled = 0
        self._duplicates = 0

    @property
    def consumer(self) -> str:
        """Name the marks are kept under."""
        return self._consumer

    @property
    def handled(self) -> int:
        """How many messages had their effect here."""
        return self._handled

    @property
    def duplicates(self) -> int:
        """How many deliveries had none, because the message was known."""
        return self._duplicates

    async def __call__(self, message: OutboxMessage) -> None:
        """Handle a message unless it is known, and return after the commit.

        Raises:
            MessageOrderError: It is not its turn in its stream.
            Exception: Whatever the handler raised; nothing was changed.
        """
        with handling(message):
            is_new = await self._transactions.run(partial(self._receive, message))
        self._handled += is_new
        self._duplicates += not is_new

    async def handle_batch(self, messages: Sequence[OutboxMessage]) -> list[Exception | None]:
        """Handle the new ones of many messages in one transaction, in the order given.

        When that fails, it is rolled back and they are handled one by one, so that only the
        message at fault fails and what follows it in its stream. Messages of different tenants
        are never in one transaction.

        Returns:
            For each message why it failed, or ``None`` when its effect is committed.
        """
        numbers: defaultdict[str, list[int]] = defaultdict(list)
        for number, message in enumerate(messages):
            numbers[message.tenant_id].append(number)
        outcomes: list[Exception | None] = [None] * len(messages)
        for tenant_id, chosen in numbers.items():
            found = await self._handle_all(tenant_id, [messages[number] for number in chosen])
            for number, outcome in zip(chosen, found, strict=True):
                outcomes[number] = outcome
        return outcomes

    async def _handle_all(
        self, tenant_id: str, messages: Sequence[OutboxMessage]
    ) -> Sequence[Exception | None]:
        if len(messages) == 1:
            return [await self._outcome_of(messages[0])]
        token = set_context(MessageContext(tenant_id=tenant_id))
        try:
            new = await self._transactions.run_once(partial(self._receive_many, messages))
        except DatabaseUnavailableError as error:
            return [error] * len(messages)
        except Exception:
            # Whose fault it is shows when each is handled alone.
            _logger.warning(
                "consumer %s failed with %d messages together",
                self._consumer,
                len(messages),
                exc_info=True,
            )
            return await self._handle_each(messages)
        finally:
            reset_context(token)
        self._handled += new
        self._duplicates += len(messages) - new
        return [None] * len(messages)

    async def _handle_each(self, messages: Sequence[OutboxMessage]) -> list[Exception | None]:
        failed: dict[str, Exception] = {}
        outcomes: list[Exception | None] = []
        for message in messages:
            if message.stream not in failed and (error := await self._outcome_of(message)):
                failed[message.stream] = error
            outcomes.append(failed.get(message.stream))
        return outcomes

    async def _outcome_of(self, message: OutboxMessage) -> Exception | None:
        try:
            await self(message)
        except Exception as error:  # noqa: BLE001 - it is the outcome, which the transport logs
            return error
        return None

    async def _receive(self, message: OutboxMessage) -> bool:
        if await self._inbox.receive(self._consumer, message.message_id) is not None:
            return False
        await self._handle(message)
        return True

    async def _receive_many(self, messages: Sequence[OutboxMessage]) -> int:
        """Return how many were new."""
        ids = {message.message_id for message in messages}
        new = ids - await self._inbox.receive_many(self._consumer, ids)
        count = len(new)
        for message in messages:
            if message.message_id in new:
                new.remove(message.message_id)
                with handling(message):
                    await self._handle(message)
        return count

    async def _handle(self, message: OutboxMessage) -> None:
        if self._order is not None:
            await self._take_turn(message, self._order)
        await self._handler(message)

    async def _take_turn(self, message: OutboxMessage, order: StreamOrder) -> None:
        version = _version_of(message)
        after = version - 1 if order is StreamOrder.GAPLESS else 0
        place = await self._inbox.advance(self._consumer, message.stream, version, after=after)
        if place is not None:
            raise MessageOrderError(message.message_id, message.stream, version, place)


def _version_of(message: OutboxMessage) -> int:
    version = message.headers.get(STREAM_VERSION_HEADER)
    if type(version) is not int or version < 1:
        reason = f"it has no {STREAM_VERSION_HEADER}, so nobody can tell whether it is its turn"
        raise MalformedMessageError(reason, message.message_id)
    return version
