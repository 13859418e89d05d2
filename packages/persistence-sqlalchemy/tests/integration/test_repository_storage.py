"""How aggregates lie in documents and in an application's own tables."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta, timezone
from enum import Enum
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from pydantic import Field, PrivateAttr, computed_field
from sqlalchemy import JSON, DateTime, String, Text, event, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from cqrs_ddd_core.correlation import message_context
from cqrs_ddd_core.domain.aggregate import AggregateRoot
from cqrs_ddd_core.domain.query_options import QueryOptions
from cqrs_ddd_core.domain.specification import SpecificationOperator as Op
from cqrs_ddd_core.domain.specification import field
from cqrs_ddd_core.domain.value_object import ValueObject
from cqrs_ddd_core.primitives.exceptions import (
    ConfigurationError,
    OptimisticConcurrencyError,
    SerializationError,
    UniqueViolationError,
    UnitOfWorkError,
    UnknownFieldError,
)
from cqrs_ddd_core.primitives.id_generator import new_id
from cqrs_ddd_core.testing.samples import SampleOrder, new_order
from cqrs_ddd_persistence_sqlalchemy import SQLAlchemyRepository, SQLAlchemyUnitOfWork

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine


class Base(DeclarativeBase):
    pass


class Size(Enum):
    SMALL = 1
    LARGE = 2


class Town(ValueObject):
    name: str
    postcode: str | None = None


class Address(ValueObject):
    street: str
    town: Town


class Account(AggregateRoot[UUID]):
    email: str
    size: Size = Size.SMALL
    home: Address
    work: Address | None = None
    opened_at: datetime
    settings: dict[str, Any] | None = None
    nickname: str = Field(default="", alias="nickName", validate_default=True)
    visits: int = Field(default=0, exclude=True)
    _secret: str = PrivateAttr(default="new")

    @computed_field  # type: ignore[prop-decorator]
    @property
    def domain(self) -> str:
        return self.email.partition("@")[2]


class AccountRow(Base):
    __tablename__ = "accounts"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    version: Mapped[int]
    email: Mapped[str] = mapped_column(Text, unique=True)
    size: Mapped[int]
    home_street: Mapped[str]
    home_town: Mapped[dict[str, Any]] = mapped_column(JSON)
    work_street: Mapped[str | None]
    work_town_name: Mapped[str | None]
    work_postcode: Mapped[str | None]
    opened_at: Mapped[datetime] = mapped_column(DateTime)
    settings: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    nickname: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.current_timestamp())


class Counter(AggregateRoot[int]):
    value: int = 0


class Tag(AggregateRoot[UUID]):
    pass


def _account(**fields: Any) -> Account:
    return Account.model_validate(
        {
            "email": f"{new_id()}@example.org",
            "id": new_id(),
            "home": {"street": "Main", "town": {"name": "Oslo"}},
            "opened_at": datetime(2026, 3, 29, 4, tzinfo=timezone(timedelta(hours=2))),
            **fields,
        }
    )


@pytest.fixture
async def accounts(engine: AsyncEngine) -> SQLAlchemyRepository[Account]:
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    return SQLAlchemyRepository(
        Account, engine, model=AccountRow, field_map={"work.town.postcode": "work_postcode"}
    )


@pytest.fixture(params=["documents", "model"])
def either(request: pytest.FixtureRequest, engine: AsyncEngine) -> SQLAlchemyRepository[Account]:
    if request.param == "documents":
        return SQLAlchemyRepository(Account, engine)
    repository: SQLAlchemyRepository[Account] = request.getfixturevalue("accounts")
    return repository


# -- what is stored --------------------------------------------------------------------------------


@pytest.mark.parametrize("work", [None, {"street": "", "town": {"name": "", "postcode": "1"}}])
async def test_nested_values_enums_and_aliases_come_back(
    either: SQLAlchemyRepository[Account], work: object
) -> None:
    account = _account(work=work, size=Size.LARGE, nickName="Bo", settings={"a": [1, None]})
    await either.save(account)
    found = await either.get(account.id)
    assert found.model_dump() == account.model_dump()
    assert found.opened_at.utcoffset() is not None


async def test_private_excluded_and_computed_attributes_are_not_stored(
    either: SQLAlchemyRepository[Account],
) -> None:
    account = _account()
    account._secret, account.visits = "old", 7
    await either.save(account)
    found = await either.get(account.id)
    assert (found._secret, found.visits, found.domain) == ("new", 0, "example.org")


async def test_a_model_keeps_an_application_s_own_columns(
    accounts: SQLAlchemyRepository[Account], engine: AsyncEngine
) -> None:
    account = _account()
    await accounts.save(account)
    await accounts.save(account)
    async with engine.connect() as connection:
        row = (await connection.execute(select(AccountRow.__table__))).one()
    assert (row.id, row.version, row.size) == (str(account.id), 2, 1)
    assert (row.home_street, row.home_town) == ("Main", {"name": "Oslo", "postcode": None})
    assert row.opened_at == datetime(2026, 3, 29, 2)  # noqa: DTZ001 - a column without zone
    assert row.created_at is not None


async def test_values_inside_of_value_objects_can_be_searched_for(
    either: SQLAlchemyRepository[Account],
) -> None:
    work = {"street": "Side", "town": {"name": "Rome", "postcode": "00100"}}
    one, two = _account(work=work), _account(size=Size.LARGE, settings={"theme": "dark"})
    for account in (one, two):
        await either.save(account)
    for specification, expected in [
        (field("work.town.postcode") == "00100", one),
        (field("work.street") == "Side", one),
        (field("work").is_(Op.IS_NULL), two),
        (field("work").is_(Op.IS_NOT_NULL), one),
        (field("settings").is_(Op.IS_NULL), one),
        (field("settings.theme") == "dark", two),
        (field("size") == Size.LARGE, two),
        (field("id") == one.id, one),
        (field("opened_at") == one.opened_at, None),
    ]:
        found = await either.search(specification)
        assert [a.id for a in found] == ([expected.id] if expected else sorted([one.id, two.id]))
    assert await either.count(field("home.town.name") == "Oslo") == 2
    with pytest.raises(UnknownFieldError):
        await either.search(field("home.town.mayor") == "x")


async def test_a_field_that_is_not_stored_cannot_be_searched_for(
    accounts: SQLAlchemyRepository[Account],
) -> None:
    with pytest.raises(UnknownFieldError):
        await accounts.search(field("visits") == 1)


async def test_ids_that_are_numbers_order_as_numbers(engine: AsyncEngine) -> None:
    counters = SQLAlchemyRepository(Counter, engine)
    for number in (9, 10, -1, 100):
        await counters.save(Counter(id=number))
    assert [counter.id for counter in await counters.search()] == [-1, 9, 10, 100]
    streamed = [counter.id async for counter in counters.stream(batch_size=2)]
    assert streamed == [-1, 9, 10, 100]


async def test_types_do_not_share_ids(engine: AsyncEngine) -> None:
    counters, tags = SQLAlchemyRepository(Counter, engine), SQLAlchemyRepository(Tag, engine)
    await counters.save(Counter(id=1))
    await tags.save(Tag())
    assert (await counters.count(), await tags.count()) == (1, 1)


# -- reading what was written by another version of the class --------------------------------------


async def test_a_field_the_class_no_longer_has_is_left_out(engine: AsyncEngine) -> None:
    class Old(AggregateRoot[str]):
        aggregate_type = "Thing"
        kept: int
        gone: int

    class New(AggregateRoot[str]):
        aggregate_type = "Thing"
        kept: int
        added: int = 5

    await SQLAlchemyRepository(Old, engine).save(Old(id="t", kept=1, gone=2))
    found = await SQLAlchemyRepository(New, engine).get("t")
    assert (found.kept, found.added, found.version) == (1, 5, 1)


async def test_a_document_that_does_not_fit_says_why(engine: AsyncEngine) -> None:
    class Old(AggregateRoot[str]):
        aggregate_type = "Thing"

    class New(AggregateRoot[str]):
        aggregate_type = "Thing"
        required: int

    await SQLAlchemyRepository(Old, engine).save(Old(id="t"))
    with pytest.raises(SerializationError, match="stored Thing cannot be read as New"):
        await SQLAlchemyRepository(New, engine).get("t")


# -- conflicts -------------------------------------------------------------------------------------


async def test_a_race_only_the_database_sees_is_a_concurrency_error_at_the_save(
    either: SQLAlchemyRepository[Account], postgres_or_skip: AsyncEngine
) -> None:
    """S-15: the loser waits for the winner's commit and is told at once, not at its own commit."""
    account = _account()
    await either.save(account)
    has_saved, may_commit = asyncio.Event(), asyncio.Event()

    async def win() -> None:
        async with SQLAlchemyUnitOfWork(postgres_or_skip):
            loaded = await either.get(account.id)
            loaded.nickname = "winner"
            await either.save(loaded)
            has_saved.set()
            await may_commit.wait()

    async def lose() -> OptimisticConcurrencyError:
        async with SQLAlchemyUnitOfWork(postgres_or_skip):
            loaded = await either.get(account.id)
            await has_saved.wait()
            asyncio.get_running_loop().call_later(0.05, may_commit.set)
            with pytest.raises(OptimisticConcurrencyError) as refused:
                await either.save(loaded)
            # The unit of work goes on.
            assert (await either.get(account.id)).nickname == "winner"
        return refused.value

    _, error = await asyncio.gather(win(), lose())
    assert (error.expected, error.actual) == (1, 2)


