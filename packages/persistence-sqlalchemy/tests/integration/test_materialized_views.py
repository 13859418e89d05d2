"""Materialised views are whole, say how fresh they are, and are refreshed by one at a time."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Column, Integer, MetaData, Table, Text, func, select, text

from cqrs_ddd_advanced_core.domain.projection_exceptions import (
    ProjectionDefinitionError,
    ProjectionLagError,
    UnknownProjectionError,
)
from cqrs_ddd_advanced_core.ports.checkpoint_store import CheckpointKey, CheckpointState
from cqrs_ddd_advanced_core.ports.projection_schema import ProjectionColumn, ProjectionSchema
from cqrs_ddd_advanced_core.projections import projection_topic
from cqrs_ddd_advanced_core.queries import QueryRepository
from cqrs_ddd_core.adapters.memory import InMemoryWakeUp
from cqrs_ddd_core.correlation import message_context
from cqrs_ddd_core.domain.query_options import QueryOptions
from cqrs_ddd_core.domain.specification import SpecificationBuilder
from cqrs_ddd_core.ports.event_store import StreamId
from cqrs_ddd_core.ports.wake_up import EVENTS_TOPIC
from cqrs_ddd_core.primitives.exceptions import (
    ConfigurationError,
    PersistenceError,
    SpecificationValueError,
    TransientPersistenceError,
    UniqueViolationError,
    UnitOfWorkError,
    UnknownFieldError,
)
from cqrs_ddd_core.primitives.retry import ExponentialBackoff
from cqrs_ddd_core.testing.samples import AWKWARD_TEXT, MOMENT, new_event
from cqrs_ddd_persistence_sqlalchemy import (
    SQLAlchemyCheckpointStore,
    SQLAlchemyEventStore,
    SQLAlchemyUnitOfWork,
    create_engine,
)
from cqrs_ddd_persistence_sqlalchemy.materialized_view import (
    MaterializedView,
    MaterializedViewRefresher,
    MaterializedViews,
    RefreshPolicy,
)
from cqrs_ddd_persistence_sqlalchemy.types import ExactDecimal

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

#: Due at once, and again at once.
EAGER = RefreshPolicy(min_interval=0, settle=0, max_delay=0)

orders = Table(
    "orders",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("tenant_id", Text, nullable=False, server_default=""),
    Column("country", Text),
    Column("total", ExactDecimal, nullable=False),
)


@dataclass(frozen=True)
class CountrySales:
    country: str
    orders: int
    total: Decimal


SCHEMA = ProjectionSchema.of(
    CountrySales, key="country", indexes=[("orders",)], searched=["country"]
)
DEFINITION = select(
    orders.c.country,
    func.count().label("orders"),
    func.max(orders.c.total).label("total"),
).group_by(orders.c.country)
VIEW = MaterializedView(SCHEMA, DEFINITION, policy=EAGER)


@pytest.fixture
async def shop(engine: AsyncEngine) -> AsyncEngine:
    async with engine.begin() as connection:
        await connection.run_sync(orders.metadata.create_all)
    return engine


async def place(
    shop: AsyncEngine, country: str, *, total: str = "1.10", event_type: str = "Placed"
) -> int:
    """Write an order and its event together, and return the event's position."""
    async with SQLAlchemyUnitOfWork(shop) as uow:
        await uow.session.execute(
            orders.insert().values(
                country=country, total=Decimal(total), tenant_id=tenant_of_context()
            )
        )
        result = await SQLAlchemyEventStore(shop).append(
            StreamId("Order", country), [new_event(event_type)]
        )
    return result.position


def tenant_of_context() -> str:
    from cqrs_ddd_core.correlation import get_context  # noqa: PLC0415

    return get_context().tenant_id


def repository(views: MaterializedViews) -> QueryRepository[CountrySales]:
    return QueryRepository(views, SCHEMA, CountrySales, catch_up=views.catch_up(SCHEMA.name))


async def shown(views: MaterializedViews) -> dict[str, int]:
    return {one.country: one.orders for one in await repository(views).query()}


