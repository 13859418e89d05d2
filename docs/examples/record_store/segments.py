"""Which customers to care about: scores and segments, made of their values when they are asked for.

Scores compare a customer with all others, so one purchase can change those of everybody: they are
worked out on read, and only what they are made of is kept.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from record_store.customer_value import CustomerValue

__all__ = ["SEGMENTS", "Score", "Segment", "scores", "segments"]

#: From the first that fits: name, and the least scores for recency and frequency.
SEGMENTS: Final = (
    ("champions", 4, 4),
    ("loyal", 3, 3),
    ("promising", 4, 1),
    ("at risk", 1, 3),
    ("about to sleep", 3, 1),
    ("lost", 1, 1),
)


class Score(NamedTuple):
    """Recency, frequency and monetary value, each from 1 for the worst fifth to 5."""

    recency: int
    frequency: int
    monetary: int

    @property
    def segment(self) -> str:
        """The name of what such customers are."""
        return next(
            name
            for name, recency, frequency in SEGMENTS
            if self.recency >= recency and self.frequency >= frequency
        )


@dataclass(frozen=True)
class Segment:
    """All customers of a segment together."""

    name: str
    customers: int
    purchases: int
    revenue: Decimal


def scores(customers: Sequence[CustomerValue]) -> dict[str, Score]:
    """Return the score of each customer by id: quintiles, after Hughes (1994)."""
    recency = _quintile([one.last_purchase for one in customers])
    frequency = _quintile([one.purchases for one in customers])
    monetary = _quintile([one.revenue for one in customers])
    return {
        one.customer_id: Score(
            recency(one.last_purchase), frequency(one.purchases), monetary(one.revenue)
        )
        for one in customers
    }


def segments(customers: Sequence[CustomerValue]) -> list[Segment]:
    """Return the segments somebody is in, the best first."""
    found: defaultdict[str, list[CustomerValue]] = defaultdict(list)
    score_of = scores(customers)
    for one in customers:
        found[score_of[one.customer_id].segment].append(one)
    return [
        Segment(
            name,
            len(found[name]),
            sum(one.purchases for one in found[name]),
            sum((one.revenue for one in found[name]), Decimal(0)),
        )
        for name, _, _ in SEGMENTS
        if name in found
    ]


def _quintile(values: list[Any]) -> Callable[[Any], int]:
    """Return what tells the fifth a value is in; equal values are in the same one."""
    ordered = sorted(values)
    return lambda value: 1 + 5 * bisect_left(ordered, value) // len(ordered)
