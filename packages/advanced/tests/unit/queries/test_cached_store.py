"""Read models behind a cache: the exact question, the right tenant, nothing from before."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import pytest

from cqrs_ddd_advanced_core.adapters.memory import InMemoryProjectionStore
from cqrs_ddd_advanced_core.domain.projection_exceptions import ProjectionValueError
from cqrs_ddd_advanced_core.ports.checkpoint_store import CheckpointKey
from cqrs_ddd_advanced_core.ports.projection_schema import ProjectionSchema
from cqrs_ddd_advanced_core.ports.projection_store import Row, RowChange, RowKey
from cqrs_ddd_advanced_core.queries import CachedProjectionStore, QueryRepository, read_since
from cqrs_ddd_core.adapters.memory import InMemoryCache
from cqrs_ddd_core.correlation import message_context
from cqrs_ddd_core.domain.query_options import QueryOptions
from cqrs_ddd_core.domain.specification import (
    AttributeSpecification,
    Specification,
    SpecificationOperator,
)
from cqrs_ddd_core.domain.specification import field as named
from cqrs_ddd_core.primitives.exceptions import ConfigurationError
from cqrs_ddd_core.testing.conformance import rolled_back


@dataclass(frozen=True)
class Total:
    customer: str
    spent: Decimal = Decimal(0)
    details: dict[str, object] = field(default_factory=dict)


TOTALS = ProjectionSchema.of(Total, key="customer", name="totals")


class Database(InMemoryProjectionStore):
    """Counts what it is asked; a gate can hold its answers back."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.read = asyncio.Event()
        self.gate: asyncio.Event | None = None

    async def fetch(
        self, schema: ProjectionSchema, keys: Collection[RowKey]
    ) -> Mapping[RowKey, Row]:
        self.asked += 1
        return await super().fetch(schema, keys)

    async def query(self, schema: ProjectionSchema, options: QueryOptions) -> list[Row]:
        self.asked += 1
        found = await super().query(schema, options)
        self.read.set()
        if self.gate is not None:
            await self.gate.wait()
        return found

    async def count(self, schema: ProjectionSchema, options: QueryOptions | None = None) -> int:
        self.asked += 1
        return await super().count(schema, options)


class World:
    def __init__(self) -> None:
        self.cache = InMemoryCache()
        self.database = Database()
        self.store = CachedProjectionStore(
            self.database, self.cache, ttl=60, projections={"totals": "totals"}
        )
        self.positions = 0

    async def put(self, customer: str, spent: object, **more: object) -> None:
        await self.write(self.store, [customer], {"spent": spent, **more})

    async def write(
        self, store: object, customers: Sequence[str], values: dict[str, object]
    ) -> None:
        assert isinstance(store, InMemoryProjectionStore | CachedProjectionStore)
        self.positions += 1
        position = self.positions
        changes = [RowChange((one,), position, position, sets=dict(values)) for one in customers]
        async with store.unit_of_work():
            await store.apply(TOTALS, changes)

    async def reach(self, position: int) -> None:
        """Let the checkpoint of the projection be there."""
        checkpoints = self.database.checkpoints
        await checkpoints.ensure([CheckpointKey("totals")])
        async with self.database.unit_of_work():
            await checkpoints.set_position("totals", 1, position)

    async def spent(self, customer: str = "alice") -> Decimal | None:
        row = (await self.store.fetch(TOTALS, [(customer,)])).get((customer,))
        return None if row is None else row["spent"]

    async def names(self, condition: Specification | None = None) -> list[str]:
        found = await self.store.query(TOTALS, QueryOptions(condition))
        return [row["customer"] for row in found]


@pytest.fixture
async def world() -> World:
    world = World()
    await world.store.ensure(TOTALS)
    await world.put("alice", Decimal("1.50"))
    await world.put("bob", Decimal(20))
    return world


async def test_what_was_asked_is_not_asked_again_and_is_the_same(world: World) -> None:
    """C-13: with the version of the row, in the types of its columns."""
    for _ in range(3):
        row = (await world.store.fetch(TOTALS, [("alice",)]))[("alice",)]
        assert row == (await world.database.fetch(TOTALS, [("alice",)]))[("alice",)]
        assert (row["_version"], row["_last_position"]) == (1, 1)
        assert type(row["spent"]) is Decimal
        assert await world.names() == ["alice", "bob"]
        assert await world.store.count(TOTALS) == 2
        assert await world.spent("carol") is None
    assert world.database.asked == 4 + 3


