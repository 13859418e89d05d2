"""The checkpoint port: how far each projection has come, and who may carry it on."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter, defaultdict
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol

from cqrs_ddd_core.ports.outbox import partition_quota

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

__all__ = [
    "Checkpoint",
    "CheckpointKey",
    "CheckpointLease",
    "CheckpointState",
    "ICheckpointStore",
    "fair_share",
]


class CheckpointState(StrEnum):
    """Whether a projection goes on."""

    RUNNING = "running"
    #: An event could not be applied, and an operator has to decide.
    HALTED = "halted"
    #: An operator stopped it.
    PAUSED = "paused"
    #: It is about to become inline or asynchronous; commands that concern it are tried again.
    SWITCHING = "switching"
    #: Commands apply their events themselves, in their own transactions.
    INLINE = "inline"
    #: Another version serves; the rows are kept beside its, so that it can be taken back.
    KEPT = "kept"


class CheckpointKey(NamedTuple):
    """What a checkpoint is of.

    Attributes:
        projection: Name of the projection.
        version: Of its definition; versions are built beside each other.
        partition: Its share of the streams, from 0.
    """

    projection: str
    version: int = 1
    partition: int = 0


class CheckpointLease(NamedTuple):
    """The right to carry a projection on until the lease ends; the epoch fences former owners.

    Attributes:
        key: Of what.
        epoch: Grows with every owner.
        position: Of the last event that was applied; 0 at the beginning.
    """

    key: CheckpointKey
    epoch: int
    position: int


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far a projection has come, as everybody can see it.

    Attributes:
        key: Of what.
        position: Of the last event that was looked at; 0 at the beginning.
        state: Whether it goes on.
        error: Why it was halted.
        owner: Who carries it on; ``None`` when nobody does.
        updated_at: When the position last moved, aware UTC.
    """

    key: CheckpointKey
    position: int
    state: CheckpointState
    error: str | None
    owner: str | None
    updated_at: datetime


def fair_share(
    owner: str,
    *,
    held: Mapping[CheckpointKey, str],
    wants: Mapping[str, Collection[CheckpointKey]],
) -> list[CheckpointKey]:
    """Return which checkpoints an owner is to have from now on: some of its own and free ones.

    Checkpoints that the same owners want are shared among these; so none lies idle because it is
    in the share of an owner that has no use for it.

    Args:
        owner: One of those in ``wants``.
        held: Who has which checkpoint, as far as leases last.
        wants: What each owner that is there would take, of the checkpoints that can be leased.
    """
    groups: defaultdict[frozenset[str], list[CheckpointKey]] = defaultdict(list)
    for key in sorted(set(wants[owner])):
        groups[frozenset(name for name, keys in wants.items() if key in keys)].append(key)
    share: list[CheckpointKey] = []
    for owners, keys in groups.items():
        quota = partition_quota(
            owner,
            held=Counter(held[key] for key in keys if held.get(key) in owners),
            wants=dict.fromkeys(owners, len(keys)),
            partitions=len(keys),
        )
        own = [key for key in keys if held.get(key) == owner]
        free = [key for key in keys if key not in held]
        share += [*own, *free][:quota]
    return share


