"""Many writers of one aggregate at once: retried, merged or reordered, each effect exactly once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from cqrs_ddd_advanced_core.conflict import DeepMergeStrategy, EventConflictPolicy
from cqrs_ddd_advanced_core.cqrs import ResilientCommandHandler, RetryableCommandHandler
from cqrs_ddd_advanced_core.domain.exceptions import EventConflictError
from cqrs_ddd_advanced_core.event_sourcing import (
    EventSourcedMediatorFactory,
    EventSourcedRepository,
)
from cqrs_ddd_advanced_core.testing.samples import (
    AccountOpened,
    Deposit,
    MoneyDeposited,
    MoneyWithdrawn,
    SampleAccount,
    Withdraw,
)
from cqrs_ddd_core.adapters.memory import (
    InMemoryDatabase,
    InMemoryEventStore,
    InMemoryInbox,
    InMemoryOutboxStorage,
    InMemoryRepository,
    InMemoryUnitOfWork,
)
from cqrs_ddd_core.cqrs.command import Command, CommandResponse
from cqrs_ddd_core.cqrs.mediator import Mediator
from cqrs_ddd_core.cqrs.registry import HandlerRegistry
from cqrs_ddd_core.domain.aggregate import AggregateRoot
from cqrs_ddd_core.middleware import IdempotencyMiddleware
from cqrs_ddd_core.ports.event_store import IEventStore, StoredEvent, StreamId
from cqrs_ddd_core.ports.inbox import IInbox
from cqrs_ddd_core.ports.outbox import IOutboxStorage
from cqrs_ddd_core.ports.repository import IRepository
from cqrs_ddd_core.ports.unit_of_work import UnitOfWork
from cqrs_ddd_core.primitives.exceptions import OptimisticConcurrencyError
from cqrs_ddd_core.testing.conformance import elsewhere
from cqrs_ddd_persistence_sqlalchemy import (
    SQLAlchemyEventStore,
    SQLAlchemyInbox,
    SQLAlchemyOutboxStorage,
    SQLAlchemyRepository,
    SQLAlchemyUnitOfWork,
)

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

WRITERS = 32
STREAM = StreamId("SampleAccount", "a")

Accounts = EventSourcedRepository[SampleAccount]
DEPOSITS_COMMUTE = (
    EventConflictPolicy()
    .commutes(MoneyDeposited, MoneyDeposited)
    .commutes(MoneyDeposited, MoneyWithdrawn)
    .reruns(MoneyWithdrawn, MoneyDeposited)
    .conflicts(AccountOpened, AccountOpened, because="it is open already")
)


class Cart(AggregateRoot[str]):
    lines: list[dict[str, Any]] = []  # noqa: RUF012 - pydantic copies it
    note: str = ""


@dataclass(frozen=True)
class Backend:
    """The adapters of one database."""

    events: IEventStore
    outbox: IOutboxStorage
    inbox: IInbox
    carts: IRepository[Cart]
    unit_of_work: Callable[[], UnitOfWork]

    def accounts(self, policy: EventConflictPolicy | None = None) -> Accounts:
        return EventSourcedRepository(self.events, SampleAccount, conflict_policy=policy)

    def mediator(self, *handlers: Any, idempotent: bool = False) -> Mediator:
        registry = HandlerRegistry()
        for handler in handlers:
            registry.command_handler(handler)
        factory = EventSourcedMediatorFactory(
            self.events,
            self.unit_of_work,
            registry,
            outbox=self.outbox,
            middlewares=[IdempotencyMiddleware(self.inbox)] if idempotent else [],
        )
        factory.register_event_sourced_type("SampleAccount")
        factory.register_non_event_sourced_type("Cart")
        return factory.create()

    async def open_account(self) -> None:
        account = SampleAccount.open("a")
        account.deposit(1000)
        await self.accounts().save(account)

    async def stored(self) -> list[StoredEvent]:
        return await self.events.get_events(STREAM)

    async def balance(self) -> Decimal:
        return (await self.accounts().get("a")).balance


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def backend(request: pytest.FixtureRequest) -> Backend:
    if request.param == "memory":
        database = InMemoryDatabase()
        return Backend(
            InMemoryEventStore(database),
            InMemoryOutboxStorage(database),
            InMemoryInbox(database),
            InMemoryRepository(Cart, database),
            lambda: InMemoryUnitOfWork(database),
        )
    engine: AsyncEngine = request.getfixturevalue(f"{request.param}_engine")
    return Backend(
        SQLAlchemyEventStore(engine),
        SQLAlchemyOutboxStorage(engine),
        SQLAlchemyInbox(engine),
        SQLAlchemyRepository(Cart, engine),
        lambda: SQLAlchemyUnitOfWork(engine),
    )


class StartTogether:
    """Lets nobody save before all have loaded, as far as the first tries go."""

    def __init__(self, count: int = WRITERS) -> None:
        self._missing = count
        self._all_there = asyncio.Event()

    async def wait(self) -> None:
        self._missing -= 1
        if self._missing <= 0:
            self._all_there.set()
        await self._all_there.wait()


class DepositHandler(RetryableCommandHandler[Deposit, Decimal]):
    """Loads outside of the unit of work, so that writers race on SQLite too."""

    max_retries = 300
    retry_delay = 0.001
    max_retry_delay = 0.05

    def __init__(self, accounts: Accounts) -> None:
        self.accounts = accounts
        self.start = StartTogether()
        self.tries = 0

    async def _handle_internal(self, command: Deposit) -> Decimal:
        self.tries += 1
        account = await elsewhere(self.accounts.get(command.account_id))
        await self.start.wait()
        account.deposit(command.amount)
        await self.accounts.save(account)
        return account.balance


class WithdrawHandler(RetryableCommandHandler[Withdraw, Decimal]):
    """The ordinary way: loads and saves in the unit of work."""

    max_retries = 300
    retry_delay = 0.001
    max_retry_delay = 0.05

    def __init__(self, accounts: Accounts) -> None:
        self.accounts = accounts

    async def _handle_internal(self, command: Withdraw) -> Decimal:
        account = await self.accounts.get(command.account_id)
        account.withdraw(command.amount)
        await self.accounts.save(account)
        return account.balance


async def send_all(
    mediator: Mediator, commands: Sequence[Command[Any]]
) -> list[CommandResponse[Any]]:
    return list(await asyncio.gather(*(mediator.send(command) for command in commands)))


async def check_exactly_once(backend: Backend, responses: Sequence[CommandResponse[Any]]) -> None:
    """Each command's one event stands in the stream and in the outbox, and no other does."""
    stored = await backend.stored()
    told = [event.event_id for response in responses for event in response.events]
    assert {event.event_id for event in stored[2:]} == set(told)
    assert len(told) == len(stored) - 2 == len(responses)
    assert [event.version for event in stored] == list(range(1, len(stored) + 1))
    positions = [event.position for event in stored]
    assert positions == sorted(set(positions))
    assert {event.causation_id for event in stored[2:]} == {
        str(response.command_id) for response in responses
    }
    leases = await backend.outbox.lease_partitions("test", seconds=60)
    queued = await backend.outbox.claim_pending(leases, limit=1000)
    assert sorted(item.message.message_id for item in queued) == sorted(told)