async def run(shop: AsyncEngine, statement: str) -> Any:
    async with shop.begin() as connection:
        result = await connection.execute(text(statement))
        return result.scalar() if result.returns_rows else None


# --- what it shows --------------------------------------------------------------------------------


async def test_a_view_is_built_and_refreshed_and_says_how_fresh_it_is(shop: AsyncEngine) -> None:
    views = MaterializedViews(shop, [VIEW])
    first = await place(shop, "CH", total="12.30")
    before = await views.status("country_sales")
    assert (before.is_fresh, before.refreshed_at, before.position, before.head) == (
        False,
        None,
        0,
        first,
    )
    await views.refresh("country_sales")
    assert await repository(views).get("CH") == CountrySales("CH", 1, Decimal("12.30"))
    fresh = await views.status("country_sales")
    assert (fresh.is_fresh, fresh.position, fresh.stale_since) == (True, first, None)
    await place(shop, "CH")
    second = await place(shop, "DE")
    stale = await views.status("country_sales")
    assert (stale.is_fresh, stale.position, stale.head) == (False, first, second)
    assert await shown(views) == {"CH": 1}
    await views.refresh("country_sales")
    assert await shown(views) == {"CH": 2, "DE": 1}
    assert (await views.status("country_sales")).position == second


async def test_a_definition_may_be_sql_text_and_end_with_a_comment(shop: AsyncEngine) -> None:
    definition = (
        "SELECT country, count(*) AS orders, max(total) AS total FROM orders "
        "WHERE country <> '$1 %s :x' GROUP BY country; -- the end"
    ).replace("; --", " --")
    views = MaterializedViews(shop, [replace(VIEW, definition=definition)])
    await place(shop, "CH")
    await views.refresh("country_sales")
    assert await shown(views) == {"CH": 1}


async def test_names_that_are_words_of_sql_and_awkward_values_are_quoted(shop: AsyncEngine) -> None:
    @dataclass(frozen=True)
    class Group:
        order: str
        select: int

    schema = ProjectionSchema.of(Group, key="order", name="group")
    definition = (
        select(orders.c.country.label("order"), func.count().label("select"))
        .where(orders.c.country != "'; DROP TABLE orders; --", orders.c.country == AWKWARD_TEXT)
        .group_by(orders.c.country)
    )
    views = MaterializedViews(shop, [MaterializedView(schema, definition)])
    await place(shop, AWKWARD_TEXT)
    for _ in range(2):
        await views.refresh("group")
    assert await views.query(schema, QueryOptions()) == [{"order": AWKWARD_TEXT, "select": 1}]


async def test_every_kind_of_column_is_read_back_as_it_was(shop: AsyncEngine) -> None:
    @dataclass(frozen=True)
    class Everything:
        id: UUID
        flag: bool
        number: int
        share: float
        price: Decimal
        words: str | None
        raw: bytes
        at: datetime
        day: date
        details: dict[str, Any]

    schema = ProjectionSchema.of(Everything, key="id")
    table = MaterializedViews(shop, [MaterializedView(schema, "SELECT 1")]).table("everything")
    source = table.to_metadata(MetaData(), name="source")
    row = Everything(
        UUID(int=7),
        flag=True,
        number=2**62,
        share=0.1,
        price=Decimal("12345678901234567890.10"),
        words=None,
        raw=b"\x00\xff",
        at=MOMENT,
        day=date(2026, 2, 28),
        details={"a": [1, None, AWKWARD_TEXT]},
    )
    async with shop.begin() as connection:
        await connection.run_sync(source.create)
        await connection.execute(source.insert().values(vars(row)))
    views = MaterializedViews(shop, [MaterializedView(schema, select(source))])
    for _ in range(2):
        await views.refresh("everything")
    assert await QueryRepository(views, schema, Everything).get(UUID(int=7)) == row


