"""For operators: ``python -m cqrs_ddd_advanced_core.projections --app shop:rebuilder status``."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import TYPE_CHECKING, Annotated, TypeVar

from cqrs_ddd_advanced_core.projections.monitor import ProjectionMonitor
from cqrs_ddd_advanced_core.projections.parked import ParkedEventService
from cqrs_ddd_advanced_core.projections.rebuild import ProjectionRebuilder
from cqrs_ddd_core.primitives.exceptions import CQRSDDDError, MissingExtraError

try:
    import typer
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    from cqrs_ddd_advanced_core._command_line import load_target, plain
    from cqrs_ddd_advanced_core.projections.progress_bar import ProgressBar
except ImportError as _error:
    raise MissingExtraError("the command", "cqrs-ddd-advanced-core", "cli") from _error

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cqrs_ddd_advanced_core.projections.verification import Verification

__all__ = ["app", "main"]

T = TypeVar("T")

app: typer.Typer = typer.Typer(help="Look after read models.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="Of the projection.")]
LeaveOut = Annotated[
    list[str] | None,
    typer.Option(help="table.column that is expected to differ, or table.* for all of it."),
]
Because = Annotated[str | None, typer.Option(help="Why it need not be verified.")]
Version = Annotated[int | None, typer.Option(help="Of the definition.")]


@app.callback()
def target(
    context: typer.Context,
    app: Annotated[
        str,
        typer.Option(
            envvar="CQRS_DDD_PROJECTIONS",
            help="module:attribute, a ProjectionRebuilder or an async context manager of one.",
        ),
    ],
) -> None:
    """Look after read models."""
    context.obj = app


@app.command()
def status(context: typer.Context) -> None:
    """Show how far projections have come."""

    async def show(rebuilder: ProjectionRebuilder) -> None:
        monitor = ProjectionMonitor(rebuilder.projector_registry, rebuilder.event_store)
        rows = [
            (
                one.name,
                one.version,
                one.state,
                one.position,
                one.lag,
                f"{one.lag_seconds:.1f}",
                one.parked,
                one.error or "",
            )
            for one in await monitor.statuses()
        ]
        heads = ("projection", "version", "state", "position", "lag", "seconds", "parked", "error")
        _print_table(heads, rows)

    _run(context, show)


@app.command()
def rebuild(
    context: typer.Context,
    name: Name,
    *,
    in_place: Annotated[bool, typer.Option("--in-place", help="For small ones.")] = False,
    leave_out: LeaveOut = None,
    unverified_because: Because = None,
) -> None:
    """Build a read model anew, verify it and let it serve."""

    async def work(rebuilder: ProjectionRebuilder) -> None:
        if in_place:
            await rebuilder.rebuild_in_place(name)
            return
        found = await rebuilder.rebuild(
            name, leave_out=_columns(leave_out), unverified_because=unverified_because
        )
        _print_verification(found)

    _run(context, work)


@app.command()
def build(context: typer.Context, name: Name) -> None:
    """Build a read model beside the one that serves, and go on where that was interrupted."""
    _run(context, lambda rebuilder: rebuilder.build(name))


@app.command()
def verify(context: typer.Context, name: Name, *, leave_out: LeaveOut = None) -> None:
    """Compare a build with what serves; fails when they differ."""

    async def work(rebuilder: ProjectionRebuilder) -> None:
        found = await rebuilder.verify(name, leave_out=_columns(leave_out))
        _print_verification(found)
        if not found.is_equal:
            raise typer.Exit(1)

    _run(context, work)


@app.command()
def swap(
    context: typer.Context,
    name: Name,
    *,
    leave_out: LeaveOut = None,
    unverified_because: Because = None,
) -> None:
    """Verify a build, and let it serve."""

    async def work(rebuilder: ProjectionRebuilder) -> None:
        found = None
        if unverified_because is None:
            found = await rebuilder.verify(name, leave_out=_columns(leave_out))
        await rebuilder.swap(name, verification=found, unverified_because=unverified_because)

    _run(context, work)


@app.command()
def rollback(context: typer.Context, name: Name, *, version: Version = None) -> None:
    """Let a version serve again that did before."""
    _run(context, lambda rebuilder: rebuilder.roll_back(name, version=version))


@app.command()
def drop(
    context: typer.Context,
    name: Name,
    version: Annotated[int, typer.Argument(help="Of the definition; below 0: built again.")],
) -> None:
    """Remove a version that does not serve."""
    _run(context, lambda rebuilder: rebuilder.drop(name, version))


@app.command()
def pause(context: typer.Context, name: Name) -> None:
    """Stop the workers of the version that serves."""
    _run(context, lambda rebuilder: rebuilder.pause(name))


@app.command()
def resume(context: typer.Context, name: Name) -> None:
    """Let a halted or paused projection go on."""
    _run(context, lambda rebuilder: rebuilder.resume(name))


@app.command()
def parked(
    context: typer.Context,
    name: Name,
    *,
    retry: Annotated[bool, typer.Option("--retry", help="Apply them again.")] = False,
) -> None:
    """Show parked events, or try them again."""

    async def work(rebuilder: ProjectionRebuilder) -> None:
        service = ParkedEventService(rebuilder.projector_registry, rebuilder.event_store)
        if retry:
            typer.echo(f"{await service.retry(name)} applied")
        rows = [
            (one.position, one.stream, one.event_type, one.error or "waits behind another")
            for one in await service.list_parked(name)
        ]
        _print_table(("position", "stream", "event", "error"), rows)

    _run(context, work)


def main() -> None:
    """Run the command."""
    app()


def _run(context: typer.Context, work: Callable[[ProjectionRebuilder], Awaitable[object]]) -> None:
    try:
        asyncio.run(_with_progress(str(context.obj), work))
    except CQRSDDDError as error:
        Console(stderr=True).print(str(error), style="red", markup=False, soft_wrap=True)
        raise typer.Exit(1) from error


async def _with_progress(
    target: str, work: Callable[[ProjectionRebuilder], Awaitable[object]]
) -> None:
    async with _opened(load_target(target, object)) as rebuilder:
        if not isinstance(rebuilder, ProjectionRebuilder):
            raise typer.BadParameter(f"{target} is no ProjectionRebuilder and opens none")
        with ProgressBar() as bar:
            rebuilder.on_progress = bar
            await work(rebuilder)


def _opened(found: object) -> AbstractAsyncContextManager[object]:
    opened = found() if callable(found) else found
    return opened if isinstance(opened, AbstractAsyncContextManager) else nullcontext(opened)


def _columns(left_out: Iterable[str] | None) -> dict[str, set[str]]:
    columns: dict[str, set[str]] = {}
    for one in left_out or ():
        table, _, column = one.partition(".")
        columns.setdefault(table, set()).add(column or "*")
    return columns


def _print_verification(found: Verification | None) -> None:
    if found is None:
        return
    counts = [
        (one.table, one.tenant_id, one.serving_rows, one.new_rows, one.differing)
        for one in found.tables
    ]
    _print_table(("table", "tenant", "serving", "new", "differing"), counts)
    samples = [
        (table.table, one.key, one.column or "", one.serving, one.new)
        for table in found.tables
        for one in table.samples
    ]
    if samples:
        _print_table(("table", "key", "column", "serving", "new"), samples)


def _print_table(heads: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    # Without lines between columns a status fits into 80 characters.
    table = Table(box=SIMPLE, pad_edge=False)
    for number, head in enumerate(heads):
        # What a row is about is what one has to type: it is never shortened.
        table.add_column(head, no_wrap=number == 0, overflow="fold")
    for row in rows:
        table.add_row(*map(plain, row))
    Console().print(table)


if __name__ == "__main__":
    main()
