"""``python -m cqrs_ddd_persistence_sqlalchemy upgrade|export --url ...``."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys

from cqrs_ddd_core.primitives.exceptions import CQRSDDDError
from cqrs_ddd_persistence_sqlalchemy._export_command import add_export_options, export
from cqrs_ddd_persistence_sqlalchemy.engine import create_engine
from cqrs_ddd_persistence_sqlalchemy.schema import upgrade

__all__ = ["main"]

_URL = "CQRS_DDD_DATABASE_URL"


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return the exit status: 0 when it is done, 1 with the reason if not."""
    options = _parser().parse_args(arguments)
    try:
        told = asyncio.run(options.run(options))
    except CQRSDDDError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - a program talks to its user
        return 1
    print(told)  # noqa: T201
    return 0


async def _upgrade(options: argparse.Namespace) -> str:
    engine = create_engine(options.url)
    try:
        await upgrade(engine)
    finally:
        await engine.dispose()
    return "the tables are up to date"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m cqrs_ddd_persistence_sqlalchemy")
    commands = parser.add_subparsers(required=True, metavar="upgrade | export")
    command = commands.add_parser("upgrade", help="make the tables, or bring them up to date")
    command.set_defaults(run=_upgrade)
    _add_url(command)
    command = commands.add_parser("export", help="write events to Parquet or Arrow files")
    command.set_defaults(run=export)
    _add_url(command)
    add_export_options(command)
    return parser


def _add_url(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--url",
        default=os.environ.get(_URL),
        required=_URL not in os.environ,
        help=f"postgresql://... or sqlite:///...; also taken from {_URL}, which keeps a password "
        "out of the list of processes",
    )


if __name__ == "__main__":
    raise SystemExit(main())
