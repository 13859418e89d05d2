"""The W3C trace context goes along with everything a message causes."""

from __future__ import annotations

import re
import secrets
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Protocol

from cqrs_ddd_core.correlation import get_context, reset_context, set_context
from cqrs_ddd_core.middleware._message import id_of, kind_of, name_of
from cqrs_ddd_core.ports.middleware import IMiddleware
from cqrs_ddd_core.primitives.exceptions import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cqrs_ddd_core.ports.middleware import NextHandler

try:
    from cqrs_ddd_core.middleware._opentelemetry import OpenTelemetryTracer
except MissingExtraError as _error:
    _missing: MissingExtraError | None = _error
else:
    _missing = None

__all__ = ["TracingMiddleware", "child_of"]

# Version 00 of https://www.w3.org/TR/trace-context: ids of zeros only are not valid.
_TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})")


class TracingMiddleware(IMiddleware):
    """Gives every message a place in the trace of the request it belongs to.

    The ``traceparent`` of the surrounding ``message_context`` is continued, or a trace begun.
    The events a message raises carry it in their metadata, and so do outbox messages in their
    headers; whoever receives one passes it on to ``message_context(traceparent=...)``.

    Args:
        spans: Whether OpenTelemetry records spans; by default when it is installed.

    Raises:
        MissingExtraError: Spans were asked for and OpenTelemetry is not installed.
    """

    def __init__(self, *, spans: bool | None = None) -> None:
        if spans and _missing is not None:
            raise _missing
        use_spans = _missing is None if spans is None else spans
        self._tracer: _Tracer = OpenTelemetryTracer() if use_spans else _HeaderTracer()

    async def __call__(self, message: Any, next_handler: NextHandler) -> Any:
        context = get_context()
        name = f"{kind_of(type(message))} {name_of(type(message))}"
        attributes = {
            "cqrs.message_id": str(id_of(message)),
            "cqrs.correlation_id": context.correlation_id or "",
        }
        with self._tracer.span(name, context.traceparent, attributes) as traceparent:
            token = set_context(context.traced_as(traceparent or child_of(context.traceparent)))
            try:
                return await next_handler(message)
            finally:
                reset_context(token)


class _Tracer(Protocol):
    def span(
        self, name: str, parent: str | None, attributes: Mapping[str, str]
    ) -> AbstractContextManager[str | None]: ...


class _HeaderTracer:
    def span(
        self,
        name: str,  # noqa: ARG002 - the header has no room for it
        parent: str | None,
        attributes: Mapping[str, str],  # noqa: ARG002 - nor for these
    ) -> AbstractContextManager[str | None]:
        return nullcontext(child_of(parent))


def child_of(traceparent: str | None) -> str:
    """Return the header of a new span in the same trace; of a new trace when there is none."""
    known = _TRACEPARENT.fullmatch(traceparent or "")
    # 01: sampled. Whoever began the trace has decided otherwise if it says 00.
    trace_id, flags = known.groups() if known else (secrets.token_hex(16), "01")
    return f"00-{trace_id}-{secrets.token_hex(8)}-{flags}"
