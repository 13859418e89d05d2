"""A long past of the record store: the customers of the real log, drawn again and again."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import date, timedelta
from decimal import Decimal
from itertools import islice
from operator import itemgetter
from pathlib import Path
from random import Random
from typing import NamedTuple

from record_store.customer import CustomerJoined
from record_store.purchase import PurchaseRecorded

from cqrs_ddd_core import DomainEvent, StreamId
from cqrs_ddd_core.cqrs.event_serializer import serialize_event
from cqrs_ddd_core.ports.event_store import NO_STREAM, IEventStore

#: Days between the beginnings of two waves of customers.
WAVE_DAYS = 10
BATCH = 5000


class Bought(NamedTuple):
    """A purchase of the real log."""

    day: date
    units: int
    amount: Decimal


def read_customers(log: Path) -> list[list[Bought]]:
    """Return the purchases of each customer of a log, in the order of the file."""
    found: defaultdict[str, list[Bought]] = defaultdict(list)
    with log.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            bought = Bought(
                date.fromisoformat(row["date"]), int(row["units"]), Decimal(row["amount"])
            )
            found[row["customer_id"]].append(bought)
    return list(found.values())


def resampled(customers: Sequence[Sequence[Bought]], seed: int) -> Iterator[DomainEvent]:
    """Yield events without end: wave after wave of customers, each the copy of a real one.

    The same seed yields the same events. Within a wave they are in the order of days.
    """
    chance = Random(seed)  # noqa: S311 - not for secrets
    wave = 0
    while True:
        yield from _wave(chance.choices(customers, k=len(customers)), wave)
        wave += 1


def _wave(drawn: Sequence[Sequence[Bought]], wave: int) -> Iterator[DomainEvent]:
    later = timedelta(days=wave * WAVE_DAYS)
    purchases = [
        (bought.day + later, f"g{wave:04}-{number:04}", bought)
        for number, customer in enumerate(drawn)
        for bought in customer
    ]
    known: set[str] = set()
    for day, customer_id, bought in sorted(purchases, key=itemgetter(0, 1)):
        if customer_id not in known:
            known.add(customer_id)
            yield CustomerJoined(customer_id=customer_id, joined_on=day)
        yield PurchaseRecorded(
            customer_id=customer_id, purchased_on=day, units=bought.units, amount=bought.amount
        )


async def load(events: Iterator[DomainEvent], count: int, store: IEventStore) -> AsyncIterator[int]:
    """Append events, each batch a stream of its own; yield how many there are after each."""
    done = 0
    while batch := list(islice(events, min(BATCH, count - done))):
        stream = StreamId("PurchaseImport", f"{done:09}")
        await store.append(
            stream, [serialize_event(event) for event in batch], expected_version=NO_STREAM
        )
        done += len(batch)
        yield done
