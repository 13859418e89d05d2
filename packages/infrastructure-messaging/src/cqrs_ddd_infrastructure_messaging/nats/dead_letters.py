"""The dead letters of NATS consumers: a stream of them, with a subject for each."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple

from cqrs_ddd_core.primitives.exceptions import MessagingError
from cqrs_ddd_infrastructure_messaging._letters import letter_in, without_death
from cqrs_ddd_infrastructure_messaging.dead_letter import DeadLetter, IDeadLetters
from cqrs_ddd_infrastructure_messaging.exceptions import DeadLetterError
from cqrs_ddd_infrastructure_messaging.nats._driver import nats
from cqrs_ddd_infrastructure_messaging.nats._errors import (
    FAILURES,
    is_missing,
    publish_failure,
    unavailable,
)
from cqrs_ddd_infrastructure_messaging.nats.topology import NATSTopology

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Sequence
    from uuid import UUID

    from cqrs_ddd_infrastructure_messaging.nats.connection import NATSConnection
    from cqrs_ddd_infrastructure_messaging.nats.link import NATSLink
    from cqrs_ddd_infrastructure_messaging.nats.settings import NATSSettings

__all__ = ["NATSDeadLetters"]


class NATSDeadLetters(IDeadLetters):
    """Reads the stream of dead letters, and publishes them again to their consumer alone.

    Reading takes nothing away, so that any number of operators may look. A replay is published
    under the letter's id: done twice within the settings' ``duplicate_window``, after a crash
    between publishing and removing, it has one effect.

    Args:
        connection: To the server; whoever made it closes it.
        settings: Names and limits; the same as the consumers have.
    """

    def __init__(self, connection: NATSConnection, *, settings: NATSSettings | None = None) -> None:
        self._connection = connection
        self._topology = NATSTopology(settings)
        self._timeout = self._topology.settings.publish_timeout

    async def list(self, consumer: str, *, limit: int = 100) -> Sequence[DeadLetter]:
        async with self._answering("reading dead letters") as link:
            stored = self._read(link, consumer)
            letters: list[DeadLetter] = []
            while len(letters) < limit and (one := await anext(stored, None)):
                letters.append(one.letter)
            return letters

    async def get(self, consumer: str, letter_id: UUID) -> DeadLetter | None:
        async with self._answering("reading a dead letter") as link:
            stored = await self._find(link, consumer, letter_id)
            return None if stored is None else stored.letter

    async def replay(
        self, consumer: str, letter_ids: Collection[UUID], *, payload: bytes | None = None
    ) -> int:
        wanted = set(letter_ids)
        if payload is not None and len(wanted) != 1:
            raise DeadLetterError("a payload is for one letter: replay each with its own")
        async with self._answering("replaying dead letters") as link:
            chosen = sorted(await self._find_all(link, consumer, wanted))
            await self._check_consumer(link, consumer)
            for one in chosen:
                await self._replay(link, one, payload)
            return len(chosen)

    async def replay_all(self, consumer: str) -> int:
        async with self._answering("replaying dead letters") as link:
            asked = link.jetstream.stream_info(self._topology.dead)
            last = (await link.answer(asked, timeout=self._timeout)).state.last_seq
            await self._check_consumer(link, consumer)
            count = 0
            async for one in self._read(link, consumer, up_to=last):
                await self._replay(link, one, None)
                count += 1
            return count

    async def discard(self, consumer: str, letter_ids: Collection[UUID]) -> int:
        async with self._answering("discarding dead letters") as link:
            found = await self._find_all(link, consumer, letter_ids)
            for one in found:
                await self._remove(link, one)
            return len(found)

    async def _replay(self, link: NATSLink, stored: _Stored, payload: bytes | None) -> None:
        letter = stored.letter
        headers = {**without_death(letter.headers), "Nats-Msg-Id": str(letter.letter_id)}
        try:
            publishing = link.jetstream.publish(
                self._topology.again_subject(letter.consumer),
                letter.body if payload is None else payload,
                timeout=self._timeout,
                stream=self._topology.messages,
                headers=headers,
            )
            await link.answer(publishing, timeout=self._timeout)
        except FAILURES as error:
            raise publish_failure(letter.letter_id, error) from error
        await self._remove(link, stored)

    async def _check_consumer(self, link: NATSLink, consumer: str) -> None:
        # The stream keeps nothing for a place that is not there.
        durable = self._topology.again_durable(consumer)
        try:
            asked = link.jetstream.consumer_info(self._topology.messages, durable)
            await link.answer(asked, timeout=self._timeout)
        except nats.js.errors.NotFoundError:
            letters = self._read(link, consumer)
            if await anext(letters, None) is None:
                return
            msg = f"consumer {consumer!r} has no place on the server: start it first"
            raise DeadLetterError(msg) from None

    async def _find_all(
        self, link: NATSLink, consumer: str, letter_ids: Collection[UUID]
    ) -> Sequence[_Stored]:
        found = [await self._find(link, consumer, letter_id) for letter_id in set(letter_ids)]
        return [one for one in found if one is not None]

    async def _find(self, link: NATSLink, consumer: str, letter_id: UUID) -> _Stored | None:
        subject = self._topology.dead_subject(consumer, letter_id)
        return await self._next(link, subject, after=0)

    async def _read(
        self, link: NATSLink, consumer: str, *, up_to: int | None = None
    ) -> AsyncIterator[_Stored]:
        subject, after = self._topology.dead_subject(consumer), 0
        while (stored := await self._next(link, subject, after=after)) is not None:
            if up_to is not None and stored.sequence > up_to:
                return
            yield stored
            after = stored.sequence

    async def _next(self, link: NATSLink, subject: str, *, after: int) -> _Stored | None:
        try:
            asked = link.jetstream.get_msg(
                self._topology.dead, seq=after + 1, subject=subject, next=True
            )
            raw = await link.answer(asked, timeout=self._timeout)
        except nats.js.errors.NotFoundError:
            return None
        headers = {name: str(value) for name, value in (raw.headers or {}).items()}
        return _Stored(raw.seq or 0, letter_in(raw.data or b"", headers))

    async def _remove(self, link: NATSLink, stored: _Stored) -> None:
        try:
            asked = link.jetstream.delete_msg(self._topology.dead, stored.sequence)
            await link.answer(asked, timeout=self._timeout)
        except nats.js.errors.APIError as error:
            # Somebody else removed it first.
            if not await self._is_gone(link, stored):
                raise MessagingError(f"letter {stored.letter.letter_id} stays: {error}") from error

    async def _is_gone(self, link: NATSLink, stored: _Stored) -> bool:
        letter = stored.letter
        return await self._find(link, letter.consumer, letter.letter_id) is None

    @asynccontextmanager
    async def _answering(self, doing: str) -> AsyncIterator[NATSLink]:
        link = await self._connection.link(self._topology)
        try:
            yield link
        except FAILURES as error:
            if is_missing(error):
                link.check_again(self._topology)
            raise unavailable(f"{self._connection}: {doing}", error) from error


class _Stored(NamedTuple):
    """A letter and its place in the stream."""

    sequence: int
    letter: DeadLetter
