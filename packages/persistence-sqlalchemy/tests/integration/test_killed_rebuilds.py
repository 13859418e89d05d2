"""Rebuilders that are killed, and readers that stand in the way of a swap."""

from __future__ import annotations

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from sqlalchemy import BigInteger, Column, Index, MetaData, Table, Text

from cqrs_ddd_advanced_core.testing import RebuildSubject
from cqrs_ddd_advanced_core.testing.projection._suite import CUSTOMERS, ShopProjector
from cqrs_ddd_advanced_core.testing.rebuild._suite import RebuiltShop, ShopProjectorV2
from cqrs_ddd_core.domain.query_options import QueryOptions
from cqrs_ddd_persistence_sqlalchemy import (
    SQLAlchemyEventStore,
    SQLAlchemyProjectionStore,
)
from cqrs_ddd_persistence_sqlalchemy.types import ExactDecimal

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

PROGRAM: Final = Path(__file__).with_name("dying_program.py")
SHORT: Final = [("serve", 1, "after")]
LONG: Final = [
    ("apply", 2, "before"),
    ("advance", 3, "after"),
    ("pause", 1, "after"),
    *(("_commit", number, when) for number in range(1, 6) for when in ("before", "after")),
    *(("apply", number, "after") for number in range(1, 6)),
    *((where, 1, when) for where in ("rename", "resume") for when in ("before", "after")),
    ("set_position", 1, "after"),
    ("set_position", 2, "before"),
    ("serve", 1, "before"),
]


@pytest.mark.parametrize(
    "point",
    [*SHORT, *(pytest.param(point, marks=pytest.mark.fault) for point in LONG)],
    ids=lambda point: "-".join(map(str, point)),
)
async def test_a_killed_rebuild_harms_nobody_and_goes_on(
    engine: AsyncEngine, point: tuple[str, int, str]
) -> None:
    """F36: what serves is whole after the kill, and the next call ends it."""
    shop = _shop(engine)
    for number in range(4):
        await shop.buy(f"b-{number}", 10)
    await shop.catch_up()
    before, expected = await shop.rows(), await shop.fold()
    await _run_killed(engine, point)
    assert await shop.rows() == before == expected
    serving = await shop.serving()
    await shop.buy("b-1")
    projector = ShopProjector() if serving == 1 else ShopProjectorV2()
    await shop.catch_up(projector)
    assert await shop.rows() == await shop.fold()
    if serving == 1:
        found = await shop.rebuilder(lease_seconds=0.5).rebuild("shop")
        assert found is not None
        assert found.is_equal
    assert await shop.serving() == 2
    assert await shop.rows() == await shop.fold()


async def test_a_swap_gives_way_to_a_long_reader(postgres_engine: AsyncEngine) -> None:
    """Others read meanwhile, instead of waiting behind it; it is done when the reader ends."""
    shop = _shop(postgres_engine)
    await shop.open()
    rebuilder = shop.rebuilder()
    await rebuilder.build("shop")
    async with postgres_engine.connect() as reader:
        await reader.exec_driver_sql("SELECT count(*) FROM customers")
        swapping = asyncio.create_task(rebuilder.swap("shop", unverified_because="a test"))
        for _ in range(20):
            async with asyncio.timeout(5):
                assert len(await shop.store.query(CUSTOMERS, QueryOptions())) == 3
            await asyncio.sleep(0.02)
        assert not swapping.done()
        await reader.rollback()
    await swapping
    assert await shop.serving() == 2
    assert await shop.rows() == await shop.fold()


async def test_tables_of_the_user_are_rebuilt_and_swapped(engine: AsyncEngine) -> None:
    metadata = MetaData()
    table = Table(
        "shop_customers",
        metadata,
        Column("tenant_id", Text, primary_key=True),
        Column("name", Text, primary_key=True),
        Column("purchases", BigInteger, nullable=False),
        Column("total", ExactDecimal, nullable=False),
        Column("_version", BigInteger, nullable=False),
        Column("_last_position", BigInteger, nullable=False),
        Index("ix_shop_customers_total", "total"),
    )
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    store = SQLAlchemyProjectionStore(engine, tables={"customers": table})
    shop = RebuiltShop(RebuildSubject(store, SQLAlchemyEventStore(engine)))
    await shop.open()
    for projector in (ShopProjector(), ShopProjectorV2(), ShopProjectorV2()):
        await shop.spoil()
        await shop.rebuilder(projector).rebuild("shop", unverified_because="a row was spoilt")
        assert await shop.rows() == await shop.fold()
    await shop.rebuilder(ShopProjectorV2()).roll_back("shop", version=2)


def _shop(engine: AsyncEngine) -> RebuiltShop:
    return RebuiltShop(
        RebuildSubject(SQLAlchemyProjectionStore(engine), SQLAlchemyEventStore(engine))
    )


async def _run_killed(engine: AsyncEngine, point: tuple[str, int, str]) -> None:
    url = engine.url.render_as_string(hide_password=False)
    where, number, when = point
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(PROGRAM),
        "rebuild",
        url,
        where,
        str(number),
        when,
        stdout=PIPE,
        stderr=PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode == -signal.SIGKILL, (output, errors.decode())
