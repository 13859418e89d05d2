"""A command that lost a race is resolved on fresh state instead of being run again."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from cqrs_ddd_core.middleware.retry import RetryMiddleware, RetryPolicy
from cqrs_ddd_core.ports.middleware import IMiddleware
from cqrs_ddd_core.primitives.exceptions import OptimisticConcurrencyError
from cqrs_ddd_core.primitives.retry import ExponentialBackoff

if TYPE_CHECKING:
    from uuid import UUID

    from cqrs_ddd_core.cqrs.command import Command
    from cqrs_ddd_core.ports.middleware import NextHandler

__all__ = ["ConflictBehavior", "lost_race_of"]

#: Which command is being resolved, and what it lost.
_lost_race: ContextVar[tuple[UUID, OptimisticConcurrencyError] | None] = ContextVar(
    "cqrs_ddd_lost_race", default=None
)


class ConflictBehavior(IMiddleware):
    """Lets a handler know, in a fresh unit of work, that its command has lost a race.

    The handler asks ``lost_race_of(command)`` and resolves the conflict. When that loses a race
    again, there is another round; after the last the conflict is raised. Inside another unit of
    work the conflict passes at once, for that one cannot go on.

    Args:
        max_rounds: How many resolutions at most.
    """

    def __init__(self, *, max_rounds: int = 3) -> None:
        policy = RetryPolicy(
            max_rounds + 1,
            backoff=ExponentialBackoff(initial=0.01, maximum=1.0),
            retry_on=(OptimisticConcurrencyError,),
        )
        self._rounds = RetryMiddleware(policy)

    async def __call__(self, message: Any, next_handler: NextHandler) -> Any:
        lost: OptimisticConcurrencyError | None = None

        async def run(command: Command[Any]) -> Any:
            nonlocal lost
            token = _lost_race.set(None if lost is None else (command.command_id, lost))
            try:
                return await next_handler(command)
            except OptimisticConcurrencyError as error:
                # The first one stays: it says what the handler could not do.
                lost = lost or error
                raise
            finally:
                _lost_race.reset(token)

        return await self._rounds(message, run)


def lost_race_of(command: Command[Any]) -> OptimisticConcurrencyError | None:
    """Return the race this command has lost, ``None`` at its first try; for handlers."""
    race = _lost_race.get()
    return race[1] if race is not None and race[0] == command.command_id else None
