"""What other services are told of a purchase: a message of its own, in the outbox."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING
from uuid import UUID

from cqrs_ddd_core import DomainEvent
from cqrs_ddd_core.correlation import get_context
from cqrs_ddd_core.cqrs import serialize_event
from cqrs_ddd_core.ports.outbox import MessageKind, OutboxMessage
from record_store.purchase import Dollars, PurchaseRecorded

if TYPE_CHECKING:
    from cqrs_ddd_core.ports.outbox import IOutboxStorage

__all__ = ["Announcements", "PurchaseAnnounced"]


class PurchaseAnnounced(DomainEvent):
    """A promise to other services: it stays when the store's own events change."""

    purchase_id: UUID
    customer_id: str
    purchased_on: date
    amount: Dollars


class Announcements:
    """Announces purchases in the transaction that records them.

    All announcements of a customer are one stream, for others want them in order: each purchase
    is an aggregate, and hence a stream of events, of its own.
    """

    def __init__(self, outbox: IOutboxStorage) -> None:
        self._outbox = outbox

    async def announce(self, event: PurchaseRecorded) -> None:
        await self._outbox.save_messages([_announcement(event)])


def _announcement(event: PurchaseRecorded) -> OutboxMessage:
    purchase_id = UUID(event.aggregate_id)
    announced = serialize_event(
        PurchaseAnnounced(
            purchase_id=purchase_id,
            customer_id=event.customer_id,
            purchased_on=event.purchased_on,
            amount=event.amount,
        )
    )
    return OutboxMessage(
        message_id=purchase_id,
        kind=MessageKind.EVENT,
        message_type=announced.event_type,
        payload=announced.payload,
        stream=f"Customer-{event.customer_id}",
        occurred_at=event.occurred_at,
        correlation_id=event.correlation_id,
        causation_id=str(event.event_id),
        tenant_id=get_context().tenant_id,
    )
