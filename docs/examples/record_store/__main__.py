"""Take in a purchase log and show what was sold."""

from __future__ import annotations

import sys
from time import perf_counter
from typing import TYPE_CHECKING

from rich.console import Console
from sqlalchemy import make_url
from sqlalchemy.exc import SQLAlchemyError

from cqrs_ddd_core import CQRSDDDError
from record_store.chart import revenue_chart
from record_store.ingest import ingest
from record_store.options import Options, parse_options
from record_store.progress import track
from record_store.purchase_log import PurchaseLog, WrongHeaderError
from record_store.queries import GetRevenueByMonth, GetTopCustomers, GetTotals
from record_store.rejects import Reject, rejects_file
from record_store.report import month_table, top_customer_table
from record_store.store import open_store

if TYPE_CHECKING:
    from cqrs_ddd_core import Mediator

try:
    import uvloop as loop
except ImportError:
    import asyncio as loop  # type: ignore[no-redef]


def main() -> int:
    """Run the program; what stops it is said in one line."""
    try:
        loop.run(_run(parse_options()))
    except (WrongHeaderError, OSError, CQRSDDDError, SQLAlchemyError) as error:
        print(f"record_store: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("record_store: stopped; run it again to go on", file=sys.stderr)
        return 130
    return 0


async def _run(options: Options) -> None:
    console = Console(highlight=False, soft_wrap=True)
    log = PurchaseLog(options.input)
    database = make_url(options.database_url).render_as_string(hide_password=True)
    console.print(f"Taking {options.input} into {database}", markup=False)
    async with open_store(
        options.database_url, event_sourced=options.event_sourced, announce=options.announce
    ) as mediator:
        await _take_in(log, mediator, options, console)
        await _report(mediator, options, console)


async def _take_in(
    log: PurchaseLog, mediator: Mediator, options: Options, console: Console
) -> None:
    with rejects_file(options.rejects) as write:

        def reject(rejected: Reject) -> None:
            write(rejected)
            console.print(f"line {rejected.line} rejected: {rejected.reason}", markup=False)

        started = perf_counter()
        summary = await ingest(track(log.lines, console, every=options.every), mediator, reject)
        seconds = perf_counter() - started
    rate = summary.lines / seconds
    console.print(f"{summary.lines:,} lines in {seconds:.1f} s, {rate:,.0f} a second: {summary}")
    if summary.rejected:
        console.print(f"The rejected lines are in {options.rejects}", markup=False)


async def _report(mediator: Mediator, options: Options, console: Console) -> None:
    months = await mediator.ask(GetRevenueByMonth())
    console.print("", top_customer_table(await mediator.ask(GetTopCustomers())))
    console.print("", month_table(months))
    options.chart.parent.mkdir(parents=True, exist_ok=True)
    options.chart.write_text(revenue_chart(months), encoding="utf-8")
    console.print(f"The same as a picture: {options.chart}\n")
    print(await mediator.ask(GetTotals()))


if __name__ == "__main__":
    sys.exit(main())
