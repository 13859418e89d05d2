"""Which events may follow which, and what becomes of those that lost a race."""

from __future__ import annotations

from typing import Any

import pytest

from cqrs_ddd_advanced_core.conflict import (
    EventConflictPolicy,
    EventConflictRule,
    EventRebase,
    EventVerdict,
)
from cqrs_ddd_advanced_core.domain.exceptions import EventConflictError
from cqrs_ddd_advanced_core.domain.lifecycle import AggregateDeleted, AggregateRestored
from cqrs_ddd_advanced_core.event_sourcing import EventSourcedRepository
from cqrs_ddd_advanced_core.testing.samples import (
    AccountOpened,
    MoneyDeposited,
    MoneyWithdrawn,
    SampleAccount,
)
from cqrs_ddd_core.adapters.memory import (
    InMemoryDatabase,
    InMemoryEventStore,
    InMemoryUnitOfWork,
)
from cqrs_ddd_core.correlation import message_context
from cqrs_ddd_core.cqrs.event_serializer import EventSerializer, serialize_event
from cqrs_ddd_core.domain.event_registry import EventTypeRegistry
from cqrs_ddd_core.domain.events import DomainEvent
from cqrs_ddd_core.middleware import RetryPolicy
from cqrs_ddd_core.ports.event_store import AppendResult, NewEvent, StreamId
from cqrs_ddd_core.ports.pending_stream import PendingStream
from cqrs_ddd_core.primitives.exceptions import ConfigurationError, OptimisticConcurrencyError

COMMUTES, RERUNS = EventVerdict.COMMUTES, EventVerdict.RERUNS


class Reserved(DomainEvent):
    seat: int


class SpeciallyReserved(Reserved): ...


class Closed(DomainEvent): ...


def verdict(policy: EventConflictPolicy, mine: DomainEvent, theirs: DomainEvent) -> EventVerdict:
    return policy.judge(mine, theirs).verdict


class TestDeclaring:
    def test_what_is_not_declared_reruns(self) -> None:
        assert verdict(EventConflictPolicy(), Closed(), Closed()) is RERUNS

    def test_a_declaration_says_nothing_of_the_reverse(self) -> None:
        policy = EventConflictPolicy().commutes(Reserved, Closed)
        assert verdict(policy, Reserved(seat=1), Closed()) is COMMUTES
        assert verdict(policy, Closed(), Reserved(seat=1)) is RERUNS

    def test_a_condition_limits_a_declaration(self) -> None:
        policy = (
            EventConflictPolicy()
            .commutes(Reserved, Reserved, when=lambda mine, theirs: mine.seat != theirs.seat)
            .conflicts(Reserved, Reserved, because="the seat is taken")
        )
        assert verdict(policy, Reserved(seat=1), Reserved(seat=2)) is COMMUTES
        rule = policy.judge(Reserved(seat=1), Reserved(seat=1))
        assert rule == EventConflictRule(EventVerdict.CONFLICTS, "the seat is taken")

    def test_the_nearest_class_counts(self) -> None:
        policy = (
            EventConflictPolicy()
            .commutes(DomainEvent, DomainEvent)
            .reruns(Reserved, Reserved)
            .commutes(SpeciallyReserved, DomainEvent)
        )
        assert verdict(policy, Closed(), Reserved(seat=1)) is COMMUTES
        assert verdict(policy, Reserved(seat=1), SpeciallyReserved(seat=1)) is RERUNS
        assert verdict(policy, SpeciallyReserved(seat=1), Reserved(seat=1)) is COMMUTES

    @pytest.mark.parametrize("theirs", [AggregateDeleted(), AggregateRestored()])
    def test_no_general_declaration_lets_events_follow_a_deletion(
        self, theirs: DomainEvent
    ) -> None:
        policy = EventConflictPolicy().commutes(DomainEvent, DomainEvent)
        assert verdict(policy, Closed(), theirs) is RERUNS
        assert verdict(policy, theirs, Closed()) is RERUNS

    def test_a_deletion_may_be_named_as_a_conflict_but_never_commutes(self) -> None:
        policy = EventConflictPolicy().conflicts(Closed, AggregateDeleted, because="it is gone")
        assert verdict(policy, Closed(), AggregateDeleted()) is EventVerdict.CONFLICTS
        with pytest.raises(ConfigurationError, match="commutes with nothing"):
            policy.commutes(Reserved, AggregateDeleted)

    def test_a_pair_that_is_decided_cannot_be_declared_again(self) -> None:
        policy = EventConflictPolicy().commutes(Closed, Closed)
        with pytest.raises(ConfigurationError, match="decided already"):
            policy.reruns(Closed, Closed, when=lambda mine, theirs: True)

    def test_definitions_without_sense_are_refused(self) -> None:
        with pytest.raises(ConfigurationError, match="is no event class"):
            EventConflictPolicy().reruns(Closed, "Closed")  # type: ignore[arg-type]
        with pytest.raises(ConfigurationError, match="because"):
            EventConflictPolicy().conflicts(Closed, Closed, because="")

    def test_declared_pairs_can_be_listed(self) -> None:
        policy = EventConflictPolicy().commutes(Closed, Reserved).reruns(Reserved, Closed)
        assert policy.declared(COMMUTES) == ((Closed, Reserved),)
        assert policy.declared(RERUNS) == ((Reserved, Closed),)


