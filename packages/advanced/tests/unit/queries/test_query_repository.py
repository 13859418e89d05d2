"""What a query repository asks its store for, waits for, and refuses to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field

from cqrs_ddd_advanced_core.adapters.memory import InMemoryProjectionStore
from cqrs_ddd_advanced_core.domain.projection_exceptions import (
    ProjectionDefinitionError,
    ProjectionLagError,
    ProjectionValueError,
)
from cqrs_ddd_advanced_core.ports import ProjectionColumn, ProjectionSchema, Row, RowChange
from cqrs_ddd_advanced_core.queries import QueryRepository
from cqrs_ddd_core.domain import QueryOptions
from cqrs_ddd_core.primitives.exceptions import ConfigurationError


class Status(StrEnum):
    OPEN = "open"


ORDERS = ProjectionSchema(
    "orders",
    {
        "order_id": ProjectionColumn(str),
        "customer": ProjectionColumn(str, nullable=True),
        "total": ProjectionColumn(Decimal, default=Decimal(0)),
        "status": ProjectionColumn(str, default="open"),
        "lines": ProjectionColumn(list, default=[]),
    },
    key=("order_id",),
)


@dataclass(frozen=True)
class Order:
    order_id: str
    total: Decimal


class RecordingStore(InMemoryProjectionStore):
    """Notes what it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[QueryOptions] = []

    async def query(self, schema: ProjectionSchema, options: QueryOptions) -> list[Row]:
        self.asked.append(options)
        return await super().query(schema, options)


@pytest.fixture
async def store() -> RecordingStore:
    return await filled(5)


async def filled(count: int, **values: Any) -> RecordingStore:
    store = RecordingStore()
    await store.ensure(ORDERS)
    rows = [
        RowChange((f"o-{number}",), number, number, sets={"total": Decimal(number), **values})
        for number in range(1, count + 1)
    ]
    async with store.unit_of_work():
        await store.apply(ORDERS, rows)
    return store


async def test_only_the_columns_of_the_object_and_its_order_are_read(
    store: RecordingStore,
) -> None:
    await QueryRepository(store, ORDERS, Order).query(QueryOptions().with_ordering("-status"))
    assert store.asked[0].fields == ("order_id", "total", "status")
    assert store.asked[0].key == ("order_id",)


async def test_a_page_reads_one_row_more_than_it_has(store: RecordingStore) -> None:
    orders = QueryRepository(store, ORDERS, Order, page_size=3)
    page = await orders.page()
    assert (len(page), page.has_more) == (3, True)
    assert [options.limit for options in store.asked] == [4]
    assert (await orders.page(QueryOptions(limit=5))).has_more is False


async def test_a_stream_holds_one_batch(store: RecordingStore) -> None:
    """G11."""
    orders = QueryRepository(store, ORDERS, Order)
    assert [order.total async for order in orders.stream(batch_size=2)] == [1, 2, 3, 4, 5]
    assert [(options.limit, options.offset) for options in store.asked] == [(2, 0)] * 3
    store.asked.clear()
    limited = orders.stream(QueryOptions(limit=3), batch_size=2)
    assert [order.total async for order in limited] == [1, 2, 3]
    assert [options.limit for options in store.asked] == [2, 1]


async def test_a_subclass_gives_questions_names(store: RecordingStore) -> None:
    class Orders(QueryRepository[Order]):
        async def dearest(self) -> Order | None:
            return await self.first(QueryOptions().with_ordering("-total"))

    assert await Orders(store, ORDERS, Order).dearest() == Order("o-5", Decimal(5))


# --- waiting --------------------------------------------------------------------------------------


