"""Columns of payloads hold values exactly, or the export says why it cannot."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum, StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet
from pydantic import BaseModel, Field
from pydantic_core import to_json

from cqrs_ddd_advanced_core.codecs import Personal, Shredded
from cqrs_ddd_advanced_core.export import (
    ExportValueError,
    PayloadColumn,
    PayloadColumns,
    export_events,
)
from cqrs_ddd_advanced_core.upcasting import EventUpcaster, UpcasterRegistry
from cqrs_ddd_core import DomainEvent
from cqrs_ddd_core.adapters.memory import InMemoryDatabase, InMemoryEventStore
from cqrs_ddd_core.cqrs.event_serializer import serialize_event
from cqrs_ddd_core.ports.event_store import NewEvent, StreamId
from cqrs_ddd_core.primitives.exceptions import ConfigurationError
from cqrs_ddd_core.testing.samples import MOMENT, new_event

STREAM = StreamId("Order", "o-1")


class Channel(StrEnum):
    SHOP = "shop"


class Level(Enum):
    LOW = 1


class Mixed(Enum):
    NONE = 0
    SOME = "some"


class Address(BaseModel):
    city: str
    lines: tuple[str, ...] = ()
    parent: Address | None = None


class RichlyPlaced(DomainEvent):
    reference: UUID
    total: Decimal
    price: Decimal = Field(default=Decimal("0.5"), max_digits=6, decimal_places=2)
    count: int
    share: float
    is_gift: bool
    placed_on: date
    due_at: datetime | None
    channel: Channel = Channel.SHOP
    level: Level = Level.LOW
    mixed: Mixed = Mixed.SOME
    kind: Literal["a", "b"] = "a"
    address: Address
    tags: list[str] = Field(default_factory=list)
    either: int | str = 0
    version: Annotated[int, Field(ge=0)] = 3
    email: Personal[str] = "alice@example.org"


class Cancelled(DomainEvent):
    total: Decimal
    reason: str


async def table_of(
    events: list[NewEvent], columns: PayloadColumns | dict[str, type | PayloadColumn]
) -> pa.Table:
    store, sink = InMemoryEventStore(InMemoryDatabase()), io.BytesIO()
    await store.append(STREAM, events)
    await export_events(store, sink, columns=columns)
    return parquet.read_table(pa.BufferReader(sink.getvalue()))


async def values_of(payload: object, column: type | PayloadColumn) -> Any:
    raw = payload if isinstance(payload, bytes) else to_json(payload)
    table = await table_of([new_event(payload=raw)], {"value": column})
    return table.column("value").to_pylist()[0]


async def test_declared_fields_become_typed_columns() -> None:
    placed = RichlyPlaced(
        reference=UUID(int=7),
        total=Decimal("12345678901234567890.0000000001"),
        count=2**63 - 1,
        share=0.1,
        is_gift=True,
        placed_on=date(2026, 2, 28),
        due_at=MOMENT,
        address=Address(city="Zürich", lines=("a", "b"), parent=Address(city="")),
    )
    cancelled = Cancelled(total=Decimal("-0.10"), reason="late")
    table = await table_of(
        [serialize_event(placed), serialize_event(cancelled)],
        PayloadColumns.of(RichlyPlaced, Cancelled),
    )
    first, second = table.to_pylist()
    assert {name: first[name] for name in table.column_names[14:]} == {
        "reference": str(UUID(int=7)),
        "total": Decimal("12345678901234567890.0000000001"),
        "price": Decimal("0.50"),
        "count": 2**63 - 1,
        "share": 0.1,
        "is_gift": True,
        "placed_on": date(2026, 2, 28),
        "due_at": MOMENT,
        "channel": "shop",
        "level": 1,
        "mixed": '"some"',
        "kind": "a",
        "address_city": "Zürich",
        "address_lines": '["a","b"]',
        "address_parent": '{"city":"","lines":[],"parent":null}',
        "tags": "[]",
        "either": "0",
        "payload_version": 3,
        "email": "alice@example.org",
        "reason": None,
    }
    assert (second["total"], second["reason"]) == (Decimal("-0.10"), "late")
    assert [second[name] for name in ("reference", "count", "address_city", "tags")] == [None] * 4
    assert table.schema.field("price").type == pa.decimal128(6, 2)


async def test_a_shredded_value_is_null() -> None:
    assert await values_of({"value": Shredded("alice").to_json_value()}, str) is None


async def test_other_events_are_not_looked_into() -> None:
    columns = PayloadColumns.of(Cancelled)
    table = await table_of([new_event("Other", payload=b'{"total": {"no": "number"}}')], columns)
    assert table.column("total").to_pylist() == [None]


async def test_a_value_deeper_in_the_payload_is_found() -> None:
    column = PayloadColumn(str, path=("a", "b"))
    assert await values_of({"a": {"b": "here"}}, column) == "here"
    assert await values_of({"a": ["b"]}, column) is None


@settings(max_examples=30, deadline=None)
@given(
    number=st.decimals(
        allow_nan=False, allow_infinity=False, places=10, min_value=-(10**18), max_value=10**18
    )
)
async def test_decimals_stay_exact_as_text_and_as_numbers(number: Decimal) -> None:
    assert await values_of({"value": str(number)}, Decimal) == number
    assert await values_of(f'{{"value": {number:f}}}'.encode(), Decimal) == number


@pytest.mark.parametrize("text", ["1E+3", "0E-30", "1.50000000000000000", "-0", "9" * 28])
async def test_decimals_of_any_spelling_are_kept(text: str) -> None:
    assert await values_of({"value": text}, Decimal) == Decimal(text)


@pytest.mark.parametrize(
    "payload, column, reason",
    [
        (b'{"value": "0.00000000001"}', Decimal, "needs more digits"),
        (b'{"value": "9e28"}', Decimal, "needs more digits"),
        (b'{"value": "1e999999999"}', Decimal, "needs more digits"),
        (b'{"value": "0.01"}', PayloadColumn(Decimal, precision=4, scale=1), "needs more digits"),
        (b'{"value": "NaN"}', Decimal, "no finite number"),
        (b'{"value": "secret"}', Decimal, "no Decimal"),
        (b'{"value": true}', Decimal, "no number"),
        (b'{"value": 9223372036854775808}', int, "more than 64 bits"),
        (b'{"value": 1.5}', int, "no whole number"),
        (b'{"value": "1"}', int, "no whole number"),
        (b'{"value": 1}', str, "no text"),
        (b'{"value": 1}', bool, "neither true nor false"),
        (b'{"value": "1"}', float, "no number"),
        (b'{"value": "2026-01-01T00:00:00"}', datetime, "without a zone"),
        (b'{"value": "secret"}', datetime, "no datetime"),
        (b'{"value": "secret"}', date, "no date"),
        (b'{"value": "secret"}', UUID, "no UUID"),
    ],
)
async def test_a_value_that_does_not_fit_is_refused(
    payload: bytes, column: type | PayloadColumn, reason: str
) -> None:
    with pytest.raises(ExportValueError, match=reason) as caught:
        await values_of(payload, column)
    assert (caught.value.position, caught.value.column) == (1, "value")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "payload, column, value",
    [
        (b'{"value": 3.0}', int, 3),
        (b'{"value": 3}', float, 3.0),
        (b'{"value": "2026-01-01T01:00:00+01:00"}', datetime, datetime(2026, 1, 1, tzinfo=UTC)),
        (b'{"value": {"a": [1.5, null]}}', dict, '{"a":[1.5,null]}'),
        (b'{"value": null}', int, None),
        (b"{}", int, None),
    ],
)
async def test_a_value_is_read_as_json_means_it(payload: bytes, column: type, value: Any) -> None:
    assert await values_of(payload, column) == value


class _WithReason(EventUpcaster):
    event_type = "Cancelled"
    source_version = 1

    def upcast(self, payload: dict[str, Any]) -> dict[str, Any]:
        return {"total": Decimal(payload["amount"]), "reason": "unknown"}


class CancelledToday(Cancelled):
    event_type = "Cancelled"
    schema_version = 2


async def test_older_events_are_read_through_upcasters_or_not_at_all() -> None:
    older = new_event("Cancelled", schema_version=1, payload=b'{"amount": "1.10"}')
    with pytest.raises(ExportValueError, match="version 1 and not 2; give the columns upcasters"):
        await table_of([older], PayloadColumns.of(CancelledToday))
    upcasters = UpcasterRegistry([_WithReason()])
    (row,) = (
        await table_of([older], PayloadColumns.of(CancelledToday, upcasters=upcasters))
    ).to_pylist()
    assert (row["total"], row["reason"]) == (Decimal("1.10"), "unknown")
    assert (row["payload"], row["schema_version"]) == ('{"amount": "1.10"}', 1)


def test_two_events_share_a_column_only_when_its_type_is_the_same() -> None:
    class Refunded(DomainEvent):
        total: int

    with pytest.raises(ConfigurationError, match="'total' is Decimal in Cancelled and int in Ref"):
        PayloadColumns.of(Cancelled, Refunded)


@pytest.mark.parametrize(
    "column",
    [
        lambda: PayloadColumn(list),
        lambda: PayloadColumn(Decimal, precision=39),
        lambda: PayloadColumn(Decimal, precision=4, scale=5),
        lambda: PayloadColumns({"position": int}),
    ],
)
def test_columns_that_cannot_be_are_refused(column: Any) -> None:
    with pytest.raises(ConfigurationError, match="column"):
        column()
