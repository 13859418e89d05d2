"""What operators see of the messages that were handled."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from cqrs_ddd_core.adapters.memory.unit_of_work import InMemoryUnitOfWork
from cqrs_ddd_core.correlation import message_context
from cqrs_ddd_core.cqrs.command import Command
from cqrs_ddd_core.cqrs.mediator import Mediator
from cqrs_ddd_core.cqrs.query import Query
from cqrs_ddd_core.cqrs.registry import HandlerRegistry
from cqrs_ddd_core.middleware.logging import LoggingMiddleware
from cqrs_ddd_core.middleware.metrics import MetricsMiddleware
from cqrs_ddd_core.ports.middleware import IMiddleware
from cqrs_ddd_core.primitives.exceptions import EntityNotFoundError
from cqrs_ddd_core.primitives.result import Result


class Charge(Command[Result[int]]):
    card: str = "4111"
    outcome: str = "fine"


class Count(Query[int]):
    pass


class Gate:
    """Lets handlers in only when told."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.leave = asyncio.Event()


def app(*middlewares: IMiddleware, gate: Gate | None = None) -> Mediator:
    async def charge(command: Charge) -> Result[int]:
        if gate is not None:
            gate.entered.set()
            await gate.leave.wait()
        if command.outcome == "missing":
            raise EntityNotFoundError("Card", command.card)
        if command.outcome == "broken":
            msg = "no connection"
            raise OSError(msg)
        if command.outcome == "declined":
            return Result.failure("declined")
        return Result.success(1)

    async def count(query: Count) -> int:
        return 1

    registry = HandlerRegistry()
    registry.register_command_handler(Charge, charge)
    registry.register_query_handler(Count, count)
    return Mediator(registry, InMemoryUnitOfWork, middlewares=middlewares)


def fields(record: logging.LogRecord) -> dict[str, Any]:
    return vars(record)


async def test_a_handled_message_is_logged_with_its_ids(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    command = Charge()
    with message_context(correlation_id="req-1", tenant_id="north", user_id="ada"):
        await app(LoggingMiddleware()).send(command)
    (record,) = caplog.records
    found = fields(record)
    assert found["message_kind"] == "command"
    assert found["message_type"] == "Charge"
    assert found["message_id"] == str(command.command_id)
    assert (found["correlation_id"], found["tenant_id"]) == ("req-1", "north")
    assert found["user_id"] == "ada"
    assert found["outcome"] == "handled"
    assert found["duration_ms"] >= 0
    assert record.levelno == logging.INFO


async def test_payloads_are_logged_on_request_only(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    await app(LoggingMiddleware()).send(Charge(card="4111-secret"))
    await app(LoggingMiddleware(payloads=True)).send(Charge(card="4111-secret"))
    quiet, talkative = caplog.records
    assert "payload" not in fields(quiet)
    assert "secret" not in str(fields(quiet))
    assert fields(talkative)["payload"]["card"] == "4111-secret"


@pytest.mark.parametrize(
    "outcome, level, traceback",
    [("missing", logging.WARNING, False), ("broken", logging.ERROR, True)],
)
async def test_only_what_is_broken_is_logged_as_an_error(
    caplog: pytest.LogCaptureFixture, outcome: str, level: int, traceback: bool
) -> None:
    with pytest.raises((EntityNotFoundError, OSError)):
        await app(LoggingMiddleware()).send(Charge(outcome=outcome))
    (record,) = caplog.records
    assert record.levelno == level
    assert bool(record.exc_info) is traceback


async def test_a_rolled_back_command_and_a_query_are_told_apart(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    mediator = app(LoggingMiddleware())
    await mediator.send(Charge(outcome="declined"))
    await mediator.ask(Count())
    told = [(fields(one)["message_kind"], fields(one)["outcome"]) for one in caplog.records]
    assert told == [("command", "rolled back"), ("query", "handled")]


async def test_a_cancelled_message_is_logged_and_stays_cancelled(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    gate = Gate()
    sending = asyncio.create_task(app(LoggingMiddleware(), gate=gate).send(Charge()))
    await gate.entered.wait()
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert [fields(record)["outcome"] for record in caplog.records] == ["cancelled"]


async def test_metrics_count_messages_errors_and_rollbacks_per_type() -> None:
    metrics = MetricsMiddleware()
    mediator = app(metrics)
    for outcome in ("fine", "fine", "declined"):
        await mediator.send(Charge(outcome=outcome))
    with pytest.raises(OSError, match="no connection"):
        await mediator.send(Charge(outcome="broken"))
    await mediator.ask(Count())
    found = metrics.get_metrics()
    assert set(found) == {"Charge", "Count"}
    assert (found["Charge"].count, found["Charge"].errors) == (4, 2)
    assert (found["Count"].count, found["Count"].errors) == (1, 0)
    assert set(metrics.get_metrics("query")) == {"Count"}
    assert set(metrics.get_metrics("command")) == {"Charge"}


async def test_percentiles_never_exceed_the_slowest_message_and_rise() -> None:
    metrics = MetricsMiddleware()
    mediator = app(metrics)
    for _ in range(50):
        await mediator.ask(Count())
    found = metrics.get_metrics()["Count"]
    assert 0 < found.p50_ms <= found.p95_ms <= found.p99_ms <= found.max_ms
    assert 0 < found.mean_ms <= found.max_ms


async def test_messages_under_way_are_counted_until_they_end_even_when_cancelled() -> None:
    metrics, gate = MetricsMiddleware(), Gate()
    sending = asyncio.create_task(app(metrics, gate=gate).send(Charge()))
    await gate.entered.wait()
    assert metrics.get_metrics()["Charge"].in_flight == 1
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    found = metrics.get_metrics()["Charge"]
    assert (found.in_flight, found.count, found.errors) == (0, 1, 1)


async def test_metrics_can_begin_anew() -> None:
    metrics = MetricsMiddleware()
    mediator = app(metrics)
    await mediator.ask(Count())
    metrics.reset()
    assert metrics.get_metrics() == {}
