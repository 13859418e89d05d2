"""A command that lost a race is merged into what the winner stored, in a fresh unit of work."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from pydantic import Field

from cqrs_ddd_advanced_core.conflict import (
    ConflictResolutionPolicy,
    DeepMergeStrategy,
)
from cqrs_ddd_advanced_core.cqrs import ConflictCommandHandler, ResilientCommandHandler
from cqrs_ddd_advanced_core.domain.aggregate_mixin import EventSourcedAggregateMixin
from cqrs_ddd_advanced_core.domain.exceptions import (
    EventSourcingConfigurationError,
    InvalidResolutionError,
)
from cqrs_ddd_advanced_core.event_sourcing import EventSourcedRepository
from cqrs_ddd_advanced_core.testing.samples import Deposit, SampleAccount
from cqrs_ddd_core.adapters.memory import (
    InMemoryDatabase,
    InMemoryEventStore,
    InMemoryInbox,
    InMemoryRepository,
    InMemoryUnitOfWork,
)
from cqrs_ddd_core.cqrs.command import Command
from cqrs_ddd_core.cqrs.mediator import Mediator
from cqrs_ddd_core.cqrs.registry import HandlerRegistry
from cqrs_ddd_core.domain.aggregate import AggregateRoot
from cqrs_ddd_core.domain.events import DomainEvent
from cqrs_ddd_core.middleware import IdempotencyMiddleware
from cqrs_ddd_core.ports.event_store import StreamId
from cqrs_ddd_core.ports.repository import IRepository
from cqrs_ddd_core.ports.unit_of_work import UnitOfWork
from cqrs_ddd_core.ports.unit_of_work_scope import get_current_uow
from cqrs_ddd_core.primitives.exceptions import (
    ConfigurationError,
    OptimisticConcurrencyError,
    TransientPersistenceError,
)


class OrderChanged(DomainEvent):
    fields: list[str]


class Order(AggregateRoot[str]):
    status: str = "new"
    total: Decimal = Decimal(0)
    items: list[dict[str, Any]] = Field(default_factory=list)
    address: dict[str, str] = Field(default_factory=dict)

    def update(self, changes: dict[str, Any]) -> None:
        for name, value in changes.items():
            setattr(self, name, value)
        self.raise_event(OrderChanged(fields=sorted(changes)))


class UpdateOrder(Command[None]):
    order_id: str = "o"
    changes: dict[str, Any]


class SetTotal(Command[Decimal]):
    order_id: str = "o"
    total: Decimal


class Handler(ConflictCommandHandler[UpdateOrder, None]):
    """Lets a rival be faster, as often as it is told."""

    conflict_strategy = DeepMergeStrategy()

    def __init__(self, repo: IRepository[Any]) -> None:
        super().__init__(repo)
        self.rivals: list[Callable[[], Awaitable[None]]] = []
        self.handled = 0
        self.resolved: list[tuple[Any, Any]] = []
        self.units: list[UnitOfWork | None] = []

    async def _handle_internal(self, command: UpdateOrder) -> None:
        self.handled += 1
        order = await self.repo.get(command.order_id)
        order.update(command.changes)
        await self.let_rival_win()
        await self.repo.save(order)

    def resolve_conflict(self, existing: Any, incoming: Any) -> Any:
        self.resolved.append((existing, incoming))
        return super().resolve_conflict(existing, incoming)

    async def save_resolved(self, command: UpdateOrder, resolved: AggregateRoot[Any]) -> None:
        await self.let_rival_win()
        await super().save_resolved(command, resolved)

    async def let_rival_win(self) -> None:
        self.units.append(get_current_uow())
        if self.rivals:
            # In a task of its own it is outside of this unit of work.
            await asyncio.create_task(_run(self.rivals.pop(0)))


async def _run(rival: Callable[[], Awaitable[None]]) -> None:
    await rival()


class App:
    def __init__(self, handler: type[Handler] = Handler, *, idempotent: bool = False) -> None:
        self.database = InMemoryDatabase()
        self.orders = InMemoryRepository(Order, self.database)
        self.store = InMemoryEventStore(self.database)
        self.handler = handler(self.orders)
        self.registry = HandlerRegistry()
        self.registry.command_handler(self.handler)
        inbox = InMemoryInbox(self.database)
        self.mediator = Mediator(
            self.registry,
            lambda: InMemoryUnitOfWork(self.database),
            event_store=self.store,
            middlewares=[IdempotencyMiddleware(inbox)] if idempotent else [],
        )

    async def create(self, **fields: Any) -> None:
        await self.orders.save(Order(id="o", **fields))

    def rival(self, **changes: Any) -> None:
        """Let somebody else change the order between the next load and its save."""

        async def change() -> None:
            order = await self.orders.get("o")
            for name, value in changes.items():
                setattr(order, name, value)
            await self.orders.save(order)

        self.handler.rivals.append(change)

    async def order(self) -> Order:
        return await self.orders.get("o")


async def test_both_changes_are_kept_and_the_stale_command_is_not_run_again() -> None:
    """H-2: each round used to run the stale command again before it resolved anything."""
    app = App()
    await app.create(items=[{"id": 1, "qty": 1}])
    app.rival(status="paid", items=[{"id": 1, "qty": 1, "note": "theirs"}])
    await app.mediator.send(UpdateOrder(changes={"items": [{"id": 1, "qty": 3}]}))
    order = await app.order()
    assert order.status == "paid"
    assert order.items == [{"id": 1, "qty": 3, "note": "theirs"}]
    assert order.version == 3
    assert app.handler.handled == 1


async def test_the_resolution_sees_the_latest_state_in_a_fresh_unit_of_work() -> None:
    app = App()
    await app.create()
    app.rival(status="paid")
    await app.mediator.send(UpdateOrder(changes={"total": Decimal("9.90")}))
    [(existing, incoming)] = app.handler.resolved
    assert (existing.status, existing.version) == ("paid", 2)
    assert incoming == {"total": Decimal("9.90")}
    assert len(set(app.handler.units)) == 2


async def test_a_command_that_wins_resolves_nothing() -> None:
    app = App()
    await app.create()
    await app.mediator.send(UpdateOrder(changes={"status": "paid"}))
    assert app.handler.resolved == []
    assert (await app.order()).status == "paid"


async def test_a_resolution_that_loses_again_goes_into_the_next_round() -> None:
    app = App()
    await app.create()
    for status in ("paid", "packed", "sent"):
        app.rival(status=status)
    await app.mediator.send(UpdateOrder(changes={"total": Decimal(1)}))
    order = await app.order()
    assert (order.status, order.total, order.version) == ("sent", Decimal(1), 5)
    assert [existing.status for existing, _ in app.handler.resolved] == ["paid", "packed", "sent"]
    assert app.handler.handled == 1


async def test_after_the_last_round_the_conflict_is_raised_and_nothing_changed() -> None:
    app = App()
    await app.create()
    for number in range(5):
        app.rival(status=str(number))
    with pytest.raises(OptimisticConcurrencyError):
        await app.mediator.send(UpdateOrder(changes={"total": Decimal(1)}))
    assert len(app.handler.resolved) == 3
    assert len(app.handler.rivals) == 1
    assert (await app.order()).total == 0


async def test_a_repeated_command_is_resolved_once() -> None:
    app = App(idempotent=True)
    await app.create()

    async def lose() -> None:
        raise OptimisticConcurrencyError(StreamId("Order", "o"), 1, 2)

    app.handler.rivals = [lose]
    command = UpdateOrder(changes={"total": Decimal(1)})
    responses = [await app.mediator.send(command) for _ in range(2)]
    assert [response.replayed for response in responses] == [False, True]
    assert len(app.handler.resolved) == 1
    assert (await app.order()).version == 2


async def test_the_events_of_the_lost_try_are_gone_and_those_of_the_resolution_stored() -> None:
    class Telling(Handler):
        def resolve_conflict(self, existing: Any, incoming: Any) -> Any:
            existing.update({"total": incoming["total"], "status": existing.status})
            return existing

    app = App(Telling)
    await app.create()
    app.rival(status="paid")
    await app.mediator.send(UpdateOrder(changes={"total": Decimal(1)}))
    [event] = await app.store.get_events(StreamId("Order", "o"))
    assert event.payload == {"fields": ["status", "total"]}


async def test_resolve_conflict_may_be_async() -> None:
    class Slow(Handler):
        async def resolve_conflict(self, existing: Any, incoming: Any) -> Any:
            await asyncio.sleep(0)
            return existing.model_copy(update=incoming)

    app = App(Slow)
    await app.create()
    app.rival(status="paid")
    await app.mediator.send(UpdateOrder(changes={"total": Decimal(1)}))
    order = await app.order()
    assert (order.status, order.total, order.version) == ("paid", Decimal(1), 3)


async def test_last_wins_replaces_whole_values_and_keeps_the_other_fields() -> None:
    """H-2: LAST_WINS used to be a deep merge."""

    class Last(Handler):
        conflict_policy = ConflictResolutionPolicy.LAST_WINS

    app = App(Last)
    await app.create()
    app.rival(status="paid", address={"city": "Rome"})
    await app.mediator.send(UpdateOrder(changes={"address": {"zip": "1"}}))
    order = await app.order()
    assert (order.status, order.address) == ("paid", {"zip": "1"})


async def test_first_wins_raises_the_conflict() -> None:
    class First(Handler):
        conflict_policy = ConflictResolutionPolicy.FIRST_WINS

    app = App(First)
    await app.create()
    app.rival(status="paid")
    with pytest.raises(OptimisticConcurrencyError):
        await app.mediator.send(UpdateOrder(changes={"status": "late"}))
    assert (await app.order()).status == "paid"
    assert app.handler.handled == 1


async def test_custom_without_a_resolution_is_refused() -> None:
    class Custom(ConflictCommandHandler[UpdateOrder, None]):
        conflict_policy = ConflictResolutionPolicy.CUSTOM

        async def _handle_internal(self, command: UpdateOrder) -> None: ...

    registry = HandlerRegistry()
    registry.command_handler(Custom)
    with pytest.raises(ConfigurationError, match="override resolve_conflict"):
        await Mediator(registry, InMemoryUnitOfWork).send(UpdateOrder(changes={}))


async def test_custom_calls_the_resolution_of_the_handler() -> None:
    class Custom(Handler):
        conflict_policy = ConflictResolutionPolicy.CUSTOM

        def resolve_conflict(self, existing: Any, incoming: Any) -> Any:
            existing.status = f"{existing.status} and {incoming['status']}"
            return existing

    app = App(Custom)
    await app.create()
    app.rival(status="theirs")
    await app.mediator.send(UpdateOrder(changes={"status": "mine"}))
    assert (await app.order()).status == "theirs and mine"


async def test_without_changes_the_fields_of_the_command_are_incoming() -> None:
    class TotalHandler(ConflictCommandHandler[SetTotal, Decimal]):
        async def _handle_internal(self, command: SetTotal) -> Decimal:
            order = await self.repo.get(command.order_id)
            order.total = command.total
            await asyncio.create_task(_run(rival))
            await self.repo.save(order)
            return command.total

        async def save_resolved(self, command: SetTotal, resolved: AggregateRoot[Any]) -> Decimal:
            await super().save_resolved(command, resolved)
            return command.total

    async def rival() -> None:
        order = await orders.get("o")
        order.status = "paid"
        await orders.save(order)

    orders = InMemoryRepository(Order)
    await orders.save(Order(id="o"))
    registry = HandlerRegistry()
    registry.command_handler(TotalHandler(orders))
    response = await Mediator(registry, InMemoryUnitOfWork).send(SetTotal(total=Decimal("1.10")))
    assert response.result == Decimal("1.10")
    order = await orders.get("o")
    assert (order.id, order.status, order.total, order.version) == ("o", "paid", Decimal("1.10"), 3)


@pytest.mark.parametrize("order_id", [7, UUID(int=7)], ids=["int", "uuid"])
async def test_ids_are_looked_up_in_the_type_the_command_has_them_in(order_id: Any) -> None:
    class Numbered(AggregateRoot[Any]):
        status: str = ""

    class Rename(Command[None]):
        order_id: Any
        status: str = "mine"

    class RenameHandler(ConflictCommandHandler[Rename, None]):
        async def _handle_internal(self, command: Rename) -> None:
            conflict = StreamId("Numbered", str(command.order_id))
            raise OptimisticConcurrencyError(conflict, 1, 2)

    repo = InMemoryRepository(Numbered)
    await repo.save(Numbered(id=order_id, status="theirs"))
    registry = HandlerRegistry()
    registry.command_handler(RenameHandler(repo))
    await Mediator(registry, InMemoryUnitOfWork).send(Rename(order_id=order_id))
    assert (await repo.get(order_id)).status == "mine"


async def test_the_conflict_of_another_aggregate_is_not_for_this_handler() -> None:
    app = App()
    await app.create()

    async def lose_elsewhere() -> None:
        raise OptimisticConcurrencyError(StreamId("Invoice", "o"), 1, 2)

    app.handler.rivals = [lose_elsewhere]
    with pytest.raises(OptimisticConcurrencyError, match="Invoice-o"):
        await app.mediator.send(UpdateOrder(changes={"status": "paid"}))
    assert app.handler.resolved == []
    assert (await app.order()).status == "new"


async def test_the_conflict_over_an_aggregate_that_is_gone_is_raised() -> None:
    app = App()
    await app.create()

    async def remove() -> None:
        await app.orders.delete(await app.orders.get("o"))

    app.handler.rivals = [remove]
    with pytest.raises(OptimisticConcurrencyError):
        await app.mediator.send(UpdateOrder(changes={"status": "paid"}))
    assert not await app.orders.exists("o")


@pytest.mark.parametrize("wrong", [None, {}, Order(id="other")], ids=["none", "state", "other id"])
async def test_a_resolution_that_is_no_merged_aggregate_is_refused(wrong: Any) -> None:
    class Wrong(Handler):
        def resolve_conflict(self, existing: Any, incoming: Any) -> Any:
            return wrong

    app = App(Wrong)
    await app.create()
    app.rival(status="paid")
    with pytest.raises(InvalidResolutionError, match="not the merged Order 'o'"):
        await app.mediator.send(UpdateOrder(changes={"status": "late"}))
    assert (await app.order()).status == "paid"


async def test_inside_an_outer_unit_of_work_the_conflict_passes() -> None:
    app = App()
    await app.create()
    app.rival(status="paid")
    with pytest.raises(OptimisticConcurrencyError):
        async with InMemoryUnitOfWork(app.database):
            await app.mediator.send(UpdateOrder(changes={"status": "late"}))
    assert app.handler.resolved == []


class AccountOpened(DomainEvent): ...


class Account(EventSourcedAggregateMixin, AggregateRoot[str]):
    owner: str = ""

    def apply_account_opened(self, event: AccountOpened) -> None: ...


@pytest.mark.parametrize("replaces", [False, True], ids=["default", "own"])
async def test_the_merged_state_of_an_event_sourced_aggregate_is_refused(replaces: bool) -> None:
    class Renaming(ConflictCommandHandler[UpdateOrder, None]):
        async def _handle_internal(self, command: UpdateOrder) -> None:
            raise OptimisticConcurrencyError(StreamId("Account", "o"), 1, 2)

        def resolve_conflict(self, existing: Any, incoming: Any) -> Any:
            if replaces:
                return Account(id="o", owner="merged")
            return super().resolve_conflict(existing, incoming)

    accounts = InMemoryRepository(Account)
    await accounts.save(Account(id="o"))
    registry = HandlerRegistry()
    registry.command_handler(Renaming(accounts))
    with pytest.raises(EventSourcingConfigurationError, match="EventConflictPolicy"):
        await Mediator(registry, InMemoryUnitOfWork).send(UpdateOrder(changes={}))


async def test_an_event_sourced_aggregate_may_decide_again_in_a_resolution() -> None:
    class DepositHandler(ConflictCommandHandler[Deposit, None]):
        async def _handle_internal(self, command: Deposit) -> None:
            account = await self.repo.get(command.account_id)
            account.deposit(command.amount)
            await asyncio.create_task(_run(rival))
            await self.repo.save(account)

        def resolve_conflict(self, existing: SampleAccount, incoming: Any) -> SampleAccount:
            existing.deposit(incoming["amount"])
            return existing

    async def rival() -> None:
        account = await accounts.get("a")
        account.deposit(5)
        await accounts.save(account)

    database = InMemoryDatabase()
    accounts: Any = EventSourcedRepository(InMemoryEventStore(database), SampleAccount)
    await accounts.save(SampleAccount.open("a"))
    registry = HandlerRegistry()
    registry.command_handler(DepositHandler(accounts))
    mediator = Mediator(registry, lambda: InMemoryUnitOfWork(database))
    await mediator.send(Deposit(account_id="a", amount=Decimal(10)))
    account = await accounts.get("a")
    assert (account.balance, account.version) == (15, 3)


class ResilientHandler(Handler, ResilientCommandHandler[UpdateOrder, None]):
    retry_delay = 0.0


def fail_once(app: App) -> None:
    async def fail() -> None:
        raise TransientPersistenceError("deadlock")

    app.handler.rivals.append(fail)


async def test_a_resilient_handler_retries_what_passes_and_merges_what_conflicts() -> None:
    app = App(ResilientHandler)
    await app.create()
    fail_once(app)
    app.rival(status="paid")
    await app.mediator.send(UpdateOrder(changes={"total": Decimal(1)}))
    order = await app.order()
    assert (order.status, order.total, order.version) == ("paid", Decimal(1), 3)
    assert app.handler.handled == 2


async def test_a_transient_error_in_a_resolution_repeats_the_resolution() -> None:
    """H-2: a command that is known to be stale is not run again."""
    app = App(ResilientHandler)
    await app.create()
    app.rival(status="paid")
    fail_once(app)
    fail_once(app)
    await app.mediator.send(UpdateOrder(changes={"total": Decimal(1)}))
    order = await app.order()
    assert (order.status, order.total, order.version) == ("paid", Decimal(1), 3)
    assert app.handler.handled == 1
    assert len(app.handler.resolved) == 3


async def test_concurrent_changes_of_different_fields_all_survive() -> None:
    class Patient(Handler):
        max_conflict_rounds = 200

    app = App(Patient)
    await app.create()
    changes: list[dict[str, Any]] = [{"items": [{"id": n, "qty": n}]} for n in range(8)]
    await asyncio.gather(*(app.mediator.send(UpdateOrder(changes=change)) for change in changes))
    order = await app.order()
    assert {item["id"] for item in order.items} == set(range(8))
    assert len(order.items) == 8
    assert order.version == 9
