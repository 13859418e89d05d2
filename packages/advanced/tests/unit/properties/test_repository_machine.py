"""The repository against a plain dictionary, over random steps of many users."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    multiple,
    rule,
)

from cqrs_ddd_advanced_core.adapters.memory import InMemorySnapshotStore
from cqrs_ddd_advanced_core.event_sourcing import AggregateCache, EventSourcedRepository
from cqrs_ddd_advanced_core.snapshots import EveryNEventsStrategy, SnapshotStore
from cqrs_ddd_advanced_core.testing.samples import MoneyDeposited, SampleAccount
from cqrs_ddd_core.adapters.memory import InMemoryDatabase, InMemoryEventStore, InMemoryUnitOfWork
from cqrs_ddd_core.ports.event_store import StreamId
from cqrs_ddd_core.primitives.exceptions import (
    EntityNotFoundError,
    InvariantViolationError,
    OptimisticConcurrencyError,
)
from cqrs_ddd_core.testing.conformance import Veto

T = TypeVar("T")

IDS = st.sampled_from(["a", "b", "c"])
AMOUNTS = st.integers(-5, 9).map(Decimal)


@dataclass(frozen=True)
class Expected:
    """What is known of one account."""

    balance: Decimal = Decimal(0)
    version: int = 0
    is_deleted: bool = False
    is_erased: bool = False

    @property
    def exists(self) -> bool:
        return self.version > 0 and not self.is_deleted

    def moved(self, amount: Decimal) -> Expected:
        return replace(self, balance=self.balance + amount, version=self.version + 1)


class RepositoryMachine(RuleBasedStateMachine):
    """Each step is a unit of work of its own, or none; copies of accounts are kept over steps."""

    copies = Bundle("copies")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.database = InMemoryDatabase()
        self.store = InMemoryEventStore(self.database)
        self.accounts = self.make_repository()
        self.expected: dict[str, Expected] = {}

    def make_repository(self) -> EventSourcedRepository[SampleAccount]:
        return EventSourcedRepository(self.store, SampleAccount)

    def run_async(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def teardown(self) -> None:
        self.runner.close()

    def known(self, entity_id: str) -> Expected:
        return self.expected.get(entity_id, Expected())

    # --- steps ------------------------------------------------------------------------------------

    @rule(entity_id=IDS, is_committed=st.booleans())
    def open(self, entity_id: str, is_committed: bool) -> None:
        known = self.known(entity_id)

        async def step() -> None:
            await self.accounts.save(SampleAccount.open(entity_id))
            if not is_committed:
                raise Veto

        if self.happens(step(), is_committed, is_stale=known.version > 0):
            self.expected[entity_id] = Expected(version=1)

    @rule(moves=st.lists(st.tuples(IDS, AMOUNTS), max_size=6), is_committed=st.booleans())
    def move_in_one_unit_of_work(
        self, moves: list[tuple[str, Decimal]], is_committed: bool
    ) -> None:
        planned = dict(self.expected)

        async def step() -> None:
            for entity_id, amount in moves:
                account = await self.accounts.get_by_id(entity_id)
                before = planned.get(entity_id, Expected())
                assert _seen(account) == _visible(before)
                if account is not None and self.move(account, amount):
                    await self.accounts.save(account)
                    planned[entity_id] = before.moved(amount)
            if not is_committed:
                raise Veto

        if self.happens(step(), is_committed):
            self.expected = planned

    @rule(entity_id=IDS, amount=AMOUNTS)
    def move_without_a_unit_of_work(self, entity_id: str, amount: Decimal) -> None:
        async def step() -> bool:
            account = await self.accounts.get_by_id(entity_id)
            if account is None or not self.move(account, amount):
                return False
            await self.accounts.save(account)
            return True

        if self.run_async(step()):
            self.expected[entity_id] = self.known(entity_id).moved(amount)

    @rule(target=copies, entity_id=IDS)
    def load_a_copy(self, entity_id: str) -> Any:
        account = self.run_async(self.accounts.get_by_id(entity_id))
        return multiple() if account is None else account

    @rule(account=copies, amount=AMOUNTS, is_committed=st.booleans())
    def save_a_copy_that_may_be_stale(
        self, account: SampleAccount, amount: Decimal, is_committed: bool
    ) -> None:
        known, account = self.known(account.id), account.model_copy(deep=True)
        if not self.move(account, amount):
            return

        async def step() -> None:
            await self.accounts.save(account)
            if not is_committed:
                raise Veto

        is_stale = account.version != known.version
        if self.happens(step(), is_committed, is_stale=is_stale):
            self.expected[account.id] = known.moved(amount)

    @rule(entity_id=IDS, amounts=st.tuples(AMOUNTS, AMOUNTS))
    def race(self, entity_id: str, amounts: tuple[Decimal, Decimal]) -> None:
        async def writer(amount: Decimal, others: asyncio.Barrier) -> Decimal:
            async with InMemoryUnitOfWork(self.database):
                account = await self.accounts.get(entity_id)
                await others.wait()
                account.raise_event(MoneyDeposited(amount=amount))
                await self.accounts.save(account)
            return amount

        async def step() -> list[Decimal | BaseException]:
            others = asyncio.Barrier(2)
            writers = (writer(amount, others) for amount in amounts)
            return await asyncio.gather(*writers, return_exceptions=True)

        if not self.known(entity_id).exists:
            return
        outcomes = self.run_async(step())
        [won] = [one for one in outcomes if isinstance(one, Decimal)]
        [lost] = [one for one in outcomes if not isinstance(one, Decimal)]
        assert isinstance(lost, OptimisticConcurrencyError)
        self.expected[entity_id] = self.known(entity_id).moved(won)

    @rule(account=copies, is_hard=st.booleans(), is_committed=st.booleans())
    def delete(self, account: SampleAccount, is_hard: bool, is_committed: bool) -> None:
        known, account = self.known(account.id), account.model_copy(deep=True)

        async def step() -> None:
            await self.accounts.delete(account, hard=is_hard)
            assert await self.accounts.get_by_id(account.id) is None
            if not is_committed:
                raise Veto

        is_stale = account.version != known.version
        if self.happens(step(), is_committed, is_stale=is_stale):
            ended = replace(known, version=known.version + 1, is_deleted=True, is_erased=is_hard)
            self.expected[account.id] = ended

    @rule(entity_id=IDS, is_committed=st.booleans())
    def restore(self, entity_id: str, is_committed: bool) -> None:
        known = self.known(entity_id)

        async def step() -> None:
            account = await self.accounts.restore(entity_id)
            assert account.balance == known.balance
            if not is_committed:
                raise Veto

        if not known.is_deleted or known.is_erased:
            with pytest.raises(EntityNotFoundError):
                self.run_async(self.in_unit_of_work(step()))
        elif self.happens(step(), is_committed):
            self.expected[entity_id] = replace(known, version=known.version + 1, is_deleted=False)

    # --- what always holds ------------------------------------------------------------------------

    @invariant()
    def everything_is_as_expected(self) -> None:
        self.run_async(self.compare())

    async def compare(self) -> None:
        for entity_id in ("a", "b", "c"):
            known = self.known(entity_id)
            assert _seen(await self.accounts.get_by_id(entity_id)) == _visible(known)
            assert await self.accounts.exists(entity_id) is known.exists
            stream = StreamId("SampleAccount", entity_id)
            assert await self.store.get_stream_version(stream) == known.version
        present = [account.id async for account in self.accounts.get_all()]
        assert present == sorted(name for name, known in self.expected.items() if known.exists)

    # --- how steps are run ------------------------------------------------------------------------

    async def in_unit_of_work(self, step: Coroutine[Any, Any, None]) -> None:
        async with InMemoryUnitOfWork(self.database):
            await step

    def happens(
        self, step: Coroutine[Any, Any, None], is_committed: bool, *, is_stale: bool = False
    ) -> bool:
        """Run a step in a unit of work, and check that it ends as it has to."""
        work = self.in_unit_of_work(step)
        if not is_committed:
            # Also of a stale copy: nothing is compared with the store before the commit.
            with pytest.raises(Veto):
                self.run_async(work)
            return False
        if is_stale:
            with pytest.raises(OptimisticConcurrencyError):
                self.run_async(work)
            return False
        self.run_async(work)
        return True

    def move(self, account: SampleAccount, amount: Decimal) -> bool:
        try:
            if amount >= 0:
                account.deposit(amount)
            else:
                account.withdraw(-amount)
        except InvariantViolationError:
            return False
        return True


class CachedRepositoryMachine(RepositoryMachine):
    """A cache changes nothing."""

    def make_repository(self) -> EventSourcedRepository[SampleAccount]:
        return EventSourcedRepository(self.store, SampleAccount, cache=AggregateCache(2))


class SnapshotRepositoryMachine(RepositoryMachine):
    """Snapshots change nothing, written late as they are; nor with a cache before them."""

    def make_repository(self) -> EventSourcedRepository[SampleAccount]:
        snapshots = InMemorySnapshotStore(self.database)
        self.snapshots = SnapshotStore(snapshots, EveryNEventsStrategy(frequency=2))
        return EventSourcedRepository(
            self.store, SampleAccount, snapshot_store=self.snapshots, cache=AggregateCache(1)
        )

    @rule()
    def write_the_snapshots(self) -> None:
        self.run_async(self.snapshots.drain())

    def teardown(self) -> None:
        self.run_async(self.snapshots.drain())
        assert self.snapshots.failures == 0
        super().teardown()


def _seen(account: SampleAccount | None) -> tuple[Decimal, int] | None:
    return None if account is None else (account.balance, account.version)


def _visible(known: Expected) -> tuple[Decimal, int] | None:
    return (known.balance, known.version) if known.exists else None


LAWS = settings(
    max_examples=50,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestRepository = RepositoryMachine.TestCase
TestRepository.settings = LAWS
TestCachedRepository = CachedRepositoryMachine.TestCase
TestCachedRepository.settings = LAWS
TestSnapshotRepository = SnapshotRepositoryMachine.TestCase
TestSnapshotRepository.settings = LAWS
