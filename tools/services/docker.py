"""Servers in containers, where a Docker engine answers."""

from __future__ import annotations

import os
import socket
import time
from contextlib import closing

import docker
from docker.errors import DockerException

from tools.services.kind import Image
from tools.services.local import POLL_INTERVAL, ServerStartError

UNIX = "unix://"
DEFAULT_ADDRESS = f"{UNIX}/var/run/docker.sock"
# The engine is on this machine: if it does not answer in a second, there is only a client.
ENGINE_TIMEOUT = 1
READY_TIMEOUT = 120.0


def engine_answers() -> bool:
    """Tell whether there is a Docker engine, and not only a client."""
    try:
        _connect_to_socket()
        with closing(docker.from_env(timeout=ENGINE_TIMEOUT)) as client:
            return bool(client.ping())
    except (DockerException, OSError):
        return False


def _connect_to_socket() -> None:
    # docker-py leaks the file descriptor of a connection that it could not open.
    address = os.environ.get("DOCKER_HOST", DEFAULT_ADDRESS)
    if address.startswith(UNIX):
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(ENGINE_TIMEOUT)
            probe.connect(address.removeprefix(UNIX))


class ContainerServer:
    """A server in a container, removed by `close` (and by the reaper if we are killed)."""

    def __init__(self, image: Image) -> None:
        """Describe the container; `start` runs it."""
        # testcontainers talks to the engine when it is imported, and waits a minute for one.
        from testcontainers.core.container import DockerContainer  # noqa: PLC0415

        self._image = image
        self._container = DockerContainer(
            image.reference,
            command=image.command or None,
            env=dict(image.environment),
            ports=[image.port],
        )

    @property
    def url(self) -> str:
        """The address that a client connects to."""
        return self._image.url(*self._address())

    def start(self) -> None:
        """Start the container and return when the server answers."""
        self._container.start()
        deadline = time.monotonic() + READY_TIMEOUT
        while not self._image.ready(*self._address()):
            if time.monotonic() > deadline:
                log = b"".join(self._container.get_logs()).decode(errors="replace")[-2000:]
                self.close()
                raise ServerStartError(f"{self._image.reference} did not answer; it said:\n{log}")
            time.sleep(POLL_INTERVAL)

    def close(self) -> None:
        """Stop the container and remove it with its data."""
        self._container.stop()

    def _address(self) -> tuple[str, int]:
        host = self._container.get_container_host_ip()
        return host, int(self._container.get_exposed_port(self._image.port))