class RestlessStore(InMemoryEventStore):
    """Lets others append just before us, so many times."""

    rivals = 0

    async def append(
        self, stream: StreamId, events: Any, *, expected_version: Any = None
    ) -> AppendResult:
        if self.rivals:
            self.rivals -= 1
            rival: list[NewEvent] = [serialize_event(MoneyDeposited(amount="1"))]  # type: ignore[arg-type]
            await super().append(stream, rival)
        return await super().append(stream, events, expected_version=expected_version)


class Bank:
    """An account that somebody changes between our load and our commit."""

    def __init__(self, policy: EventConflictPolicy, **options: Any) -> None:
        self.database = InMemoryDatabase()
        self.store = RestlessStore(self.database)
        self.accounts = EventSourcedRepository(
            self.store, SampleAccount, conflict_policy=policy, **options
        )
        self.rivals = EventSourcedRepository(self.store, SampleAccount)

    async def open(self) -> SampleAccount:
        await self.rivals.save(SampleAccount.open("a"))
        return await self.accounts.get("a")

    async def rival(self, *amounts: int) -> None:
        account = await self.rivals.get("a")
        for amount in amounts:
            account.deposit(amount)
        await self.rivals.save(account)

    async def events(self) -> list[str]:
        stored = await self.store.get_events(StreamId("SampleAccount", "a"))
        assert [event.version for event in stored] == list(range(1, len(stored) + 1))
        return [event.event_type for event in stored]


async def test_commuting_events_follow_theirs_in_the_same_unit_of_work() -> None:
    bank = Bank(EventConflictPolicy().commutes(MoneyDeposited, MoneyDeposited))
    account = await bank.open()
    await bank.rival(1, 2)
    async with InMemoryUnitOfWork(bank.database) as uow:
        account.deposit(10)
        account.deposit(20)
        await bank.accounts.save(account)
        other = SampleAccount.open("b")
        await bank.accounts.save(other)
    assert uow.position == await bank.store.get_latest_position()
    assert await bank.events() == ["AccountOpened"] + ["MoneyDeposited"] * 4
    assert (await bank.accounts.get("a")).balance == 33
    assert await bank.accounts.exists("b")


async def test_outside_of_a_unit_of_work_they_do_as_well() -> None:
    bank = Bank(EventConflictPolicy().commutes(MoneyDeposited, MoneyDeposited))
    account = await bank.open()
    await bank.rival(1)
    account.deposit(10)
    await bank.accounts.save(account)
    assert (await bank.accounts.get("a")).balance == 11


async def test_one_pair_that_reruns_lets_the_conflict_pass() -> None:
    bank = Bank(EventConflictPolicy().commutes(MoneyDeposited, MoneyDeposited))
    account = await bank.open()
    await bank.rival(1)
    account.deposit(10)
    account.withdraw(5)
    with pytest.raises(OptimisticConcurrencyError):
        async with InMemoryUnitOfWork(bank.database):
            await bank.accounts.save(account)
    assert await bank.events() == ["AccountOpened", "MoneyDeposited"]


async def test_later_events_of_the_stream_are_judged_with_the_first() -> None:
    """Events of another stream in between split them into two appends; only one meets theirs."""
    bank = Bank(EventConflictPolicy().commutes(MoneyDeposited, MoneyDeposited))
    account = await bank.open()
    await bank.rival(1)
    account.deposit(10)
    other = SampleAccount.open("b")
    account.withdraw(5)

    async def save_both() -> None:
        async with InMemoryUnitOfWork(bank.database):
            await bank.accounts.save(account)
            await bank.accounts.save(other)

    with pytest.raises(OptimisticConcurrencyError):
        await save_both()
    assert await bank.events() == ["AccountOpened", "MoneyDeposited"]


