"""Composes middlewares and a handler into one function, once per message type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from cqrs_ddd_core.ports.middleware import IMiddleware, MiddlewareScope, NextHandler

__all__ = ["build_pipeline", "select_middlewares"]


def build_pipeline(middlewares: Sequence[IMiddleware], handler: NextHandler) -> NextHandler:
    """Return one function that runs the middlewares around the handler, the first outermost."""
    for middleware in reversed(middlewares):
        handler = _wrap(middleware.__call__, handler)
    return handler


def _wrap(
    middleware: Callable[[Any, NextHandler], Awaitable[Any]], next_handler: NextHandler
) -> NextHandler:
    # Returns the middleware's own coroutine: one frame per layer, not two.
    def call(message: Any) -> Awaitable[Any]:
        return middleware(message, next_handler)

    return call


def select_middlewares(
    middlewares: Sequence[IMiddleware], scope: MiddlewareScope, message_type: type[Any]
) -> list[IMiddleware]:
    """Return the middlewares of a scope that apply to a message type, in their order."""
    return [
        middleware
        for middleware in middlewares
        if middleware.scope is scope and middleware.applies_to(message_type)
    ]
