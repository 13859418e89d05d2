"""An operator looks at parked messages, corrects them, and sends them again."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from cqrs_ddd_core.adapters.memory import InMemoryOutboxStorage, InMemoryWakeUp
from cqrs_ddd_core.ports.outbox import OutboxMessage
from cqrs_ddd_core.ports.publisher import IMessagePublisher, PublishOutcome
from cqrs_ddd_core.primitives.exceptions import UndeliverableError
from cqrs_ddd_core.testing.samples import new_message
from cqrs_ddd_infrastructure_messaging import MalformedMessageError, OutboxRelay, ParkedMessages


class Broker(IMessagePublisher):
    """Refuses a payload it cannot read."""

    def __init__(self) -> None:
        self.confirmed: list[OutboxMessage] = []

    async def publish(self, messages: Sequence[OutboxMessage]) -> Sequence[PublishOutcome]:
        outcomes: list[PublishOutcome] = []
        failed: dict[str, PublishOutcome] = {}
        for message in messages:
            if b"bad" in message.payload:
                failed.setdefault(message.stream, UndeliverableError("bad"))
            outcomes.append(failed.get(message.stream))
            if outcomes[-1] is None:
                self.confirmed.append(message)
        return outcomes


class Application:
    def __init__(self) -> None:
        self.broker, self.wake_up = Broker(), InMemoryWakeUp()
        self.storage = InMemoryOutboxStorage(wake_up=self.wake_up)
        self.relay = OutboxRelay(self.storage, self.broker)

    @property
    def parked(self) -> ParkedMessages:
        return self.relay.parked

    async def park(self, count: int) -> list[OutboxMessage]:
        """Let messages of as many streams fail, each with one behind it."""
        streams = [f"Order-{number}" for number in range(count)]
        bad = [new_message(stream, payload=b'{"total": "bad"}') for stream in streams]
        behind = [new_message(stream, payload=b"{}") for stream in streams]
        await self.storage.save_messages([*bad, *behind])
        await self.drain()
        return behind

    async def drain(self) -> None:
        while await self.relay.run_once():
            pass


@pytest.fixture
def application() -> Application:
    return Application()


async def test_they_are_listed_with_their_errors_page_by_page(application: Application) -> None:
    await application.park(3)
    first = await application.parked.list(limit=2)
    rest = await application.parked.list(after=first[-1].sequence)
    assert [item.message.stream for item in [*first, *rest]] == ["Order-0", "Order-1", "Order-2"]
    assert {item.error for item in [*first, *rest]} == {"UndeliverableError: bad"}


async def test_one_is_inspected(application: Application) -> None:
    await application.park(1)
    [item] = await application.parked.list()
    assert await application.parked.get(item.sequence) == item
    assert await application.parked.get(item.sequence + 1) is None
    assert await application.parked.get(item.sequence - 1) is None


async def test_an_edited_message_goes_before_those_behind_it(application: Application) -> None:
    """G9: replays keep the order of a stream."""
    [behind] = await application.park(1)
    [item] = await application.parked.list()
    assert await application.parked.edit(item.sequence, b'{"total": 7}')
    assert await application.parked.replay(item.sequence) == 1
    await application.drain()
    assert [message.payload for message in application.broker.confirmed] == [
        b'{"total": 7}',
        behind.payload,
    ]
    assert application.broker.confirmed[0].message_id == item.message.message_id


@pytest.mark.parametrize("payload", [b"", b"[]", b"{", b'{"a": NaN}', b'{"a": 1, "a": 2}'])
async def test_what_is_no_json_object_is_refused(application: Application, payload: bytes) -> None:
    await application.park(1)
    [item] = await application.parked.list()
    with pytest.raises(MalformedMessageError):
        await application.parked.edit(item.sequence, payload)
    assert await application.parked.get(item.sequence) == item


async def test_a_discarded_message_lets_its_stream_go_on(application: Application) -> None:
    [behind] = await application.park(1)
    [item] = await application.parked.list()
    assert await application.parked.discard(item.sequence) == 1
    await application.drain()
    assert application.broker.confirmed == [behind]


async def test_all_are_replayed_however_many_there_are(application: Application) -> None:
    await application.park(1200)
    assert await application.parked.replay_all() == 1200
    assert await application.parked.list() == []
    assert await application.parked.replay_all() == 0


async def test_a_replay_wakes_the_relays(application: Application) -> None:
    await application.park(1)
    [item] = await application.parked.list()
    woken: list[str] = []
    application.wake_up.listen("outbox", lambda: woken.append("relay"))
    await application.parked.replay(item.sequence)
    assert woken == ["relay"]
