"""When snapshots are taken."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cqrs_ddd_advanced_core.ports import ISnapshotStrategy, SnapshotProgress
from cqrs_ddd_advanced_core.snapshots import (
    AllOf,
    AnyOf,
    EveryIntervalStrategy,
    EveryNEventsStrategy,
    SnapshotStrategyRegistry,
    TailSizeStrategy,
)
from cqrs_ddd_advanced_core.testing.samples import SampleAccount
from cqrs_ddd_core import AggregateRoot
from cqrs_ddd_core.primitives.clock import FixedClock
from cqrs_ddd_core.primitives.exceptions import ConfigurationError


class Order(AggregateRoot[str]):
    pass


ACCOUNT, ORDER = SampleAccount.blank("a"), Order(id="o")


def versions_with_snapshot(strategy: ISnapshotStrategy, commits: list[int]) -> list[int]:
    """Commit so many events at a time, as a store that takes every snapshot at once."""
    taken, version = [0], 0
    for count in commits:
        progress = SnapshotProgress(version, version + count, taken[-1])
        version += count
        if strategy.should_snapshot(ACCOUNT, progress):
            taken.append(version)
    return taken[1:]


def test_a_snapshot_is_due_when_a_multiple_is_passed_and_not_only_when_it_is_hit() -> None:
    """A-8."""
    strategy = EveryNEventsStrategy(n=10)
    assert versions_with_snapshot(strategy, [3] * 14) == [12, 21, 30, 42]


def test_several_multiples_passed_at_once_are_one_snapshot() -> None:
    assert versions_with_snapshot(EveryNEventsStrategy(10), [35, 4, 1]) == [35, 40]


@given(st.integers(1, 50), st.lists(st.integers(1, 120), max_size=60))
def test_no_multiple_is_passed_without_a_snapshot(n: int, commits: list[int]) -> None:
    taken = versions_with_snapshot(EveryNEventsStrategy(n=n), commits)
    reached = sum(commits) // n * n
    last = taken[-1] if taken else 0
    assert last >= reached
    assert all(before // n < after // n for before, after in pairwise([0, *taken]))


def test_frequency_and_n_are_the_same_and_100_when_not_given() -> None:
    assert EveryNEventsStrategy(frequency=7).frequency == EveryNEventsStrategy(n=7).frequency == 7
    assert EveryNEventsStrategy().frequency == 100


@pytest.mark.parametrize("arguments", [{"frequency": 1, "n": 1}, {"frequency": 0}, {"n": -1}])
def test_a_frequency_that_means_nothing_is_refused(arguments: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError):
        EveryNEventsStrategy(**arguments)


def test_a_tail_never_gets_as_long_as_its_limit() -> None:
    strategy = TailSizeStrategy(max_events=10)
    assert versions_with_snapshot(strategy, [3] * 14) == [12, 24, 36]


def test_a_snapshot_is_replaced_when_it_is_old() -> None:
    clock = FixedClock()
    strategy, taken_at = EveryIntervalStrategy(60, clock=clock), clock.now()
    progress = SnapshotProgress(5, 6, 5, taken_at)
    clock.advance(59.9)
    assert not strategy.should_snapshot(ACCOUNT, progress)
    clock.advance(0.1)
    assert strategy.should_snapshot(ACCOUNT, progress)


def test_a_stream_without_snapshot_gets_one_whatever_its_age() -> None:
    assert EveryIntervalStrategy(60).should_snapshot(ACCOUNT, SnapshotProgress(0, 1))


def test_strategies_are_combined() -> None:
    old, long = EveryIntervalStrategy(60, clock=FixedClock()), TailSizeStrategy(10)
    short_stream, long_stream = SnapshotProgress(0, 1), SnapshotProgress(9, 10)
    assert AnyOf(long, old).should_snapshot(ACCOUNT, short_stream)
    assert not AllOf(long, old).should_snapshot(ACCOUNT, short_stream)
    assert AllOf(long, old).should_snapshot(ACCOUNT, long_stream)
    assert not AnyOf().should_snapshot(ACCOUNT, long_stream)


@pytest.mark.parametrize(
    "make", [lambda: EveryIntervalStrategy(0), lambda: TailSizeStrategy(0), AllOf]
)
def test_a_strategy_that_always_says_yes_is_refused(make: type[object]) -> None:
    with pytest.raises(ConfigurationError):
        make()


def test_each_type_has_its_own_strategy_or_the_default() -> None:
    often, seldom = EveryNEventsStrategy(n=2), EveryNEventsStrategy(n=1000)
    registry = SnapshotStrategyRegistry(seldom)
    registry.register(SampleAccount, often)
    assert (registry.get("SampleAccount"), registry.get(Order)) == (often, seldom)
    assert (registry.has(SampleAccount), registry.has("Order")) == (True, False)
    progress = SnapshotProgress(1, 2)
    assert registry.should_snapshot(ACCOUNT, progress)
    assert not registry.should_snapshot(ORDER, progress)


def test_a_type_can_be_left_out_although_there_is_a_default() -> None:
    registry = SnapshotStrategyRegistry(EveryNEventsStrategy(n=1))
    registry.register("Order", None)
    assert registry.should_snapshot(ACCOUNT, SnapshotProgress(0, 1))
    assert not registry.should_snapshot(ORDER, SnapshotProgress(0, 1))


def test_without_a_default_unknown_types_get_no_snapshots() -> None:
    assert not SnapshotStrategyRegistry().should_snapshot(ACCOUNT, SnapshotProgress(0, 10**6))


def test_the_registered_types_can_be_listed_and_forgotten() -> None:
    registry = SnapshotStrategyRegistry()
    registry.register("Order", EveryNEventsStrategy())
    registry.register(SampleAccount, EveryNEventsStrategy())
    registry.set_default(EveryNEventsStrategy())
    assert registry.list_registered() == ["Order", "SampleAccount"]
    registry.clear()
    assert registry.list_registered() == []
    assert registry.get("Order") is None
