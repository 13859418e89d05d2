"""What a test may do to a connection: cut it, silence it, slow it down, refuse it, heal it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tools.services.proxy import TcpProxy

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def _echo() -> AsyncIterator[str]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1024):
                writer.write(data)
        except OSError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"echo://me:s%40cret@127.0.0.1:{port}/path?x=1"
    finally:
        server.close()


@pytest.fixture
async def proxy() -> AsyncIterator[TcpProxy]:
    async with _echo() as url, TcpProxy(url) as proxy:
        yield proxy


@asynccontextmanager
async def _client(proxy: TcpProxy) -> AsyncIterator[Streams]:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def _echoed(streams: Streams, data: bytes) -> bytes:
    reader, writer = streams
    writer.write(data)
    return await asyncio.wait_for(reader.readexactly(len(data)), 5)


async def test_bytes_pass_and_the_url_keeps_its_credentials_and_path(proxy: TcpProxy) -> None:
    assert proxy.url == f"echo://me:s%40cret@127.0.0.1:{proxy.port}/path?x=1"
    async with _client(proxy) as client:
        assert await _echoed(client, b"x" * 300_000) == b"x" * 300_000
        assert proxy.connections == 1


async def test_a_cut_resets_what_is_connected_and_lets_new_ones_in(proxy: TcpProxy) -> None:
    async with _client(proxy) as client:
        await _echoed(client, b"before")
        await proxy.cut()
        with pytest.raises(ConnectionResetError):
            await client[0].readexactly(1)
    async with _client(proxy) as client:
        assert await _echoed(client, b"after") == b"after"
    assert proxy.accepted == 2


@pytest.mark.parametrize("way", ["up", "down"])
async def test_a_blackhole_says_nothing_until_it_is_healed(proxy: TcpProxy, way: str) -> None:
    async with _client(proxy) as client:
        await _echoed(client, b"before")
        proxy.blackhole(up=way == "up", down=way == "down")
        client[1].write(b"held")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client[0].readexactly(4), 0.1)
        await proxy.heal()
        assert await asyncio.wait_for(client[0].readexactly(4), 5) == b"held"


async def test_refused_until_healed_on_the_same_port(proxy: TcpProxy) -> None:
    port = proxy.port
    async with _client(proxy) as client:
        await _echoed(client, b"before")
        await proxy.refuse()
        with pytest.raises(ConnectionResetError):
            await client[0].readexactly(1)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    await proxy.heal()
    async with _client(proxy) as client:
        assert proxy.port == port
        assert await _echoed(client, b"after") == b"after"


async def test_a_cut_in_the_middle_of_a_frame(proxy: TcpProxy) -> None:
    async with _client(proxy) as (reader, writer):
        proxy.cut_after(down=3)
        writer.write(b"abcdef")
        assert await asyncio.wait_for(reader.read(), 5) == b"abc"


async def test_a_delay_holds_each_direction_back(proxy: TcpProxy) -> None:
    async with _client(proxy) as client:
        await _echoed(client, b"before")
        proxy.delay(0.05)
        loop = asyncio.get_running_loop()
        begun = loop.time()
        await _echoed(client, b"slow")
        assert loop.time() - begun >= 0.1
