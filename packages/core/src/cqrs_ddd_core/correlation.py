"""Who caused what: correlation, causation, user and tenant of the work under way.

The context is a context variable, so that it follows ``await`` and is copied into new tasks.
Commands and queries set it for their handlers and put the former one back afterwards.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

from cqrs_ddd_core.primitives.id_generator import new_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextvars import Token
    from uuid import UUID

__all__ = [
    "MessageContext",
    "generate_correlation_id",
    "get_causation_id",
    "get_context",
    "get_correlation_id",
    "message_context",
    "reset_context",
    "set_context",
]


def generate_correlation_id() -> str:
    """Return a new correlation id."""
    return str(new_id())


class MessageContext:
    """The ids that everything done on behalf of one message shares.

    Args:
        correlation_id: Shared by all work of one request; made on first use when not given.
        causation_id: Id of the message that directly caused the work under way.
        user_id: Who asked for it.
        tenant_id: On whose behalf; part of every key that is stored. ``""`` without tenants.
        traceparent: W3C trace context of the work under way, where it is traced.
    """

    __slots__ = ("_causation_id", "_correlation_id", "tenant_id", "traceparent", "user_id")

    def __init__(
        self,
        correlation_id: str | None = None,
        causation_id: str | UUID | None = None,
        user_id: str | None = None,
        tenant_id: str = "",
        traceparent: str | None = None,
    ) -> None:
        self._correlation_id = correlation_id
        self._causation_id = causation_id
        self.user_id: str | None = user_id
        self.tenant_id: str = tenant_id
        self.traceparent: str | None = traceparent

    @property
    def correlation_id(self) -> str | None:
        """The correlation id, made now when nobody gave one; ``None`` outside any context."""
        if self._correlation_id is None and self is not _NOBODY:
            self._correlation_id = generate_correlation_id()
        return self._correlation_id

    @property
    def causation_id(self) -> str | None:
        """The id of the message being handled, ``None`` outside a handler."""
        return None if self._causation_id is None else str(self._causation_id)

    def caused_by(self, message_id: UUID, correlation_id: str | None = None) -> MessageContext:
        """Return the context in which the message with that id is handled."""
        return MessageContext(
            correlation_id or self.correlation_id,
            message_id,
            self.user_id,
            self.tenant_id,
            self.traceparent,
        )

    def traced_as(self, traceparent: str) -> MessageContext:
        """Return the same context under another trace header."""
        return MessageContext(
            self.correlation_id, self._causation_id, self.user_id, self.tenant_id, traceparent
        )


_NOBODY = MessageContext()
_context: ContextVar[MessageContext] = ContextVar("cqrs_ddd_context", default=_NOBODY)
# The variable's own functions: a context manager would double the cost of a dispatch.
get_context: Final[Callable[[], MessageContext]] = _context.get
set_context: Final[Callable[[MessageContext], Token[MessageContext]]] = _context.set
reset_context: Final[Callable[[Token[MessageContext]], None]] = _context.reset


def get_correlation_id() -> str | None:
    """Return the correlation id of the work under way, ``None`` outside any."""
    return _context.get().correlation_id


def get_causation_id() -> str | None:
    """Return the id of the message being handled, ``None`` outside a handler."""
    return _context.get().causation_id


@contextmanager
def message_context(
    *,
    correlation_id: str | None = None,
    causation_id: str | None = None,
    user_id: str | None = None,
    tenant_id: str | None = None,
    traceparent: str | None = None,
) -> Iterator[MessageContext]:
    """Set ids for the block; those not given are kept from the surrounding context.

    A web application opens one per request, a consumer one per message.
    """
    outer = _context.get()
    inner = MessageContext(
        correlation_id or outer.correlation_id,
        causation_id or outer.causation_id,
        user_id or outer.user_id,
        outer.tenant_id if tenant_id is None else tenant_id,
        traceparent or outer.traceparent,
    )
    token = _context.set(inner)
    try:
        yield inner
    finally:
        _context.reset(token)