async def test_a_view_is_queried_like_any_other_read_model(shop: AsyncEngine) -> None:
    views = MaterializedViews(shop, [VIEW])
    for country, count in (("CH", 3), ("DE", 1), ("FR", 2)):
        for _ in range(count):
            await place(shop, country)
    await views.refresh("country_sales")
    found = repository(views)
    many = SpecificationBuilder().where("orders", ">", 1).build()
    assert [one.country for one in await found.query(many)] == ["CH", "FR"]
    page = await found.page(QueryOptions().with_ordering("-orders").with_pagination(limit=2))
    assert [one.country for one in page.items] == ["CH", "FR"]
    assert await found.count(many) == 2
    assert set(await found.get_many(["DE", "XX"])) == {"DE"}
    assert await found.count(SpecificationBuilder().where("country", "fts", "de").build()) == 1
    with pytest.raises(UnknownFieldError):
        await found.query(SpecificationBuilder().where("secret", "=", 1).build())
    with pytest.raises(SpecificationValueError):
        await found.query(SpecificationBuilder().where("orders", "=", "many").build())
    with pytest.raises(UnknownProjectionError, match="country_sales"):
        await views.query(SCHEMA.named("other"), QueryOptions())


async def test_rows_are_seen_by_their_tenant_only(shop: AsyncEngine) -> None:
    definition = select(
        orders.c.tenant_id,
        orders.c.country,
        func.count().label("orders"),
        func.max(orders.c.total).label("total"),
    ).group_by(orders.c.tenant_id, orders.c.country)
    view = replace(VIEW, definition=definition, tenant_column="tenant_id")
    views = MaterializedViews(shop, [view], tenants=["acme", "globex"])
    position = 0
    for tenant_id, count in (("acme", 2), ("globex", 1)):
        with message_context(tenant_id=tenant_id):
            for _ in range(count):
                position = await place(shop, "CH")
    await views.refresh("country_sales")
    for tenant_id, count in (("acme", 2), ("globex", 1), ("other", 0)):
        with message_context(tenant_id=tenant_id):
            assert await shown(views) == ({"CH": count} if count else {})
            assert await repository(views).count() == min(count, 1)
            assert await views.fetch(SCHEMA, [("CH",)]) != {} or not count
            status = await views.status("country_sales")
            assert status.is_fresh
        with pytest.raises(UnknownFieldError):
            await repository(views).count(
                SpecificationBuilder().where("tenant_id", "=", "").build()
            )
    with message_context(tenant_id="globex"):
        assert (await views.status("country_sales")).position == position


async def test_a_view_without_a_tenant_column_is_refused_to_tenants(shop: AsyncEngine) -> None:
    views = MaterializedViews(shop, [VIEW])
    await views.refresh("country_sales")
    with message_context(tenant_id="acme"), pytest.raises(ConfigurationError, match="everybody's"):
        await views.query(SCHEMA, QueryOptions())


# --- refreshing -----------------------------------------------------------------------------------


async def test_readers_see_all_of_a_refresh_or_nothing(shop: AsyncEngine) -> None:
    views = MaterializedViews(shop, [VIEW])
    counts: set[int] = set()
    for number in range(3):
        await place(shop, f"C{number}")
    await views.refresh("country_sales")

    async def read() -> None:
        while not done.is_set():
            counts.add(len(await shown(views)))

    done = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(read())
        for round_ in range(5):
            view = replace(VIEW, version=round_ + 1)
            await MaterializedViews(shop, [view]).refresh("country_sales")
            await MaterializedViews(shop, [view]).refresh("country_sales")
        done.set()
    assert counts == {3}


async def test_a_refresh_that_fails_changes_nothing_and_is_visible(shop: AsyncEngine) -> None:
    views = MaterializedViews(shop, [VIEW], backoff=ExponentialBackoff(initial=60, jitter=0))
    await place(shop, "CH")
    await views.refresh("country_sales")
    double = replace(
        VIEW,
        version=2,
        definition="SELECT 'CH' AS country, 1 AS orders, '1' AS total FROM orders AS o, "
        "(SELECT 1 UNION ALL SELECT 2) AS two",
    )
    broken = MaterializedViews(shop, [double], backoff=ExponentialBackoff(initial=60, jitter=0))
    with pytest.raises(UniqueViolationError):
        await broken.refresh("country_sales")
    status = await broken.status("country_sales")
    assert (status.failures, status.version) == (1, 1)
    assert "UniqueViolationError" in (status.error or "")
    assert status.retry_at is not None
    visit = await broken.refresh_if_due("country_sales")
    assert not visit.is_done
    assert visit.seconds is not None
    assert 0 < visit.seconds <= 60
    assert await shown(views) == {"CH": 1}
    await views.refresh("country_sales")
    healed = await views.status("country_sales")
    assert (healed.failures, healed.error, healed.retry_at) == (0, None, None)