async def test_an_answer_belongs_to_its_exact_question(world: World) -> None:
    """C-13: never that of another specification, page, order or choice of fields."""
    spent = named("spent")
    conditions: list[Specification | None] = [
        None,
        spent > Decimal(10),
        spent >= Decimal(20),
        ~(spent > Decimal(10)),
        named("customer") == "alice",
        AttributeSpecification("customer", SpecificationOperator.IN, ["bob"]),
        (spent > Decimal(10)) | (named("customer") == "alice"),
        (spent > Decimal(10)) & (named("customer") == "alice"),
    ]
    options = [QueryOptions(condition) for condition in conditions]
    options += [
        QueryOptions().with_ordering("spent", desc=True),
        QueryOptions().with_pagination(limit=1),
        QueryOptions().with_pagination(limit=1, offset=1),
        QueryOptions().with_fields("customer"),
    ]
    for _ in range(2):
        for one in options:
            expected = await InMemoryProjectionStore.query(world.database, TOTALS, one)
            assert await world.store.query(TOTALS, one) == expected
            count = await InMemoryProjectionStore.count(world.database, TOTALS, one)
            assert await world.store.count(TOTALS, one) == count
    assert world.database.asked == 2 * len(options)


async def test_values_of_different_types_are_different_conditions(world: World) -> None:
    """C-13: in JSON the text "1", the number 1 and True can be told apart only by their types."""
    for customer, flag in (("text", "1"), ("number", 1), ("boolean", True)):
        await world.put(customer, Decimal(0), details={"flag": flag})
    for _ in range(2):
        for flag, customer in (("1", "text"), (1, "number"), (True, "boolean")):
            assert await world.names(named("details.flag") == flag) == [customer]


async def test_no_tenant_gets_the_answer_of_another(world: World) -> None:
    """F56."""
    for tenant in ("north", "south"):
        with message_context(tenant_id=tenant):
            assert await world.names() == []
            assert await world.spent() is None
            await world.put("alice", Decimal(len(tenant) * 100))
    with message_context(tenant_id="north"):
        await world.put("alice", Decimal(1))
        assert await world.spent() == Decimal(1)
    with message_context(tenant_id="south"):
        before = world.database.asked
        assert await world.names() == ["alice"]
        assert await world.spent() == Decimal(500)
        assert await world.spent() == Decimal(500)
        assert world.database.asked == before + 2
    assert await world.spent() == Decimal("1.50")


async def test_the_commit_of_a_change_forgets_what_it_changed_and_no_other_row(
    world: World,
) -> None:
    assert [await world.spent("alice"), await world.spent("bob")] == [Decimal("1.50"), Decimal(20)]
    assert await world.names(named("spent") > Decimal(10)) == ["bob"]
    await world.put("alice", Decimal(30))
    before = world.database.asked
    assert [await world.spent("alice"), await world.spent("bob")] == [Decimal(30), Decimal(20)]
    assert world.database.asked == before + 1
    assert await world.names(named("spent") > Decimal(10)) == ["alice", "bob"]


async def test_a_row_that_was_not_there_is_found_when_it_is(world: World) -> None:
    assert await world.spent("carol") is None
    await world.put("carol", Decimal(5))
    assert await world.spent("carol") == Decimal(5)


async def test_a_change_of_many_rows_forgets_all_rows(world: World) -> None:
    assert await world.spent("bob") == Decimal(20)
    many = [f"customer {number}" for number in range(500)]
    await world.write(world.store, ["bob", *many], {"spent": Decimal(7)})
    assert await world.spent("bob") == Decimal(7)
    keys = [(customer,) for customer in many]
    assert len(await world.store.fetch(TOTALS, keys)) == 500


