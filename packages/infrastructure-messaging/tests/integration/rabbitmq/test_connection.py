"""What the connection does when the network or the broker does not."""

from __future__ import annotations

import asyncio
import logging
import ssl
import subprocess
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cqrs_ddd_core.primitives.exceptions import BrokerUnavailableError, ConfigurationError
from cqrs_ddd_core.primitives.retry import ExponentialBackoff
from cqrs_ddd_core.testing.samples import new_message
from cqrs_ddd_infrastructure_messaging.exceptions import TopologyMismatchError
from cqrs_ddd_infrastructure_messaging.rabbitmq import RabbitMQConnection
from cqrs_ddd_infrastructure_messaging.rabbitmq.topology import Exchange, Queue
from tools.services.proxy import TcpProxy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.conftest import Broker


PASSWORD = "p@ss/w#rd:é%"
QUOTED = "p%40ss%2Fw%23rd%3A%C3%A9%25"


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - it is the driver that tells, and not by an event
        await asyncio.sleep(0)


async def test_a_lost_connection_is_seen_at_once_and_opened_when_needed(
    broker: Broker, proxy: TcpProxy
) -> None:
    link = broker.connection(proxy.url).publishing
    channel = await link.channel()
    assert link.is_open
    assert not channel.is_closed
    await proxy.cut()
    await _until(lambda: not link.is_open)
    assert not (await link.channel()).is_closed
    assert link.opened == 2


async def test_a_broker_that_hangs_up_politely_is_noticed_too(broker: Broker) -> None:
    """The driver then fails what waits with a bare exception, which is not to leak."""

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    link = broker.connection(f"amqp://guest:guest@127.0.0.1:{port}/").publishing
    with pytest.raises(BrokerUnavailableError, match="connecting"):
        await link.channel()
    server.close()


async def test_a_silent_broker_is_given_up_after_the_timeout(
    broker: Broker, proxy: TcpProxy
) -> None:
    """F12, F19: neither a connection that is there nor one that is being made hangs."""
    connection = broker.connection(proxy.url, timeout=0.3)
    await connection.publishing.channel()
    proxy.blackhole(down=True)
    for link in (connection.publishing, connection.consuming):
        with pytest.raises(BrokerUnavailableError, match="did not answer in time"):
            await link.channel()
        assert not link.is_open
    await proxy.heal()
    for link in (connection.publishing, connection.consuming):
        assert not (await link.channel_when_open()).is_closed


async def test_closing_does_not_wait_for_a_silent_broker(broker: Broker, proxy: TcpProxy) -> None:
    connection = broker.connection(proxy.url, timeout=0.3)
    await connection.publishing.channel()
    await connection.consuming.channel()
    proxy.blackhole(up=True, down=True)
    async with asyncio.timeout(5):
        await connection.close()
    with pytest.raises(ConfigurationError, match="closed"):
        await connection.publishing.channel()


async def test_tries_keep_their_distance_while_the_broker_is_away(
    broker: Broker, proxy: TcpProxy
) -> None:
    """A call that comes too early fails at once, and says why the last try failed."""
    connection = RabbitMQConnection(
        proxy.url, timeout=1, backoff=ExponentialBackoff(initial=60, maximum=60, jitter=0)
    )
    await proxy.refuse()
    with pytest.raises(BrokerUnavailableError, match="Connect call failed"):
        await connection.publishing.channel()
    await proxy.heal()
    with pytest.raises(BrokerUnavailableError, match=r"next try in 60\.0 s.*Connect call failed"):
        await connection.publishing.channel()
    assert proxy.accepted == 0
    await connection.close()


async def test_what_vanished_meanwhile_is_declared_again(broker: Broker, proxy: TcpProxy) -> None:
    connection = broker.connection(proxy.url)
    name = f"{broker.settings.prefix}.kept"
    connection.consuming.require([Queue(name)])
    await connection.consuming.channel()
    async with broker.channel() as channel:
        await channel.queue_delete(name)
    await proxy.cut()
    await _until(lambda: not connection.consuming.is_open)
    await connection.consuming.channel()
    assert await broker.count(name) == 0


