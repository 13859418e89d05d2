"""Tells whoever asked when a message begins, ends well, or fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cqrs_ddd_core.instrumentation import HookRegistry
from cqrs_ddd_core.middleware._message import id_of, is_success, kind_of, name_of
from cqrs_ddd_core.ports.middleware import IMiddleware

if TYPE_CHECKING:
    from collections.abc import Callable

    from cqrs_ddd_core.instrumentation import InstrumentationHook
    from cqrs_ddd_core.ports.middleware import NextHandler

__all__ = ["LifecycleHooks"]


class LifecycleHooks(IMiddleware):
    """Notifies hooks when a message begins, ends well, or fails.

    The operations are ``command:executing``, ``command:executed``, ``command:failed`` and the
    same with ``query:``. The details have ``message``, ``message_type`` and ``message_id``, and
    ``response`` or ``error``. A command whose failed ``Result`` rolled it back is ``failed`` with
    its response. A hook that raises is logged and changes nothing.

    Args:
        hooks: Where hooks are registered; a registry of its own when not given.
    """

    def __init__(self, hooks: HookRegistry | None = None) -> None:
        self._hooks = hooks or HookRegistry()

    def subscribe(
        self, operations: str, hook: InstrumentationHook, *, priority: int = 0
    ) -> Callable[[], None]:
        """Notify a hook of operations by name or pattern; returns a function that ends it."""
        return self._hooks.register(hook, operations=operations, priority=priority)

    async def __call__(self, message: Any, next_handler: NextHandler) -> Any:
        kind = kind_of(type(message))
        await self._notify(f"{kind}:executing", message)
        try:
            response = await next_handler(message)
        except BaseException as error:
            await self._notify(f"{kind}:failed", message, error=error)
            raise
        outcome = "executed" if is_success(response) else "failed"
        await self._notify(f"{kind}:{outcome}", message, response=response)
        return response

    async def _notify(self, operation: str, message: Any, **outcome: Any) -> None:
        if self._hooks.watches(operation):
            message_type = name_of(type(message))
            details = {"message": message, "message_type": message_type, **outcome}
            await self._hooks.notify(operation, {**details, "message_id": id_of(message)})
