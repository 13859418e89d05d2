"""The port of dead letters: messages a consumer gave up, until an operator decides."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

__all__ = ["DeadLetter", "DeathReason", "IDeadLetters"]


class DeathReason(StrEnum):
    """Why a message is not tried again."""

    MALFORMED = "malformed"
    HOPELESS = "hopeless"
    EXHAUSTED = "exhausted"
    BROKER = "broker"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message as it arrived, and why it was given up.

    Attributes:
        letter_id: Names the letter; a message that dies again is another letter.
        message_id: Id of the message; ``None`` where it has none that can be read.
        consumer: Name of the consumer that gave it up; others have their own copy.
        reason: ``malformed``: it breaks the rules of the wire and reached no handler;
            ``hopeless``: the handler's error is one that no further try will heal;
            ``exhausted``: it failed at every try; ``broker``: the broker gave it up, for it came
            back too often without an answer.
        error: Type and text of the last error.
        attempts: How often it was delivered.
        died_at: Aware UTC.
        body: As received.
        headers: As received.
    """

    letter_id: UUID
    message_id: UUID | None
    consumer: str
    reason: DeathReason
    error: str
    attempts: int
    died_at: datetime
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class IDeadLetters(Protocol):
    """Lists, replays and discards the dead letters of each consumer name.

    Guarantee (G9): a message is acknowledged only after its letter is durable, and a letter is
    removed only after its message waits for its consumer again. A crash between the two leaves
    both, and the inbox absorbs the double.
    """

    @abstractmethod
    async def list(self, consumer: str, *, limit: int = 100) -> Sequence[DeadLetter]:
        """Return the letters of a consumer, oldest first; an unknown consumer has none."""
        ...

    @abstractmethod
    async def get(self, consumer: str, letter_id: UUID) -> DeadLetter | None:
        """Return one letter, ``None`` if there is none of that id."""
        ...

    @abstractmethod
    async def replay(
        self, consumer: str, letter_ids: Collection[UUID], *, payload: bytes | None = None
    ) -> int:
        """Deliver messages to this consumer again, with a fresh number of tries.

        They go in the order in which they died, so that those of one stream keep theirs. Other
        consumers do not receive them. The id of the message stays: a consumer that handled it
        before takes it as known.

        Args:
            consumer: Whose letters.
            letter_ids: Which ones; ids it does not have are left out.
            payload: What to deliver instead of the payload, for exactly one letter.

        Returns:
            How many were.

        Raises:
            DeadLetterError: A payload was given for several letters.
        """
        ...

    @abstractmethod
    async def replay_all(self, consumer: str) -> int:
        """Deliver all letters there are now again, oldest first; return how many were."""
        ...

    @abstractmethod
    async def discard(self, consumer: str, letter_ids: Collection[UUID]) -> int:
        """Remove letters for good; return how many there were."""
        ...
