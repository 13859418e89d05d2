"""The lock port: keep others away from a resource for a while."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["ActiveLock", "ILockStrategy", "LockMode", "ResourceIdentifier"]


class LockMode(StrEnum):
    """Whether others may hold the lock at the same time."""

    WRITE = "write"
    READ = "read"


@dataclass(frozen=True, slots=True)
class ResourceIdentifier:
    """What is locked, and how.

    Attributes:
        resource_type: Such as ``"Order"``.
        resource_id: Such as ``"o1"``.
        lock_mode: ``WRITE`` excludes everybody, ``READ`` only writers.
    """

    resource_type: str
    resource_id: str
    lock_mode: LockMode = LockMode.WRITE

    @property
    def key(self) -> str:
        """The name both modes share."""
        return f"{self.resource_type}:{self.resource_id}"

    def __str__(self) -> str:
        return f"{self.key} ({self.lock_mode.value})"


class ActiveLock(NamedTuple):
    """A lock somebody holds now."""

    resource: ResourceIdentifier
    token: str
    expires_at: datetime


class ILockStrategy(Protocol):
    """Mutual exclusion with an end.

    At no time do two holders have a write lock, or one a write and another a read lock, on one
    resource. A lock ends when it is released, when its time is over or when its holder's process
    dies. Every holder has a token of its own; a lock is not re-entrant.
    """

    @abstractmethod
    async def acquire(
        self, resource: ResourceIdentifier, *, timeout: float = 10.0, ttl: float = 30.0
    ) -> str:
        """Wait up to ``timeout`` seconds for the lock and hold it for at most ``ttl`` seconds.

        Returns:
            The token that proves the hold.

        Raises:
            LockAcquisitionError: It was not free in time. A waiter that gave up never gets it.
        """
        ...

    @abstractmethod
    async def extend(self, resource: ResourceIdentifier, token: str, ttl: float) -> bool:
        """Hold the lock for ``ttl`` more seconds from now; ``False`` if it is lost already."""
        ...

    @abstractmethod
    async def release(self, resource: ResourceIdentifier, token: str) -> bool:
        """Give the lock back; ``False`` if it was lost before."""
        ...

    @abstractmethod
    async def get_active_locks(self) -> list[ActiveLock]:
        """Return the locks held now, as far as this process can see."""
        ...