async def test_a_pair_that_conflicts_is_explained_and_not_retried() -> None:
    policy = (
        EventConflictPolicy()
        .commutes(MoneyDeposited, MoneyDeposited)
        .conflicts(MoneyWithdrawn, MoneyDeposited, because="money laundering is suspected")
    )
    bank = Bank(policy)
    account = await bank.open()
    with message_context(user_id="bob"):
        await bank.rival(1)
    account.deposit(10)
    account.withdraw(5)
    with pytest.raises(EventConflictError) as caught:
        async with InMemoryUnitOfWork(bank.database):
            await bank.accounts.save(account)
    error = caught.value
    [(mine, theirs, because)] = error.collisions
    assert isinstance(mine, MoneyWithdrawn)
    assert (theirs.event_type, theirs.version) == ("MoneyDeposited", 2)
    assert because == "money laundering is suspected"
    text = str(error)
    assert "SampleAccount-a: MoneyWithdrawn cannot follow MoneyDeposited (version 2, by bob" in text
    assert text.endswith("money laundering is suspected")
    assert RetryPolicy().next_delay(1, error) is None


async def test_a_race_that_is_lost_again_and_again_is_resolved_so_many_times() -> None:
    bank = Bank(EventConflictPolicy().commutes(MoneyDeposited, MoneyDeposited))
    account = await bank.open()
    bank.store.rivals = 50
    account.deposit(10)
    await bank.accounts.save(account)
    assert (await bank.accounts.get("a")).balance == 60


async def test_after_that_the_conflict_passes() -> None:
    bank = Bank(EventConflictPolicy().commutes(MoneyDeposited, MoneyDeposited))
    account = await bank.open()
    bank.store.rivals = 51
    account.deposit(10)
    with pytest.raises(OptimisticConcurrencyError):
        await bank.accounts.save(account)
    assert len(await bank.events()) == 52


async def test_without_a_policy_a_lost_race_is_a_conflict() -> None:
    bank = Bank(EventConflictPolicy())
    account = await bank.open()
    await bank.rival(1)
    account.deposit(10)
    with pytest.raises(OptimisticConcurrencyError):
        await bank.rivals.save(account)


async def test_the_deletion_of_the_aggregate_is_never_overridden() -> None:
    bank = Bank(EventConflictPolicy().commutes(DomainEvent, DomainEvent))
    account = await bank.open()
    await bank.rivals.delete(await bank.rivals.get("a"))
    account.deposit(10)
    with pytest.raises(OptimisticConcurrencyError):
        await bank.accounts.save(account)
    assert not await bank.accounts.exists("a")


async def test_events_that_were_removed_cannot_be_judged() -> None:
    bank = Bank(EventConflictPolicy().commutes(DomainEvent, DomainEvent))
    account = await bank.open()
    await bank.rival(1, 2)
    await bank.store.delete_events(StreamId("SampleAccount", "a"), up_to_version=2)
    account.deposit(10)
    with pytest.raises(OptimisticConcurrencyError):
        await bank.accounts.save(account)


async def test_events_nobody_knows_cannot_be_judged() -> None:
    store = InMemoryEventStore()
    stream = StreamId("SampleAccount", "a")
    theirs, mine = (serialize_event(AccountOpened(owner="Ada")) for _ in range(2))
    await store.append(stream, [theirs])
    pending = PendingStream(stream, store, 0)
    registry = EventTypeRegistry([AccountOpened])
    policy = EventConflictPolicy().commutes(DomainEvent, DomainEvent)
    pending.on_conflict = EventRebase(policy, pending, EventSerializer(registry))
    with pytest.raises(OptimisticConcurrencyError):
        await pending.append([mine])


@pytest.mark.parametrize("in_unit_of_work", [True, False])
async def test_an_object_that_was_merged_still_has_to_face_what_it_does_not_know(
    in_unit_of_work: bool,
) -> None:
    policy = (
        EventConflictPolicy()
        .commutes(MoneyDeposited, DomainEvent)
        .commutes(MoneyWithdrawn, MoneyDeposited)
        .conflicts(MoneyWithdrawn, MoneyWithdrawn, because="one withdrawal at a time")
    )
    bank = Bank(policy)
    await bank.open()
    await bank.rival(10)
    account = await bank.accounts.get("a")
    account.deposit(10)
    rival = await bank.rivals.get("a")
    rival.withdraw(5)
    rival.deposit(5)
    await bank.rivals.save(rival)
    if in_unit_of_work:
        async with InMemoryUnitOfWork(bank.database):
            await bank.accounts.save(account)
    else:
        await bank.accounts.save(account)
    account.withdraw(1)
    with pytest.raises(EventConflictError, match="one withdrawal at a time"):
        await bank.accounts.save(account)
