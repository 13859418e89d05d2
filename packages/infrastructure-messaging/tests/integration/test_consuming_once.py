"""One effect per consumer and message, on every database, whatever the broker delivers."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING

import pytest

from cqrs_ddd_core.correlation import get_context
from cqrs_ddd_core.cqrs.event_recorder import EventRecorder
from cqrs_ddd_core.domain.events import DomainEvent
from cqrs_ddd_core.ports.unit_of_work_scope import get_current_uow
from cqrs_ddd_core.primitives.exceptions import (
    CommitOutcomeUnknownError,
    OptimisticConcurrencyError,
    UnrecordedEventsError,
)
from cqrs_ddd_core.testing.samples import new_message
from cqrs_ddd_infrastructure_messaging.exceptions import MalformedMessageError, MessageOrderError
from cqrs_ddd_infrastructure_messaging.idempotency import IdempotentConsumer, StreamOrder
from cqrs_ddd_infrastructure_messaging.memory import FaultPlan, InMemoryTransport
from cqrs_ddd_infrastructure_messaging.retry import RetryLadder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.integration.conftest import Stores

    from cqrs_ddd_core.ports.outbox import OutboxMessage
    from cqrs_ddd_core.ports.unit_of_work import UnitOfWork

TYPE = "SampleOrderPlaced"


class Reacted(DomainEvent):
    """Raised by a handler."""


class _Refused(Exception):  # noqa: N818 - not an error of the toolkit
    pass


def _messages(count: int, streams: int = 7) -> list[OutboxMessage]:
    return [new_message(f"Order-{number % streams}") for number in range(count)]


def _versions(*versions: int) -> list[OutboxMessage]:
    return [new_message("Order-1", headers={"stream_version": version}) for version in versions]


async def test_concurrent_deliveries_have_one_effect(stores: Stores) -> None:
    """X-6, G5: there is no moment between looking and marking."""
    consumer, message = stores.consumer(), new_message()
    await asyncio.gather(*(consumer(message) for _ in range(8)))
    assert await stores.effects() == stores.once([message])
    assert (consumer.handled, consumer.duplicates) == (1, 7)


@pytest.mark.parametrize("batch_size", [1, 16])
async def test_doubled_and_shuffled_messages_have_one_effect_each(
    stores: Stores, batch_size: int
) -> None:
    """F25."""
    transport = InMemoryTransport(FaultPlan(double=1, reorder=1, seed=5))
    consumer, messages = stores.consumer(), _messages(60)
    await _consume(transport, consumer, batch_size=batch_size)
    assert list(await transport.publisher.publish(messages)) == [None] * 60
    await transport.drain()
    assert await stores.effects() == stores.once(messages)
    assert (consumer.handled, consumer.duplicates) == (60, 60)


async def test_batches_that_overlap_at_the_same_time_have_one_effect_each(stores: Stores) -> None:
    """X-6, F25: two processes get the same messages in another order."""
    messages = _messages(40)
    consumers = [stores.consumer() for _ in range(3)]
    outcomes = await asyncio.gather(
        *(one.handle_batch(_shuffled(messages, seed)) for seed, one in enumerate(consumers))
    )
    assert outcomes == [[None] * 40] * 3
    assert await stores.effects() == stores.once(messages)
    assert sum(one.handled for one in consumers) == 40


async def test_a_message_delivered_again_after_its_commit_is_skipped(stores: Stores) -> None:
    """F27: the process died between the commit and the acknowledgement."""
    message = new_message()
    await stores.consumer()(message)
    await stores.consumer()(message)
    assert await stores.consumer().handle_batch([message, message]) == [None, None]
    assert await stores.effects() == stores.once([message])


async def test_the_effect_is_committed_when_the_call_returns(stores: Stores) -> None:
    """Only then may the transport acknowledge."""
    message = new_message()
    await stores.consumer()(message)
    assert get_current_uow() is None
    assert await stores.effects() == stores.once([message])


async def test_a_cancelled_handler_leaves_no_mark_and_no_effect(stores: Stores) -> None:
    """G10, F52."""
    begun = asyncio.Event()

    async def hang(message: OutboxMessage) -> None:
        await stores.apply(message)
        begun.set()
        await asyncio.Event().wait()

    message = new_message()
    task = asyncio.create_task(stores.consumer(hang)(message))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await stores.effects() == {}
    await stores.consumer()(message)
    assert await stores.effects() == stores.once([message])


async def test_an_error_rolls_back_and_reaches_the_transport(stores: Stores) -> None:
    """C-10: an error is never swallowed; the message is tried again, and then given up."""
    messages, tries = _messages(3, streams=3), list[str]()

    async def fail_the_first(message: OutboxMessage) -> None:
        await stores.apply(message)
        if message == messages[0]:
            tries.append(message.stream)
            raise _Refused

    transport = InMemoryTransport(retry=RetryLadder(delays=(1, 5)))
    await _consume(transport, stores.consumer(fail_the_first))
    await transport.publisher.publish(messages)
    await transport.drain()
    assert len(tries) == 3
    assert await stores.effects() == stores.once(messages[1:])
    [letter] = await transport.dead_letters.list("suite")
    assert letter.message_id == messages[0].message_id


async def test_in_a_batch_only_the_message_at_fault_fails_and_its_stream_waits(
    stores: Stores,
) -> None:
    """G9: the others commit, in order; those behind it share its outcome untried."""
    messages = _messages(20, streams=4)
    bad = messages[5]

    async def handle(message: OutboxMessage) -> None:
        await stores.apply(message)
        if message == bad:
            raise _Refused

    consumer = stores.consumer(handle)
    outcomes = await consumer.handle_batch(messages)
    failed = [number for number, outcome in enumerate(outcomes) if outcome is not None]
    assert failed == [5, 9, 13, 17]
    assert {type(outcomes[number]) for number in failed} == {_Refused}
    good = [message for number, message in enumerate(messages) if number not in failed]
    assert await stores.effects() == stores.once(good)
    for stream in {message.stream for message in good}:
        expected = [str(one.message_id) for one in good if one.stream == stream]
        assert await stores.effects_in_order(stream) == expected


async def test_a_batch_is_one_unit_of_work(stores: Stores) -> None:
    units: list[UnitOfWork] = []
    factory = stores.unit_of_work

    def counted() -> UnitOfWork:
        units.append(factory())
        return units[-1]

    stores.unit_of_work = counted
    messages = _messages(30)
    assert await stores.consumer().handle_batch([*messages, *messages[:3]]) == [None] * 33
    assert len(units) == 1
    assert await stores.effects() == stores.once(messages)


async def test_nothing_to_handle_opens_no_unit_of_work(stores: Stores) -> None:
    stores.unit_of_work = pytest.fail
    assert await stores.consumer().handle_batch([]) == []


async def test_tenants_never_share_a_unit_of_work_or_a_mark(stores: Stores) -> None:
    seen: list[tuple[str, UnitOfWork | None]] = []

    async def handle(message: OutboxMessage) -> None:
        assert get_context().tenant_id == message.tenant_id
        seen.append((message.tenant_id, get_current_uow()))
        if message.tenant_id == "b" and message.stream == "bad":
            raise _Refused

    message = new_message()
    same = [_of_tenant(message, tenant) for tenant in ("a", "b", "")]
    bad = new_message("bad", tenant_id="b")
    outcomes = await stores.consumer(handle).handle_batch([*same, *same, bad])
    assert [outcome is None for outcome in outcomes] == [True] * 6 + [False]
    assert len({id(uow) for tenant, uow in seen if tenant == "a"}) == 1
    assert {tenant for tenant, _ in seen} == {"a", "b", ""}
    assert not {id(uow) for t, uow in seen if t == "a"} & {id(uow) for t, uow in seen if t == "b"}


async def test_the_handler_works_in_the_context_of_its_message(stores: Stores) -> None:
    """C-9: the message is the cause of what it leads to, whatever surrounds the consumer."""
    contexts: list[tuple[str | None, str | None, str | None, str, str | None]] = []

    async def note(_: OutboxMessage) -> None:
        context = get_context()
        contexts.append(
            (
                context.correlation_id,
                context.causation_id,
                context.user_id,
                context.tenant_id,
                context.traceparent,
            )
        )

    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    message = new_message(tenant_id="t", headers={"traceparent": trace, "user_id": "ann"})
    other = new_message(tenant_id="t", correlation_id="request-2", headers={})
    await stores.consumer(note)(message)
    assert await stores.consumer(note).handle_batch([other, new_message()]) == [None, None]
    assert contexts[:2] == [
        ("request-1", str(message.message_id), "ann", "t", trace),
        ("request-2", str(other.message_id), None, "t", None),
    ]
    assert get_context().correlation_id is None


async def test_a_lost_race_is_run_again_at_once_on_fresh_state(stores: Stores) -> None:
    tries: list[UnitOfWork | None] = []

    async def lose_twice(message: OutboxMessage) -> None:
        await stores.apply(message)
        tries.append(get_current_uow())
        if len(tries) == 1:
            raise OptimisticConcurrencyError("Order-1", 1)
        if len(tries) == 2:
            # Nobody knows, but for the inbox: here it was not committed.
            raise CommitOutcomeUnknownError

    message = new_message()
    await stores.consumer(lose_twice)(message)
    assert len({id(uow) for uow in tries}) == 3
    assert await stores.effects() == stores.once([message])


async def test_events_of_aggregates_saved_by_the_handler_are_recorded_or_refused(
    stores: Stores,
) -> None:
    async def raise_event(_: OutboxMessage) -> None:
        uow = get_current_uow()
        assert uow is not None
        uow.add_events([Reacted(metadata={"message": "reaction"})])

    with pytest.raises(UnrecordedEventsError):
        await stores.consumer(raise_event)(new_message())
    recorder = EventRecorder([], event_store=stores.event_store, outbox=stores.outbox)
    message = new_message()
    await stores.consumer(raise_event, record=recorder.record)(message)
    leases = await stores.outbox.lease_partitions("test", seconds=60)
    [pending] = await stores.outbox.claim_pending(leases)
    assert pending.message.message_type == "Reacted"
    assert pending.message.causation_id == str(message.message_id)
    assert pending.message.correlation_id == "request-1"


async def test_without_gaps_a_message_waits_for_those_before_it(stores: Stores) -> None:
    """F26: v3, v1, v2 arrive; the handler sees 1, 2, 3."""
    third, first, second = _versions(3, 1, 2)
    transport = InMemoryTransport()
    await _consume(transport, stores.consumer(ordered=StreamOrder.GAPLESS))
    await transport.publisher.publish([third, first, second])
    await transport.drain()
    expected = [str(one.message_id) for one in (first, second, third)]
    assert await stores.effects_in_order("Order-1") == expected
    assert list(await transport.dead_letters.list("suite")) == []


async def test_a_gap_that_never_closes_is_an_error_with_the_facts(stores: Stores) -> None:
    """F26."""
    consumer = stores.consumer(ordered=StreamOrder.GAPLESS)
    first, fourth = _versions(1, 4)
    await consumer(first)
    with pytest.raises(MessageOrderError, match="waits for version 2") as caught:
        await consumer(fourth)
    assert (caught.value.stream, caught.value.version, caught.value.place) == ("Order-1", 4, 1)
    assert await stores.effects() == stores.once([first])


async def test_an_older_message_never_silently_overwrites(stores: Stores) -> None:
    """F26: whoever lets gaps pass still refuses what comes after its successors."""
    third, first, second = _versions(3, 1, 2)
    consumer = stores.consumer(ordered=StreamOrder.INCREASING)
    outcomes = await consumer.handle_batch([third, first, second])
    assert outcomes[0] is None
    assert isinstance(outcomes[1], MessageOrderError)
    assert outcomes[2] is outcomes[1]
    with pytest.raises(MessageOrderError, match="version 3 was handled"):
        await consumer(second)
    # A repeat of one that was handled is no disorder.
    await consumer(third)
    assert await stores.effects() == stores.once([third])


async def test_a_rolled_back_message_keeps_its_turn(stores: Stores) -> None:
    failures = iter([True, False, False])

    async def fail_once(message: OutboxMessage) -> None:
        if next(failures):
            raise _Refused
        await stores.apply(message)

    consumer = stores.consumer(fail_once, ordered=StreamOrder.GAPLESS)
    messages = _versions(1, 2)
    with pytest.raises(_Refused):
        await consumer(messages[0])
    assert await consumer.handle_batch(messages) == [None, None]


@pytest.mark.parametrize("headers", [{}, {"stream_version": "1"}, {"stream_version": True}])
async def test_a_message_without_a_version_has_no_turn(
    stores: Stores, headers: dict[str, object]
) -> None:
    """It goes to the dead letters at once, for no further try will help."""
    transport = InMemoryTransport()
    await _consume(transport, stores.consumer(ordered=StreamOrder.INCREASING))
    await transport.publisher.publish([new_message(headers=headers)])
    await transport.drain()
    [letter] = await transport.dead_letters.list("suite")
    assert letter.attempts == 1
    assert MalformedMessageError.__name__ in letter.error


async def _consume(
    transport: InMemoryTransport, handler: IdempotentConsumer, *, batch_size: int = 1
) -> None:
    consumer = transport.new_consumer()
    if batch_size == 1:
        await consumer.subscribe([TYPE], handler, consumer="suite")
    else:
        await consumer.subscribe_batch(
            [TYPE], handler.handle_batch, consumer="suite", batch_size=batch_size
        )
    await consumer.start()


def _shuffled(messages: Sequence[OutboxMessage], seed: int) -> list[OutboxMessage]:
    return Random(seed).sample(messages, len(messages))  # noqa: S311 - chance for tests


def _of_tenant(message: OutboxMessage, tenant_id: str) -> OutboxMessage:
    return new_message(message_id=message.message_id, tenant_id=tenant_id)
