"""Find a server for each kind a test asks for: a given URL, a container, a local binary."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property
from types import TracebackType
from typing import Protocol, Self

from tools.services import docker, mongo, nats, postgres, rabbitmq, redis
from tools.services.kind import Image, MissingServerError, ServerKind

KINDS = (postgres.KIND, mongo.KIND, rabbitmq.KIND, redis.KIND, nats.KIND)


class Server(Protocol):
    """A server we started and have to close."""

    @property
    def url(self) -> str:
        """The address that a client connects to."""

    def start(self) -> None:
        """Start it and return when it answers."""

    def close(self) -> None:
        """Stop it and delete what it stored."""


class Services:
    """The servers of one test run: each is started when first asked for, and all are closed."""

    def __init__(
        self,
        *,
        kinds: tuple[ServerKind, ...] = KINDS,
        environ: Mapping[str, str] | None = None,
        engine_answers: Callable[[], bool] = docker.engine_answers,
        container: Callable[[Image], Server] = docker.ContainerServer,
    ) -> None:
        """Use the process environment and this machine's Docker unless a test says otherwise."""
        self._kinds = {kind.name: kind for kind in kinds}
        self._environ = os.environ if environ is None else environ
        self._engine_answers = engine_answers
        self._container = container
        self._urls: dict[str, str] = {}
        self._opened = ExitStack()
        self.missing: dict[str, str] = {}

    def __enter__(self) -> Self:
        """Return the services themselves."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close every server that was started."""
        self.close()

    def url(self, name: str) -> str:
        """Return the address of the server of this name, started if it has to be.

        Raises:
            MissingServerError: There is none; it is noted in `missing` as well.
        """
        if name not in self._urls:
            self._urls[name] = self._resolve(self._kinds[name])
        return self._urls[name]

    def new_postgres(self) -> postgres.PostgresServer:
        """Start a PostgreSQL cluster that the caller may stop and crash; closed at the end.

        Raises:
            MissingServerError: This machine has no PostgreSQL programs.
        """
        server = postgres.find_local()
        if server is None:
            raise self._missing("PostgreSQL programs", postgres.KIND.install)
        self._start(server)
        return server

    def new_rabbitmq(self) -> rabbitmq.RabbitMQServer:
        """Start a broker that the caller may stop and crash; closed at the end.

        Raises:
            MissingServerError: This machine has no RabbitMQ.
        """
        server = rabbitmq.find_local()
        if server is None:
            raise self._missing("RabbitMQ programs", rabbitmq.KIND.install)
        self._start(server)
        return server

    def new_nats(self) -> nats.NATSServer:
        """Start a NATS server that the caller may stop and crash; closed at the end.

        Raises:
            MissingServerError: This machine has no NATS.
        """
        server = nats.find_local()
        if server is None:
            raise self._missing("NATS programs", nats.KIND.install)
        self._start(server)
        return server

    def new_redis(self) -> redis.RedisServer:
        """Start a Redis that the caller may pause, crash and start; closed at the end.

        Raises:
            MissingServerError: This machine has no Redis.
        """
        server = redis.find_local()
        if server is None:
            raise self._missing("Redis programs", redis.KIND.install)
        self._start(server)
        return server

    def close(self) -> None:
        """Close every server that was started, the last one first."""
        self._opened.close()
        self._urls.clear()

    def _resolve(self, kind: ServerKind) -> str:
        if given := self._environ.get(kind.url_variable):
            return given
        server = self._container_of(kind) if self._has_docker else kind.find_local()
        if server is None:
            raise self._missing(kind.title, kind.hint)
        self._start(server)
        return server.url

    def _container_of(self, kind: ServerKind) -> Server:
        reference = self._environ.get(kind.image_variable, kind.image.reference)
        return self._container(replace(kind.image, reference=reference))

    def _missing(self, title: str, hint: str) -> MissingServerError:
        self.missing[title] = hint
        return MissingServerError(title, hint)

    def _start(self, server: Server) -> None:
        # Registered first, so that a server that fails half-way is cleaned up as well.
        self._opened.callback(server.close)
        server.start()

    @cached_property
    def _has_docker(self) -> bool:
        return self._engine_answers()
