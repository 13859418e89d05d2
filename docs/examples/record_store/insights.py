"""Show what the projections know: customers and their worth, sales, and who comes back."""

from __future__ import annotations

import asyncio
import logging
import sys
from argparse import ArgumentDefaultsHelpFormatter, ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from sqlalchemy.exc import SQLAlchemyError

from cqrs_ddd_advanced_core.projections import ProjectionWaiter, ProjectionWorker
from cqrs_ddd_core import CQRSDDDError
from record_store.cohort_picture import cohort_picture
from record_store.cohorts import cohort_months
from record_store.customer_value import CustomerValues
from record_store.insight_tables import (
    cohort_table,
    customer_table,
    month_sales_table,
    segment_table,
    weekday_table,
)
from record_store.projections import open_read_side
from record_store.sales import month_sales, weekday_sales
from record_store.segments import scores, segments

if TYPE_CHECKING:
    from cqrs_ddd_advanced_core.ports import IProjectionStore
    from record_store.projections import ReadSide

_OUTPUT = Path("demo-output")
#: Seconds a projection has to come to the last purchase.
_PATIENCE = 60.0


def main() -> int:
    """Run the program; what stops it is said in one line."""
    logging.basicConfig(level=logging.WARNING, format="record_store.insights: %(message)s")
    try:
        asyncio.run(_run(_parse_options()))
    except (OSError, CQRSDDDError, SQLAlchemyError) as error:
        print(f"record_store.insights: {error}", file=sys.stderr)
        return 1
    return 0


def _parse_options() -> Namespace:
    parser = ArgumentParser(
        "record_store.insights",
        description=__doc__,
        formatter_class=ArgumentDefaultsHelpFormatter,
    )
    default = f"sqlite:///{_OUTPUT / 'record_store.db'}"
    parser.add_argument("--database-url", default=default, help="where the record store keeps all")
    parser.add_argument(
        "--picture", type=Path, default=_OUTPUT / "cohorts.svg", help="file for the cohorts"
    )
    return parser.parse_args()


async def _run(options: Namespace) -> None:
    async with open_read_side(options.database_url) as read_side:
        await _catch_up(read_side)
        print(await _show(read_side.store, options.picture))


async def _catch_up(read_side: ReadSide) -> None:
    """Let the projections take in all purchases there are, here or in a worker elsewhere."""
    head = await read_side.events.get_head_position()
    waiter = ProjectionWaiter(read_side.registry, read_side.events)
    worker = ProjectionWorker(read_side.registry, read_side.events, poll_interval=0.2)
    await worker.start()
    try:
        for projection in read_side.registry.projections():
            await waiter.wait_for(projection.name, head, timeout=_PATIENCE)
    finally:
        await worker.stop()


async def _show(store: IProjectionStore, picture: Path) -> str:
    """Show everything and return the totals."""
    console = Console(highlight=False)
    values = CustomerValues(store)
    customers, best = await values.query(), await values.best(5)
    months = await month_sales(store).query()
    cohorts = await cohort_months(store).query()
    console.print(customer_table(best, scores(customers)))
    console.print("", segment_table(segments(customers)))
    console.print("", month_sales_table(months))
    console.print("", weekday_table(await weekday_sales(store).query()))
    console.print("", cohort_table(cohorts))
    _write(cohort_picture(cohorts), picture)
    console.print(f"The cohorts as a picture: {picture}\n", soft_wrap=True)
    revenue = sum(one.revenue for one in customers)
    purchases = sum(one.purchases for one in customers)
    return f"customers={len(customers)} purchases={purchases} revenue={revenue:.2f}"


def _write(text: str, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
