"""Wake workers as soon as a command has committed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cqrs_ddd_core.cqrs.command import Command
from cqrs_ddd_core.ports.middleware import IMiddleware

if TYPE_CHECKING:
    from cqrs_ddd_core.ports.background_worker import IBackgroundWorker
    from cqrs_ddd_core.ports.middleware import NextHandler

__all__ = ["TriggerMiddleware"]


class TriggerMiddleware(IMiddleware):
    """Triggers workers after each command that committed events.

    Only a hint: what the process did not live to trigger is found by polling.

    Args:
        workers: Such as the relay of the outbox.
    """

    def __init__(self, *workers: IBackgroundWorker) -> None:
        self._workers = workers

    def applies_to(self, message_type: type[Any]) -> bool:
        return issubclass(message_type, Command)

    async def __call__(self, message: Any, next_handler: NextHandler) -> Any:
        response = await next_handler(message)
        if response.events:
            for worker in self._workers:
                worker.trigger()
        return response
