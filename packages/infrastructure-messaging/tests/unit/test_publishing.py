"""Publishers around publishers: order over kinds, counts, and what is told to hooks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import takewhile
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cqrs_ddd_core.instrumentation import HookRegistry
from cqrs_ddd_core.ports.outbox import MessageKind, OutboxMessage
from cqrs_ddd_core.ports.publisher import IMessagePublisher, PublishOutcome
from cqrs_ddd_core.primitives.exceptions import BrokerUnavailableError, MessagingError
from cqrs_ddd_core.testing.samples import new_message
from cqrs_ddd_infrastructure_messaging import (
    InstrumentedPublisher,
    KindPublisher,
    PublisherMetrics,
)

_REFUSED = MessagingError("refused")
_UNAVAILABLE = BrokerUnavailableError("down")


class _Broker(IMessagePublisher):
    """Keeps what it confirmed, in batches; refuses some messages."""

    def __init__(
        self,
        log: list[OutboxMessage] | None = None,
        refuses: Callable[[OutboxMessage], bool] = lambda message: False,
    ) -> None:
        self.log = [] if log is None else log
        self.batches: list[list[OutboxMessage]] = []
        self._refuses = refuses

    async def publish(self, messages: Sequence[OutboxMessage]) -> Sequence[PublishOutcome]:
        self.batches.append(list(messages))
        failed: set[str] = set()
        outcomes: list[PublishOutcome] = []
        for message in messages:
            if self._refuses(message):
                failed.add(message.stream)
            outcomes.append(_REFUSED if message.stream in failed else None)
        self.log.extend(
            message for message, outcome in zip(messages, outcomes, strict=True) if not outcome
        )
        return outcomes


class _Unavailable(IMessagePublisher):
    async def publish(self, messages: Sequence[OutboxMessage]) -> Sequence[PublishOutcome]:
        raise _UNAVAILABLE


def _event(stream: str) -> OutboxMessage:
    return new_message(stream)


def _command(stream: str) -> OutboxMessage:
    return new_message(stream, kind=MessageKind.COMMAND)


async def test_events_and_commands_go_their_ways_in_one_batch_each() -> None:
    events, commands = _Broker(), _Broker()
    messages = [_event("a"), _command("b"), _event("c"), _command("d")]
    outcomes = await KindPublisher(events=events, commands=commands).publish(messages)
    assert list(outcomes) == [None] * 4
    assert events.batches == [[messages[0], messages[2]]]
    assert commands.batches == [[messages[1], messages[3]]]


async def test_an_event_behind_a_refused_command_of_its_stream_is_not_sent() -> None:
    """G4 holds over both ways."""
    messages = [_command("a"), _event("a"), _event("b"), _command("a")]
    events, commands = _Broker(), _Broker(refuses=lambda message: message.stream == "a")
    outcomes = await KindPublisher(events=events, commands=commands).publish(messages)
    assert list(outcomes) == [_REFUSED, _REFUSED, None, _REFUSED]
    assert events.log == [messages[2]]
    assert commands.batches == [[messages[0]]]


async def test_the_same_stream_name_of_another_tenant_is_another_stream() -> None:
    messages = [_command("a"), new_message("a", tenant_id="acme")]
    events, commands = _Broker(), _Broker(refuses=lambda message: True)
    outcomes = await KindPublisher(events=events, commands=commands).publish(messages)
    assert list(outcomes) == [_REFUSED, None]


async def test_one_way_goes_on_while_the_other_is_unavailable() -> None:
    messages = [_event("a"), _command("a"), _command("b")]
    commands = _Broker()
    outcomes = await KindPublisher(events=_Unavailable(), commands=commands).publish(messages)
    assert list(outcomes) == [_UNAVAILABLE, _UNAVAILABLE, None]
    assert commands.log == [messages[2]]


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from(MessageKind), st.booleans()), max_size=20
    )
)
async def test_streams_stay_in_order_and_stop_at_their_first_failure(
    sent: list[tuple[str, MessageKind, bool]],
) -> None:
    messages = [
        new_message(stream, kind=kind, message_type="bad" if is_bad else "good")
        for stream, kind, is_bad in sent
    ]
    log: list[OutboxMessage] = []
    publisher = KindPublisher(
        events=_Broker(log, lambda message: message.message_type == "bad"),
        commands=_Broker(log, lambda message: message.message_type == "bad"),
    )
    outcomes = await publisher.publish(messages)
    for stream in "abc":
        mine = [message for message in messages if message.stream == stream]
        good = list(takewhile(lambda message: message.message_type == "good", mine))
        assert [message for message in log if message.stream == stream] == good
    assert [outcome is None for outcome in outcomes] == [message in log for message in messages]


async def test_what_was_confirmed_refused_and_not_sent_is_counted() -> None:
    broker = _Broker(refuses=lambda message: message.stream == "bad")
    publisher = InstrumentedPublisher(KindPublisher(events=broker, commands=_Unavailable()))
    await publisher.publish([_event("a"), _event("bad"), _command("c"), _event("d")])
    metrics = publisher.metrics
    assert (metrics.confirmed, metrics.failed, metrics.unavailable) == (2, 1, 1)
    assert (metrics.batches, metrics.in_flight) == (1, 0)
    assert 0 < metrics.mean_ms <= metrics.max_ms


async def test_a_call_that_raised_is_counted_and_raises_on() -> None:
    publisher = InstrumentedPublisher(_Unavailable())
    with pytest.raises(BrokerUnavailableError):
        await publisher.publish([_event("a"), _event("b")])
    metrics = publisher.metrics
    assert (metrics.unavailable, metrics.batches, metrics.in_flight) == (2, 1, 0)
    assert InstrumentedPublisher(_Unavailable()).metrics == PublisherMetrics()


async def test_hooks_are_told_what_is_published_and_how_it_went() -> None:
    told: list[tuple[str, Mapping[str, Any]]] = []

    async def hook(operation: str, details: Mapping[str, Any]) -> None:
        told.append((operation, details))

    hooks = HookRegistry()
    hooks.register(hook, operations="messages:*")
    messages = [_event("a")]
    await InstrumentedPublisher(_Broker(), hooks=hooks, name="rabbit").publish(messages)
    with pytest.raises(BrokerUnavailableError):
        await InstrumentedPublisher(_Unavailable(), hooks=hooks).publish(messages)
    assert [operation for operation, _ in told] == [
        "messages:publishing",
        "messages:published",
        "messages:publishing",
        "messages:failed",
    ]
    assert told[0][1] == {"publisher": "rabbit", "messages": messages}
    assert told[1][1]["outcomes"] == [None]
    assert told[1][1]["duration_ms"] > 0
    assert told[3][1]["error"] is _UNAVAILABLE


async def test_a_hook_that_fails_changes_nothing() -> None:
    async def hook(operation: str, details: Mapping[str, Any]) -> None:
        raise ValueError(operation)

    hooks = HookRegistry()
    hooks.register(hook)
    broker = _Broker()
    assert list(await InstrumentedPublisher(broker, hooks=hooks).publish([_event("a")])) == [None]
    assert len(broker.log) == 1
