"""No handler runs for ever."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, ClassVar

from cqrs_ddd_core.middleware._message import name_of
from cqrs_ddd_core.ports.middleware import IMiddleware, MiddlewareScope
from cqrs_ddd_core.ports.unit_of_work_scope import current_scope
from cqrs_ddd_core.primitives.exceptions import ConfigurationError, HandlerTimeoutError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cqrs_ddd_core.ports.middleware import NextHandler

__all__ = ["TimeoutMiddleware"]


class TimeoutMiddleware(IMiddleware):
    """Cancels a handler that takes too long and rolls its unit of work back.

    The time covers the handler, what it sends and the middlewares behind this one. It does not
    cover the commit: cutting that off would leave open whether it happened.

    Args:
        seconds: For every message type that is not listed; ``None`` for no limit.
        per_type: Seconds for single message types and their subclasses, ``None`` for no limit.
    """

    scope: ClassVar[MiddlewareScope] = MiddlewareScope.INSIDE

    def __init__(
        self,
        seconds: float | None,
        *,
        per_type: Mapping[type[Any], float | None] | None = None,
    ) -> None:
        self._seconds = seconds
        self._per_type = dict(per_type or {})
        for limit in (seconds, *self._per_type.values()):
            if limit is not None and limit <= 0:
                msg = f"a timeout is a positive number of seconds or None, not {limit:g}"
                raise ConfigurationError(msg)

    def applies_to(self, message_type: type[Any]) -> bool:
        return self._limit(message_type) is not None

    async def __call__(self, message: Any, next_handler: NextHandler) -> Any:
        """Run the rest of the pipeline within the time.

        Raises:
            HandlerTimeoutError: It took longer; nothing was changed.
        """
        seconds = self._limit(type(message))
        deadline = asyncio.timeout(seconds)
        try:
            async with deadline:
                return await next_handler(message)
        except TimeoutError as error:
            if seconds is None or not deadline.expired():
                raise
            # Now, and not when the error gets out: a handler further up may swallow it.
            await _roll_back()
            raise HandlerTimeoutError(name_of(type(message)), seconds) from error

    def _limit(self, message_type: type[Any]) -> float | None:
        for parent in message_type.__mro__:
            if parent in self._per_type:
                return self._per_type[parent]
        return self._seconds


async def _roll_back() -> None:
    scope = current_scope()
    if scope is not None and scope.uow is not None:
        await scope.uow.rollback()
