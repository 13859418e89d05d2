"""RabbitMQ of our own: its own node name, ports, folders, cookie and port mapper."""

from __future__ import annotations

import os
import shutil
import signal
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools.services.kind import Image, ServerKind
from tools.services.local import HOST, LocalServer, free_port
from tools.services.process import ServerProcess, run_tool

# Debian's rabbitmq-server on the path switches to the account of the default broker; this is
# the program behind it.
DEBIAN = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"
METHOD_FRAME = b"\x01"
CONFIGURATION = """\
listeners.tcp.1 = {host}:{port}
loopback_users = none
disk_free_limit.absolute = 50MB
log.console = true
log.console.level = warning
"""


class RabbitMQServer(LocalServer):
    """A broker that shares nothing with one that may run already."""

    name = "rabbitmq"
    foreign_variables = ("RABBITMQ_", "ERL_")

    def __init__(self, binary: Path) -> None:
        """Use the given rabbitmq-server."""
        super().__init__()
        self._binary = binary
        self._mapper_port = free_port()
        self._dist_port = free_port()
        self._mapper: ServerProcess | None = None

    @property
    def url(self) -> str:
        """The address of the default virtual host."""
        return f"amqp://guest:guest@{HOST}:{self.port}/"

    @property
    def node(self) -> str:
        """The name of the broker's node."""
        return f"cqrs-ddd-{self.port}@localhost"

    def stop(self) -> None:
        """Stop the broker and its port mapper, and keep its queues."""
        super().stop()
        if self._mapper is not None:
            self._mapper.end()
            self._mapper = None

    def crash(self) -> None:
        """End the broker at once; `start` then recovers what was durable."""
        self._end(signal.SIGKILL)
        self.stop()

    def control(self, *arguments: str) -> str:
        """Run rabbitmqctl on this broker and return its output."""
        command = [str(self._binary.with_name("rabbitmqctl")), "--node", self.node, *arguments]
        result = run_tool(
            command, folder=self.folder, account=self._account, environment=self._environment()
        )
        if result.returncode != 0:
            raise RuntimeError(f"rabbitmqctl failed: {result.stdout}{result.stderr}")
        return result.stdout

    def _prepare(self) -> None:
        content = CONFIGURATION.format(host=HOST, port=self.port)
        (self.folder / "rabbitmq.conf").write_text(content)
        (self.folder / "enabled_plugins").write_text("[].\n")
        (self.folder / "empty.conf").touch()
        (self.folder / "conf.d").mkdir(exist_ok=True)
        # Started here, because a port mapper started by the broker would outlive it.
        mapper = ["epmd", "-address", HOST, "-port", str(self._mapper_port)]
        self._mapper = self._launch(mapper)

    def _command(self) -> Sequence[str]:
        return [str(self._binary)]

    def _environment(self) -> Mapping[str, str]:
        folder = self.folder
        return {
            **super()._environment(),
            "ERL_EPMD_PORT": str(self._mapper_port),
            "ERL_EPMD_ADDRESS": HOST,
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_CONFIG_FILES": str(folder / "conf.d"),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "empty.conf"),
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(folder / "generated"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_NODENAME": self.node,
            "RABBITMQ_PID_FILE": str(folder / "rabbitmq.pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        }

    def _answers(self) -> bool:
        return answers(HOST, self.port)


def find_binary() -> Path | None:
    """Return the rabbitmq-server on this machine, if Erlang is there to run it."""
    if shutil.which("epmd") is None:
        return None
    if os.access(DEBIAN, os.X_OK):
        return DEBIAN
    found = shutil.which("rabbitmq-server")
    return Path(found) if found else None


def answers(host: str, port: int) -> bool:
    """Tell whether a broker greets a client at the address."""
    try:
        with socket.create_connection((host, port), timeout=1) as connection:
            connection.settimeout(1)
            connection.sendall(PROTOCOL_HEADER)
            return connection.recv(1) == METHOD_FRAME
    except OSError:
        return False


def find_local() -> RabbitMQServer | None:
    """Return a new broker, not started, when this machine has a RabbitMQ."""
    binary = find_binary()
    return RabbitMQServer(binary) if binary else None


KIND = ServerKind(
    name="rabbitmq",
    title="RabbitMQ",
    install="install RabbitMQ (Debian: apt-get install rabbitmq-server)",
    example_url="amqp://user:password@host:5672/",
    image=Image(
        reference="rabbitmq:4-alpine",
        port=5672,
        url=lambda host, port: f"amqp://guest:guest@{host}:{port}/",
        ready=answers,
    ),
    find_local=find_local,
)