async def test_retried_commands_all_take_effect_exactly_once(backend: Backend) -> None:
    await backend.open_account()
    handler = DepositHandler(backend.accounts())
    commands = [Deposit(account_id="a", amount=Decimal(n)) for n in range(1, WRITERS + 1)]
    responses = await send_all(backend.mediator(handler), commands)
    await check_exactly_once(backend, responses)
    assert await backend.balance() == 1000 + sum(command.amount for command in commands)
    assert len({response.result for response in responses}) == WRITERS
    assert handler.tries > WRITERS


async def test_handlers_that_load_in_their_unit_of_work_do_as_well(backend: Backend) -> None:
    await backend.open_account()
    handler = WithdrawHandler(backend.accounts())
    commands = [Withdraw(account_id="a", amount=Decimal(n)) for n in range(1, WRITERS + 1)]
    responses = await send_all(backend.mediator(handler), commands)
    await check_exactly_once(backend, responses)
    assert await backend.balance() == 1000 - sum(command.amount for command in commands)


async def test_commands_that_are_sent_twice_at_once_take_effect_once(backend: Backend) -> None:
    await backend.open_account()
    handler = WithdrawHandler(backend.accounts())
    mediator = backend.mediator(handler, idempotent=True)
    commands = [Withdraw(account_id="a", amount=Decimal(n)) for n in range(1, WRITERS // 2 + 1)]
    responses = await send_all(mediator, commands * 2)
    await check_exactly_once(backend, [response for response in responses if not response.replayed])
    assert await backend.balance() == 1000 - sum(command.amount for command in commands)


async def test_commuting_events_all_take_effect_in_one_try_each(backend: Backend) -> None:
    await backend.open_account()
    handler = DepositHandler(backend.accounts(DEPOSITS_COMMUTE))
    commands = [Deposit(account_id="a", amount=Decimal(n)) for n in range(1, WRITERS + 1)]
    responses = await send_all(backend.mediator(handler), commands)
    await check_exactly_once(backend, responses)
    assert await backend.balance() == 1000 + sum(command.amount for command in commands)
    assert handler.tries == WRITERS


async def test_commuting_and_rerun_commands_together_take_effect_once(backend: Backend) -> None:
    await backend.open_account()
    accounts = backend.accounts(DEPOSITS_COMMUTE)
    mediator = backend.mediator(DepositHandler(accounts), WithdrawHandler(accounts))
    commands: list[Command[Any]] = []
    for amount in range(1, WRITERS + 1):
        commands.append(Deposit(account_id="a", amount=Decimal(amount)))
        commands.append(Withdraw(account_id="a", amount=Decimal(amount)))
    responses = await send_all(mediator, commands)
    await check_exactly_once(backend, responses)
    assert await backend.balance() == 1000


async def lose(backend: Backend) -> None:
    """Let somebody else append to the account."""
    rival = await backend.accounts().get("a")
    rival.deposit(5)
    await backend.accounts().save(rival)


async def test_a_unit_of_work_goes_on_after_its_events_were_reordered(backend: Backend) -> None:
    await backend.open_account()
    accounts = backend.accounts(DEPOSITS_COMMUTE)
    account = await accounts.get("a")
    await lose(backend)
    async with backend.unit_of_work() as uow:
        await backend.carts.save(Cart(id="before"))
        account.deposit(10)
        await accounts.save(account)
        await accounts.save(SampleAccount.open("b"))

        async def write_after_the_append(_: UnitOfWork) -> None:
            await backend.carts.save(Cart(id="after"))

        uow.after_record(write_after_the_append)
    assert await backend.balance() == 1015
    assert await backend.carts.exists("before")
    assert await backend.carts.exists("after")
    assert await backend.accounts().exists("b")


async def test_after_a_conflict_nothing_of_the_unit_of_work_is_left(backend: Backend) -> None:
    await backend.open_account()
    accounts = backend.accounts(DEPOSITS_COMMUTE)
    account = await accounts.get("a")
    await lose(backend)
    account.withdraw(10)

    async def withdraw() -> None:
        async with backend.unit_of_work():
            await backend.carts.save(Cart(id="before"))
            await accounts.save(account)

    with pytest.raises(OptimisticConcurrencyError):
        await withdraw()
    assert await backend.balance() == 1005
    assert not await backend.carts.exists("before")


async def test_events_that_conflict_are_explained(backend: Backend) -> None:
    await backend.open_account()
    accounts = backend.accounts(DEPOSITS_COMMUTE)
    with pytest.raises(EventConflictError, match=r"AccountOpened \(version 1, .*open already"):
        async with backend.unit_of_work():
            await accounts.save(SampleAccount.open("a", "Grace"))


class AddLine(Command[None]):
    changes: dict[str, Any]


class AddLineHandler(ResilientCommandHandler[AddLine, None]):
    conflict_strategy = DeepMergeStrategy()
    max_conflict_rounds = 300

    def __init__(self, repo: IRepository[Cart]) -> None:
        super().__init__(repo)
        self.start = StartTogether()
        self.handled = 0

    async def _handle_internal(self, command: AddLine) -> None:
        self.handled += 1
        cart = await elsewhere(self.repo.get("c"))
        await self.start.wait()
        cart.lines = [*cart.lines, *command.changes["lines"]]
        await self.repo.save(cart)

    async def fetch_latest(self, command: AddLine, target: object) -> Cart | None:
        return await elsewhere(self._get(target))

    async def _get(self, target: object) -> Cart | None:
        assert isinstance(target, StreamId)
        cart: Cart | None = await self.repo.get_by_id(target.aggregate_id)
        return cart


async def test_changes_of_a_stored_state_are_all_merged(backend: Backend) -> None:
    await backend.carts.save(Cart(id="c"))
    handler = AddLineHandler(backend.carts)
    commands = [AddLine(changes={"lines": [{"id": n, "qty": 1}]}) for n in range(WRITERS)]
    await send_all(backend.mediator(handler, idempotent=False), commands)
    cart = await backend.carts.get("c")
    assert sorted(line["id"] for line in cart.lines) == list(range(WRITERS))
    assert cart.version == WRITERS + 1
    assert handler.handled == WRITERS
