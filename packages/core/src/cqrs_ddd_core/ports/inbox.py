"""The inbox port: one effect per consumer and message."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime
    from uuid import UUID

__all__ = ["IInbox", "InboxEntry"]


@dataclass(frozen=True, slots=True)
class InboxEntry:
    """What is known of a message that was handled before.

    Attributes:
        received_at: When it was first handled, aware UTC.
        outcome: What its handler returned, as JSON bytes; ``None`` when that was nothing.
    """

    received_at: datetime
    outcome: bytes | None = None


class IInbox(Protocol):
    """Remembers which messages a consumer has handled, in the handler's own transaction.

    Guarantee (G5): call ``receive`` as the first statement of the unit of work. Of several
    deliveries of one message exactly one gets ``None``, however concurrent they are; the others
    wait until that one has committed or rolled back. The tenant of the current context is part
    of the key.
    """

    @abstractmethod
    async def receive(self, consumer: str, message_id: UUID) -> InboxEntry | None:
        """Mark a message as handled by a consumer.

        Returns:
            ``None`` when it is new and must be handled now; otherwise what is known of it.

        Raises:
            UnitOfWorkError: There is no unit of work of this database: the mark and the effect
                could not commit together.
        """
        ...

    @abstractmethod
    async def receive_many(self, consumer: str, message_ids: Collection[UUID]) -> set[UUID]:
        """Mark many messages as handled by a consumer, in one statement where that can be.

        An id that is there twice counts once. Two consumers may receive the same messages in any
        order: neither waits for the other while that one waits for it.

        Returns:
            The ids that were known; all others are new and must be handled now.

        Raises:
            UnitOfWorkError: There is no unit of work of this database.
        """
        ...

    @abstractmethod
    async def advance(
        self, consumer: str, stream: str, version: int, *, after: int = 0
    ) -> int | None:
        """Say that a consumer handles a stream up to a version, in the current unit of work.

        Of two at once the second waits until the first has committed or rolled back.

        Args:
            consumer: Whose place it is.
            stream: Messages in order, such as ``Order-o1``.
            version: Its new place.
            after: Where it has to be at least.

        Returns:
            ``None`` when its place is that version now. Otherwise nothing was changed, and this
            is its place: the version or more, or less than ``after``; 0 when it had none.

        Raises:
            UnitOfWorkError: There is no unit of work of this database.
        """
        ...

    @abstractmethod
    async def record_outcome(self, consumer: str, message_id: UUID, outcome: bytes) -> None:
        """Keep what the handler returned, so that a repeat can be answered the same way.

        Raises:
            InboxError: The message was not received in this unit of work.
        """
        ...

    @abstractmethod
    async def purge(self, before: datetime, *, limit: int = 10_000) -> int:
        """Forget messages received before an aware UTC time, all tenants; return how many.

        Places in streams stay, one row for each stream that is followed. Keep messages for longer
        than the longest replay or redelivery can take.
        """
        ...
