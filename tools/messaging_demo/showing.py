"""Showing how far the purchases are: bars on a terminal, a line now and then elsewhere."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from tools.messaging_demo.databases import Progress

STEPS = 10


class Display:
    """Use it as a context manager; `show` may be called as often as one likes."""

    def __init__(self, console: Console, *, purchases: int) -> None:
        """Show on the console how many of the purchases are where."""
        self._console = console
        self._purchases = purchases
        self._shown = 0
        self._bars = Bars(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            expand=True,
            disable=not console.is_terminal,
        )
        self._tasks = [
            self._bars.add_task(name.capitalize(), total=purchases) for name in Progress._fields
        ]

    def __enter__(self) -> Self:
        """Begin to show."""
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the last state on the screen."""
        self._bars.stop()

    def say(self, text: str) -> None:
        """Print a line."""
        self._bars.console.print(text, markup=False)

    def show(self, progress: Progress) -> None:
        """Show how far the purchases are."""
        for task, count in zip(self._tasks, progress, strict=True):
            self._bars.update(task, completed=count)
        if self._console.is_terminal:
            return
        step = progress.rewarded * STEPS // max(self._purchases, 1)
        if step > self._shown:
            self._shown = step
            counts = (f"{count:,} {name}" for name, count in progress._asdict().items())
            self.say(", ".join(counts))
