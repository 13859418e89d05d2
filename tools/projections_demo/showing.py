"""Showing how far the work is: a bar with rate and ETA on a terminal, lines elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from cqrs_ddd_advanced_core.projections import RebuildProgress
from cqrs_ddd_advanced_core.projections.progress import RateMeter

STEPS = 5


class Display:
    """Shows stages one after the other, and how long each took."""

    def __init__(self, console: Console) -> None:
        """Show on the console."""
        self._console = console
        self._taken: list[tuple[str, float]] = []

    def say(self, text: str) -> None:
        """Print a line; above the bar, if there is one."""
        self._console.print(text, markup=False)

    @contextmanager
    def stage(self, name: str, *, total: int = 0) -> Iterator[Callable[[int, int], None]]:
        """Time a stage, and yield what shows how many of how many events are done."""
        started = perf_counter()
        if not total:
            yield lambda _done, _total: None
        elif self._console.is_terminal:
            with self._bar() as bar:
                task = bar.add_task(name, total=total)
                yield lambda done, total: bar.update(task, completed=done, total=total)
        else:
            yield _Lines(name, self.say)
        self._taken.append((name, perf_counter() - started))

    def summary(self) -> Table:
        """Return how long each stage took."""
        table = Table(title="What took how long", title_justify="left", title_style="bold")
        table.add_column("Stage")
        table.add_column("Seconds", justify="right")
        for name, seconds in self._taken:
            table.add_row(name, f"{seconds:.1f}")
        table.add_section()
        table.add_row("everything", f"{sum(seconds for _, seconds in self._taken):.1f}")
        return table

    def _bar(self) -> Progress:
        return Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            _Rate(),
            TimeRemainingColumn(),
            console=self._console,
            expand=True,
        )


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed or 0
        return Text(f"{speed:,.0f}/s", style="progress.percentage")


class _Lines:
    """A line for each fifth of the way."""

    def __init__(self, name: str, say: Callable[[str], None]) -> None:
        self._name = name
        self._say = say
        self._meter = RateMeter()
        self._meter.note(0)
        self._shown = 0

    def __call__(self, done: int, total: int) -> None:
        rate = self._meter.note(done)
        step = done * STEPS // max(total, 1)
        if step > self._shown:
            self._shown = step
            progress = RebuildProgress(self._name, 0, done, total, rate)
            eta = "?" if progress.eta is None else f"{progress.eta:,.0f} s"
            self._say(
                f"{self._name}: {done:,} of {total:,} ({progress.share:.0%}), "
                f"{rate:,.0f} a second, {eta} to go"
            )
