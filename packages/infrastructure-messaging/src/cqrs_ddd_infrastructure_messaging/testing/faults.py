"""Nothing is lost when consumers die, stop or are cut off."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar

import pytest

from cqrs_ddd_core.testing.conformance import Conformance, needs
from cqrs_ddd_core.testing.publisher import Received
from cqrs_ddd_core.testing.samples import new_message
from cqrs_ddd_infrastructure_messaging.testing.subject import (
    NAME,
    TYPE,
    TransportSubject,
    consuming,
    ids_of,
    publish,
    publish_until_confirmed,
    wait_for_letters,
)

if TYPE_CHECKING:
    from uuid import UUID

    from cqrs_ddd_core.ports.outbox import OutboxMessage

__all__ = ["FaultTests"]


class FaultTests(Conformance):
    """Acknowledgement after the effect, stopping, crashes and cut connections.

    Attributes:
        messages_under_cuts: How many are published while connections are cut.
        cuts: How often they are; raise both for a longer test.
    """

    messages_under_cuts: ClassVar[int] = 120
    cuts: ClassVar[int] = 4

    @pytest.fixture
    def subject(self) -> TransportSubject:
        raise NotImplementedError("yield a TransportSubject")

    @needs("crash")
    async def test_what_a_dead_consumer_had_in_its_hands_is_delivered_again(
        self, subject: TransportSubject
    ) -> None:
        """F27, X-2: nothing is acknowledged before its handler has returned."""
        assert subject.crash is not None
        messages = [new_message(f"Order-{number}") for number in range(5)]
        begun, received = Received(), Received()

        async def never_ends(message: OutboxMessage) -> None:
            await begun(message)
            await asyncio.Event().wait()

        victim = subject.new_consumer()
        await victim.subscribe([TYPE], never_ends, consumer=NAME)
        await victim.start()
        await publish(subject, *messages)
        await begun.wait_for(1)
        await subject.crash(victim)
        async with consuming(subject, received):
            arrived = await received.wait_for(5)
        assert sorted(ids_of(arrived)) == sorted(ids_of(messages))

    async def test_stopping_among_many_messages_loses_and_doubles_none(
        self, subject: TransportSubject
    ) -> None:
        """G10: what was handled is acknowledged, and the rest waits for the next consumer."""
        messages = [new_message(f"Order-{number % 10}") for number in range(60)]
        journal = _Journal()
        published = False
        while len(journal.counts) < 60:
            async with asyncio.timeout(30), consuming(subject, journal):
                if not published:
                    await publish(subject, *messages)
                    published = True
                await journal.wait_for(min(len(journal.counts) + 7, 60))
        assert journal.counts == dict.fromkeys(ids_of(messages), 1)

    @needs("cut")
    async def test_a_consumer_that_was_cut_off_goes_on(self, subject: TransportSubject) -> None:
        assert subject.cut_connections is not None
        journal = _Journal()
        async with consuming(subject, journal):
            for _ in range(3):
                message = new_message()
                await publish_until_confirmed(subject, [message])
                await journal.wait_for_id(message.message_id)
                await subject.cut_connections()

    @needs("cut")
    async def test_an_effect_whose_acknowledgement_was_cut_off_is_delivered_again(
        self, subject: TransportSubject
    ) -> None:
        """F27: or, if it came through, not; never lost."""
        assert subject.cut_connections is not None
        cut, journal, message = subject.cut_connections, _Journal(), new_message()

        async def handle(delivered: OutboxMessage) -> None:
            if delivered.message_id not in journal.counts:
                await cut()
            await journal(delivered)

        async with consuming(subject, handle):
            await publish_until_confirmed(subject, [message])
            await journal.wait_for_id(message.message_id)
            last = new_message()
            await publish_until_confirmed(subject, [last])
            await journal.wait_for_id(last.message_id)
        assert set(journal.counts) == {message.message_id, last.message_id}

    @needs("cut")
    async def test_nothing_is_lost_while_connections_are_cut(
        self, subject: TransportSubject
    ) -> None:
        """F18: the sets of ids are equal, poison among them or not."""
        count = self.messages_under_cuts
        messages = [new_message(f"Order-{number % 20}") for number in range(count)]
        poison = {messages[number].message_id for number in (1, count // 2)}
        journal = _Journal()

        async def handle(message: OutboxMessage) -> None:
            if message.message_id in poison:
                raise ValueError("poison")
            await journal(message)

        async with consuming(subject, handle):
            cutting = asyncio.create_task(_cut_again_and_again(subject, self.cuts))
            for first in range(0, count, 10):
                await publish_until_confirmed(subject, messages[first : first + 10])
            await cutting
            await journal.wait_for(count - 2)
            await wait_for_letters(subject, poison)
        assert set(journal.counts) == set(ids_of(messages)) - poison


class _Journal:
    """Counts how often each message was handled."""

    def __init__(self) -> None:
        self.counts: Counter[UUID] = Counter()
        self._more = asyncio.Event()

    async def __call__(self, message: OutboxMessage) -> None:
        self.counts[message.message_id] += 1
        self._more.set()

    async def wait_for(self, count: int) -> None:
        async with asyncio.timeout(60):
            while len(self.counts) < count:
                self._more.clear()
                await self._more.wait()

    async def wait_for_id(self, message_id: UUID) -> None:
        async with asyncio.timeout(60):
            while message_id not in self.counts:
                self._more.clear()
                await self._more.wait()


async def _cut_again_and_again(subject: TransportSubject, times: int) -> None:
    assert subject.cut_connections is not None
    for _ in range(times):
        await asyncio.sleep(0.1)
        with suppress(OSError):
            await subject.cut_connections()
