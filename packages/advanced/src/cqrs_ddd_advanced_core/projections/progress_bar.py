"""A progress bar for rebuilds on a terminal; it needs the extra ``cli``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Self

from cqrs_ddd_core.primitives.exceptions import MissingExtraError

try:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
except ImportError as _error:
    raise MissingExtraError("the progress bar", "cqrs-ddd-advanced-core", "cli") from _error

if TYPE_CHECKING:
    from rich.progress import TaskID

    from cqrs_ddd_advanced_core.projections.progress import RebuildProgress

__all__ = ["ProgressBar"]

#: Seconds between two lines where there is no terminal.
_INTERVAL: Final = 10.0


class ProgressBar:
    """Shows how far rebuilds have come: a bar on a terminal, a line now and then elsewhere.

    Give it to a rebuilder as ``on_progress``, inside its ``with`` block.

    Args:
        console: Where to; standard error when not given.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[speed]}"),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._tasks: dict[tuple[str, int, str], TaskID] = {}
        self._last_line = float("-inf")

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def __call__(self, progress: RebuildProgress) -> None:
        """Show it."""
        if self._console.is_terminal:
            self._show(progress)
        else:
            self._write(progress)

    def _show(self, progress: RebuildProgress) -> None:
        key = progress.projection, progress.version, progress.tenant_id
        if key not in self._tasks:
            name = f"{progress.projection} v{progress.version} {progress.tenant_id}".strip()
            self._tasks[key] = self._bars.add_task(name, total=None, speed="")
        eta = "" if progress.eta is None else f", {progress.eta:,.0f} s to go"
        self._bars.update(
            self._tasks[key],
            completed=progress.done,
            total=progress.total,
            speed=f"{progress.rate:,.0f}/s{eta}",
        )

    def _write(self, progress: RebuildProgress) -> None:
        now = time.monotonic()
        if progress.done >= progress.total or now - self._last_line >= _INTERVAL:
            self._last_line = now
            self._console.print(str(progress), markup=False, soft_wrap=True)