async def test_another_definition_is_built_beside_and_takes_its_place(shop: AsyncEngine) -> None:
    await place(shop, "CH")
    await MaterializedViews(shop, [VIEW]).refresh("country_sales")
    definition = DEFINITION.where(orders.c.country != "CH")
    changed = MaterializedViews(shop, [replace(VIEW, definition=definition)])
    assert (await changed.refresh_if_due("country_sales")).is_done
    assert await shown(changed) == {}
    assert (await changed.refresh_if_due("country_sales")) == (False, None)


async def test_the_highest_version_is_served_while_processes_of_both_run(shop: AsyncEngine) -> None:
    await place(shop, "CH")
    old = MaterializedViews(shop, [VIEW])
    await old.refresh("country_sales")
    new = MaterializedViews(
        shop, [replace(VIEW, version=2, definition=DEFINITION.where(text("1 = 0")))]
    )
    assert (await new.refresh_if_due("country_sales")).is_done
    await place(shop, "DE")
    assert await old.refresh_if_due("country_sales") == (False, None)
    with pytest.raises(ConfigurationError, match="another definition"):
        await old.refresh("country_sales")
    assert (await new.refresh_if_due("country_sales")).is_done
    assert await shown(new) == {}


async def test_of_one_version_the_process_that_came_last_is_served(shop: AsyncEngine) -> None:
    await place(shop, "CH")
    old = MaterializedViews(shop, [VIEW])
    assert (await old.refresh_if_due("country_sales")).is_done
    new = MaterializedViews(shop, [replace(VIEW, definition=DEFINITION.where(text("1 = 0")))])
    assert (await new.refresh_if_due("country_sales")).is_done
    await place(shop, "DE")
    assert await old.refresh_if_due("country_sales") == (False, None)
    assert (await new.refresh_if_due("country_sales")).is_done
    assert await shown(new) == {}


async def test_a_view_that_was_dropped_by_hand_is_built_again(shop: AsyncEngine) -> None:
    views = MaterializedViews(shop, [VIEW])
    await place(shop, "CH")
    await views.refresh("country_sales")
    kind = "TABLE" if shop.dialect.name == "sqlite" else "MATERIALIZED VIEW"
    await run(shop, f"DROP {kind} country_sales")
    await views.refresh("country_sales")
    assert await shown(views) == {"CH": 1}


async def test_a_table_of_somebody_else_is_not_replaced(shop: AsyncEngine) -> None:
    await run(shop, "CREATE TABLE country_sales (mine INTEGER)")
    await run(shop, "INSERT INTO country_sales VALUES (1)")
    with pytest.raises(PersistenceError, match="in the database already"):
        await MaterializedViews(shop, [VIEW]).refresh("country_sales")
    assert await run(shop, "SELECT mine FROM country_sales") == 1


async def test_a_view_is_not_refreshed_in_a_unit_of_work(shop: AsyncEngine) -> None:
    views = MaterializedViews(shop, [VIEW])
    async with SQLAlchemyUnitOfWork(shop):
        with pytest.raises(UnitOfWorkError, match="outside"):
            await views.refresh("country_sales")


async def test_of_many_refreshers_one_refreshes(shop: AsyncEngine) -> None:
    await place(shop, "CH")
    many = [MaterializedViews(shop, [VIEW]) for _ in range(5)]
    visits = await asyncio.gather(*(views.refresh_if_due("country_sales") for views in many))
    assert sum(visit.is_done for visit in visits) == 1
    await asyncio.gather(*(views.refresh("country_sales") for views in many))
    assert await shown(many[0]) == {"CH": 1}


