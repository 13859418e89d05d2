"""Commands on one resource run one after the other."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

import pytest

from cqrs_ddd_core.adapters.memory.database import InMemoryDatabase
from cqrs_ddd_core.adapters.memory.locking import InMemoryLockStrategy
from cqrs_ddd_core.adapters.memory.unit_of_work import InMemoryUnitOfWork
from cqrs_ddd_core.correlation import message_context
from cqrs_ddd_core.cqrs.command import Command
from cqrs_ddd_core.cqrs.critical_section import CriticalSection
from cqrs_ddd_core.cqrs.mediator import Mediator
from cqrs_ddd_core.cqrs.registry import HandlerRegistry
from cqrs_ddd_core.middleware.concurrency import ConcurrencyGuardMiddleware
from cqrs_ddd_core.ports.locking import ActiveLock, ILockStrategy, LockMode, ResourceIdentifier
from cqrs_ddd_core.ports.unit_of_work import UnitOfWork
from cqrs_ddd_core.ports.unit_of_work_scope import get_current_uow
from cqrs_ddd_core.primitives.exceptions import (
    ConcurrencyError,
    ConfigurationError,
    LockAcquisitionError,
)


def order(name: str, mode: LockMode = LockMode.WRITE) -> ResourceIdentifier:
    return ResourceIdentifier("Order", name, mode)


class Recorder(ILockStrategy):
    """Locks in memory and writes down what it did."""

    def __init__(self, log: list[str]) -> None:
        self.inner = InMemoryLockStrategy()
        self.log = log

    async def acquire(
        self, resource: ResourceIdentifier, *, timeout: float = 10.0, ttl: float = 30.0
    ) -> str:
        token = await self.inner.acquire(resource, timeout=timeout, ttl=ttl)
        self.log.append(f"lock {resource}")
        return token

    async def extend(self, resource: ResourceIdentifier, token: str, ttl: float) -> bool:
        return await self.inner.extend(resource, token, ttl)

    async def release(self, resource: ResourceIdentifier, token: str) -> bool:
        self.log.append(f"unlock {resource}")
        return await self.inner.release(resource, token)

    async def get_active_locks(self) -> list[ActiveLock]:
        return await self.inner.get_active_locks()


class LoggedUnitOfWork(InMemoryUnitOfWork):
    def __init__(self, database: InMemoryDatabase, log: list[str]) -> None:
        super().__init__(database)
        self._log = log

    async def _commit(self) -> None:
        await super()._commit()
        self._log.append("commit")


class Ship(Command):
    order: str
    fails: bool = False

    def get_critical_resources(self) -> Sequence[ResourceIdentifier]:
        return (order(self.order),)


class ShipBoth(Command):
    first: str
    second: str
    mode: LockMode = LockMode.WRITE

    def get_critical_resources(self) -> Sequence[ResourceIdentifier]:
        return (order(self.first, self.mode),)


class Depot:
    def __init__(self, *, timeout: float = 10.0) -> None:
        self.log: list[str] = []
        self.locks = Recorder(self.log)
        self.database = InMemoryDatabase()
        self.inside = 0
        self.most_inside = 0
        self.runs = 0
        self.registry = HandlerRegistry()
        self.registry.register_command_handler(Ship, self.ship)
        self.registry.register_command_handler(ShipBoth, self.ship_both)
        guard = ConcurrencyGuardMiddleware(self.locks, timeout=timeout)
        self.mediator = Mediator(self.registry, self._open, middlewares=[guard])

    def _open(self) -> UnitOfWork:
        return LoggedUnitOfWork(self.database, self.log)

    async def ship(self, command: Ship) -> None:
        get_current_uow()
        self.runs += 1
        self.inside += 1
        self.most_inside = max(self.most_inside, self.inside)
        await asyncio.sleep(0)
        self.inside -= 1
        if command.fails:
            msg = "lost a race inside the handler"
            raise ConcurrencyError(msg)

    async def ship_both(self, command: ShipBoth) -> None:
        await self.mediator.send(Ship(order=command.first))
        await self.mediator.send(Ship(order=command.second))


async def test_a_lock_is_held_until_after_the_commit() -> None:
    """C-7: released before the commit, the lock would protect nothing."""
    depot = Depot()
    await depot.mediator.send(Ship(order="1"))
    assert depot.log == ["lock Order:1 (write)", "commit", "unlock Order:1 (write)"]


async def test_two_commands_of_one_request_exclude_each_other() -> None:
    """C-7: sharing a correlation id does not share a lock."""
    depot = Depot()
    with message_context(correlation_id="request"):
        await asyncio.gather(*(depot.mediator.send(Ship(order="1")) for _ in range(5)))
    assert depot.runs == 5
    assert depot.most_inside == 1


async def test_tenants_do_not_wait_for_each_other() -> None:
    depot = Depot()
    for tenant in ("acme", ""):
        with message_context(tenant_id=tenant):
            await depot.mediator.send(Ship(order="1"))
    assert depot.log[0] == "lock acme/Order:1 (write)"
    assert depot.log[3] == "lock Order:1 (write)"


async def test_a_handler_that_raises_a_concurrency_error_runs_once() -> None:
    """C-7: the guard never executes a handler again."""
    depot = Depot()
    with pytest.raises(ConcurrencyError, match="lost a race"):
        await depot.mediator.send(Ship(order="1", fails=True))
    assert depot.runs == 1
    assert await depot.locks.get_active_locks() == []


async def test_a_nested_command_enters_with_the_locks_of_the_outer_one() -> None:
    """C-7: what the task holds it does not wait for; what it adds is held to the same end."""
    depot = Depot()
    await asyncio.wait_for(depot.mediator.send(ShipBoth(first="1", second="2")), 5)
    assert depot.log == [
        "lock Order:1 (write)",
        "lock Order:2 (write)",
        "commit",
        "unlock Order:2 (write)",
        "unlock Order:1 (write)",
    ]


async def test_a_command_that_locks_nothing_holds_what_its_nested_commands_lock() -> None:
    """C-7: a nested lock outlives the nested command, because the commit comes later."""
    depot = Depot()

    class Plain(Command):
        pass

    async def plain(command: Plain) -> None:
        await depot.mediator.send(Ship(order="1"))
        assert len(await depot.locks.get_active_locks()) == 1

    depot.registry.register_command_handler(Plain, plain)
    await depot.mediator.send(Plain())
    assert depot.log == ["lock Order:1 (write)", "commit", "unlock Order:1 (write)"]


async def test_a_task_started_by_a_handler_has_to_wait_for_its_locks() -> None:
    """C-7: it has a unit of work of its own, so that sharing the lock would let two in."""
    depot = Depot(timeout=0.01)

    class Fork(Command):
        def get_critical_resources(self) -> Sequence[ResourceIdentifier]:
            return (order("1"),)

    async def fork(command: Fork) -> None:
        with pytest.raises(LockAcquisitionError):
            await asyncio.create_task(depot.mediator.send(Ship(order="1")))

    depot.registry.register_command_handler(Fork, fork)
    await depot.mediator.send(Fork())
    assert depot.runs == 0


async def test_a_command_that_waits_in_vain_never_runs() -> None:
    depot = Depot(timeout=0.01)
    async with CriticalSection(depot.locks, [order("1")]):
        with pytest.raises(LockAcquisitionError):
            await depot.mediator.send(Ship(order="1"))
    assert depot.runs == 0


async def test_a_nested_command_cannot_turn_a_read_lock_into_a_write_lock() -> None:
    depot = Depot()
    with pytest.raises(ConfigurationError, match="Order:1 is locked for reading already"):
        await depot.mediator.send(ShipBoth(first="1", second="2", mode=LockMode.READ))
    assert await depot.locks.get_active_locks() == []


async def test_locks_that_would_end_before_the_commit_are_refused() -> None:
    depot = Depot()
    async with InMemoryUnitOfWork(depot.database):
        with pytest.raises(ConfigurationError, match="its locks would end before the commit"):
            await depot.mediator.send(Ship(order="1"))


async def test_cancelling_a_command_gives_its_locks_back() -> None:
    depot = Depot()
    entered = asyncio.Event()

    class Hang(Command):
        def get_critical_resources(self) -> Sequence[ResourceIdentifier]:
            return (order("1"), order("2"))

    async def hang(command: Hang) -> None:
        entered.set()
        await asyncio.Event().wait()

    depot.registry.register_command_handler(Hang, hang)
    sending = asyncio.create_task(depot.mediator.send(Hang()))
    await entered.wait()
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert await depot.locks.get_active_locks() == []


async def test_resources_are_locked_in_one_order_each_once_and_writing_wins() -> None:
    log: list[str] = []
    wanted = [order("b"), order("a", LockMode.READ), order("c"), order("a"), order("b")]
    async with CriticalSection(Recorder(log), wanted):
        log.append("inside")
    assert log == [
        *(f"lock Order:{name} (write)" for name in "abc"),
        "inside",
        *(f"unlock Order:{name} (write)" for name in "cba"),
    ]


async def test_tasks_that_name_resources_in_different_order_do_not_deadlock() -> None:
    locks = InMemoryLockStrategy()

    async def visit(*names: str) -> None:
        async with CriticalSection(locks, map(order, names), timeout=5):
            await asyncio.sleep(0)

    async with asyncio.timeout(5):
        await asyncio.gather(*(visit(*names) for names in ("abc", "cba", "bca") * 5))


async def test_when_one_of_several_is_taken_none_is_kept() -> None:
    locks = InMemoryLockStrategy()
    async with CriticalSection(locks, [order("b")]):
        with pytest.raises(LockAcquisitionError):
            await CriticalSection(locks, timeout=0.01).acquire([order("a"), order("b")])
        assert [lock.resource.key for lock in await locks.get_active_locks()] == ["Order:b"]


async def test_a_waiter_that_is_cancelled_keeps_nothing() -> None:
    log: list[str] = []
    locks = Recorder(log)
    async with CriticalSection(locks, [order("b")]):
        waiting = asyncio.create_task(CriticalSection(locks).acquire([order("a"), order("b")]))
        while "lock Order:a (write)" not in log:  # noqa: ASYNC110 - nobody tells us
            await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert [lock.resource.key for lock in await locks.get_active_locks()] == ["Order:b"]


async def test_a_lock_that_ended_too_early_is_reported(
    caplog: pytest.LogCaptureFixture,
) -> None:
    locks = InMemoryLockStrategy()
    caplog.set_level(logging.WARNING)
    section = CriticalSection(locks, [order("a")], ttl=0.001)
    async with section, CriticalSection(locks, [order("a")], timeout=5):
        pass
    assert "ttl of 0.001 s is too short" in caplog.text


class SlowToRelease(Recorder):
    """Waits for a gate before each release, and cannot release one resource."""

    def __init__(self, log: list[str]) -> None:
        super().__init__(log)
        self.gate = asyncio.Event()
        self.releasing = asyncio.Event()

    async def release(self, resource: ResourceIdentifier, token: str) -> bool:
        self.releasing.set()
        await self.gate.wait()
        if resource.resource_id == "broken":
            msg = "connection lost"
            raise OSError(msg)
        return await super().release(resource, token)


async def test_cancelling_a_release_still_gives_every_lock_back() -> None:
    locks = SlowToRelease([])
    section = CriticalSection(locks)
    await section.acquire([order("a"), order("b")])
    leaving = asyncio.create_task(section.release())
    await locks.releasing.wait()
    leaving.cancel()
    await asyncio.sleep(0)
    locks.gate.set()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert await locks.get_active_locks() == []


async def test_a_lock_that_cannot_be_released_does_not_undo_what_was_done(
    caplog: pytest.LogCaptureFixture,
) -> None:
    locks = SlowToRelease([])
    locks.gate.set()
    async with CriticalSection(locks, [order("a"), order("broken"), order("c")]):
        pass
    assert [lock.resource.resource_id for lock in await locks.get_active_locks()] == ["broken"]
    assert "could not release the lock on Order:broken" in caplog.text
