"""What the databases must hold in the end, worked out from the file, and what they do hold."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from record_store.purchase_log import PurchaseLog

REGULAR_FROM = 100


class Handled(NamedTuple):
    """One line of the loyalty service's ledger."""

    purchase_id: UUID
    customer_id: str


@dataclass(frozen=True)
class Expected:
    """What follows from a purchase log, without a line of the programs that are tested.

    Attributes:
        totals: The last line of the record store, as far as purchases go.
        purchases: The id of each, in the order of the file.
        points: By customer.
    """

    totals: str
    purchases: Sequence[UUID]
    points: Mapping[str, int]


@dataclass(frozen=True)
class Verdict:
    """How far what was found is from what must be.

    Attributes:
        lost: Purchases without an effect.
        doubled: Effects beyond the first of a purchase.
        out_of_order: Purchases that took effect after a later one of their customer.
        unknown: Effects of purchases that never were.
        wrong_accounts: Customers whose points are not what they must be.
    """

    lost: int
    doubled: int
    out_of_order: int
    unknown: int
    wrong_accounts: int

    def __str__(self) -> str:
        """Return the line that ends the demo."""
        return f"lost={self.lost} doubled={self.doubled} out_of_order={self.out_of_order}"

    @property
    def is_right(self) -> bool:
        """Whether nothing is amiss."""
        return not any(
            (self.lost, self.doubled, self.out_of_order, self.unknown, self.wrong_accounts)
        )


def expect(log: Path) -> Expected:
    """Work out what must be there once all lines of the file were taken in."""
    with log.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    points: Counter[str] = Counter()
    for row in rows:
        dollars = int(Decimal(row["amount"]))
        regular = points[row["customer_id"]] >= REGULAR_FROM
        points[row["customer_id"]] += 2 * dollars if regular else dollars
    units = sum(int(row["units"]) for row in rows)
    revenue = sum((Decimal(row["amount"]) for row in rows), Decimal(0))
    totals = f"customers={len(points)} purchases={len(rows)} units={units} revenue={revenue}"
    ids = [line.to_command().command_id for line in PurchaseLog(log).lines]
    return Expected(totals, ids, points)


def judge(expected: Expected, ledger: Sequence[Handled], accounts: Mapping[str, int]) -> Verdict:
    """Compare sets of ids, the order within each customer, and each customer's points."""
    places = {purchase: place for place, purchase in enumerate(expected.purchases)}
    found = {handled.purchase_id for handled in ledger}
    customers = expected.points.keys() | accounts.keys()
    return Verdict(
        lost=len(places.keys() - found),
        doubled=len(ledger) - len(found),
        out_of_order=_overtaken(ledger, places),
        unknown=len(found - places.keys()),
        wrong_accounts=sum(accounts.get(one) != expected.points.get(one) for one in customers),
    )


def _overtaken(ledger: Iterable[Handled], places: Mapping[UUID, int]) -> int:
    latest: defaultdict[str, int] = defaultdict(lambda: -1)
    seen: set[UUID] = set()
    overtaken = 0
    for purchase, customer in ledger:
        if purchase in seen or purchase not in places:
            continue
        seen.add(purchase)
        overtaken += places[purchase] < latest[customer]
        latest[customer] = max(latest[customer], places[purchase])
    return overtaken
