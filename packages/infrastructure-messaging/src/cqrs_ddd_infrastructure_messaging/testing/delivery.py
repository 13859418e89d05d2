"""Messages arrive as they were sent, at those who want them, in order."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest

from cqrs_ddd_core.ports.outbox import MessageKind
from cqrs_ddd_core.testing.conformance import Conformance, needs
from cqrs_ddd_core.testing.publisher import Received
from cqrs_ddd_core.testing.samples import AWKWARD_TEXT, awkward_message, new_message
from cqrs_ddd_infrastructure_messaging.testing.subject import (
    ROUTES,
    TYPE,
    TransportSubject,
    consuming,
    ids_of,
    publish,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from cqrs_ddd_core.ports.outbox import OutboxMessage

__all__ = ["DeliveryTests"]

_TRACE: dict[str, Any] = {
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "tracestate": "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7",
}


class DeliveryTests(Conformance):
    """Round trips, topics, sharing, order and size."""

    @pytest.fixture
    def subject(self) -> TransportSubject:
        raise NotImplementedError("yield a TransportSubject")

    async def test_awkward_messages_arrive_exactly(self, subject: TransportSubject) -> None:
        """X-7: every field, whatever is in it."""
        messages = [
            awkward_message(),
            new_message(kind=MessageKind.COMMAND, tenant_id=AWKWARD_TEXT, schema_version=2**31 - 1),
            new_message(correlation_id=AWKWARD_TEXT, causation_id=""),
            new_message(payload=b" { } ", headers={AWKWARD_TEXT: [AWKWARD_TEXT, None, {"": 0.1}]}),
            new_message(payload=b'{"n": 12345678901234567890.123456789, "n2": 1e400}'),
            new_message("a" * 500, headers={"reply_to": "replies", **_TRACE}),
        ]
        received = Received()
        async with consuming(subject, received, types=[TYPE, AWKWARD_TEXT]):
            await publish(subject, *messages)
            arrived = await received.wait_for(len(messages))
        assert sorted(arrived, key=_id_of) == sorted(messages, key=_id_of)

    async def test_tenants_and_trace_context_arrive(self, subject: TransportSubject) -> None:
        """One stream name in two tenants is two streams."""
        received = Received()
        messages = [new_message(tenant_id=tenant, headers=_TRACE) for tenant in ("a", "b", "")]
        async with consuming(subject, received):
            await publish(subject, *messages)
            arrived = await received.wait_for(3)
        assert {one.message_id: one.tenant_id for one in arrived} == {
            one.message_id: one.tenant_id for one in messages
        }
        assert [dict(one.headers) for one in arrived] == [_TRACE] * 3

    @needs("patterns")
    @pytest.mark.parametrize(
        "pattern, types",
        [
            ("shelf.books.sold", {"BookSold"}),
            ("shelf.books.*", {"BookSold"}),
            ("*.*.*", {"BookSold"}),
            ("shelf.*.price.*", {"BookPriced"}),
            ("shelf.#", {"BookSold", "BookPriced"}),
            ("shelf.books.sold.#", {"BookSold"}),
            ("#.changed", {"BookPriced"}),
            ("shelf.*", set[str]()),
        ],
    )
    async def test_a_pattern_asks_for_the_topics_it_matches(
        self, subject: TransportSubject, pattern: str, types: set[str]
    ) -> None:
        received = Received()
        sent = [new_message("a", message_type=name) for name in (*ROUTES, TYPE)]
        async with consuming(subject, received, types=[*ROUTES, TYPE], patterns=[pattern]):
            await publish(subject, *sent)
            arrived = await received.wait_for(len(types) + 1)
        assert {one.message_type for one in arrived} == {*types, TYPE}

    async def test_consumers_of_one_name_work_side_by_side(self, subject: TransportSubject) -> None:
        """None of them takes it all, and no message goes to two."""
        one, two = _Order(40), _Order(40)
        messages = [new_message(f"Order-{number}") for number in range(40)]
        async with asyncio.timeout(30), consuming(subject, one), consuming(subject, two):
            await publish(subject, *messages)
            while len(one.ids) + len(two.ids) < 40:  # noqa: ASYNC110 - two of them
                await asyncio.sleep(0.01)
        assert sorted([*one.ids, *two.ids]) == sorted(ids_of(messages))
        assert one.ids
        assert two.ids

    async def test_first_deliveries_of_a_stream_come_in_order(
        self, subject: TransportSubject
    ) -> None:
        """G4: also while handlers take their time, each another one."""
        messages = [new_message(f"Order-{number % 7}") for number in range(140)]
        order = _Order(140)
        async with consuming(subject, order):
            await publish(subject, *messages)
            await order.is_complete()
        assert order.by_stream == _by_stream(messages)

    @needs("partitions")
    async def test_several_consumers_of_one_name_keep_the_order_of_each_stream(
        self, subject: TransportSubject
    ) -> None:
        """G4: the streams are spread over them, and none is in two hands."""
        messages = [new_message(f"Order-{number % 16}") for number in range(160)]
        order = _Order(160)
        async with (
            consuming(subject, order, partitions=4),
            consuming(subject, order, partitions=4),
            consuming(subject, order, partitions=4),
        ):
            await publish(subject, *messages)
            await order.is_complete()
        assert order.by_stream == _by_stream(messages)

    async def test_a_payload_of_the_longest_size_arrives(self, subject: TransportSubject) -> None:
        message = new_message(payload=_payload(subject.max_payload_bytes))
        received = Received()
        async with consuming(subject, received):
            await publish(subject, message)
            assert await received.wait_for(1) == [message]

    async def test_a_longer_payload_is_refused_and_harms_nobody(
        self, subject: TransportSubject
    ) -> None:
        """F30: not even who publishes at the same time."""
        too_long = new_message("a", payload=_payload(subject.max_payload_bytes + 1))
        good, received = new_message("b"), Received()
        async with consuming(subject, received):
            outcomes = await subject.publisher.publish([too_long, good])
            assert isinstance(outcomes[0], Exception)
            assert outcomes[1] is None
            assert await received.wait_for(1) == [good]


class _Order:
    """Notes the order in which messages are first delivered."""

    def __init__(self, count: int) -> None:
        self.ids: list[UUID] = []
        self.by_stream: defaultdict[str, list[UUID]] = defaultdict(list)
        self._missing = count
        self._complete = asyncio.Event()

    async def __call__(self, message: OutboxMessage) -> None:
        await asyncio.sleep(message.message_id.int % 3 / 1000)
        self.ids.append(message.message_id)
        self.by_stream[message.stream].append(message.message_id)
        self._missing -= 1
        if not self._missing:
            self._complete.set()

    async def is_complete(self) -> None:
        async with asyncio.timeout(60):
            await self._complete.wait()


def _by_stream(messages: Sequence[OutboxMessage]) -> dict[str, list[UUID]]:
    streams = dict.fromkeys(message.stream for message in messages)
    return {stream: ids_of([one for one in messages if one.stream == stream]) for stream in streams}


def _payload(size: int) -> bytes:
    return b'{"x":"' + b"x" * (size - 8) + b'"}'


def _id_of(message: OutboxMessage) -> UUID:
    return message.message_id
