"""Replies that never come: what the caller learns of a commit, and what a repeat does (F09)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from cqrs_ddd_core.ports.event_store import NO_STREAM, AppendResult
from cqrs_ddd_core.primitives.exceptions import CommitOutcomeUnknownError
from cqrs_ddd_core.testing.samples import new_events, new_stream
from cqrs_ddd_persistence_sqlalchemy import (
    SQLAlchemyEventStore,
    SQLAlchemyUnitOfWork,
    create_engine,
)

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine


class _Proxy:
    """Forwards connections; ``lose_replies`` lets requests through and answers no more."""

    def __init__(self, url: str) -> None:
        self._target = urlsplit(url)
        self._url = ""
        self._is_silent = False
        self._swallowed = asyncio.Event()
        self._writers: list[asyncio.StreamWriter] = []

    @property
    def url(self) -> str:
        """The address of the server, through the proxy."""
        return self._url

    def lose_replies(self) -> None:
        """From now on the server is heard by nobody."""
        self._is_silent = True

    async def cut_when_a_reply_was_lost(self) -> None:
        """Wait until the server has answered, and cut all connections."""
        await self._swallowed.wait()
        for writer in self._writers:
            writer.transport.abort()

    def heal(self) -> None:
        """Let new connections work again."""
        self._is_silent = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward one connection until either side ends it."""
        target = await asyncio.open_connection(self._target.hostname, self._target.port)
        self._writers += [writer, target[1]]
        await asyncio.gather(self._requests(reader, target[1]), self._replies(target[0], writer))

    def listen_at(self, port: int) -> None:
        """Say on which port of this machine the proxy listens."""
        user = self._target.netloc.rpartition("@")[0]
        self._url = self._target._replace(netloc=f"{user}@127.0.0.1:{port}").geturl()

    async def _requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
        except OSError:
            pass
        finally:
            writer.close()

    async def _replies(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                if self._is_silent:
                    self._swallowed.set()
                else:
                    writer.write(data)
        except OSError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def _proxied(url: str) -> AsyncIterator[_Proxy]:
    """Yield a proxy for the server at that address."""
    proxy = _Proxy(url)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.listen_at(server.sockets[0].getsockname()[1])
    try:
        yield proxy
    finally:
        server.close()


async def test_a_lost_commit_reply_is_unknown_and_a_repeat_is_recognised(
    postgres_engine: AsyncEngine, postgres_database: str
) -> None:
    """F09: exactly one copy, whichever way the commit went."""
    stream, events = new_stream(), new_events(2)
    async with _proxied(postgres_database) as proxy:
        engine = create_engine(proxy.url, connect_args={"ssl": False})
        store = SQLAlchemyEventStore(engine)

        async def append() -> None:
            async with SQLAlchemyUnitOfWork(engine):
                await store.append(stream, events, expected_version=NO_STREAM)
                proxy.lose_replies()

        task = asyncio.create_task(append())
        await proxy.cut_when_a_reply_was_lost()
        with pytest.raises(CommitOutcomeUnknownError):
            await task
        proxy.heal()
        again = await store.append(stream, events, expected_version=NO_STREAM)
        await engine.dispose()
    stored = await SQLAlchemyEventStore(postgres_engine).get_events(stream)
    assert [event.event_id for event in stored] == [event.event_id for event in events]
    assert again == AppendResult(2, stored[-1].position)


async def test_a_lost_reply_to_an_append_of_its_own_is_unknown_too(
    postgres_engine: AsyncEngine, postgres_database: str
) -> None:
    stream, events = new_stream(), new_events(2)
    async with _proxied(postgres_database) as proxy:
        engine = create_engine(proxy.url, connect_args={"ssl": False})
        store = SQLAlchemyEventStore(engine)
        await store.append(new_stream(), [*new_events(2)], expected_version=NO_STREAM)
        proxy.lose_replies()
        task = asyncio.create_task(store.append(stream, events, expected_version=NO_STREAM))
        await proxy.cut_when_a_reply_was_lost()
        with pytest.raises(CommitOutcomeUnknownError):
            await task
        await engine.dispose()
    again = await SQLAlchemyEventStore(postgres_engine).append(stream, events)
    assert again.version == 2