async def test_a_creation_refused_by_a_race_leaves_the_unit_of_work_usable(
    either: SQLAlchemyRepository[Account], postgres_or_skip: AsyncEngine
) -> None:
    """S-15, S-16."""
    account, other = _account(), _account()
    has_saved, may_commit = asyncio.Event(), asyncio.Event()

    async def win() -> None:
        async with SQLAlchemyUnitOfWork(postgres_or_skip):
            await either.save(account)
            has_saved.set()
            await may_commit.wait()

    async def lose() -> None:
        async with SQLAlchemyUnitOfWork(postgres_or_skip):
            await has_saved.wait()
            asyncio.get_running_loop().call_later(0.05, may_commit.set)
            with pytest.raises(OptimisticConcurrencyError):
                await either.save(_account(id=account.id))
            await either.save(other)

    await asyncio.gather(win(), lose())
    assert await either.count() == 2


async def test_another_unique_column_is_no_concurrency_error(
    accounts: SQLAlchemyRepository[Account],
) -> None:
    await accounts.save(_account(email="bo@example.org"))
    with pytest.raises(UniqueViolationError):
        await accounts.save(_account(email="bo@example.org"))


async def test_a_failed_unit_of_work_says_so_and_a_new_one_succeeds(
    accounts: SQLAlchemyRepository[Account], postgres_or_skip: AsyncEngine
) -> None:
    """S-16: a retry begins with a new unit of work."""
    await accounts.save(_account(email="bo@example.org"))
    account = _account(email="bo@example.org")
    uow = SQLAlchemyUnitOfWork(postgres_or_skip)
    await uow.__aenter__()
    with pytest.raises(UniqueViolationError):
        await accounts.save(account)
    with pytest.raises(UnitOfWorkError, match="new unit of work"):
        await accounts.get_by_id(account.id)
    with pytest.raises(UnitOfWorkError):
        await uow.__aexit__(None, None, None)
    account.email = "bo@example.com"
    async with SQLAlchemyUnitOfWork(postgres_or_skip):
        await accounts.save(account)
    assert (await accounts.get(account.id)).version == 1


