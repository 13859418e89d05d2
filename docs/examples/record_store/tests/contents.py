"""What the program left in its database, read without the toolkit's stores."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from cqrs_ddd_persistence_sqlalchemy import create_engine


async def assert_consistent(database_url: str, *, event_sourced: bool = False) -> None:
    """Fail when some line had only a part of its effects, or had them twice."""
    engine = create_engine(database_url)
    async with engine.connect() as connection:
        events = await _rows(connection, "SELECT event_id, event_type, payload FROM cqrs_events")
        streams = await _rows(connection, "SELECT aggregate_type, aggregate_id FROM cqrs_events")
        documents = await _rows(
            connection, "SELECT aggregate_type, aggregate_id FROM cqrs_documents"
        )
        outbox = await _ids(connection, "SELECT message_id FROM cqrs_outbox")
        inbox = await _ids(connection, "SELECT message_id FROM cqrs_inbox")
        customers = await _rows(
            connection, "SELECT customer_id, purchases, units, cents FROM record_store_customers"
        )
        months = await _rows(connection, "SELECT month, purchases, cents FROM record_store_months")
    await engine.dispose()

    assert sorted(documents) == ([] if event_sourced else sorted(streams))
    assert len(set(streams)) == len(streams)
    assert sorted(_uuid(event[0]) for event in events) == outbox
    assert sorted(UUID(i) for kind, i in streams if kind == "Purchase") == inbox
    expected_customers, expected_months = _fold(events)
    assert {name: sums for name, *sums in customers} == expected_customers
    assert {month: sums for month, *sums in months} == expected_months


def _fold(events: list[tuple[Any, ...]]) -> tuple[dict[str, list[int]], dict[str, list[int]]]:
    """Return what the read models must hold: sums by customer and by month."""
    customers: dict[str, list[int]] = {}
    months: dict[str, list[int]] = {}
    for _, event_type, payload in events:
        data = json.loads(payload)
        customer = customers.setdefault(data["customer_id"], [0, 0, 0])
        if event_type == "PurchaseRecorded":
            cents = int(Decimal(data["amount"]) * 100)
            _add(customer, 1, data["units"], cents)
            _add(months.setdefault(data["purchased_on"][:7], [0, 0]), 1, cents)
    return customers, months


def _add(sums: list[int], *values: int) -> None:
    sums[:] = [total + value for total, value in zip(sums, values, strict=True)]


async def _ids(connection: AsyncConnection, statement: str) -> list[UUID]:
    return sorted(_uuid(row[0]) for row in await _rows(connection, statement))


async def _rows(connection: AsyncConnection, statement: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await connection.execute(text(statement))]


def _uuid(value: object) -> UUID:
    return UUID(str(value))
