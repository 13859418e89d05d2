"""The projections of the program on real databases, from its command line to its last line."""

from __future__ import annotations

import csv
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from record_store import __file__ as package_file
from record_store.cohorts import cohort_months
from record_store.customer_value import CustomerValues
from record_store.projections import open_read_side, open_rebuilder
from record_store.sales import month_sales, weekday_sales
from record_store.tests.program import Program, last_line
from record_store.tests.test_program import SAMPLE


def read(log: Path) -> list[dict[str, str]]:
    with log.open(newline="") as file:
        return list(csv.DictReader(file))


def shortened(program: Program, lines: int) -> Path:
    log = program.folder / "log.csv"
    log.write_bytes(b"".join(SAMPLE.read_bytes().splitlines(keepends=True)[: lines + 1]))
    return log


async def assert_tables(program: Program, log: Path) -> None:
    """Compare customers, months and weekdays with the file, and the sums of cohorts."""
    customers: dict[str, list[tuple[str, Decimal]]] = defaultdict(list)
    months: dict[str, Decimal] = defaultdict(Decimal)
    for row in read(log):
        amount = Decimal(row["amount"])
        customers[row["customer_id"]].append((row["date"], amount))
        months[row["date"][:7]] += amount
    async with open_read_side(program.database_url) as read_side:
        store = read_side.store
        found = await CustomerValues(store).query()
        assert {one.customer_id: (str(one.last_purchase), one.purchases) for one in found} == {
            name: (max(of)[0], len(of)) for name, of in customers.items()
        }
        assert {one.customer_id: one.revenue for one in found} == {
            name: sum(amount for _, amount in of) for name, of in customers.items()
        }
        by_month = await month_sales(store).query()
        assert {f"{one.month:%Y-%m}": one.revenue for one in by_month} == months
        by_weekday = await weekday_sales(store).query()
        cohorts = await cohort_months(store).query()
    everything = sum(months.values())
    assert sum(one.revenue for one in by_weekday) == everything
    assert sum(one.revenue for one in cohorts) == everything
    assert sum(one.customers for one in cohorts if one.months_since == 0) == len(customers)


async def test_insights_equal_a_fold_of_the_log(postgres_program: Program) -> None:
    await assert_insights(postgres_program)


@pytest.mark.slow
async def test_insights_are_the_same_when_aggregates_are_events(sqlite_program: Program) -> None:
    url, folder = sqlite_program.database_url, sqlite_program.folder
    await assert_insights(Program(url, folder, event_sourced=True))


@pytest.mark.slow
@pytest.mark.parametrize("is_event_sourced", [False, True])
async def test_insights_equal_a_fold_of_the_log_on_each_database(
    program: Program, is_event_sourced: bool
) -> None:
    url, folder = program.database_url, program.folder
    await assert_insights(Program(url, folder, event_sourced=is_event_sourced))


async def assert_insights(program: Program) -> None:
    log = shortened(program, 200)
    last_line(program.run("--input", str(log)))

    result = program.insights("--picture", "cohorts.svg")

    rows = read(log)
    customers = len({row["customer_id"] for row in rows})
    revenue = sum(Decimal(row["amount"]) for row in rows)
    assert last_line(result) == f"customers={customers} purchases=200 revenue={revenue}"
    assert "Revenue by weekday" in result.stdout
    ET.parse(program.folder / "cohorts.svg")  # noqa: S314 - our own
    await assert_tables(program, log)


@pytest.mark.slow
async def test_insights_equal_a_fold_of_the_whole_log(program: Program) -> None:
    last_line(program.run())

    totals = last_line(program.insights())
    again = last_line(program.insights())

    assert totals == again == "customers=2357 purchases=6919 revenue=244091.94"
    await assert_tables(program, SAMPLE)
    drawn = (program.folder / "demo-output" / "cohorts.svg").read_text()
    assert drawn == (Path(package_file).parent / "cohorts.svg").read_text()


def test_a_store_without_purchases_has_insights_too(sqlite_program: Program) -> None:
    assert last_line(sqlite_program.insights()) == "customers=0 purchases=0 revenue=0.00"


def test_what_cannot_work_is_said_in_one_line(sqlite_program: Program) -> None:
    address = "postgresql://nobody:secret@127.0.0.1:1/x"
    result = Program(address, sqlite_program.folder).insights()

    assert result.returncode == 1
    assert result.stderr.startswith("record_store.insights: ")
    assert len(result.stderr.splitlines()) == 1
    assert "secret" not in result.stderr


async def test_operators_can_rebuild_a_projection(
    sqlite_program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    last_line(sqlite_program.run("--input", str(shortened(sqlite_program, 20))))
    monkeypatch.setenv("RECORD_STORE_DATABASE_URL", sqlite_program.database_url)

    async with open_rebuilder() as rebuilder:
        await rebuilder.rebuild_in_place("sales")

    async with open_read_side(sqlite_program.database_url) as read_side:
        assert sum(one.purchases for one in await month_sales(read_side.store).query()) == 20
