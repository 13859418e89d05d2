"""The undo history port: which commands were executed, and which of them are undone."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime
    from uuid import UUID

__all__ = ["IN_EFFECT", "UNSETTLED", "IUndoHistory", "UndoEntry", "UndoStatus"]


class UndoStatus(StrEnum):
    """What has become of an executed command."""

    #: In effect: executed, or redone.
    DONE = "done"
    #: Undone; it can be redone.
    UNDONE = "undone"
    #: No longer to be undone or redone; ``error`` says why.
    DISCARDED = "discarded"
    #: Still in effect, because undoing it failed and changed nothing.
    UNDO_FAILED = "undo_failed"
    #: Undoing it failed, and its compensation made up for it.
    COMPENSATED = "compensated"
    #: Still in effect: neither undoing nor its compensation worked.
    COMPENSATION_FAILED = "compensation_failed"


#: Failures that wait for somebody to look at them.
UNSETTLED: Final = frozenset({UndoStatus.UNDO_FAILED, UndoStatus.COMPENSATION_FAILED})
#: What can be undone.
IN_EFFECT: Final = UNSETTLED | {UndoStatus.DONE}


@dataclass(frozen=True, slots=True)
class UndoEntry:
    """An executed command, and what has become of it.

    Attributes:
        token: Names the entry; the id of the command when it was first executed.
        scope: What it is undone in the order of, such as a user or a stream.
        command_type: Registered type name.
        command: The command as it was last executed, JSON as UTF-8 bytes.
        created_at: When it was executed, aware UTC.
        updated_at: When its status last changed, aware UTC.
        schema_version: Version of the command's shape.
        memento: What its executor remembered for undoing it, as JSON bytes.
        group_id: Shared by the entries that are undone together; ``None`` when it is alone.
        status: Whether it is in effect.
        error: Why undoing failed, or why it was discarded.
        user_id: Who executed it.
        correlation_id: The request it was executed in.
        tenant_id: Whose it is; set by the history.
        revision: How often it was written; set by the history.
        sequence: Its place among all entries, growing; set by the history.
    """

    token: UUID
    scope: str
    command_type: str
    command: bytes
    created_at: datetime
    updated_at: datetime
    schema_version: int = 1
    memento: bytes | None = None
    group_id: UUID | None = None
    status: UndoStatus = UndoStatus.DONE
    error: str | None = None
    user_id: str | None = None
    correlation_id: str | None = None
    tenant_id: str = ""
    revision: int = 0
    sequence: int = 0

    @property
    def is_in_effect(self) -> bool:
        """Whether it can be undone."""
        return self.status in IN_EFFECT


class IUndoHistory(Protocol):
    """Keeps executed commands for undoing them, in the transaction of their effects.

    Guarantee (G1): what is written in a unit of work commits or vanishes with it. Outside of one
    each call is a transaction of its own. All calls but ``purge`` see the tenant of the current
    context only.
    """

    @abstractmethod
    async def lock(self, scope: str) -> None:
        """Keep other units of work out of a scope until this one has ended.

        Whoever has waited sees everything that was committed meanwhile. Only those who call it
        wait for each other.

        Raises:
            UnitOfWorkError: There is no unit of work.
        """
        ...

    @abstractmethod
    async def add(self, entry: UndoEntry) -> UndoEntry:
        """Write a new entry and return it with its tenant, sequence and revision 1.

        Raises:
            UniqueViolationError: The token is known; the unit of work can go on.
        """
        ...

    @abstractmethod
    async def get(self, token: UUID) -> UndoEntry | None:
        """Return the entry of a token, ``None`` when there is none."""
        ...

    @abstractmethod
    async def get_group(self, scope: str, group_id: UUID) -> list[UndoEntry]:
        """Return all entries of a group in the order they were added."""
        ...

    @abstractmethod
    async def find(
        self,
        scope: str,
        *,
        statuses: Collection[UndoStatus] = tuple(UndoStatus),
        newest_first: bool = True,
        after: int | None = None,
        limit: int = 100,
    ) -> list[UndoEntry]:
        """Return entries of a scope, one page of them.

        Args:
            scope: Whose.
            statuses: Only entries in one of these.
            newest_first: Whether to begin with the entry that was added last, or first.
            after: Go on behind the entry with this sequence, when given.
            limit: How many at most.
        """
        ...

    @abstractmethod
    async def update(self, entry: UndoEntry) -> UndoEntry:
        """Write command, memento, status, error and time, and return the entry as it is now.

        Of several writers that read one revision exactly one succeeds.

        Raises:
            OptimisticConcurrencyError: It has another revision than ``entry``, or is gone; the
                unit of work can go on.
        """
        ...

    @abstractmethod
    async def discard_undone(self, scope: str, reason: str, at: datetime) -> int:
        """Discard what is undone in a scope, because it can no longer be redone; return how many.

        Args:
            scope: Whose.
            reason: Becomes the ``error`` of the entries.
            at: The time of the change, aware UTC.
        """
        ...

    @abstractmethod
    async def purge(self, before: datetime, *, limit: int = 10_000) -> int:
        """Remove entries last changed before an aware UTC time, all tenants; return how many.

        A group is removed when all of its entries are old enough, and then whole. Failures stay
        until somebody has settled them.

        Args:
            before: Removes what is older.
            limit: How many old entries to look at; some more are removed to complete a group.
        """
        ...

    @abstractmethod
    async def trim(self, scope: str, *, keep: int) -> int:
        """Remove all but the newest entries of a scope; return how many.

        A group of which one entry is kept stays whole, and failures stay.

        Args:
            scope: Whose.
            keep: How many entries stay.
        """
        ...
