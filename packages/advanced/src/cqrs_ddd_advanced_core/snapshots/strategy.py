"""When to take snapshots: by number of events, by age, or by what several rules say together."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from cqrs_ddd_advanced_core.ports.snapshot_strategy import ISnapshotStrategy, SnapshotProgress
from cqrs_ddd_core.primitives.clock import IClock, SystemClock
from cqrs_ddd_core.primitives.exceptions import ConfigurationError

if TYPE_CHECKING:
    from cqrs_ddd_core.domain.aggregate import AggregateRoot

__all__ = [
    "AllOf",
    "AnyOf",
    "EveryIntervalStrategy",
    "EveryNEventsStrategy",
    "TailSizeStrategy",
]

_DEFAULT_FREQUENCY: Final = 100


class EveryNEventsStrategy(ISnapshotStrategy):
    """A snapshot whenever a stream has reached or passed another multiple of so many events.

    A command may raise several events at once, so that the multiple itself is seldom a version
    somebody sees: with 3 events per command and 10, snapshots are taken at 12, 21 and 30.

    Args:
        frequency: How many events; 100 when not given.
        n: The same under its short name.

    Raises:
        ConfigurationError: Both are given, or the number is not positive.
    """

    def __init__(self, frequency: int | None = None, *, n: int | None = None) -> None:
        if frequency is not None and n is not None:
            msg = "frequency and n are two names of one number: give one of them"
            raise ConfigurationError(msg)
        given = n if frequency is None else frequency
        self.frequency: int = _DEFAULT_FREQUENCY if given is None else given
        _require_positive("the number of events between snapshots", self.frequency)

    def should_snapshot(
        self,
        aggregate: AggregateRoot[Any],  # noqa: ARG002 - numbers tell enough
        progress: SnapshotProgress,
    ) -> bool:
        return progress.version // self.frequency > progress.snapshot_version // self.frequency


class TailSizeStrategy(ISnapshotStrategy):
    """A snapshot when so many events would have to be replayed after the last one.

    Args:
        max_events: How many.

    Raises:
        ConfigurationError: The number is not positive.
    """

    def __init__(self, max_events: int = _DEFAULT_FREQUENCY) -> None:
        _require_positive("max_events", max_events)
        self.max_events: int = max_events

    def should_snapshot(
        self,
        aggregate: AggregateRoot[Any],  # noqa: ARG002 - numbers tell enough
        progress: SnapshotProgress,
    ) -> bool:
        return progress.version - progress.snapshot_version >= self.max_events


class EveryIntervalStrategy(ISnapshotStrategy):
    """A snapshot when the last one is so old, or when there is none.

    It is taken after a commit: a stream that nobody writes to gets none. Together with
    ``TailSizeStrategy`` in ``AllOf``, short streams get none either.

    Args:
        seconds: How old.
        clock: Tells the time.

    Raises:
        ConfigurationError: The number is not positive.
    """

    def __init__(self, seconds: float, *, clock: IClock | None = None) -> None:
        _require_positive("seconds", seconds)
        self.interval: timedelta = timedelta(seconds=seconds)
        self._clock = clock or SystemClock()

    def should_snapshot(
        self,
        aggregate: AggregateRoot[Any],  # noqa: ARG002 - numbers tell enough
        progress: SnapshotProgress,
    ) -> bool:
        taken_at = progress.snapshot_at
        return taken_at is None or self._clock.now() - taken_at >= self.interval


class AnyOf(ISnapshotStrategy):
    """A snapshot when one of several strategies says so.

    Args:
        strategies: Asked in this order.
    """

    def __init__(self, *strategies: ISnapshotStrategy) -> None:
        self._strategies = strategies

    def should_snapshot(self, aggregate: AggregateRoot[Any], progress: SnapshotProgress) -> bool:
        return any(one.should_snapshot(aggregate, progress) for one in self._strategies)


class AllOf(ISnapshotStrategy):
    """A snapshot when all of several strategies say so.

    Args:
        strategies: Asked in this order; at least one.

    Raises:
        ConfigurationError: There are none, so that nobody would ever say no.
    """

    def __init__(self, *strategies: ISnapshotStrategy) -> None:
        _require_positive("the number of strategies", len(strategies))
        self._strategies = strategies

    def should_snapshot(self, aggregate: AggregateRoot[Any], progress: SnapshotProgress) -> bool:
        return all(one.should_snapshot(aggregate, progress) for one in self._strategies)


def _require_positive(name: str, number: float) -> None:
    if not number > 0:
        msg = f"{name} has to be more than 0, not {number}"
        raise ConfigurationError(msg)
