"""The trace of a request goes along with everything it causes."""

from __future__ import annotations

import subprocess
import sys
from uuid import UUID

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from cqrs_ddd_core.adapters.memory.database import InMemoryDatabase
from cqrs_ddd_core.adapters.memory.outbox import InMemoryOutboxStorage
from cqrs_ddd_core.adapters.memory.unit_of_work import InMemoryUnitOfWork
from cqrs_ddd_core.correlation import get_context, message_context
from cqrs_ddd_core.cqrs.command import Command, CommandResponse
from cqrs_ddd_core.cqrs.mediator import Mediator
from cqrs_ddd_core.cqrs.query import Query
from cqrs_ddd_core.cqrs.registry import HandlerRegistry
from cqrs_ddd_core.domain.events import DomainEvent
from cqrs_ddd_core.middleware.tracing import TracingMiddleware, child_of

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


class Publish(Command[str]):
    fails: bool = False


class Published(DomainEvent):
    pass


class Look(Query[str]):
    pass


class App:
    def __init__(self, *, spans: bool | None) -> None:
        self.database = InMemoryDatabase()
        self.outbox = InMemoryOutboxStorage(self.database)
        registry = HandlerRegistry()
        registry.register_command_handler(Publish, self.publish)
        registry.register_query_handler(Look, self.look)
        self.mediator = Mediator(
            registry,
            lambda: InMemoryUnitOfWork(self.database),
            middlewares=[TracingMiddleware(spans=spans)],
            outbox=self.outbox,
        )

    async def publish(self, command: Publish) -> CommandResponse[str]:
        if command.fails:
            msg = "printer on fire"
            raise OSError(msg)
        return CommandResponse(await self.mediator.ask(Look()), [Published()])

    async def look(self, query: Look) -> str:
        return get_context().traceparent or ""


@pytest.fixture(scope="module")
def exporter() -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return exporter


async def test_the_trace_of_the_caller_reaches_nested_messages_events_and_the_outbox() -> None:
    app = App(spans=False)
    with message_context(traceparent=PARENT):
        response = await app.mediator.send(Publish())
    assert get_context().traceparent is None
    _, trace_id, span, flags = response.result.split("-")
    assert (trace_id, flags) == (TRACE, "01")
    of_event = response.events[0].metadata["traceparent"]
    assert of_event.split("-")[1] == TRACE
    assert len({span, of_event.split("-")[2], PARENT.split("-")[2]}) == 3
    leases = await app.outbox.lease_partitions("test", seconds=60)
    (pending,) = await app.outbox.claim_pending(leases)
    assert pending.message.headers["traceparent"] == of_event


async def test_without_a_caller_a_trace_is_begun() -> None:
    first = (await App(spans=False).mediator.send(Publish())).result
    second = (await App(spans=False).mediator.send(Publish())).result
    assert first.split("-")[1] != second.split("-")[1]


@pytest.mark.parametrize(
    "header",
    [
        "",
        "nonsense",
        PARENT.upper(),
        f"01-{TRACE}-00f067aa0ba902b7-01",
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-{TRACE}-{'0' * 16}-01",
        PARENT + "\n",
    ],
)
def test_a_header_that_is_not_valid_is_not_continued(header: str) -> None:
    assert TRACE not in child_of(header)


def test_an_unsampled_trace_stays_unsampled() -> None:
    assert child_of(PARENT[:-2] + "00").endswith("-00")


async def test_spans_are_recorded_under_the_callers_trace(exporter: InMemorySpanExporter) -> None:
    exporter.clear()
    with message_context(traceparent=PARENT):
        response = await App(spans=True).mediator.send(Publish())
    query, command = exporter.get_finished_spans()
    assert (command.name, query.name) == ("command Publish", "query Look")
    assert command.context is not None
    assert command.context.trace_id == int(TRACE, 16)
    assert query.parent is not None
    assert query.parent.span_id == command.context.span_id
    assert f"{command.context.span_id:016x}" in response.events[0].metadata["traceparent"]
    assert command.attributes is not None
    assert UUID(str(command.attributes["cqrs.message_id"])) == response.command_id


async def test_a_failed_command_is_a_failed_span(exporter: InMemorySpanExporter) -> None:
    exporter.clear()
    with pytest.raises(OSError, match="on fire"):
        await App(spans=True).mediator.send(Publish(fails=True))
    (span,) = exporter.get_finished_spans()
    assert not span.status.is_ok


def test_spans_without_opentelemetry_name_the_command_that_installs_it() -> None:
    program = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "from cqrs_ddd_core.middleware.tracing import TracingMiddleware\n"
        "TracingMiddleware()\n"
        "try:\n"
        "    TracingMiddleware(spans=True)\n"
        "except ImportError as error:\n"
        "    print(error)\n"
    )
    told = subprocess.check_output([sys.executable, "-c", program], text=True)
    assert "pip install 'cqrs-ddd-core[opentelemetry]'" in told
