"""What every server of our own has in common: a folder, a port, a start and a stop."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from tools.services.process import Account, ServerProcess

HOST = "127.0.0.1"
START_TIMEOUT = 60.0
POLL_INTERVAL = 0.05


class ServerStartError(RuntimeError):
    """A server was found and could not be started; the message ends with its own words."""


def free_port() -> int:
    """Return a port of this machine on which nothing listens."""
    with socket.create_server((HOST, 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


class LocalServer(ABC):
    """A server in a temporary folder on a free port, with nobody else's settings or data."""

    name: ClassVar[str]
    # Variables that would make the server or its tools look at somebody else's installation.
    foreign_variables: ClassVar[tuple[str, ...]] = ()
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM

    def __init__(self, *, account: Account | None = None) -> None:
        """Reserve a folder and a port; `start` does the rest."""
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix=f"cqrs-ddd-{self.name}-"))
        self._account = account
        self._process: ServerProcess | None = None
        if account is not None:
            os.chown(self.folder, account.uid, account.gid)

    @property
    @abstractmethod
    def url(self) -> str:
        """The address that a client connects to."""

    @property
    def running(self) -> bool:
        """Tell whether the server's process is there."""
        return self._process is not None and self._process.running

    def start(self) -> None:
        """Start the server and return when it answers; a running server is left alone."""
        if self.running:
            return
        try:
            self._prepare()
            self._process = self._launch(self._command())
            self._wait_until_ready(self._process)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server and keep its data, so that `start` continues with it."""
        self._end(self.stop_signal)

    def close(self) -> None:
        """Stop the server and delete its folder."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    @abstractmethod
    def _command(self) -> Sequence[str]: ...

    @abstractmethod
    def _answers(self) -> bool:
        """Tell whether the server does its work already; called until it does."""

    def _prepare(self) -> None:  # noqa: B027 - most servers need nothing
        """Write what has to exist before the server starts; called at every start."""

    def _environment(self) -> Mapping[str, str]:
        """The caller's environment, without what belongs to another server."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(self.foreign_variables)
        }
        return {**kept, "HOME": str(self.folder)}

    def _launch(self, command: Sequence[str]) -> ServerProcess:
        return ServerProcess(
            command, folder=self.folder, account=self._account, environment=self._environment()
        )

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.end(how)
            self._process = None

    def _signal(self, signal_: signal.Signals) -> None:
        if self._process is not None:
            self._process.send(signal_)

    def _wait_until_ready(self, process: ServerProcess) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while not self._answers():
            if not process.running or time.monotonic() > deadline:
                reason = "did not answer in time" if process.running else "ended at once"
                raise ServerStartError(f"{self.name} {reason}; it said:\n{process.log_tail()}")
            time.sleep(POLL_INTERVAL)