async def test_every_question_waits_for_a_position_first(store: RecordingStore) -> None:
    waited: list[tuple[int, float]] = []

    async def catch_up(position: int, *, timeout: float) -> None:
        assert not store.asked
        waited.append((position, timeout))

    orders = QueryRepository(store, ORDERS, Order, catch_up=catch_up)
    await orders.get("o-1", after=1, timeout=2)
    await orders.get_many(["o-1"], after=2)
    await orders.read_as(Order).count(after=3)
    for ask in (orders.query, orders.first, orders.page, orders.rows, orders.exists):
        await ask(after=4, timeout=0.5)
        store.asked.clear()
    assert [order async for order in orders.stream(after=5)]
    assert [position for position, _ in waited] == [1, 2, 3, *[4] * 5, 5]
    assert {timeout for _, timeout in waited} == {2, 5.0, 0.5}
    await orders.query(after=None)
    assert len(waited) == 9


async def test_what_does_not_show_in_time_is_an_error(store: RecordingStore) -> None:
    async def catch_up(position: int, *, timeout: float) -> None:
        raise ProjectionLagError("orders", position, 0, timeout)

    orders = QueryRepository(store, ORDERS, Order, catch_up=catch_up)
    with pytest.raises(ProjectionLagError):
        await orders.query(after=9)
    assert not store.asked


async def test_a_position_is_never_ignored(store: RecordingStore) -> None:
    with pytest.raises(ConfigurationError, match="catch_up"):
        await QueryRepository(store, ORDERS, Order).query(after=9)


# --- objects --------------------------------------------------------------------------------------


def test_a_field_that_is_no_column_is_refused() -> None:
    @dataclass(frozen=True)
    class Wrong:
        order_id: str
        price: Decimal = Decimal(0)

    with pytest.raises(ProjectionDefinitionError, match=r"Wrong\.price is no column of orders"):
        QueryRepository(InMemoryProjectionStore(), ORDERS, Wrong)


def test_a_field_that_cannot_be_none_as_its_column_is_refused() -> None:
    class Wrong(BaseModel):
        customer: str

    with pytest.raises(ProjectionDefinitionError, match="cannot be None"):
        QueryRepository(InMemoryProjectionStore(), ORDERS, Wrong)


@pytest.mark.parametrize("wrong", [dict, object, Mapping, Order("x", Decimal(1))])
def test_what_is_no_class_with_fields_is_refused(wrong: Any) -> None:
    with pytest.raises(ProjectionDefinitionError, match="dataclass or pydantic model"):
        QueryRepository(InMemoryProjectionStore(), ORDERS, wrong)


@dataclass(frozen=True)
class Line:
    product: str
    price: Decimal


@dataclass(frozen=True, kw_only=True)
class Named:
    order_id: str
    status: Status
    lines: tuple[Line, ...] = ()
    total: Any = None
    label: str = field(default="", init=False)


class Modelled(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    order_id: str = Field(alias="orderId")
    status: Status
    lines: list[Line]


@dataclass(frozen=True)
class Single:
    total: Decimal


async def test_classes_of_every_kind_are_read() -> None:
    store = await filled(1, lines=[{"product": "p", "price": "9.50"}])
    line = Line("p", Decimal("9.50"))
    assert await QueryRepository(store, ORDERS, Named).query() == [
        Named(order_id="o-1", status=Status.OPEN, lines=(line,), total=Decimal(1))
    ]
    assert await QueryRepository(store, ORDERS, Modelled).query() == [
        Modelled.model_validate({"orderId": "o-1", "status": "open", "lines": [line]})
    ]
    assert await QueryRepository(store, ORDERS, Single).query() == [Single(Decimal(1))]


@pytest.mark.parametrize("dto", [Named, Modelled])
async def test_a_row_that_does_not_fit_is_an_error_that_does_not_quote_it(dto: type[Any]) -> None:
    store = await filled(1, status="secret-value", lines=[{"product": "secret-value"}])
    with pytest.raises(ProjectionValueError, match="cannot be read as") as caught:
        await QueryRepository(store, ORDERS, dto).query()
    assert "secret-value" not in str(caught.value)
    assert caught.value.__cause__ is None
