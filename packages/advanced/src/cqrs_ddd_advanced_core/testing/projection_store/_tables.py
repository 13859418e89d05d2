"""Tables are made, compared, renamed and removed."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from cqrs_ddd_advanced_core.domain.projection_exceptions import ProjectionSchemaMismatchError
from cqrs_ddd_advanced_core.ports.projection_schema import ProjectionColumn
from cqrs_ddd_advanced_core.testing.projection_store._suite import (
    EVERYTHING,
    ORDERS,
    ProjectionStoreSuite,
    apply,
    change,
    row_of,
)
from cqrs_ddd_core.correlation import message_context
from cqrs_ddd_core.primitives.exceptions import PersistenceError

if TYPE_CHECKING:
    from cqrs_ddd_advanced_core.ports.projection_schema import ProjectionSchema
    from cqrs_ddd_advanced_core.ports.projection_store import IProjectionStore

__all__ = ["TableTests"]

_NEW = ORDERS.named("orders__v2")
_OLD = ORDERS.named("orders__old")


class TableTests(ProjectionStoreSuite):
    """Tables are made, compared, renamed and removed."""

    async def test_ensuring_again_changes_nothing(self, store: IProjectionStore) -> None:
        """S-20."""
        await apply(store, change(1, customer="Ada"))
        for schema in (ORDERS, EVERYTHING, ORDERS):
            await store.ensure(schema)
        assert await row_of(store, "o-1", "customer") == ("Ada",)

    async def test_many_may_ensure_at_once(self, store: IProjectionStore) -> None:
        assert not await store.exists(_NEW)
        await asyncio.gather(*(store.ensure(_NEW) for _ in range(6)))
        assert await store.exists(_NEW)
        await store.drop(_NEW)

    @pytest.mark.parametrize(
        "schema",
        [
            replace(ORDERS, columns={**ORDERS.columns, "more": ProjectionColumn(int)}),
            replace(ORDERS, columns={k: v for k, v in ORDERS.columns.items() if k != "note"}),
            replace(ORDERS, columns={**ORDERS.columns, "lines": ProjectionColumn(str)}),
            replace(ORDERS, columns={**ORDERS.columns, "note": ProjectionColumn(str)}),
            replace(ORDERS, key=("id", "customer")),
        ],
        ids=["another column", "a column less", "another type", "not nullable", "another key"],
    )
    async def test_a_table_that_looks_different_is_refused(
        self, store: IProjectionStore, schema: ProjectionSchema
    ) -> None:
        with pytest.raises(ProjectionSchemaMismatchError) as raised:
            await store.ensure(schema)
        assert raised.value.table == "orders"
        assert raised.value.differences

    async def test_a_removed_table_is_gone_with_all_rows(self, store: IProjectionStore) -> None:
        with message_context(tenant_id="a"):
            await apply(store, change(1, customer="Ada"))
        await store.drop(ORDERS)
        await store.drop(ORDERS)
        assert not await store.exists(ORDERS)
        await store.ensure(ORDERS)
        with message_context(tenant_id="a"):
            assert await store.count(ORDERS) == 0

    async def test_tables_change_places(self, store: IProjectionStore) -> None:
        """What a rebuild ends with."""
        await store.ensure(_NEW)
        await apply(store, change(1, customer="old"))
        await apply(store, change(9, customer="new", total=Decimal(1)), schema=_NEW)
        async with store.unit_of_work():
            await store.rename([("orders", _OLD.name), (_NEW.name, "orders")])
        assert await row_of(store, "o-1", "customer") == ("new",)
        old = await store.fetch(_OLD, [("o-1",)])
        assert old["o-1",]["customer"] == "old"
        assert not await store.exists(_NEW)
        await store.ensure(ORDERS)
        assert list(await apply(store, change(9, customer="again"))) == [("o-1",)]
        # And back, and once more: names of indexes and constraints do not get in the way.
        async with store.unit_of_work():
            await store.rename([("orders", _NEW.name), (_OLD.name, "orders")])
        assert await row_of(store, "o-1", "customer") == ("old",)
        await store.ensure(_OLD)
        for schema in (_NEW, _OLD):
            await store.drop(schema)

    async def test_a_table_that_is_not_there_cannot_be_renamed(
        self, store: IProjectionStore
    ) -> None:
        with pytest.raises(PersistenceError):
            async with store.unit_of_work():
                await store.rename([("unknown", "other")])

    async def test_a_table_takes_no_name_that_is_taken(self, store: IProjectionStore) -> None:
        with pytest.raises(PersistenceError):
            async with store.unit_of_work():
                await store.rename([("orders", "pairs")])
        assert await store.count(ORDERS) == 0
