"""Check event schemas against their catalogue: ``python -m cqrs_ddd_advanced_core.upcasting``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cqrs_ddd_advanced_core.upcasting.catalogue import SchemaCatalogue
from cqrs_ddd_advanced_core.upcasting.registry import UpcasterRegistry
from cqrs_ddd_core.domain.event_registry import EventTypeRegistry
from cqrs_ddd_core.primitives.exceptions import ConfigurationError, MissingExtraError

try:
    import typer
    from rich.console import Console
    from rich.table import Table

    from cqrs_ddd_advanced_core._command_line import load_target, plain
except ImportError as _error:
    raise MissingExtraError("the schema check", "cqrs-ddd-advanced-core", "cli") from _error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cqrs_ddd_advanced_core.upcasting.catalogue import SchemaProblem


def main() -> None:
    """Run the command."""
    typer.run(check_schemas)


def check_schemas(
    registry: Annotated[str, typer.Argument(help="The event registry, as module:attribute.")],
    catalogue: Annotated[Path, typer.Argument(help="The folder with one file per version.")],
    upcasters: Annotated[
        str | None, typer.Option(help="The upcaster registry, as module:attribute.")
    ] = None,
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail when a file is out of date.")
    ] = False,
) -> None:
    """Compare event schemas with the catalogue, and write what is new.

    Fails when events that may be stored could no longer be read.
    """
    console = Console(stderr=True)
    events = load_target(registry, EventTypeRegistry)
    known = None if upcasters is None else load_target(upcasters, UpcasterRegistry)
    files = SchemaCatalogue(catalogue)
    try:
        found = files.compare(events, known) if check else files.update(events, known)
    except ConfigurationError as error:
        console.print(str(error), style="red", markup=False, soft_wrap=True)
        raise typer.Exit(1) from error
    if found.problems:
        console.print(_table(found.problems))
        console.print("Raise schema_version and register an upcaster, or take the change back.")
    for path in found.outdated if check or not found.problems else ():
        what = "out of date" if check else "written"
        console.print(f"{what}: {path}", markup=False, soft_wrap=True)
    if found.problems or (check and found.outdated):
        raise typer.Exit(1)


def _table(problems: Sequence[SchemaProblem]) -> Table:
    table = Table("event", "version", "field", "problem", title="Stored events would not be read")
    for problem in problems:
        table.add_row(*map(plain, problem))
    return table


if __name__ == "__main__":
    main()
