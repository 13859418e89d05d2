"""Tell the story of a small bank: ``python -m bank``."""

from __future__ import annotations

import asyncio
import sys
from argparse import ArgumentParser

from sqlalchemy.exc import SQLAlchemyError

from bank.opening import open_bank
from bank.story import tell
from cqrs_ddd_core import CQRSDDDError, message_context
from cqrs_ddd_core.primitives import FixedClock, UUID7Generator


def main() -> int:
    """Run the program; what stops it is said in one line."""
    parser = ArgumentParser("bank", description=__doc__)
    parser.add_argument(
        "--database-url",
        default="",
        help="sqlite:///file or postgresql://user@host/name; in memory if not given",
    )
    try:
        asyncio.run(_run(parser.parse_args().database_url))
    except (OSError, CQRSDDDError, SQLAlchemyError) as error:
        print(f"bank: {error}", file=sys.stderr)
        return 1
    return 0


async def _run(database_url: str) -> None:
    clock = FixedClock()
    # A bank of its own each time: in one database they do not see each other.
    tenant = str(UUID7Generator().next_id())
    async with open_bank(database_url, clock) as bank:
        with message_context(tenant_id=tenant):
            await tell(bank, clock)


if __name__ == "__main__":
    sys.exit(main())
