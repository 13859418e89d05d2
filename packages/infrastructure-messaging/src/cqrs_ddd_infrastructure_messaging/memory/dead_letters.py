"""Dead letters in memory."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from cqrs_ddd_infrastructure_messaging.dead_letter import DeadLetter, IDeadLetters
from cqrs_ddd_infrastructure_messaging.exceptions import DeadLetterError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from uuid import UUID

__all__ = ["InMemoryDeadLetters"]


class InMemoryDeadLetters(IDeadLetters):
    """Keeps dead letters in memory.

    Args:
        redeliver: Lets the message of a letter wait for its consumer again.
        max_letters: How many letters of one consumer it keeps, the latest.
    """

    def __init__(
        self, redeliver: Callable[[DeadLetter], None], *, max_letters: int = 1_000
    ) -> None:
        self._redeliver = redeliver
        self._max_letters = max_letters
        # In the order in which they died.
        self._letters: defaultdict[str, dict[UUID, DeadLetter]] = defaultdict(dict)

    def bury(self, letter: DeadLetter) -> None:
        """Keep a letter; for transports."""
        letters = self._letters[letter.consumer]
        letters[letter.letter_id] = letter
        if len(letters) > self._max_letters:
            del letters[next(iter(letters))]

    async def list(self, consumer: str, *, limit: int = 100) -> Sequence[DeadLetter]:
        return [*islice(self._of(consumer).values(), limit)]

    async def get(self, consumer: str, letter_id: UUID) -> DeadLetter | None:
        return self._of(consumer).get(letter_id)

    async def replay(
        self, consumer: str, letter_ids: Collection[UUID], *, payload: bytes | None = None
    ) -> int:
        wanted = set(letter_ids)
        if payload is not None and len(wanted) != 1:
            raise DeadLetterError("a payload is for one letter: replay each with its own")
        chosen = [one for letter_id, one in self._of(consumer).items() if letter_id in wanted]
        for letter in chosen:
            self._redeliver(letter if payload is None else replace(letter, body=payload))
            del self._letters[consumer][letter.letter_id]
        return len(chosen)

    async def replay_all(self, consumer: str) -> int:
        return await self.replay(consumer, [*self._of(consumer)])

    async def discard(self, consumer: str, letter_ids: Collection[UUID]) -> int:
        letters = self._of(consumer)
        return sum(letters.pop(letter_id, None) is not None for letter_id in set(letter_ids))

    def _of(self, consumer: str) -> dict[UUID, DeadLetter]:
        return self._letters.get(consumer) or {}
