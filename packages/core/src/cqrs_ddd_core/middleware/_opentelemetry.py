"""Spans by OpenTelemetry."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from cqrs_ddd_core.primitives.exceptions import MissingExtraError

try:
    from opentelemetry import trace
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
except ImportError as error:
    raise MissingExtraError("OpenTelemetry spans", "cqrs-ddd-core", "opentelemetry") from error

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from opentelemetry.context import Context

__all__ = ["OpenTelemetryTracer"]

_propagator = TraceContextTextMapPropagator()


class OpenTelemetryTracer:
    """Opens a span per message, under the current span or the one that came with the message."""

    def __init__(self) -> None:
        self._tracer = trace.get_tracer("cqrs_ddd_core")

    @contextmanager
    def span(
        self, name: str, parent: str | None, attributes: Mapping[str, str]
    ) -> Iterator[str | None]:
        """Open a span for the block; yields its ``traceparent``, ``None`` when not traced."""
        with self._tracer.start_as_current_span(name, _parent(parent), attributes=attributes):
            carrier: dict[str, str] = {}
            _propagator.inject(carrier)
            yield carrier.get("traceparent", parent)


def _parent(traceparent: str | None) -> Context | None:
    if traceparent is None or trace.get_current_span().get_span_context().is_valid:
        return None
    return _propagator.extract({"traceparent": traceparent})
