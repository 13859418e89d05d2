"""What cannot be handled ends among the dead letters, and comes back from there."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from cqrs_ddd_core.primitives.exceptions import DatabaseUnavailableError, SerializationError
from cqrs_ddd_core.primitives.id_generator import new_id
from cqrs_ddd_core.testing.conformance import Conformance, needs
from cqrs_ddd_core.testing.publisher import Received
from cqrs_ddd_core.testing.samples import new_message
from cqrs_ddd_infrastructure_messaging.dead_letter import DeathReason
from cqrs_ddd_infrastructure_messaging.exceptions import DeadLetterError
from cqrs_ddd_infrastructure_messaging.serialization import EnvelopeSerializer
from cqrs_ddd_infrastructure_messaging.testing.subject import (
    NAME,
    Refused,
    TransportSubject,
    consuming,
    ids_of,
    letters_of,
    publish,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cqrs_ddd_core.ports.outbox import OutboxMessage
    from cqrs_ddd_infrastructure_messaging.dead_letter import DeadLetter

__all__ = ["DeadLetterTests"]

_encode = EnvelopeSerializer(source="/suite").encode


class DeadLetterTests(Conformance):
    """The ladder of retries and its end; listing, replaying and discarding."""

    @pytest.fixture
    def subject(self) -> TransportSubject:
        raise NotImplementedError("yield a TransportSubject")

    async def test_a_message_that_fails_every_try_is_a_letter_that_says_so(
        self, subject: TransportSubject
    ) -> None:
        """X-1: after exactly as many tries as the ladder has."""
        message = new_message()
        failing = _Failing(Refused("no stock"))
        async with consuming(subject, failing):
            await publish(subject, message)
            [letter] = await letters_of(subject, 1)
        assert failing.ids == [message.message_id] * subject.max_attempts
        assert letter.message_id == message.message_id
        assert (letter.consumer, letter.reason) == (NAME, DeathReason.EXHAUSTED)
        assert letter.attempts == subject.max_attempts
        assert letter.error == "Refused: no stock"
        assert letter.died_at.utcoffset() == timedelta(0)
        assert letter.body == message.payload

    async def test_an_error_that_no_try_will_heal_is_the_end_at_once(
        self, subject: TransportSubject
    ) -> None:
        message, failing = new_message(), _Failing(SerializationError("not an order"))
        async with consuming(subject, failing):
            await publish(subject, message)
            [letter] = await letters_of(subject, 1)
        assert (letter.reason, letter.attempts) == (DeathReason.HOPELESS, 1)
        assert failing.ids == [message.message_id]

    @needs("stranger")
    @pytest.mark.parametrize("break_it", ["json", "no_id", "content_type", "number", "depth"])
    async def test_what_cannot_be_read_dies_and_the_next_message_is_handled(
        self, subject: TransportSubject, break_it: str
    ) -> None:
        """F28, F30, C-9: with its reason, its bytes untouched; an id is never made up."""
        body, headers = _broken(break_it)
        good, received = new_message(), Received()
        async with consuming(subject, received):
            await subject.publish_bytes(body, headers)
            await publish(subject, good)
            assert await received.wait_for(1) == [good]
            [letter] = await letters_of(subject, 1)
        assert (letter.reason, letter.attempts) == (DeathReason.MALFORMED, 1)
        assert letter.body == body
        assert letter.error.startswith("MalformedMessageError: ")
        known = headers.get("ce-id")
        assert letter.message_id == (None if known is None else UUID(known))

    async def test_an_outage_is_waited_out_and_counts_as_no_try(
        self, subject: TransportSubject
    ) -> None:
        """G9: no message is to blame while the database is away."""
        received, tries = Received(), 0

        async def handle(message: OutboxMessage) -> None:
            nonlocal tries
            tries += 1
            if tries <= subject.max_attempts + 1:
                raise DatabaseUnavailableError("away")
            await received(message)

        message = new_message()
        async with consuming(subject, handle):
            await publish(subject, message)
            assert await received.wait_for(1) == [message]
        assert tries == subject.max_attempts + 2
        assert not await subject.dead_letters.list(NAME)

    async def test_letters_are_listed_oldest_first_and_found_by_their_id(
        self, subject: TransportSubject
    ) -> None:
        messages = [new_message() for _ in range(5)]
        letters = await _bury(subject, messages)
        assert [letter.message_id for letter in letters] == ids_of(messages)
        assert list(await subject.dead_letters.list(NAME, limit=2)) == list(letters[:2])
        assert await subject.dead_letters.get(NAME, letters[3].letter_id) == letters[3]
        assert await subject.dead_letters.get(NAME, new_id()) is None
        assert list(await subject.dead_letters.list("nobody")) == []

    async def test_one_letter_is_replayed_to_its_consumer_only(
        self, subject: TransportSubject
    ) -> None:
        """G9: with a fresh number of tries, and the others stay."""
        other, again = Received(), _Failing(Refused())
        async with consuming(subject, other, name="other"):
            messages = [new_message() for _ in range(3)]
            letters = await _bury(subject, messages)
            await other.wait_for(3)
            chosen = letters[1]
            assert await subject.dead_letters.replay(NAME, [chosen.letter_id, new_id()]) == 1
            remaining = await subject.dead_letters.list(NAME)
            assert [one.message_id for one in remaining] == ids_of([messages[0], messages[2]])
            async with consuming(subject, again):
                reburied = (await letters_of(subject, 3))[-1]
        assert again.ids == [chosen.message_id] * subject.max_attempts
        assert (reburied.message_id, reburied.attempts) == (chosen.message_id, len(again.ids))
        assert reburied.letter_id != chosen.letter_id
        assert other.messages == messages

    async def test_a_letter_is_replayed_with_another_payload(
        self, subject: TransportSubject
    ) -> None:
        message, received = new_message(), Received()
        [letter] = await _bury(subject, [message])
        healed = b'{"note": "healed"}'
        await subject.dead_letters.replay(NAME, [letter.letter_id], payload=healed)
        async with consuming(subject, received):
            assert await received.wait_for(1) == [replace(message, payload=healed)]
        assert list(await subject.dead_letters.list(NAME)) == []

    async def test_one_payload_is_not_for_several_letters(self, subject: TransportSubject) -> None:
        letters = await _bury(subject, [new_message(), new_message()])
        both = [letter.letter_id for letter in letters]
        with pytest.raises(DeadLetterError):
            await subject.dead_letters.replay(NAME, both, payload=b"{}")
        assert list(await subject.dead_letters.list(NAME)) == list(letters)

    async def test_replaying_all_keeps_the_order_of_each_stream(
        self, subject: TransportSubject
    ) -> None:
        messages = [new_message(f"Order-{number % 3}") for number in range(12)]
        await _bury(subject, messages)
        assert await subject.dead_letters.replay_all(NAME) == 12
        received = Received()
        async with consuming(subject, received):
            arrived = await received.wait_for(12)
        for stream in ("Order-0", "Order-1", "Order-2"):
            expected = [one for one in messages if one.stream == stream]
            assert [one for one in arrived if one.stream == stream] == expected
        assert list(await subject.dead_letters.list(NAME)) == []
        assert await subject.dead_letters.replay_all(NAME) == 0

    async def test_a_discarded_letter_is_gone(self, subject: TransportSubject) -> None:
        first, second = await _bury(subject, [new_message(), new_message()])
        assert await subject.dead_letters.discard(NAME, [first.letter_id, new_id()]) == 1
        assert await subject.dead_letters.discard(NAME, [first.letter_id]) == 0
        assert list(await subject.dead_letters.list(NAME)) == [second]


class _Failing:
    """A handler that always raises the same error."""

    def __init__(self, error: Exception) -> None:
        self.ids: list[UUID] = []
        self._error = error

    async def __call__(self, message: OutboxMessage) -> None:
        self.ids.append(message.message_id)
        raise self._error


async def _bury(
    subject: TransportSubject, messages: Sequence[OutboxMessage]
) -> Sequence[DeadLetter]:
    """Make messages dead letters, one after the other."""
    async with consuming(subject, _Failing(SerializationError("no"))):
        for count, message in enumerate(messages, start=1):
            await publish(subject, message)
            await letters_of(subject, count)
    return await letters_of(subject, len(messages))


def _broken(how: str) -> tuple[bytes, Mapping[str, str]]:
    body, headers = _encode(new_message())
    match how:
        case "json":
            return b'{"a": ', headers
        case "no_id":
            return body, {name: value for name, value in headers.items() if name != "ce-id"}
        case "content_type":
            return body, {**headers, "content-type": "text/plain"}
        case "number":
            return b'{"a": NaN}', headers
        case _:
            return b'{"a":' + b"[" * 10_000 + b"]" * 10_000 + b"}", headers
