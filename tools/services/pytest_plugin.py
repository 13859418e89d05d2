"""Fixtures that give a test its server, and one list at the end of those that were missing."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

import pytest

from tools.services.kind import MissingServerError

if TYPE_CHECKING:
    from tools.services.nats import NATSServer
    from tools.services.postgres import Databases, PostgresServer
    from tools.services.rabbitmq import RabbitMQServer
    from tools.services.redis import RedisServer
    from tools.services.resolver import Services

REQUIRE = "CQRS_DDD_REQUIRE_SERVICES"
_services_key: pytest.StashKey[Services] = pytest.StashKey()
_own_postgres_key: pytest.StashKey[PostgresServer] = pytest.StashKey()


def pytest_configure() -> None:
    """Treat a polite kill as a Ctrl-C: the run ends in order, and stops its servers."""
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _interrupt)


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


@pytest.fixture(scope="session")
def services(pytestconfig: pytest.Config) -> Iterator[Services]:
    """The servers of this run; a fixture below is usually what a test wants."""
    # A run that needs no server should not wait for the drivers to be imported.
    from tools.services.resolver import Services  # noqa: PLC0415

    with Services() as found:
        pytestconfig.stash[_services_key] = found
        yield found


@pytest.fixture(scope="session")
def postgres_url(services: Services) -> str:
    """The address of a PostgreSQL server, as postgresql://..."""
    return _url(services, "postgres")


@pytest.fixture(scope="session")
def mongo_url(services: Services) -> str:
    """The address of a MongoDB replica set."""
    return _url(services, "mongo")


@pytest.fixture(scope="session")
def rabbitmq_url(services: Services) -> str:
    """The address of a RabbitMQ virtual host."""
    return _url(services, "rabbitmq")


@pytest.fixture(scope="session")
def nats_url(services: Services) -> str:
    """The address of a NATS server with JetStream."""
    return _url(services, "nats")


@pytest.fixture(scope="session")
def redis_url(services: Services) -> str:
    """The address of a Redis database."""
    return _url(services, "redis")


@pytest.fixture(scope="session")
def _postgres_databases(postgres_url: str) -> Iterator[Databases]:
    from tools.services.postgres import Databases  # noqa: PLC0415 - likewise

    databases = Databases(postgres_url)
    yield databases
    databases.close()


@pytest.fixture
def postgres_database(_postgres_databases: Databases) -> Iterator[str]:
    """The address of an empty PostgreSQL database of this test's own."""
    url = _postgres_databases.take()
    yield url
    _postgres_databases.give_back(url)


@pytest.fixture
def postgres_server(services: Services, pytestconfig: pytest.Config) -> PostgresServer:
    """A running PostgreSQL that the test may stop, crash and start; no other fixture uses it."""
    server = pytestconfig.stash.get(_own_postgres_key, None)
    if server is None:
        server = pytestconfig.stash[_own_postgres_key] = _new_postgres(services)
    server.start()
    return server


@pytest.fixture
def new_postgres_server(services: Services) -> Iterator[Callable[[], PostgresServer]]:
    """Start further PostgreSQL clusters; they are gone after the test."""
    started: list[PostgresServer] = []

    def start() -> PostgresServer:
        started.append(_new_postgres(services))
        return started[-1]

    yield start
    for server in started:
        server.close()


@pytest.fixture
def new_rabbitmq_server(services: Services) -> Iterator[Callable[[], RabbitMQServer]]:
    """Start RabbitMQ brokers that the test may stop, crash and start; gone after the test."""
    started: list[RabbitMQServer] = []

    def start() -> RabbitMQServer:
        with _missing_is_a_skip():
            started.append(services.new_rabbitmq())
        return started[-1]

    yield start
    for server in started:
        server.close()


@pytest.fixture
def new_nats_server(services: Services) -> Iterator[Callable[[], NATSServer]]:
    """Start NATS servers that the test may stop, crash and start; gone after the test."""
    started: list[NATSServer] = []

    def start() -> NATSServer:
        with _missing_is_a_skip():
            started.append(services.new_nats())
        return started[-1]

    yield start
    for server in started:
        server.close()


@pytest.fixture
def new_redis_server(services: Services) -> Iterator[Callable[[], RedisServer]]:
    """Start Redis servers that the test may pause, crash and start; gone after the test."""
    started: list[RedisServer] = []

    def start() -> RedisServer:
        with _missing_is_a_skip():
            started.append(services.new_redis())
        return started[-1]

    yield start
    for server in started:
        server.resume()
        server.close()


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """List the servers that tests asked for in vain, and where to get them."""
    services = config.stash.get(_services_key, None)
    if services is None or not services.missing:
        return
    terminalreporter.section("MISSING SERVERS", sep="!", red=True, bold=True)
    for title, hint in services.missing.items():
        terminalreporter.line(f"{title}: its tests did not run. To run them, {hint}.")


@contextmanager
def _missing_is_a_skip() -> Iterator[None]:
    try:
        yield
    except MissingServerError as exc:
        if os.environ.get(REQUIRE, "0") not in ("", "0"):
            pytest.fail(f"{exc} ({REQUIRE} is set)", pytrace=False)
        pytest.skip(str(exc))


def _url(services: Services, name: str) -> str:
    with _missing_is_a_skip():
        return services.url(name)


def _new_postgres(services: Services) -> PostgresServer:
    with _missing_is_a_skip():
        return services.new_postgres()
