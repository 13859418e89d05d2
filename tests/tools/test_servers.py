from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import asyncpg
import pytest
from pymongo import MongoClient

from tools.services import docker, nats, postgres, rabbitmq, redis
from tools.services.local import ServerStartError, free_port
from tools.services.postgres import Databases, PostgresServer

# A broker, database or cache of the machine itself listens there.
DEFAULT_PORTS = {4222, 5432, 5672, 6379, 27017}


async def execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def value(url: str, query: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def test_a_crashed_cluster_comes_back_with_its_data(postgres_server: PostgresServer) -> None:
    url = postgres_server.new_database()
    await execute(url, "CREATE TABLE kept AS SELECT 42 AS answer")
    postgres_server.crash()
    assert not postgres.answers(url)
    postgres_server.start()
    assert await value(url, "SELECT answer FROM kept") == 42


async def test_a_database_is_dumped_and_restored_into_a_second_cluster(
    postgres_server: PostgresServer, new_postgres_server: Callable[[], PostgresServer]
) -> None:
    source = postgres_server.new_database()
    await execute(source, "CREATE TABLE moved AS SELECT 7 AS answer")
    archive = postgres_server.folder / "dump"
    postgres_server.tool("pg_dump", "--format=directory", f"--file={archive}", source)
    second = new_postgres_server()
    target = second.new_database()
    second.tool("pg_restore", f"--dbname={target}", str(archive))
    assert await value(target, "SELECT answer FROM moved") == 7
    assert second.port != postgres_server.port


async def test_a_database_of_ones_own_is_empty(postgres_database: str) -> None:
    tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
    assert await value(postgres_database, tables) == 0


@pytest.fixture
def databases(postgres_url: str) -> Iterator[Databases]:
    databases = Databases(postgres_url)
    yield databases
    databases.close()


async def test_a_database_that_is_used_again_is_empty(databases: Databases) -> None:
    url = databases.take()
    await execute(url, "CREATE TABLE kept AS SELECT 1 AS answer; CREATE SEQUENCE counter")
    databases.give_back(url)
    assert databases.take() == url
    assert await value(url, "SELECT count(*) FROM pg_class WHERE relnamespace > 16384") == 0
    await execute(url, "CREATE TABLE kept (answer int)")
    databases.give_back(url)


@pytest.mark.parametrize(
    "statement", ["CREATE SCHEMA other", "ALTER DATABASE {} SET work_mem = '8MB'"]
)
async def test_a_database_that_was_changed_elsewhere_is_not_used_again(
    databases: Databases, statement: str
) -> None:
    url = databases.take()
    await execute(url, statement.format(urlsplit(url).path.lstrip("/")))
    databases.give_back(url)
    assert not postgres.answers(url)


async def test_a_database_somebody_is_connected_to_is_not_used_again(databases: Databases) -> None:
    url = databases.take()
    connection = await asyncpg.connect(url)
    databases.give_back(url)
    assert not postgres.answers(url)
    connection.terminate()


def test_only_a_database_of_ours_is_dropped(postgres_url: str) -> None:
    with pytest.raises(ValueError, match="not dropped"):
        postgres.drop_database(postgres_url)


def test_a_setting_that_postgres_refuses_is_shown_in_its_own_words() -> None:
    bin_dir = postgres.find_bin_dir()
    if bin_dir is None:
        pytest.skip("no PostgreSQL programs")
    server = PostgresServer(bin_dir, settings={"max_connections": "many"})
    try:
        with pytest.raises(ServerStartError, match="max_connections"):
            server.start()
    finally:
        server.close()
    assert not server.folder.exists()


def test_mongo_is_primary_of_a_replica_set(mongo_url: str) -> None:
    with MongoClient[dict[str, object]](mongo_url) as client:
        assert client.admin.command("hello")["isWritablePrimary"] is True
        with client.start_session() as session, session.start_transaction():
            client["test"]["transactions"].insert_one({"works": True}, session=session)
            session.abort_transaction()


def test_rabbitmq_greets_a_client(rabbitmq_url: str) -> None:
    address = urlsplit(rabbitmq_url)
    assert rabbitmq.answers(str(address.hostname), address.port or 5672)


def test_redis_answers_and_is_gone_when_closed() -> None:
    server = redis.find_local()
    if server is None:
        pytest.skip("no redis-server on the path")
    server.start()
    assert redis.answers("127.0.0.1", server.port)
    assert server.port not in DEFAULT_PORTS
    server.close()
    assert not redis.answers("127.0.0.1", server.port)
    assert not server.folder.exists()


def test_nats_has_jetstream_and_comes_back_after_a_crash(
    new_nats_server: Callable[[], nats.NATSServer],
) -> None:
    server = new_nats_server()
    assert server.port not in DEFAULT_PORTS
    server.crash()
    assert not nats.answers("127.0.0.1", server.port)
    server.start()
    assert nats.answers("127.0.0.1", server.port)


@pytest.mark.parametrize("address", ["unix:///nowhere/docker.sock", "tcp://127.0.0.1:{port}"])
def test_a_docker_client_without_an_engine_is_noticed(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("DOCKER_HOST", address.format(port=free_port()))
    assert not docker.engine_answers()


def test_an_engine_that_does_not_answer_is_given_up_in_two_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{silent.getsockname()[1]}")
        started = time.monotonic()
        assert not docker.engine_answers()
        assert time.monotonic() - started < 2


async def test_a_database_can_be_made_while_an_event_loop_runs(postgres_url: str) -> None:
    url = postgres.create_database(postgres_url)
    await asyncio.sleep(0)
    postgres.drop_database(url)
    assert not postgres.answers(url)
