"""Hears of every key that changes on the server, whoever changes it."""

from __future__ import annotations

import asyncio
import logging
import math
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias

from cqrs_ddd_core.primitives.id_generator import new_id

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from cqrs_ddd_core.adapters.redis._driver import AbstractConnection
    from cqrs_ddd_core.adapters.redis._link import Client, RedisLink

__all__ = ["ChangeFeed"]

_logger = logging.getLogger(__name__)

#: Is told which keys have changed; ``None`` when that may be any.
Hear: TypeAlias = "Callable[[Sequence[bytes] | None], Awaitable[None]]"

_CHANNEL: Final = "__redis__:invalidate"
#: Questions to the server in the time for which what was heard counts as all there is.
_QUESTIONS: Final = 4


class ChangeFeed:
    """A connection on which the server itself tells of changed, expired and evicted keys.

    It is the client-side caching of Redis in broadcasting mode (redis.io, "Client-side caching in
    Redis"): nobody who changes a key has to know of it or can forget to tell. First the server has
    to tell of a change that is made for this, for something between may swallow what it tells.
    Then what was heard is known to be complete up to a moment: the server is asked again and
    again, and what it answers comes behind all that it had to tell before.

    Args:
        link: To which server.
        prefix: Of the keys.
        hear: Called in the order of the changes; with ``None`` after changes may have been missed.
        max_silence: For how many seconds what was heard counts as all there is.
    """

    def __init__(self, link: RedisLink, prefix: str, hear: Hear, *, max_silence: float) -> None:
        self._link = link
        self._prefix = prefix
        self._hear = hear
        self._max_silence = max_silence
        self._complete_to = self._next_complete_to = -math.inf
        self._answered = asyncio.Event()
        self._proof = b""
        self._proven = asyncio.Event()
        self._is_lost = False
        self._task: asyncio.Task[None] | None = None

    @property
    def is_complete(self) -> bool:
        """Whether all changes are known but those of the last ``max_silence`` seconds."""
        return _now() - self._complete_to < self._max_silence

    async def start(self) -> None:
        """Begin to listen, now and again after every loss; calling it twice changes nothing."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="cache-changes")

    async def stop(self) -> None:
        """End what ``start`` began."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _run(self) -> None:
        while True:
            try:
                await self._listen()
            except Exception as error:  # noqa: BLE001 - whatever it was, nothing local is used
                if not self._is_lost:
                    _logger.warning("%s: no local values until it is back: %r", self._link, error)
                self._is_lost = True
            finally:
                self._complete_to = self._next_complete_to = -math.inf
                await self._hear(None)
            await asyncio.sleep(self._link.retry_after)

    async def _listen(self) -> None:
        connection = self._link.new_connection()
        try:
            async with asyncio.timeout(self._link.timeout):
                await self._subscribe(connection)
            reading = asyncio.create_task(self._read(connection))
            reading.add_done_callback(lambda _: self._answered.set())
            try:
                await self._prove()
                await self._ask_on(connection, reading)
            finally:
                reading.cancel()
                await asyncio.wait([reading])
        finally:
            # Without a goodbye, which could wait for a server that is gone.
            await connection.disconnect(nowait=True)

    async def _subscribe(self, connection: AbstractConnection) -> None:
        await connection.connect()  # type: ignore[no-untyped-call]
        own_id = await _command(connection, "CLIENT", "ID")
        options = ["ON", "REDIRECT", own_id, "BCAST", "PREFIX", self._prefix]
        await _command(connection, "CLIENT", "TRACKING", *options)
        await _command(connection, "SUBSCRIBE", _CHANNEL)

    async def _prove(self) -> None:
        """Change a key and wait to hear of it."""
        self._proof = f"{self._prefix}p:{new_id()}".encode()
        self._proven.clear()
        async with asyncio.timeout(self._link.timeout):
            await self._link.run(partial(_change, self._proof))
            await self._proven.wait()

    async def _read(self, connection: AbstractConnection) -> None:
        while True:
            kind, *_, content = await connection.read_response()
            if kind == b"pong":
                self._answered.set()
                continue
            await self._hear(content)
            if content is not None and self._proof in content:
                self._proven.set()

    async def _ask_on(self, connection: AbstractConnection, reading: asyncio.Task[None]) -> None:
        """Ask whether there is more to hear, until the connection breaks."""
        while not reading.done():
            asked = _now()
            self._answered.clear()
            async with asyncio.timeout(self._max_silence):
                await connection.send_command("PING")
                await self._answered.wait()
            if reading.done():
                break
            # The answer may overtake what is told in the same moment, but not in the one before.
            self._complete_to, self._next_complete_to = self._next_complete_to, asked
            if self.is_complete:
                self._is_lost = False
                await asyncio.wait([reading], timeout=self._max_silence / _QUESTIONS)
        reading.result()


async def _change(name: bytes, client: Client) -> None:
    await client.set(name, b"", px=1)


async def _command(connection: AbstractConnection, *words: object) -> object:
    await connection.send_command(*words)
    answer: object = await connection.read_response()
    return answer


def _now() -> float:
    return asyncio.get_running_loop().time()
