"""Showing how far the work is: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console
    from rich.progress import Task

__all__ = ["track"]

T = TypeVar("T")


def track(items: Sequence[T], console: Console, *, every: int = 1000) -> Iterator[T]:
    """Yield the items and show on the console how many are done.

    Args:
        items: What there is to do.
        console: Where to; a bar if it is a terminal.
        every: How many items there are to a line, elsewhere.
    """
    return _bar(items, console) if console.is_terminal else _lines(items, console, every)


def _bar(items: Sequence[T], console: Console) -> Iterator[T]:
    columns = (
        TextColumn("[bold]Purchases"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        _RateColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, expand=True) as progress:
        yield from progress.track(items)


def _lines(items: Sequence[T], console: Console, every: int) -> Iterator[T]:
    for done, item in enumerate(items, 1):
        yield item
        if done % every == 0 or done == len(items):
            console.print(f"{done:,} of {len(items):,} lines", highlight=False)


class _RateColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.finished_speed or task.speed or 0:,.0f}/s", style="progress.percentage")
