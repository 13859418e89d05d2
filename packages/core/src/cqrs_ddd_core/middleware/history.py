"""Which commands this process has handled lately."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any

from cqrs_ddd_core.cqrs.command import Command
from cqrs_ddd_core.middleware._message import is_success
from cqrs_ddd_core.ports.middleware import IMiddleware
from cqrs_ddd_core.primitives.clock import IClock, SystemClock

if TYPE_CHECKING:
    from datetime import datetime

    from cqrs_ddd_core.ports.middleware import NextHandler

__all__ = ["CommandHistory", "ExecutedCommand"]


@dataclass(frozen=True, slots=True)
class ExecutedCommand:
    """A command that was handled, well or not.

    Attributes:
        started_at: Aware UTC.
        success: Whether it was committed.
        error: What it raised, as text; ``None`` when it returned.
    """

    command: Command[Any]
    started_at: datetime
    duration_ms: float
    success: bool
    error: str | None = None


class CommandHistory(IMiddleware):
    """Remembers the last commands in memory, nested ones included; not a durable audit trail.

    Args:
        limit: How many are remembered; the oldest make room.
        clock: Tells when commands start.
    """

    def __init__(self, *, limit: int = 1000, clock: IClock | None = None) -> None:
        self._entries: deque[ExecutedCommand] = deque(maxlen=limit)
        self._clock = clock or SystemClock()

    def applies_to(self, message_type: type[Any]) -> bool:
        return issubclass(message_type, Command)

    async def __call__(self, message: Any, next_handler: NextHandler) -> Any:
        started_at, started = self._clock.now(), perf_counter()
        success, failure = False, None
        try:
            response = await next_handler(message)
            success = is_success(response)
            return response
        except BaseException as error:
            failure = f"{type(error).__name__}: {error}"
            raise
        finally:
            duration_ms = (perf_counter() - started) * 1000
            self._entries.append(
                ExecutedCommand(message, started_at, duration_ms, success, failure)
            )

    def list(self) -> list[ExecutedCommand]:
        """Return the remembered commands in the order they ended, oldest first."""
        return [*self._entries]

    def clear(self) -> None:
        """Forget all commands."""
        self._entries.clear()
