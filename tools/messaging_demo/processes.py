"""Programs that are started again when they die, as a process manager would do."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tools.uv import ROOT

EXAMPLES = ROOT / "docs" / "examples"
MOST_CRASHES = 30
PAUSE = 0.3


class ProgramFailedError(RuntimeError):
    """A program does not stay alive, or does not stop."""


class Program:
    """Runs ``python -m ...`` again and again until it ends well or is stopped.

    Attributes:
        kills: How often it died of SIGKILL.
        crashes: How often it ended badly by itself, such as for want of a broker.
    """

    def __init__(self, name: str, arguments: Sequence[str], folder: Path) -> None:
        """Write what it prints into a file of that name in the folder."""
        self.name = name
        self.output = folder / f"{name}.out"
        self.kills = 0
        self.crashes = 0
        self._arguments = arguments
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopping = False
        self._printed_before = 0

    @property
    def is_running(self) -> bool:
        """Whether there is a process at this moment."""
        return self._process is not None and self._process.returncode is None

    def start(self) -> None:
        """Keep it running from now on."""
        self._task = asyncio.create_task(self._keep_running(), name=self.name)

    async def ready(self) -> None:
        """Wait until the program, as it runs now, says so in a line of its own."""
        while not (self.is_running and "ready" in self.lines()[self._printed_before :]):
            self.check()
            await asyncio.sleep(0.05)

    def lines(self) -> list[str]:
        """Return what it has printed, in all its lives."""
        if not self.output.exists():
            return []
        return self.output.read_text(encoding="utf-8").splitlines()

    def check(self) -> bool:
        """Return whether it has come to its end.

        Raises:
            ProgramFailedError: It crashed too often.
        """
        if self._task is None or not self._task.done():
            return False
        self._task.result()
        return True

    async def kill(self) -> None:
        """Send SIGKILL, and return once it is dead; it comes back by itself."""
        before = self.kills
        while self.kills == before:
            if self.check():
                self.start()
            if self.is_running and self._process is not None:
                with suppress(ProcessLookupError):
                    self._process.kill()
                await self._process.wait()
            await asyncio.sleep(0.01)

    async def stop(self, *, seconds: float) -> None:
        """Send SIGTERM and wait for its good end.

        Raises:
            ProgramFailedError: It takes longer, or ends badly.
        """
        await self.ready()
        self._stopping = True
        assert self._process is not None  # noqa: S101 - it is ready
        assert self._task is not None  # noqa: S101
        self._process.terminate()
        _, late = await asyncio.wait([self._task], timeout=seconds)
        if late or self._process.returncode != 0:
            how = "not at all" if late else f"with {self._process.returncode}"
            raise ProgramFailedError(f"{self.name} was told to stop and did so {how}")

    async def abandon(self) -> None:
        """End it at once and for good."""
        self._stopping = True
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    async def _keep_running(self) -> None:
        while not self._stopping:
            code = await self._run()
            if code == 0:
                return
            self._note_death(code)
            await asyncio.sleep(PAUSE)

    def _note_death(self, code: int) -> None:
        if code == -signal.SIGKILL:
            self.kills += 1
        elif not self._stopping:
            self.crashes += 1
            self._check_crashes(code)

    def _check_crashes(self, code: int) -> None:
        if self.crashes >= MOST_CRASHES:
            tail = "\n".join(self.lines()[-20:])
            raise ProgramFailedError(f"{self.name} ends with {code} again and again:\n{tail}")

    async def _run(self) -> int:
        self._printed_before = len(self.lines())
        with self.output.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                *self._arguments,
                cwd=self._folder,
                env={**os.environ, "PYTHONPATH": f"{EXAMPLES}{os.pathsep}{ROOT}"},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        return await self._process.wait()
