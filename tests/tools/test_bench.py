"""The benchmarks compare two ways that do the same."""

from __future__ import annotations

import pytest

from tools.bench.__main__ import ALL
from tools.bench.harness import Comparison, measure

WITHOUT_DATABASE = [c for c in ALL if c.name.startswith("send") or c.name.endswith("-decoded")]


def test_no_two_comparisons_have_one_name() -> None:
    assert len({comparison.name for comparison in ALL}) == len(ALL)


@pytest.mark.parametrize("comparison", WITHOUT_DATABASE, ids=lambda comparison: comparison.name)
async def test_both_ways_do_the_same_amount_of_work(comparison: Comparison) -> None:
    async with comparison.open() as (raw, ours):
        assert await raw() == await ours() > 0


async def test_a_comparison_is_measured_in_turns() -> None:
    rounds: list[None] = []
    measured = await measure(
        WITHOUT_DATABASE[0], rounds=2, seconds=0.01, on_round=lambda: rounds.append(None)
    )
    assert len(measured.raw) == len(measured.ours) == len(rounds) == 2
    assert min(measured.ratios) <= measured.ratio <= max(measured.ratios)
