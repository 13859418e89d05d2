"""The wake-up port: tell those who look for work that there may be some."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Final, Protocol

from cqrs_ddd_core.ports.unit_of_work_scope import get_current_uow

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["EVENTS_TOPIC", "OUTBOX_TOPIC", "IWakeUp", "announce_after_commit"]

#: What an outbox announces when messages were saved.
OUTBOX_TOPIC: Final = "outbox"
#: What an event store announces when events were appended.
EVENTS_TOPIC: Final = "events"


class IWakeUp(Protocol):
    """Wakes workers as soon as there is work, in other processes too where the adapter can.

    Hints only: they may be lost, come twice, come late and come for nothing. A worker polls
    beside them, and nothing that must happen may hang on one.
    """

    @abstractmethod
    def announce(self, topic: str) -> None:
        """Wake who listens to a topic. It never waits; many announcements may become one."""
        ...

    @abstractmethod
    def listen(self, topic: str, wake: Callable[[], None]) -> Callable[[], None]:
        """Call a function whenever the topic is announced, and after hints may have been lost.

        Args:
            topic: What to listen to.
            wake: Called in the event loop; it neither waits nor raises, such as a worker's
                ``trigger``.

        Returns:
            Call it to listen no longer.
        """
        ...

    @abstractmethod
    async def start(self) -> None:
        """Begin to exchange hints with other processes; calling it twice changes nothing."""
        ...

    @abstractmethod
    async def stop(self) -> None:
        """End what ``start`` began; what listens in this process is still woken."""
        ...


def announce_after_commit(wake_up: IWakeUp, topic: str) -> None:
    """Announce a topic when the current unit of work has committed; at once outside any."""
    uow = get_current_uow()
    if uow is None:
        wake_up.announce(topic)
        return

    async def announce() -> None:
        wake_up.announce(topic)

    uow.on_commit(announce)