@pytest.fixture
def postgres_or_skip(engine: AsyncEngine) -> AsyncEngine:
    if engine.dialect.name != "postgresql":
        pytest.skip("SQLite has one writer at a time")
    return engine


# -- tenants ---------------------------------------------------------------------------------------


async def test_a_table_without_tenants_is_refused_inside_of_one(
    accounts: SQLAlchemyRepository[Account],
) -> None:
    account = _account()
    with message_context(tenant_id="a"):
        for call in (
            accounts.save(account),
            accounts.get_by_id(account.id),
            accounts.search(),
            accounts.count(),
        ):
            with pytest.raises(ConfigurationError, match="no column tenant_id"):
                await call


async def test_a_stream_keeps_the_tenant_it_began_with(engine: AsyncEngine) -> None:
    orders = SQLAlchemyRepository(SampleOrder, engine)
    for tenant in ("a", "b"):
        with message_context(tenant_id=tenant):
            for number in range(3):
                await orders.save(new_order(f"o-{number}", note=tenant))
    seen = []
    with message_context(tenant_id="a"):
        stream = orders.stream(batch_size=1)
        seen.append((await anext(stream)).note)
    with message_context(tenant_id="b"):
        seen += [order.note async for order in stream]
    assert seen == ["a", "a", "a"]


# -- cost ------------------------------------------------------------------------------------------


async def test_a_save_is_one_statement(postgres_engine: AsyncEngine) -> None:
    orders, order, seen = SQLAlchemyRepository(SampleOrder, postgres_engine), new_order(), []
    async with SQLAlchemyUnitOfWork(postgres_engine) as uow:
        driver = (await uow.driver_connection()).driver
        driver.add_query_logger(lambda record: seen.append(record.query))
        await orders.save(order)
        await orders.save(order)
        await orders.get(order.id)
        await orders.delete(order)
    words = [statement.split()[0] for statement in seen if statement != "COMMIT"]
    assert words == ["INSERT", "UPDATE", "SELECT", "DELETE"]


async def test_pages_in_id_order_follow_the_primary_key(postgres_engine: AsyncEngine) -> None:
    orders = SQLAlchemyRepository(SampleOrder, postgres_engine)
    async with SQLAlchemyUnitOfWork(postgres_engine):
        for number in range(500):
            await orders.save(new_order(f"o-{number:04}"))
    seen: list[tuple[str, Any]] = []

    def note(_c: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        seen.append((statement, parameters))

    event.listen(postgres_engine.sync_engine, "before_cursor_execute", note)
    options = QueryOptions().with_pagination(limit=10)
    options = options.after_cursor(options.cursor({"id": "o-0100"}))
    found = await orders.search(options)
    assert [order.id for order in found] == [f"o-{number:04}" for number in range(101, 111)]
    statement, parameters = seen[-1]
    async with postgres_engine.connect() as connection:
        await connection.exec_driver_sql("ANALYZE cqrs_documents")
        rows = await connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)
        plan = "\n".join(row[0] for row in rows)
    assert "Index Scan using pk_cqrs_documents" in plan
    assert "Sort" not in plan


async def test_many_aggregates_are_streamed_once_each(engine: AsyncEngine) -> None:
    orders = SQLAlchemyRepository(SampleOrder, engine)
    async with SQLAlchemyUnitOfWork(engine):
        for number in range(1200):
            await orders.save(new_order(f"o-{number:04}", total=str(number)))
    streamed = [order.id async for order in orders.stream(field("total") >= 100)]
    assert streamed == [f"o-{number:04}" for number in range(100, 1200)]
