"""``python -m cqrs_ddd_persistence_sqlalchemy export --url ... --out ...``, for analysts."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Final

from cqrs_ddd_advanced_core.export import export_events
from cqrs_ddd_core.correlation import message_context
from cqrs_ddd_core.ports.event_store import EventFilter
from cqrs_ddd_persistence_sqlalchemy.engine import create_engine
from cqrs_ddd_persistence_sqlalchemy.event_store import SQLAlchemyEventStore

try:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )
except ImportError:
    _has_rich = False
else:
    _has_rich = True

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from cqrs_ddd_advanced_core.export import ExportProgress

__all__ = ["add_export_options", "export"]

#: Seconds between two lines where there is no terminal.
_LINE_INTERVAL: Final = 5.0


def add_export_options(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes besides the address of the database."""
    parser.add_argument("--out", type=Path, required=True, help="a directory; it is continued")
    parser.add_argument("--format", choices=["parquet", "arrow"], default="parquet")
    parser.add_argument("--after", type=int, help="only events behind this position")
    parser.add_argument("--up-to", type=int, help="only events up to this position")
    parser.add_argument("--event-type", action="append", help="only these; may be repeated")
    parser.add_argument("--aggregate-type", action="append", help="only these; may be repeated")
    parser.add_argument("--tenant", default="", help="whose events")
    parser.add_argument("--events-per-file", type=int, default=1_000_000)


async def export(options: argparse.Namespace) -> str:
    """Export, and return what to tell the user."""
    engine = create_engine(options.url)
    try:
        with message_context(tenant_id=options.tenant), _shown_progress() as progress:
            summary = await export_events(
                SQLAlchemyEventStore(engine),
                options.out,
                after_position=options.after,
                up_to_position=options.up_to,
                event_filter=_filter(options),
                format=options.format,
                events_per_file=options.events_per_file,
                progress=progress,
            )
    finally:
        await engine.dispose()
    return (
        f"{summary.events} events up to position {summary.up_to_position}, "
        f"{summary.bytes} bytes in {len(summary.files)} files"
    )


def _filter(options: argparse.Namespace) -> EventFilter | None:
    if options.event_type is None and options.aggregate_type is None:
        return None
    return EventFilter(_names(options.aggregate_type), _names(options.event_type))


def _names(given: list[str] | None) -> frozenset[str] | None:
    return None if given is None else frozenset(given)


@contextmanager
def _shown_progress() -> Iterator[Callable[[ExportProgress], None]]:
    """Show a bar on a terminal when rich is installed, and a line now and then otherwise."""
    if _has_rich and sys.stderr.isatty():
        with _bar() as update:
            yield update
    else:
        yield _Lines().update


@contextmanager
def _bar() -> Iterator[Callable[[ExportProgress], None]]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("positions", total=None)

        def update(progress: ExportProgress) -> None:
            done = progress.position - progress.after_position
            total = progress.up_to_position - progress.after_position
            bar.update(task, completed=done, total=total, description=f"{progress.events} events")

        yield update


class _Lines:
    """Writes a line now and then."""

    def __init__(self) -> None:
        self._next = monotonic() + _LINE_INTERVAL

    def update(self, progress: ExportProgress) -> None:
        """Tell how far it has come, when it is time."""
        if monotonic() >= self._next:
            self._next = monotonic() + _LINE_INTERVAL
            told = f"{progress.events} events, position {progress.position}"
            print(f"{told} of {progress.up_to_position}", file=sys.stderr)  # noqa: T201
