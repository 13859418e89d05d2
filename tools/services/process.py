"""Start a server's process, and leave none of its processes behind."""

from __future__ import annotations

import atexit
import contextlib
import os
import pwd
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

STOP_TIMEOUT = 20.0


@dataclass(frozen=True)
class Account:
    """A user of this machine that a server runs as."""

    uid: int
    gid: int


def unprivileged_account() -> Account | None:
    """Return the account to use when we are root, for servers that refuse to run as root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return Account(entry.pw_uid, entry.pw_gid)
    return None


def run_tool(
    command: Sequence[str], *, folder: Path, account: Account | None, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a short command of a server's, such as initdb, as the account of that server."""
    return subprocess.run(
        command,
        cwd=folder,
        env=dict(environment),
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=() if account else None,
        capture_output=True,
        text=True,
        check=False,
    )


class ServerProcess:
    """One running server, with all the processes it starts."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        folder: Path,
        account: Account | None,
        environment: Mapping[str, str],
    ) -> None:
        """Start `command` in `folder`; what it prints goes to `folder`/server.log."""
        self._log = folder / "server.log"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                env=dict(environment),
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=() if account else None,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # a Ctrl-C ends the tests first; they stop the server
            )
        _alive.add(self)

    @property
    def running(self) -> bool:
        """Tell whether the server is still there."""
        return self._process.poll() is None

    def log_tail(self, lines: int = 20) -> str:
        """Return the last lines the server printed."""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-lines:])

    def send(self, what: signal.Signals) -> None:
        """Send a signal to the server."""
        self._process.send_signal(what)

    def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Send the signal to the server, wait for it, and kill what is left of its group."""
        if self.running:
            self._process.send_signal(how)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_TIMEOUT)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        _alive.discard(self)


_alive: set[ServerProcess] = set()
_owner = os.getpid()


@atexit.register
def _end_all() -> None:
    # A test may fork; only the process that started the servers may stop them.
    if os.getpid() == _owner:
        for process in list(_alive):
            process.end()