class ICheckpointStore(Protocol):
    """Checkpoints with one owner each.

    Guarantee (G6): a position moves forward only, by its current owner, in the transaction of the
    rows it stands for. Leases are measured by the database's clock. All calls see the tenant of
    the current context only.
    """

    @abstractmethod
    async def ensure(self, keys: Collection[CheckpointKey]) -> None:
        """Make those checkpoints that are not there, at position 0."""
        ...

    @abstractmethod
    async def lease(
        self, owner: str, keys: Collection[CheckpointKey], *, seconds: float
    ) -> list[CheckpointLease]:
        """Own checkpoints for so many seconds: its own, free ones, and those whose lease ended.

        All owners that called within their seconds share the keys fairly, see ``fair_share``: one
        that has more than its share gives some up as long as another has less. So call it only
        while no batch is under way. Halted and paused checkpoints are not leased. Taking one
        raises its epoch.

        Args:
            owner: Unique among all.
            keys: What it would take; keys that were never ensured are left out.
            seconds: How long the leases last.
        """
        ...

    @abstractmethod
    async def renew(
        self, leases: Collection[CheckpointLease], *, seconds: float
    ) -> list[CheckpointLease]:
        """Prolong leases and take none; return those whose epoch is still current."""
        ...

    @abstractmethod
    async def release(self, owner: str) -> None:
        """Give all leases of an owner back at once."""
        ...

    @abstractmethod
    async def lock(self, key: CheckpointKey, *, shared: bool = False) -> Checkpoint | None:
        """Let nobody else move a checkpoint until the current unit of work has ended.

        Whoever has waited sees everything that was committed meanwhile.

        Args:
            key: Which checkpoint.
            shared: Only wait for those who lock it alone, and keep them waiting; any number
                share it, and its owner may move it.

        Returns:
            It as it is from now on; ``None`` when there is none.

        Raises:
            UnitOfWorkError: There is no unit of work.
        """
        ...

    @abstractmethod
    async def advance(self, lease: CheckpointLease, position: int) -> CheckpointLease:
        """Move a checkpoint forward in the current unit of work, and return the lease with it.

        A lease whose seconds are over is good as long as nobody else has taken the checkpoint.

        Args:
            lease: As it was returned the last time.
            position: That of the lease, or a later one.

        Raises:
            CheckpointLostError: Somebody else owns it by now, it was moved, halted or paused.
            PersistenceError: The position is before that of the lease.
        """
        ...

    @abstractmethod
    async def get(self, projection: str, version: int | None = None) -> Sequence[Checkpoint]:
        """Return the checkpoints of a projection by version and partition; none if unknown."""
        ...

    @abstractmethod
    async def list_all(self) -> Sequence[Checkpoint]:
        """Return all checkpoints by name, version and partition."""
        ...

    @abstractmethod
    async def tenants(self, projection: str, version: int) -> Sequence[str]:
        """Return the ids of all tenants that have checkpoints of a version, in order.

        It is the one call that sees all tenants: they share the tables.
        """
        ...

    @abstractmethod
    async def halt(self, lease: CheckpointLease, error: str) -> None:
        """Stop a checkpoint with a reason, and give the lease back.

        Raises:
            CheckpointLostError: Somebody else owns it by now.
        """
        ...

    @abstractmethod
    async def pause(self, projection: str, version: int) -> int:
        """Stop all partitions whoever owns them; return how many were running."""
        ...

    @abstractmethod
    async def resume(self, projection: str, version: int) -> int:
        """Let halted and paused partitions go on, no others; return how many there were."""
        ...

    @abstractmethod
    async def set_position(
        self,
        projection: str,
        version: int,
        position: int,
        *,
        partition: int | None = None,
        state: CheckpointState | None = None,
    ) -> None:
        """Move partitions back or forth in the current unit of work, and fence their owners.

        For rebuilds and switches, together with the rows that belong to that position.

        Args:
            projection: Which one.
            version: Of its definition.
            position: Where it is from now on.
            partition: Which one of them; all when not given.
            state: What it is from now on; as before when not given.
        """
        ...

    @abstractmethod
    async def delete(self, projection: str, version: int) -> None:
        """Forget all partitions of a version, in the current unit of work; fences their owners."""
        ...

    @abstractmethod
    async def serving_version(self, projection: str) -> int | None:
        """Return which version queries are answered from; ``None`` when that was never set.

        It is the same for all tenants: they share the tables.
        """
        ...

    @abstractmethod
    async def serve(self, projection: str, version: int, *, unless_set: bool = False) -> None:
        """Say from which version queries of all tenants are answered from now on.

        It is said in the current unit of work.

        Args:
            projection: Which one.
            version: Of its definition.
            unless_set: Whether a version that was set before stays.
        """
        ...
