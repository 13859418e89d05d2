"""Redis of our own."""

from __future__ import annotations

import shutil
import signal
import socket
from collections.abc import Sequence
from pathlib import Path

from tools.services.kind import Image, ServerKind
from tools.services.local import HOST, LocalServer


class RedisServer(LocalServer):
    """A Redis that keeps nothing on disk."""

    name = "redis"

    def __init__(self, binary: Path) -> None:
        """Use the given redis-server."""
        super().__init__()
        self._binary = binary

    @property
    def url(self) -> str:
        """The address of database 0."""
        return f"redis://{HOST}:{self.port}/0"

    def crash(self) -> None:
        """End the server at once, with all it holds; `start` begins anew on the same port."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Let the server take connections and commands, and answer nothing."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused server go on, with what it was told meanwhile."""
        self._signal(signal.SIGCONT)

    def _command(self) -> Sequence[str]:
        address = ["--bind", HOST, "--port", str(self.port)]
        return [str(self._binary), *address, "--save", "", "--appendonly", "no"]

    def _answers(self) -> bool:
        return answers(HOST, self.port)


def find_binary() -> Path | None:
    """Return the redis-server on the path."""
    found = shutil.which("redis-server")
    return Path(found) if found else None


def answers(host: str, port: int) -> bool:
    """Tell whether a Redis server does its work at the address."""
    try:
        with socket.create_connection((host, port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False


def find_local() -> RedisServer | None:
    """Return a new Redis, not started, when this machine has one."""
    binary = find_binary()
    return RedisServer(binary) if binary else None


KIND = ServerKind(
    name="redis",
    title="Redis",
    install="install Redis (Debian: apt-get install redis-server)",
    example_url="redis://host:6379/0",
    image=Image(
        reference="redis:7-alpine",
        port=6379,
        url=lambda host, port: f"redis://{host}:{port}/0",
        ready=answers,
    ),
    find_local=find_local,
)