async def test_a_difference_is_found_and_named(broker: Broker) -> None:
    exchange = Exchange(f"{broker.settings.prefix}.mixed", "topic")
    queue = Queue(f"{broker.settings.prefix}.limited", {"x-max-length": 5})
    first, second = broker.connection(), broker.connection()
    first.consuming.require([exchange, queue])
    await first.consuming.channel()
    second.publishing.require([Exchange(exchange.name, "fanout")])
    with pytest.raises(TopologyMismatchError, match=r"'type'.*'fanout'.*'topic'") as caught:
        await second.publishing.channel()
    assert caught.value.what == f"exchange {exchange.name!r}"
    second.consuming.require([Queue(queue.name, {"x-max-length": 6})])
    with pytest.raises(TopologyMismatchError, match=r"x-max-length.*'6'.*'5'"):
        await second.consuming.channel()
    # The connection itself is well: who looks again after the repair gets through.
    async with broker.channel() as channel:
        await channel.queue_delete(queue.name)
    await second.consuming.channel()
    assert second.consuming.opened == 1


async def test_a_consumer_waits_for_the_broker_as_long_as_it_takes(
    broker: Broker, proxy: TcpProxy
) -> None:
    await proxy.refuse()
    link = broker.connection(proxy.url).consuming
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(link.channel_when_open())
        await _until(lambda: link.error is not None)
        assert not waiting.done()
        await proxy.heal()
    assert not waiting.result().is_closed
    assert link.error is None


async def test_no_secret_is_in_what_goes_wrong(
    broker: Broker, proxy: TcpProxy, caplog: pytest.LogCaptureFixture
) -> None:
    """F55: wrong password, refused, silent and cut, with everything that is logged."""
    caplog.set_level(logging.DEBUG)
    url = proxy.url.replace("guest:guest", f"guest:{QUOTED}")
    found = []
    for fault in ("password", "refuse", "silent"):
        connection = RabbitMQConnection(
            url, timeout=0.5, backoff=ExponentialBackoff(initial=0.0, jitter=0)
        )
        if fault == "refuse":
            await proxy.refuse()
        elif fault == "silent":
            await proxy.heal()
            proxy.blackhole(down=True)
        with pytest.raises(BrokerUnavailableError) as caught:
            await connection.publishing.channel()
        found += ["".join(traceback.format_exception(caught.value)), repr(connection)]
        found.append(repr(connection.publishing))
        await connection.close()
    assert "refused the user" in found[0]
    texts = "\n".join([*found, caplog.text])
    for secret in (PASSWORD, QUOTED, "p@ss", "p%40ss", "w#rd"):
        assert secret not in texts


# --- TLS --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate that nobody has signed, for `localhost`."""
    folder = tmp_path_factory.mktemp("tls")
    key, made = folder / "key.pem", folder / "certificate.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    files = ["-keyout", str(key), "-out", str(made)]
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *subject, *files],
        check=True,
        capture_output=True,
    )
    return key, made


@pytest.fixture
async def tls_port(certificate: tuple[Path, Path], rabbitmq_url: str) -> AsyncIterator[int]:
    """The shared broker behind TLS, as behind a load balancer that ends it."""
    key, made = certificate
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(made, key)
    async with TcpProxy(rabbitmq_url, tls=context) as proxy:
        yield proxy.port


async def test_a_broker_that_nobody_vouches_for_is_refused(tls_port: int) -> None:
    """F57."""
    async with RabbitMQConnection(f"amqps://guest:guest@localhost:{tls_port}/") as connection:
        with pytest.raises(BrokerUnavailableError, match="certificate is not trusted"):
            await connection.publishing.channel()


async def test_a_certificate_of_another_host_is_refused(
    tls_port: int, certificate: tuple[Path, Path]
) -> None:
    """F57: trusted, but made out to localhost and not to 127.0.0.1."""
    trusting = ssl.create_default_context(cafile=str(certificate[1]))
    url = f"amqps://guest:guest@127.0.0.1:{tls_port}/"
    async with RabbitMQConnection(url, ssl_context=trusting) as connection:
        with pytest.raises(BrokerUnavailableError, match="certificate is not trusted"):
            await connection.publishing.channel()


async def test_a_trusted_broker_is_spoken_to(
    tls_port: int, certificate: tuple[Path, Path], broker: Broker
) -> None:
    trusting = ssl.create_default_context(cafile=str(certificate[1]))
    url = f"amqps://guest:guest@localhost:{tls_port}/"
    async with RabbitMQConnection(url, ssl_context=trusting) as connection:
        queue = await broker.listen()
        message = new_message()
        assert list(await broker.publisher(connection).publish([message])) == [None]
        assert await broker.take_ids(queue) == [str(message.message_id)]
