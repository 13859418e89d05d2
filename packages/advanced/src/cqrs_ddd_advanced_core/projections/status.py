"""How far a projection has come, and how old an answer from it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cqrs_ddd_advanced_core.ports.checkpoint_store import CheckpointState

__all__ = ["ProjectionStatus", "Staleness"]


@dataclass(frozen=True, slots=True)
class Staleness:
    """How old an answer is.

    Attributes:
        position: Every event up to here is in it.
        head: Position of the last committed event.
        lag_seconds: How long the first event that is not in it has been stored; 0 when none waits.
    """

    position: int
    head: int
    lag_seconds: float

    @property
    def lag(self) -> int:
        """How many positions the answer is behind; 0 when it is up to date."""
        return max(self.head - self.position, 0)

    @property
    def is_current(self) -> bool:
        """Whether nothing was missing."""
        return self.lag == 0


@dataclass(frozen=True, slots=True)
class ProjectionStatus:
    """How a projection is.

    Attributes:
        name: Of the projection.
        version: Of its definition.
        state: Whether it goes on; the worst of its partitions.
        position: Every event up to here was applied; of the partition that is furthest behind.
        head: Position of the last committed event.
        lag_seconds: How long the first event that was not applied has been stored; 0 when none
            waits.
        rate: Positions a second lately, as far as this process has watched; 0 at first.
        failures: How often applying events failed in the workers of this process.
        parked: Events it gave up or that wait behind one, until an operator decides.
        partitions: In how many shares it is carried on.
        owners: Who carries it on; none while nobody does, or commands do it themselves.
        error: Why it was halted.
    """

    name: str
    version: int
    state: CheckpointState
    position: int
    head: int
    lag_seconds: float
    rate: float = 0.0
    failures: int = 0
    parked: int = 0
    partitions: int = 1
    owners: Sequence[str] = ()
    error: str | None = None

    @property
    def lag(self) -> int:
        """How many positions it is behind; exactly 0 when it is up to date."""
        return max(self.head - self.position, 0)

    @property
    def is_current(self) -> bool:
        """Whether it shows all that is committed."""
        return self.lag == 0

    @property
    def staleness(self) -> Staleness:
        """How old an answer from its rows is."""
        return Staleness(self.position, self.head, self.lag_seconds)
