"""What the record store announces, as far as this service cares.

The class belongs to this service: the two agree on a name and on JSON, and share no code.
"""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

from cqrs_ddd_core import DomainEvent

__all__ = ["PurchaseAnnounced"]


class PurchaseAnnounced(DomainEvent):
    purchase_id: UUID
    customer_id: str
    amount: Decimal
