"""Messages an outbox gave up: look at them, correct them, send them again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cqrs_ddd_infrastructure_messaging._json import load_object

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cqrs_ddd_core.ports.outbox import IOutboxStorage, PendingMessage

__all__ = ["ParkedMessages"]

_PAGE: Final = 500
_MAX_DEPTH: Final = 100


class ParkedMessages:
    """What an operator does with messages that a relay could not publish.

    A parked message holds back those behind it in its stream. Replayed, it goes before them;
    discarded, they go without it. Messages are named by their sequence in the outbox. What a
    consumer gave up is elsewhere: see ``IDeadLetters``.

    Args:
        storage: The outbox.
    """

    def __init__(self, storage: IOutboxStorage) -> None:
        self._storage = storage

    async def list(self, *, limit: int = 100, after: int = 0) -> Sequence[PendingMessage]:
        """Return parked messages with their errors, oldest first, behind a sequence."""
        return await self._storage.list_parked(limit=limit, after=after)

    async def get(self, sequence: int) -> PendingMessage | None:
        """Return one parked message, ``None`` if there is none of that sequence."""
        found = await self._storage.list_parked(limit=1, after=sequence - 1)
        return found[0] if found and found[0].sequence == sequence else None

    async def edit(self, sequence: int, payload: bytes) -> bool:
        """Replace the payload of a parked message; its id stays, and it stays parked.

        Returns:
            Whether there was one of that sequence.

        Raises:
            MalformedMessageError: The payload is no JSON object.
        """
        load_object(payload, "the new payload", max_depth=_MAX_DEPTH)
        return await self._storage.edit_parked(sequence, payload)

    async def replay(self, *sequences: int) -> int:
        """Let messages be published again with all their tries; return how many were parked."""
        return await self._storage.replay_parked(sequences)

    async def replay_all(self) -> int:
        """Replay all that are parked now, oldest first; return how many."""
        replayed, last = 0, 0
        while page := await self._storage.list_parked(limit=_PAGE, after=last):
            replayed += await self._storage.replay_parked([item.sequence for item in page])
            last = page[-1].sequence
        return replayed

    async def discard(self, *sequences: int) -> int:
        """Delete parked messages for good; return how many there were."""
        return await self._storage.discard_parked(sequences)
