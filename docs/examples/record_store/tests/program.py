"""The program as a user runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[2]


class Program:
    """Runs ``python -m record_store`` in a folder, on one database or, for ``""``, the default."""

    def __init__(self, database_url: str, folder: Path, *, event_sourced: bool = False) -> None:
        self.database_url = database_url
        self.folder = folder
        self.event_sourced = event_sourced

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return _finished(self.start(*arguments))

    def insights(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return _finished(self._start("record_store.insights", *arguments))

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        way = ["--event-sourced"] if self.event_sourced else []
        return self._start("record_store", *way, *arguments)

    def _start(self, module: str, *arguments: str) -> subprocess.Popen[str]:
        database = ["--database-url", self.database_url] if self.database_url else []
        return subprocess.Popen(
            [sys.executable, "-m", module, *database, *arguments],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(EXAMPLES)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


def _finished(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    with process:
        output, errors = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


def last_line(result: subprocess.CompletedProcess[str]) -> str:
    """Return the last line of a run that went well."""
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stderr == ""
    return result.stdout.splitlines()[-1]
