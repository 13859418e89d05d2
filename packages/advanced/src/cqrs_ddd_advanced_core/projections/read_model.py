"""Read models in memory: objects that take events."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ReadModel"]


class ReadModel(ABC):
    """An object in memory that a ``ProjectionManager`` keeps up to date with the event store.

    It is the only one that changes itself, and only in ``handle_event``; what it holds is gone
    with the process and made again from the events. For rows in a database, use a ``Projector``.
    """

    @abstractmethod
    async def handle_event(self, event: Any) -> None:
        """Take note of an event; each comes once, in the order of positions."""

    @abstractmethod
    def get_supported_events(self) -> Sequence[type]:
        """Return the event classes it handles; events of derived classes come too."""
