"""How many points a purchase earns."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

__all__ = ["REGULAR_FROM", "points_for"]

#: Points from which on somebody is a regular customer.
REGULAR_FROM: Final = 100


def points_for(amount: Decimal, *, balance: int) -> int:
    """Return a point for each whole dollar, and two for a regular customer.

    The same purchases in another order make another balance.
    """
    return int(amount) * (2 if balance >= REGULAR_FROM else 1)
