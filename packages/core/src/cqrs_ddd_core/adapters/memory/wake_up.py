"""Wake-ups within one process."""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING

from cqrs_ddd_core.ports.wake_up import IWakeUp

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["InMemoryWakeUp"]


class InMemoryWakeUp(IWakeUp):
    """Calls the listeners of this process at once; there is nothing to start."""

    def __init__(self) -> None:
        self._listeners: defaultdict[str, list[Callable[[], None]]] = defaultdict(list)

    def announce(self, topic: str) -> None:
        for wake in tuple(self._listeners.get(topic, ())):
            wake()

    def listen(self, topic: str, wake: Callable[[], None]) -> Callable[[], None]:
        self._listeners[topic].append(wake)
        return partial(self._forget, topic, wake)

    def _forget(self, topic: str, wake: Callable[[], None]) -> None:
        if wake in self._listeners[topic]:
            self._listeners[topic].remove(wake)

    def announce_all(self) -> None:
        """Wake every listener, because hints may have been lost."""
        for topic in tuple(self._listeners):
            self.announce(topic)

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        pass
