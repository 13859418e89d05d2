"""A network that a test may cut, silence, slow down and heal: a TCP proxy before a server."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import Coroutine, Iterator
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit, urlunsplit

from tools.services.local import HOST

CHUNK = 65_536
RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER with no time: the peer sees a reset


class Direction:
    """What happens to the bytes that flow in one direction, over all connections."""

    def __init__(self) -> None:
        """Let everything pass."""
        self.seconds = 0.0
        self.budget: int | None = None
        self._open = asyncio.Event()
        self._open.set()

    def hold(self) -> None:
        """Let nothing pass until `heal`; what was held arrives then, as TCP would repeat it."""
        self._open.clear()

    def heal(self) -> None:
        """Let everything pass, without delay."""
        self.seconds, self.budget = 0.0, None
        self._open.set()

    async def admit(self, data: bytes) -> bytes:
        """Return what of `data` may pass, once it may; fewer bytes end the connection."""
        if self.seconds:
            await asyncio.sleep(self.seconds)
        await self._open.wait()
        if self.budget is None:
            return data
        passed = data[: self.budget]
        self.budget -= len(passed)
        return passed


class TcpProxy:
    """Stands between clients and the server of a URL; connect to its own `url` instead.

    Use it as an asynchronous context manager, in the event loop of the test. `up` is the way to
    the server, `down` the way back.
    """

    def __init__(self, url: str, *, tls: ssl.SSLContext | None = None) -> None:
        """Forward to the host and port of `url`; with `tls`, clients have to speak TLS."""
        self._target = urlsplit(url)
        self._tls = tls
        self.port = 0
        self.accepted = 0
        self.up, self.down = Direction(), Direction()
        self._listener: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._links: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        """Begin to listen on a free port."""
        await self._listen()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End all connections and the listener."""
        await self.refuse()

    @property
    def url(self) -> str:
        """The address of the server through this proxy."""
        credentials, at, _ = self._target.netloc.rpartition("@")
        return urlunsplit(self._target._replace(netloc=f"{credentials}{at}{HOST}:{self.port}"))

    @property
    def connections(self) -> int:
        """How many clients are connected now."""
        return len(self._links)

    async def cut(self) -> None:
        """Reset every connection, with whatever was under way; new ones are welcome."""
        for writer in list(self._writers):
            _reset(writer)
        for link in list(self._links):
            link.cancel()
        await asyncio.gather(*self._links, return_exceptions=True)

    def blackhole(self, *, up: bool = False, down: bool = False) -> None:
        """Stop the bytes of the given directions without closing anything, until `heal`."""
        for direction, chosen in ((self.up, up), (self.down, down)):
            if chosen:
                direction.hold()

    def delay(self, seconds: float) -> None:
        """Hold everything back by so many seconds in each direction."""
        self.up.seconds = self.down.seconds = seconds

    def cut_after(self, *, up: int | None = None, down: int | None = None) -> None:
        """End the connection that carries the byte after so many, in the middle of a frame."""
        self.up.budget, self.down.budget = up, down

    async def refuse(self) -> None:
        """Cut everything and refuse new connections until `heal`."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        await self.cut()

    async def heal(self) -> None:
        """Undo everything: what was held passes, and new connections are accepted."""
        self.up.heal()
        self.down.heal()
        if self._listener is None:
            await self._listen()

    async def _listen(self) -> None:
        self._listener = await asyncio.start_server(self._accept, HOST, self.port, ssl=self._tls)
        self.port = self._listener.sockets[0].getsockname()[1]

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        link = asyncio.create_task(self._link(reader, writer))
        self._links.add(link)
        link.add_done_callback(self._links.discard)

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with self._kept(writer), contextlib.suppress(OSError):
            host, port = self._target.hostname, self._target.port
            server_reader, server_writer = await asyncio.open_connection(host, port)
            with self._kept(server_writer):
                await _first_of(
                    _pump(reader, server_writer, self.up), _pump(server_reader, writer, self.down)
                )

    @contextlib.contextmanager
    def _kept(self, writer: asyncio.StreamWriter) -> Iterator[None]:
        self._writers.add(writer)
        try:
            yield
        finally:
            self._writers.discard(writer)
            writer.close()


async def _pump(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, direction: Direction
) -> None:
    """Carry bytes until one side closes, or the direction lets no more pass."""
    while data := await reader.read(CHUNK):
        passed = await direction.admit(data)
        writer.write(passed)
        await writer.drain()
        if len(passed) < len(data):
            return


async def _first_of(*pumps: Coroutine[None, None, None]) -> None:
    """Run until one of them ends, and end the others; an error of the connection is an end."""
    tasks = [asyncio.create_task(pump) for pump in pumps]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _reset(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    writer.transport.abort()
