"""``python -m cqrs_ddd_persistence_sqlalchemy upgrade --url ...``, for deployments."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys

from cqrs_ddd_core.primitives.exceptions import CQRSDDDError
from cqrs_ddd_persistence_sqlalchemy.engine import create_engine
from cqrs_ddd_persistence_sqlalchemy.schema import upgrade

__all__ = ["main"]

_URL = "CQRS_DDD_DATABASE_URL"


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return the exit status: 0 when it is done, 1 with the reason if not."""
    options = _parser().parse_args(arguments)
    try:
        asyncio.run(_upgrade(options.url))
    except CQRSDDDError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - a program talks to its user
        return 1
    print("the tables are up to date")  # noqa: T201
    return 0


async def _upgrade(url: str) -> None:
    engine = create_engine(url)
    try:
        await upgrade(engine)
    finally:
        await engine.dispose()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m cqrs_ddd_persistence_sqlalchemy")
    commands = parser.add_subparsers(required=True, metavar="upgrade")
    command = commands.add_parser("upgrade", help="make the tables, or bring them up to date")
    command.add_argument(
        "--url",
        default=os.environ.get(_URL),
        required=_URL not in os.environ,
        help=f"postgresql://... or sqlite:///...; also taken from {_URL}, which keeps a password "
        "out of the list of processes",
    )
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
