"""Which strategy each type of aggregates has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cqrs_ddd_advanced_core.ports.snapshot_strategy import ISnapshotStrategy, SnapshotProgress

if TYPE_CHECKING:
    from cqrs_ddd_core.domain.aggregate import AggregateRoot

__all__ = ["SnapshotStrategyRegistry"]


class SnapshotStrategyRegistry(ISnapshotStrategy):
    """A strategy per type of aggregates; it is a strategy itself.

    Args:
        default: For all types that have none of their own; they get no snapshots when not given.
    """

    def __init__(self, default: ISnapshotStrategy | None = None) -> None:
        self._default = default
        self._strategies: dict[str, ISnapshotStrategy | None] = {}

    def register(
        self,
        aggregate_type: type[AggregateRoot[Any]] | str,
        strategy: ISnapshotStrategy | None,
    ) -> None:
        """Give a type a strategy; the one it had before is replaced.

        Args:
            aggregate_type: The class, or its ``aggregate_type``.
            strategy: Its strategy; ``None`` for no snapshots, whatever the default says.
        """
        self._strategies[_name(aggregate_type)] = strategy

    def set_default(self, strategy: ISnapshotStrategy | None) -> None:
        """Set the strategy of all types that have none of their own."""
        self._default = strategy

    def get(self, aggregate_type: type[AggregateRoot[Any]] | str) -> ISnapshotStrategy | None:
        """Return the strategy of a type, or the default; ``None`` when it gets no snapshots."""
        return self._strategies.get(_name(aggregate_type), self._default)

    def has(self, aggregate_type: type[AggregateRoot[Any]] | str) -> bool:
        """Whether something was registered for that very type."""
        return _name(aggregate_type) in self._strategies

    def should_snapshot(self, aggregate: AggregateRoot[Any], progress: SnapshotProgress) -> bool:
        strategy = self.get(aggregate.aggregate_type)
        return strategy is not None and strategy.should_snapshot(aggregate, progress)

    def list_registered(self) -> list[str]:
        """Return the types that something was registered for, in the order of their names."""
        return sorted(self._strategies)

    def clear(self) -> None:
        """Forget all types and the default."""
        self._strategies.clear()
        self._default = None


def _name(aggregate_type: type[AggregateRoot[Any]] | str) -> str:
    return aggregate_type if isinstance(aggregate_type, str) else aggregate_type.aggregate_type
