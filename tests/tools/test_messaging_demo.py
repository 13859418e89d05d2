"""The demo's judgement and its plan, and a short run of the whole."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from random import Random
from uuid import uuid4

import pytest

from tools.messaging_demo.audit import Expected, Handled, Verdict, expect, judge
from tools.messaging_demo.faults import plan
from tools.uv import ROOT

LOG = """customer_id,sample_id,date,units,amount
ann,0001,1997-01-01,2,99.99
bob,0001,1997-01-02,1,10.00
ann,0001,1997-01-03,1,1.50
ann,0001,1997-01-04,3,20.00
"""
PROGRAMS = ("ingest", "loyalty", "relay-1", "relay-2")


@pytest.fixture
def expected(tmp_path: Path) -> Expected:
    log = tmp_path / "log.csv"
    log.write_text(LOG)
    return expect(log)


@pytest.fixture
def ledger(expected: Expected) -> list[Handled]:
    customers = ["ann", "bob", "ann", "ann"]
    return [Handled(*pair) for pair in zip(expected.purchases, customers, strict=True)]


def test_what_must_be_there_follows_from_the_file(expected: Expected) -> None:
    assert expected.totals == "customers=2 purchases=4 units=7 revenue=131.49"
    assert expected.points == {"ann": 99 + 1 + 2 * 20, "bob": 10}
    assert len(set(expected.purchases)) == 4


def test_purchases_in_order_and_once_are_right(expected: Expected, ledger: list[Handled]) -> None:
    verdict = judge(expected, ledger, expected.points)
    assert verdict == Verdict(0, 0, 0, 0, 0)
    assert verdict.is_right


def test_customers_may_overtake_each_other(expected: Expected, ledger: list[Handled]) -> None:
    ann, bob, *others = ledger
    assert judge(expected, [ann, *others, bob], expected.points).is_right


def test_a_purchase_without_effect_is_lost(expected: Expected, ledger: list[Handled]) -> None:
    assert judge(expected, ledger[:2], expected.points).lost == 2


def test_a_second_effect_is_counted(expected: Expected, ledger: list[Handled]) -> None:
    verdict = judge(expected, [*ledger, ledger[0]], expected.points)
    assert verdict == Verdict(0, doubled=1, out_of_order=0, unknown=0, wrong_accounts=0)
    assert not verdict.is_right


def test_a_purchase_behind_a_later_one_is_out_of_order(
    expected: Expected, ledger: list[Handled]
) -> None:
    first, bob, second, third = ledger
    assert judge(expected, [first, bob, third, second], expected.points).out_of_order == 1
    assert judge(expected, [third, second, first, bob], expected.points).out_of_order == 2


def test_effects_of_nothing_are_found(expected: Expected, ledger: list[Handled]) -> None:
    verdict = judge(expected, [*ledger, Handled(uuid4(), "ann")], expected.points)
    assert verdict.unknown == 1
    assert not verdict.is_right


def test_an_account_that_differs_is_wrong(expected: Expected, ledger: list[Handled]) -> None:
    accounts = {"ann": 139, "carl": 0}
    assert judge(expected, ledger, accounts).wrong_accounts == 3


@pytest.mark.parametrize("seed", range(20))
def test_a_plan_kills_each_program_and_keeps_to_its_numbers(seed: int) -> None:
    chance = Random(seed)  # noqa: S311 - no secret
    faults = plan(chance, PROGRAMS, purchases=7000, kills=10, cuts=4)

    assert {fault.victim for fault in faults} == {*PROGRAMS, ""}
    assert sum(bool(fault.victim) for fault in faults) == 10
    assert len(faults) == 14
    assert [fault.after for fault in faults] == sorted(fault.after for fault in faults)
    assert all(1 <= fault.after <= 6301 for fault in faults)


def test_the_same_seed_plans_the_same_faults() -> None:
    chances = (Random(7), Random(7))  # noqa: S311 - no secret
    one, other = (plan(chance, PROGRAMS, purchases=500, kills=5, cuts=2) for chance in chances)
    assert one == other


@pytest.mark.slow
def test_nothing_is_lost_doubled_or_out_of_order_through_three_kills(
    postgres_url: str, rabbitmq_url: str, tmp_path: Path
) -> None:
    run_demo(postgres_url, rabbitmq_url, tmp_path, lines=300, kills=3, cuts=1)


@pytest.mark.fault
def test_nothing_is_lost_doubled_or_out_of_order_in_the_whole_log(
    postgres_url: str, rabbitmq_url: str, tmp_path: Path
) -> None:
    totals = run_demo(postgres_url, rabbitmq_url, tmp_path, lines=0, kills=10, cuts=4)
    assert totals == (
        "customers=2357 purchases=6919 units=16479 revenue=244091.94 events=9276 outbox=6919"
    )


def run_demo(
    postgres_url: str, rabbitmq_url: str, folder: Path, *, lines: int, kills: int, cuts: int
) -> str:
    """Run the demo as a user does, and return its line of totals."""
    numbers = {"--lines": lines, "--kills": kills, "--cuts": cuts, "--folder": folder / "out"}
    result = subprocess.run(
        [sys.executable, "-m", "tools.messaging_demo", *map(str, sum(numbers.items(), ()))],
        cwd=ROOT,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT / "docs" / "examples"),
            "CQRS_DDD_TEST_POSTGRES_URL": postgres_url,
            "CQRS_DDD_TEST_RABBITMQ_URL": rabbitmq_url,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    *_, totals, points, verdict = result.stdout.splitlines()
    assert f" {kills} killed" in result.stdout
    assert re.fullmatch(r"accounts=\d+ points=\d+ wrong=0", points)
    assert verdict == "lost=0 doubled=0 out_of_order=0"
    return totals