async def test_a_refresh_under_way_is_left_alone_and_taken_over_when_it_dies(
    postgres_engine: AsyncEngine, postgres_database: str
) -> None:
    shop = postgres_engine
    async with shop.begin() as connection:
        await connection.run_sync(orders.metadata.create_all)
    await place(shop, "CH")
    slow = replace(
        VIEW, definition="SELECT country, 1 AS orders, 1 AS total FROM orders, pg_sleep(60)"
    )
    other = create_engine(postgres_database)
    dying = asyncio.create_task(MaterializedViews(other, [slow]).refresh("country_sales"))
    views = MaterializedViews(shop, [VIEW])
    sleeping = (
        "SELECT pid FROM pg_stat_activity WHERE query LIKE 'CREATE MAT%' AND state = 'active'"
    )
    while (pid := await run(shop, sleeping)) is None:  # noqa: ASYNC110 - of another connection
        await asyncio.sleep(0.02)
    assert await views.refresh_if_due("country_sales") == (False, None)
    await run(shop, f"SELECT pg_terminate_backend({pid})")
    with pytest.raises(PersistenceError):
        await dying
    await other.dispose()
    await views.refresh("country_sales")
    assert await shown(views) == {"CH": 1}


async def test_a_refresh_that_is_cancelled_changes_nothing(postgres_engine: AsyncEngine) -> None:
    """G10."""
    async with postgres_engine.begin() as connection:
        await connection.run_sync(orders.metadata.create_all)
    views = MaterializedViews(postgres_engine, [VIEW])
    await views.refresh("country_sales")
    definition = "SELECT '' AS country, 1 AS orders, 1 AS total FROM pg_sleep(60)"
    slow = replace(VIEW, version=2, definition=definition)
    task = asyncio.create_task(MaterializedViews(postgres_engine, [slow]).refresh("country_sales"))
    await asyncio.sleep(0.2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await views.refresh("country_sales")
    assert (await views.status("country_sales")).version == 1


KILLED = """
import asyncio, sys
from cqrs_ddd_advanced_core.ports.projection_schema import ProjectionColumn, ProjectionSchema
from cqrs_ddd_persistence_sqlalchemy import create_engine
from cqrs_ddd_persistence_sqlalchemy.materialized_view import (
    MaterializedView, MaterializedViews, _building
)

_building._DEATH_NOTICED_AFTER = 1
schema = ProjectionSchema("killed", {"id": ProjectionColumn(int)}, ("id",))
view = MaterializedView(schema, "SELECT 1 AS id FROM pg_sleep(100)")
asyncio.run(MaterializedViews(create_engine(sys.argv[1]), [view]).refresh("killed"))
"""


@pytest.mark.fault
async def test_the_view_of_a_process_that_is_killed_is_taken_over(
    postgres_engine: AsyncEngine, postgres_database: str
) -> None:
    process = subprocess.Popen([sys.executable, "-c", KILLED, postgres_database])  # noqa: ASYNC220
    sleeping = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'CREATE MAT%'"
    while await run(postgres_engine, sleeping) is None:  # noqa: ASYNC110 - of another process
        await asyncio.sleep(0.05)
    process.kill()
    process.wait()
    schema = ProjectionSchema("killed", {"id": ProjectionColumn(int)}, ("id",))
    view = MaterializedView(schema, "SELECT 2 AS id", policy=replace(EAGER, timeout=30))
    views = MaterializedViews(postgres_engine, [view])
    assert await views.refresh_if_due("killed") == (False, None)
    await views.refresh("killed")
    assert await views.query(schema, QueryOptions()) == [{"id": 2}]


async def test_a_refresh_that_takes_too_long_is_given_up(postgres_engine: AsyncEngine) -> None:
    policy = replace(EAGER, timeout=0.1)
    definition = "SELECT '' AS country, 1 AS orders, 1 AS total FROM pg_sleep(60)"
    views = MaterializedViews(
        postgres_engine, [replace(VIEW, definition=definition, policy=policy)]
    )
    with pytest.raises(TransientPersistenceError, match="timed out"):
        await views.refresh("country_sales")
    assert (await views.status("country_sales")).failures == 1


async def test_a_swap_gives_way_to_a_reader_that_takes_long(postgres_engine: AsyncEngine) -> None:
    async with postgres_engine.begin() as connection:
        await connection.run_sync(orders.metadata.create_all)
    await MaterializedViews(postgres_engine, [VIEW]).refresh("country_sales")
    changed = replace(VIEW, version=2, policy=replace(EAGER, lock_timeout=0.1))
    async with postgres_engine.begin() as reader:
        await reader.execute(text("SELECT * FROM country_sales"))
        with pytest.raises(TransientPersistenceError, match="lock"):
            await MaterializedViews(postgres_engine, [changed]).refresh("country_sales")
        await MaterializedViews(postgres_engine, [VIEW]).refresh("country_sales")
    await MaterializedViews(postgres_engine, [changed]).refresh("country_sales")


# --- what makes it stale --------------------------------------------------------------------------


async def test_only_events_that_concern_it_make_a_view_stale(shop: AsyncEngine) -> None:
    views = MaterializedViews(shop, [replace(VIEW, event_types=["Placed"])])
    await views.refresh("country_sales")
    other = await place(shop, "CH", event_type="Looked")
    assert await views.refresh_if_due("country_sales") == (False, None)
    assert (await views.status("country_sales")).is_fresh
    await views.wait_for("country_sales", other, timeout=0)
    position = await place(shop, "CH", event_type="Placed")
    assert not (await views.status("country_sales")).is_fresh
    with pytest.raises(ProjectionLagError, match=f"not at {position}"):
        await views.wait_for("country_sales", position, timeout=0)
    assert (await views.refresh_if_due("country_sales")).is_done
    await views.wait_for("country_sales", position, timeout=0)


async def test_what_passes_by_is_not_looked_through_again(
    shop: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "cqrs_ddd_persistence_sqlalchemy.materialized_view._keeping._WORTH_NOTING", 3
    )
    views = MaterializedViews(shop, [replace(VIEW, event_types=["Placed"])])
    await views.refresh("country_sales")
    for number in range(1, 5):
        await place(shop, "CH", event_type="Looked")
        await views.refresh_if_due("country_sales")
        assert (await views.status("country_sales")).position == (0 if number < 3 else 3)


async def test_a_view_of_a_projection_shows_what_the_projection_shows(shop: AsyncEngine) -> None:
    checkpoints = SQLAlchemyCheckpointStore(shop)
    keys = [CheckpointKey("orders", 1, number) for number in range(2)]
    newer = CheckpointKey("orders", 2)
    await checkpoints.ensure([*keys, newer])
    views = MaterializedViews(shop, [replace(VIEW, after=["orders"])])
    await views.refresh("country_sales")
    positions = [await place(shop, "CH") for _ in range(3)]
    assert await views.refresh_if_due("country_sales") == (False, None)
    first, second = await checkpoints.lease("worker", keys, seconds=60)
    first = await checkpoints.advance(first, positions[2])
    assert await views.refresh_if_due("country_sales") == (False, None)
    second = await checkpoints.advance(second, positions[1])
    assert (await views.refresh_if_due("country_sales")).is_done
    status = await views.status("country_sales")
    assert (status.position, status.head, status.is_fresh) == (positions[1], positions[2], False)
    await views.wait_for("country_sales", positions[1], timeout=0)
    with pytest.raises(ProjectionLagError):
        await views.wait_for("country_sales", positions[2], timeout=0)


async def test_a_view_follows_a_projection_to_the_tables_of_another_version(
    shop: AsyncEngine,
) -> None:
    checkpoints = SQLAlchemyCheckpointStore(shop)
    await checkpoints.ensure([CheckpointKey("orders", version) for version in (1, 2)])
    views = MaterializedViews(shop, [replace(VIEW, after=["orders"])])
    await place(shop, "CH")
    assert (await views.refresh_if_due("country_sales")).is_done
    assert await views.refresh_if_due("country_sales") == (False, None)
    async with SQLAlchemyUnitOfWork(shop) as uow:
        driver = await uow.driver_connection()
        await driver.execute("CREATE TABLE orders__v2 AS SELECT * FROM orders")
        await driver.execute("UPDATE orders__v2 SET country = 'DE'")
        await driver.execute("ALTER TABLE orders RENAME TO orders__v1")
        await driver.execute("ALTER TABLE orders__v2 RENAME TO orders")
        await checkpoints.serve("orders", 2)
    assert (await views.refresh_if_due("country_sales")).is_done
    assert await views.refresh_if_due("country_sales") == (False, None)
    assert await shown(views) == {"DE": 1}
    await run(shop, "DROP TABLE orders__v1")


async def test_a_projection_that_was_never_run_shows_nothing_yet(shop: AsyncEngine) -> None:
    views = MaterializedViews(shop, [replace(VIEW, after=["nobody"])])
    await place(shop, "CH")
    await views.refresh("country_sales")
    assert (await views.status("country_sales")).position == 0


async def test_an_inline_projection_shows_everything(shop: AsyncEngine) -> None:
    checkpoints = SQLAlchemyCheckpointStore(shop)
    await checkpoints.ensure([CheckpointKey("orders")])
    await checkpoints.set_position("orders", 1, 0, state=CheckpointState.INLINE)
    views = MaterializedViews(shop, [replace(VIEW, after=["orders"])])
    position = await place(shop, "CH")
    await views.refresh("country_sales")
    assert (await views.status("country_sales")).position == position


# --- debouncing -----------------------------------------------------------------------------------

seconds = st.floats(0, 1000)


@given(min_interval=seconds, settle=seconds, more=seconds, first=seconds, last=seconds)
def test_a_view_is_due_when_events_pause_not_too_often_and_not_too_late(
    min_interval: float, settle: float, more: float, first: float, last: float
) -> None:
    policy = RefreshPolicy(min_interval, settle, max(min_interval, settle) + more)
    refreshed_at = datetime(2026, 1, 1, tzinfo=UTC)
    stale_since = refreshed_at + timedelta(seconds=first)
    changed_at = stale_since + timedelta(seconds=last)
    due_at = policy.due_at(
        changed_at, refreshed_at=refreshed_at, stale_since=stale_since, changed_at=changed_at
    )
    just = timedelta(microseconds=2)
    assert due_at >= refreshed_at + timedelta(seconds=min_interval) - just
    assert due_at <= stale_since + timedelta(seconds=policy.max_delay) + just
    if due_at + just < stale_since + timedelta(seconds=policy.max_delay):
        assert due_at >= changed_at + timedelta(seconds=settle) - just


def test_a_clock_that_was_set_back_does_not_hold_a_view_up() -> None:
    policy, now = RefreshPolicy(min_interval=10, settle=1), datetime(2026, 1, 1, tzinfo=UTC)
    later = now + timedelta(days=1)
    assert policy.due_at(
        now, refreshed_at=later, stale_since=later, changed_at=later
    ) == now + timedelta(seconds=10)


@pytest.mark.parametrize(
    "times",
    [{"min_interval": -1}, {"settle": 61}, {"min_interval": 61}, {"timeout": 0}],
    ids=str,
)
def test_times_that_contradict_each_other_are_refused(times: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match="refresh policy"):
        RefreshPolicy(**times)


async def test_a_stale_view_waits_for_its_interval(shop: AsyncEngine) -> None:
    views = MaterializedViews(
        shop, [replace(VIEW, policy=RefreshPolicy(min_interval=50, settle=0))]
    )
    await views.refresh("country_sales")
    await place(shop, "CH")
    for _ in range(2):
        visit = await views.refresh_if_due("country_sales")
        assert not visit.is_done
        assert visit.seconds is not None
        assert 0 < visit.seconds <= 50


async def test_a_refresh_by_others_is_noticed(shop: AsyncEngine) -> None:
    one, other = (MaterializedViews(shop, [VIEW]) for _ in range(2))
    await one.refresh("country_sales")
    slow = MaterializedViews(shop, [replace(VIEW, policy=RefreshPolicy(settle=60))])
    await place(shop, "CH")
    assert not (await slow.refresh_if_due("country_sales")).is_done
    await other.refresh("country_sales")
    assert await slow.refresh_if_due("country_sales") == (False, None)


# --- the worker -----------------------------------------------------------------------------------


@asynccontextmanager
async def running(*refreshers: MaterializedViewRefresher) -> AsyncIterator[None]:
    for refresher in refreshers:
        await refresher.start()
    try:
        yield
    finally:
        for refresher in refreshers:
            await refresher.stop()


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(20):
        while not await condition():  # noqa: ASYNC110 - what is waited for is in a database
            await asyncio.sleep(0.02)


async def test_refreshers_keep_a_view_fresh(shop: AsyncEngine) -> None:
    views = MaterializedViews(shop, [VIEW])
    workers = [MaterializedViewRefresher(views, poll_interval=0.05) for _ in range(2)]
    position = 0
    async with running(*workers):
        for number in range(5):
            position = await place(shop, f"C{number % 3}")
        assert len(await repository(views).query(after=position, timeout=20)) == 3
    assert sum(worker.status.processed for worker in workers) >= 1


async def test_a_wake_up_is_as_good_as_a_poll(shop: AsyncEngine) -> None:
    views, wake_up = MaterializedViews(shop, [VIEW]), InMemoryWakeUp()
    worker = MaterializedViewRefresher(views, wake_up=wake_up, poll_interval=3600)
    refreshed = asyncio.Event()
    wake_up.listen(projection_topic("country_sales"), refreshed.set)
    async with running(worker), asyncio.timeout(30):
        await refreshed.wait()
        refreshed.clear()
        position = await place(shop, "CH")
        for _ in range(100):
            wake_up.announce(EVENTS_TOPIC)
        await refreshed.wait()
        await views.wait_for("country_sales", position, timeout=0)
    assert worker.status.runs < 10
    wake_up.announce(EVENTS_TOPIC)


async def built(views: MaterializedViews) -> bool:
    return (await views.status("country_sales")).refreshed_at is not None


async def test_a_view_that_is_not_due_yet_is_refreshed_when_it_is(shop: AsyncEngine) -> None:
    policy = RefreshPolicy(min_interval=0.3, settle=0.1, max_delay=0.5)
    views = MaterializedViews(shop, [replace(VIEW, policy=policy)])
    worker = MaterializedViewRefresher(views, poll_interval=3600)
    async with running(worker):
        await until(lambda: built(views))
        position = await place(shop, "CH")
        worker.trigger()
        await views.wait_for("country_sales", position, timeout=20)


async def test_a_view_that_fails_does_not_keep_others_from_being_refreshed(
    shop: AsyncEngine,
) -> None:
    broken = MaterializedView(SCHEMA.named("broken"), "SELECT a FROM nowhere")
    views = MaterializedViews(shop, [broken, VIEW])
    worker = MaterializedViewRefresher(views)
    await place(shop, "CH")
    with pytest.raises(PersistenceError, match="nowhere"):
        await worker.run_once()
    assert await shown(views) == {"CH": 1}
    assert (await views.status("broken")).failures == 1
    assert await worker.run_once() == 0
    assert worker.status.failures == 1


# --- definitions ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [{"tenant_column": "orders"}, {"tenant_column": "a b"}, {"after": "orders"}, {"version": 0}],
    ids=str,
)
def test_a_view_that_cannot_be_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ProjectionDefinitionError, match="country_sales"):
        replace(VIEW, **change)


def test_two_views_of_one_name_are_refused(sqlite_engine: AsyncEngine) -> None:
    with pytest.raises(ConfigurationError, match="one name"):
        MaterializedViews(sqlite_engine, [VIEW, VIEW])


async def test_a_value_that_is_no_literal_is_refused(shop: AsyncEngine) -> None:
    definition = DEFINITION.where(orders.c.country == func.coalesce(object()))
    with pytest.raises(ProjectionDefinitionError, match="no literal"):
        await MaterializedViews(shop, [replace(VIEW, definition=definition)]).refresh(
            "country_sales"
        )
