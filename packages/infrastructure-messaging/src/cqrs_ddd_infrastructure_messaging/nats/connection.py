"""Connections to NATS: opened when needed, and no outage hidden."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from cqrs_ddd_core.primitives.exceptions import BrokerUnavailableError, ConfigurationError
from cqrs_ddd_core.primitives.retry import ExponentialBackoff
from cqrs_ddd_infrastructure_messaging.exceptions import TopologyMismatchError
from cqrs_ddd_infrastructure_messaging.nats._driver import MortalClient, api, nats
from cqrs_ddd_infrastructure_messaging.nats._errors import FAILURES, unavailable
from cqrs_ddd_infrastructure_messaging.nats.link import NATSLink

if TYPE_CHECKING:
    import ssl
    from types import TracebackType

    from cqrs_ddd_infrastructure_messaging.nats.topology import NATSTopology

__all__ = ["NATSConnection"]

_logger = logging.getLogger(__name__)

# https://github.com/nats-io/nats-server/blob/main/server/errors.json
_SERVER_IS_BUSY = 503


class NATSConnection:
    """The way to a NATS server, opened when it is first needed and again after it was lost.

    The driver's own reconnecting is not used: it sends what it had buffered later, in front of
    or behind what was published meanwhile. Nothing waits for the server longer than ``timeout``,
    and nobody is told that all is well while the connection is gone. Publishers and consumers
    that must not slow each other down get a connection each.

    Use it as an asynchronous context manager, or call ``close`` at the end.

    Args:
        url: ``nats://user:password@host:4222``, or ``tls://`` where the server's certificate is
            verified; several with commas between. Passwords are never shown.
        name: What the server lists the connection under.
        timeout: Seconds the server has for every single answer.
        heartbeat: Seconds between signs of life; a silent server counts as lost after three.
        backoff: How long to wait after connecting failed.
        ssl_context: Whom to trust instead of the system's authorities.

    Raises:
        ConfigurationError: The address is malformed.
    """

    def __init__(
        self,
        url: str,
        *,
        name: str = "cqrs-ddd",
        timeout: float = 10.0,
        heartbeat: int = 20,
        backoff: ExponentialBackoff | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        if timeout <= 0 or heartbeat < 1:
            raise ConfigurationError("a connection needs timeout > 0 and heartbeat >= 1")
        self._urls = [part.strip() for part in url.split(",")]
        self._shown = ",".join(map(_shown, self._urls))
        self._name = name
        self._timeout = timeout
        self._heartbeat = heartbeat
        self._backoff = backoff or ExponentialBackoff(initial=0.1, maximum=30.0)
        self._ssl_context = ssl_context
        self._one_at_a_time = asyncio.Lock()
        self._link: NATSLink | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._failures = 0
        self._next_try = 0.0
        self._error: Exception | None = None
        self._is_closed = False

    def __repr__(self) -> str:
        return f"<NATSConnection {self._shown}, {'open' if self.is_open else 'not open'}>"

    def __str__(self) -> str:
        return f"{self._name} at {self._shown}"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    @property
    def is_open(self) -> bool:
        """Whether the connection is there at this moment, as far as anybody can know."""
        return self._link is not None and self._link.is_open

    @property
    def error(self) -> Exception | None:
        """Why it could not be opened the last time, ``None`` if it could."""
        return self._error

    @property
    def timeout(self) -> float:
        """Seconds the server has for an answer."""
        return self._timeout

    async def link(self, topology: NATSTopology) -> NATSLink:
        """Return the open connection, on which the streams of a topology are there.

        Raises:
            BrokerUnavailableError: There is none, or it is too early to try again.
            TopologyMismatchError: A stream is there and is different, or may not be made.
            ConfigurationError: The connection was closed.
        """
        async with self._one_at_a_time:
            link = self._link
            if link is None or not link.is_open:
                self._check_time()
                link = await self._reopened()
            await self._declare(link, topology)
            return link

    def drop(self, link: NATSLink, reason: Exception) -> None:
        """End a connection at once; for who did not get an answer through it."""
        if link is not self._link:
            return
        self._link = None
        _logger.warning("%s: dropped: %s", self, reason)
        link.lost.set()
        link.client.forget()
        self._close_behind(link.client)

    async def close(self) -> None:
        """Close the connection for good; what waits for it fails."""
        self._is_closed = True
        link, self._link = self._link, None
        if link is not None:
            link.lost.set()
            self._close_behind(link.client)
        if self._closing:
            await asyncio.wait(self._closing, timeout=self._timeout)

    def _check_time(self) -> None:
        if self._is_closed:
            raise ConfigurationError(f"{self}: it was closed")
        wait = self._next_try - asyncio.get_running_loop().time()
        if wait > 0:
            msg = f"{self}: next try in {wait:.1f} s, after: {self._error}"
            raise BrokerUnavailableError(msg)

    async def _reopened(self) -> NATSLink:
        if self._link is not None:
            self._close_behind(self._link.client)
        try:
            self._link = await self._connect()
        except BrokerUnavailableError as error:
            self._failures += 1
            wait = self._backoff.delay(self._failures)
            self._next_try = asyncio.get_running_loop().time() + wait
            self._error = error
            raise
        self._failures, self._next_try, self._error = 0, 0.0, None
        _logger.info("%s: connected", self)
        return self._link

    async def _connect(self) -> NATSLink:
        link, causes = NATSLink(), list[Exception]()

        async def lost() -> None:
            link.lost.set()

        async def failed(error: Exception) -> None:
            causes.append(error)
            _logger.debug("%s: %r", self, error)

        try:
            async with asyncio.timeout(self._timeout):
                await link.client.connect(
                    servers=self._urls,
                    name=self._name,
                    allow_reconnect=False,
                    # Only to leave the driver's loop over the addresses.
                    max_reconnect_attempts=1,
                    reconnect_time_wait=0,
                    connect_timeout=max(1, round(self._timeout)),
                    ping_interval=self._heartbeat,
                    disconnected_cb=lost,
                    closed_cb=lost,
                    error_cb=failed,
                    tls=self._ssl_context,
                )
        except FAILURES as error:
            self._close_behind(link.client)
            cause = causes[-1] if causes else error
            raise unavailable(f"{self}: connecting", cause) from error
        return link

    async def _declare(self, link: NATSLink, topology: NATSTopology) -> None:
        key = topology.settings
        if key in link.declared:
            return
        for config in topology.streams():
            await self._declare_stream(link, config, may_declare=topology.settings.may_declare)
        link.declared.add(key)

    async def _declare_stream(
        self, link: NATSLink, config: api.StreamConfig, *, may_declare: bool
    ) -> None:
        title = f"stream {config.name!r}"
        try:
            name, jetstream = config.name or "", link.jetstream
            asked = jetstream.add_stream(config) if may_declare else jetstream.stream_info(name)
            await link.answer(asked, timeout=self._timeout)
        except nats.js.errors.APIError as error:
            if error.code == _SERVER_IS_BUSY:
                raise unavailable(f"{self}: declaring {title}", error) from error
            raise TopologyMismatchError(title, str(error.description)) from error
        except FAILURES as error:
            raise unavailable(f"{self}: declaring {title}", error) from error

    def _close_behind(self, client: MortalClient) -> None:
        task = asyncio.create_task(_close(client, self._timeout))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


async def _close(client: MortalClient, timeout: float) -> None:
    with suppress(*FAILURES):
        async with asyncio.timeout(timeout):
            await client.close()


def _shown(url: str) -> str:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
        parts = urlsplit("")
    if parts.scheme not in ("nats", "tls") or not host:
        # Not quoted: whatever is wrong with it, there may be a password in it.
        msg = (
            "the server's address is not like nats://user:password@host:4222 or tls://...; "
            "characters such as '@', '/' and '#' of a password are percent-encoded"
        )
        raise ConfigurationError(msg)
    where = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{where}{f':{port}' if port else ''}"
