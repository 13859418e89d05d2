"""Run the benchmarks and print one table of ratios: ``python -m tools.bench [NAME ...]``."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from functools import partial

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from tools.bench import append, consume, dispatch, project, read, relay, replay
from tools.bench.harness import Comparison, Measurement, measure
from tools.bench.postgres import connections
from tools.bench.reports import REPORTS, Report

ALL = [
    *dispatch.COMPARISONS,
    *append.COMPARISONS,
    *read.COMPARISONS,
    *replay.COMPARISONS,
    *project.COMPARISONS,
    *relay.COMPARISONS,
    *consume.COMPARISONS,
]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what was asked for and return 1 when an aim was missed and that counts."""
    options = _parse(arguments)
    chosen = [c for c in ALL if _is_asked_for(c.name, options)]
    reports = [r for r in REPORTS if _is_asked_for(r.name, options)]
    # Written to a file, the table must not be squeezed into 80 columns.
    console = Console() if sys.stdout.isatty() else Console(width=140)
    if not chosen and not reports:
        names = ", ".join([*(one.name for one in ALL), *(one.name for one in REPORTS)])
        console.print(f"nothing is called like that; there are: {names}")
        return 2
    measured = asyncio.run(_run(chosen, reports, options, console))
    if measured:
        console.print(_table(measured))
    missed = [m.comparison.name for m in measured if not m.is_reached]
    if missed:
        console.print(f"aims missed: {', '.join(missed)}")
    return int(bool(missed) and options.strict)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.bench", description=__doc__)
    parser.add_argument("names", nargs="*", help="parts of names; everything when none is given")
    parser.add_argument("--rounds", type=int, default=5, help="turns of both ways (default 5)")
    parser.add_argument("--seconds", type=float, default=1.5, help="seconds a turn (default 1.5)")
    parser.add_argument("--strict", action="store_true", help="fail when an aim is missed")
    return parser.parse_args(arguments)


def _is_asked_for(name: str, options: argparse.Namespace) -> bool:
    return not options.names or any(part in name for part in options.names)


async def _run(
    chosen: Sequence[Comparison],
    reports: Sequence[Report],
    options: argparse.Namespace,
    console: Console,
) -> list[Measurement]:
    measured: list[Measurement] = []
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("", total=len(chosen) * options.rounds + len(reports))
        async with connections():
            for comparison in chosen:
                progress.update(task, description=comparison.name)
                measured.append(
                    await measure(
                        comparison,
                        rounds=options.rounds,
                        seconds=options.seconds,
                        on_round=partial(progress.advance, task),
                    )
                )
            for report in reports:
                progress.update(task, description=report.name)
                figures = await report.run()
                listed = ", ".join(f"{name} {figure}" for name, figure in figures.items())
                console.print(f"{report.name} ({report.about}): {listed}")
                progress.advance(task)
    return measured


def _table(measured: Sequence[Measurement]) -> Table:
    table = Table(title="Ratios of one interleaved run; rates only compare within a row")
    for column in ("comparison", "against", "raw /s", "ours /s", "ratio", "min-max", "aim"):
        table.add_column(column, justify="left" if column in ("comparison", "against") else "right")
    for m in measured:
        comparison, ratios = m.comparison, m.ratios
        sign = "x slower" if comparison.slowdown else ""
        table.add_row(
            comparison.name,
            comparison.baseline,
            f"{sorted(m.raw)[len(m.raw) // 2]:,.0f}",
            f"{sorted(m.ours)[len(m.ours) // 2]:,.0f}",
            f"{m.ratio:.2f}{sign}",
            f"{min(ratios):.2f}-{max(ratios):.2f}",
            _aim(m),
        )
    return table


def _aim(measured: Measurement) -> str:
    aim = measured.comparison.aim
    if aim is None:
        return ""
    sign = "<" if measured.comparison.slowdown else ">="
    return f"{sign} {aim:g} {'reached' if measured.is_reached else 'MISSED'}"


if __name__ == "__main__":
    sys.exit(main())