async def test_a_rolled_back_change_forgets_nothing_and_is_not_seen(world: World) -> None:
    assert await world.spent() == Decimal("1.50")
    before = world.database.asked
    async with rolled_back(world.store.unit_of_work):
        change = RowChange(("alice",), 9, 9, sets={"spent": Decimal(99)})
        await world.store.apply(TOTALS, [change])
        # In it everything is asked anew, and nothing of it is kept.
        assert await world.spent() == Decimal(99)
        assert await world.names(named("spent") > Decimal(50)) == ["alice"]
        assert await world.store.count(TOTALS, QueryOptions(named("spent") > Decimal(50))) == 1
    assert await world.spent() == Decimal("1.50")
    assert world.database.asked == before + 3
    assert await world.names(named("spent") > Decimal(50)) == []


async def test_an_answer_begun_before_a_commit_is_not_given_after_it(world: World) -> None:
    """C-13: no stale re-fill, also by another process."""
    condition = named("spent") > Decimal(10)
    elsewhere = CachedProjectionStore(world.database, world.cache, ttl=60)
    world.database.gate = asyncio.Event()
    slow = asyncio.create_task(elsewhere.query(TOTALS, QueryOptions(condition)))
    await world.database.read.wait()
    await world.put("alice", Decimal(30))
    world.database.gate.set()
    assert [row["customer"] for row in await slow] == ["bob"]
    assert await world.names(condition) == ["alice", "bob"]
    assert len(await elsewhere.query(TOTALS, QueryOptions(condition))) == 2


async def test_tables_that_take_the_place_of_others_bring_their_own_answers(world: World) -> None:
    """The switch of a rebuild, for all tenants."""
    built = TOTALS.named("totals__v2")
    await world.store.ensure(built)
    with message_context(tenant_id="north"):
        await world.put("alice", Decimal(1))
        change = RowChange(("alice",), 1, 1, sets={"spent": Decimal(2)})
        async with world.store.unit_of_work():
            await world.store.apply(built, [change])
        assert await world.spent() == Decimal(1)
        assert await world.names() == ["alice"]
    async with world.store.unit_of_work():
        await world.store.rename([("totals", "totals__v1"), ("totals__v2", "totals")])
    assert await world.names() == []
    with message_context(tenant_id="north"):
        assert await world.spent() == Decimal(2)
    await world.store.drop(TOTALS)
    await world.store.ensure(TOTALS)
    assert await world.spent() is None


async def test_clearing_and_forgetting_forget_the_answers(world: World) -> None:
    assert await world.names() == ["alice", "bob"]
    await world.write(world.database, ["alice"], {"spent": Decimal(30)})
    condition = named("spent") > Decimal(10)
    assert await world.names(condition) == ["alice", "bob"]
    assert await world.spent() == Decimal(30)
    await world.write(world.database, ["alice"], {"spent": Decimal(3)})
    assert await world.spent() == Decimal(30)
    await world.store.forget(TOTALS)
    assert await world.spent() == Decimal(3)
    assert await world.names(condition) == ["bob"]
    async with world.store.unit_of_work():
        await world.store.clear(TOTALS)
    assert await world.names() == []
    assert await world.spent() is None


async def test_who_demands_an_event_gets_no_answer_without_it(world: World) -> None:
    """A worker that died between the commit and forgetting: it wrote past this class."""
    await world.reach(2)
    assert await world.spent() == Decimal("1.50")
    await world.write(world.database, ["alice"], {"spent": Decimal(30)})
    await world.reach(3)
    assert await world.spent() == Decimal("1.50")
    with read_since(2):
        assert await world.spent() == Decimal("1.50")
    with read_since(3):
        assert await world.spent() == Decimal(30)
    before = world.database.asked
    assert await world.spent() == Decimal(30)
    with read_since(3):
        assert await world.spent() == Decimal(30)
    assert world.database.asked == before


async def test_without_a_known_projection_who_demands_an_event_asks_anew(world: World) -> None:
    world.store = CachedProjectionStore(world.database, world.cache, ttl=60)
    assert await world.spent() == Decimal("1.50")
    await world.write(world.database, ["alice"], {"spent": Decimal(30)})
    with read_since(0):
        assert await world.spent() == Decimal(30)


