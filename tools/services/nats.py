"""NATS of our own, with JetStream."""

from __future__ import annotations

import shutil
import signal
import socket
from collections.abc import Sequence
from pathlib import Path

from tools.services.kind import Image, ServerKind
from tools.services.local import HOST, LocalServer


class NATSServer(LocalServer):
    """A NATS server that keeps its streams in its own folder."""

    name = "nats"

    def __init__(self, binary: Path) -> None:
        """Use the given nats-server."""
        super().__init__()
        self._binary = binary

    @property
    def url(self) -> str:
        """The address for clients."""
        return f"nats://{HOST}:{self.port}"

    def crash(self) -> None:
        """End the server at once; `start` then recovers what was stored."""
        self._end(signal.SIGKILL)

    def _command(self) -> Sequence[str]:
        address = ["--addr", HOST, "--port", str(self.port)]
        return [str(self._binary), *address, "--jetstream", "--store_dir", str(self.folder)]

    def _answers(self) -> bool:
        return answers(HOST, self.port)


def find_binary() -> Path | None:
    """Return the nats-server on the path."""
    found = shutil.which("nats-server")
    return Path(found) if found else None


def answers(host: str, port: int) -> bool:
    """Tell whether a NATS server with JetStream greets a client at the address."""
    try:
        with (
            socket.create_connection((host, port), timeout=1) as connection,
            connection.makefile("rb") as greeting,
        ):
            connection.settimeout(1)
            return b'"jetstream":true' in greeting.readline()
    except OSError:
        return False


def find_local() -> NATSServer | None:
    """Return a new server, not started, when this machine has NATS."""
    binary = find_binary()
    return NATSServer(binary) if binary else None


KIND = ServerKind(
    name="nats",
    title="NATS",
    install="install NATS (Debian: apt-get install nats-server)",
    example_url="nats://host:4222",
    image=Image(
        reference="nats:2-alpine",
        port=4222,
        url=lambda host, port: f"nats://{host}:{port}",
        ready=answers,
        command="--jetstream",
    ),
    find_local=find_local,
)