async def test_a_repository_that_waits_for_an_event_takes_no_answer_without_it(
    world: World,
) -> None:
    waited: list[int] = []

    async def catch_up(position: int, *, timeout: float) -> None:
        waited.append(position)

    totals = QueryRepository(world.store, TOTALS, Total, catch_up=catch_up)
    condition = named("spent") > Decimal(10)

    async def all_answers(after: int | None) -> list[object]:
        return [
            await totals.get("alice", after=after),
            await totals.query(condition, after=after),
            await totals.first(named("customer") == "alice", after=after),
            (await totals.page(condition, with_total=True, after=after)).total,
            [one async for one in totals.stream(condition, after=after)],
            await totals.rows(condition, after=after),
            await totals.count(condition, after=after),
            await totals.exists((named("customer") == "alice") & condition, after=after),
        ]

    await world.reach(2)
    old = await all_answers(None)
    await world.write(world.database, ["alice"], {"spent": Decimal(30)})
    await world.reach(3)
    assert await all_answers(None) == old
    new = await all_answers(3)
    assert waited == [3] * 8
    assert all(one != other for one, other in zip(old, new, strict=True))
    assert await all_answers(None) == new


async def test_long_answers_are_not_kept(world: World) -> None:
    await world.write(world.store, [f"c{number}" for number in range(1200)], {})
    before = world.database.asked
    assert [len(await world.names()) for _ in range(2)] == [1202, 1202]
    assert world.database.asked == before + 2


async def test_a_key_that_cannot_be_one_is_refused_as_ever(world: World) -> None:
    wrong = ProjectionSchema.of(Everything, key="number", name="wrong")
    await world.store.ensure(wrong)
    with pytest.raises(ProjectionValueError):
        async with world.store.unit_of_work():
            await world.store.apply(wrong, [RowChange(("text",), 1, 1)])


def test_a_time_to_live_is_positive() -> None:
    with pytest.raises(ConfigurationError, match="time to live"):
        CachedProjectionStore(InMemoryProjectionStore(), InMemoryCache(), ttl=0)


@dataclass(frozen=True)
class Everything:
    number: Decimal
    flag: bool = False
    whole: int = 0
    real: float = 0.0
    text: str = ""
    data: bytes = b""
    moment: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    day: date = date(2026, 1, 1)
    id: UUID = field(default=UUID(int=7))
    mapping: dict[str, object] = field(default_factory=dict)
    items: list[object] = field(default_factory=list)
    nothing: int | None = None


async def test_values_of_every_type_come_back_exactly() -> None:
    schema = ProjectionSchema.of(Everything, key="number")
    database = Database()
    store = CachedProjectionStore(database, InMemoryCache(), ttl=60)
    await store.ensure(schema)
    values = {
        "flag": True,
        "whole": 2**60,
        "real": 0.1,
        "text": "Ünïcödé \t",
        "data": bytes(range(256)),
        "moment": datetime(2026, 3, 29, 1, 59, 59, 999_999, tzinfo=UTC),
        "mapping": {"a": [1, 2.5, None, {"b": "c"}]},
        "items": [True, "x", {}],
    }
    async with store.unit_of_work():
        await store.apply(schema, [RowChange((Decimal("1.0"),), 1, 1, sets=values)])
    for key in (Decimal("1.0"), Decimal(1), Decimal("1.00")):
        for _ in range(2):
            found = await store.fetch(schema, [(key,)])
            [row] = found.values()
            assert {name: row[name] for name in values} == values
            assert [type(row[name]) for name in values] == [type(one) for one in values.values()]
    assert database.asked == 1
    # A row is forgotten by whatever value means the same key.
    async with store.unit_of_work():
        await store.apply(schema, [RowChange((Decimal("1.000"),), 2, 2, sets={"whole": 3})])
    for key in (Decimal("1.0"), Decimal(1), Decimal("1.00")):
        [row] = (await store.fetch(schema, [(key,)])).values()
        assert row["whole"] == 3


async def test_a_key_in_another_zone_is_the_same_row() -> None:
    @dataclass(frozen=True)
    class Hour:
        begin: datetime
        visits: int = 0

    schema = ProjectionSchema.of(Hour, key="begin", name="hours")
    store = CachedProjectionStore(Database(), InMemoryCache(), ttl=60)
    await store.ensure(schema)
    here = datetime(2026, 5, 1, 12, tzinfo=UTC)
    there = here.astimezone(timezone(timedelta(hours=2)))
    assert await store.fetch(schema, [(there,)]) == {}
    async with store.unit_of_work():
        await store.apply(schema, [RowChange((here,), 1, 1, sets={"visits": 1})])
    assert len(await store.fetch(schema, [(there,)])) == 1
