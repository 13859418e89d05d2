"""What the test kit needs of the program that uses it: the extra, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys
sys.modules[sys.argv[1]] = None
from cqrs_ddd_core.primitives.exceptions import MissingExtraError
try:
    import cqrs_ddd_advanced_core.testing.strategies
except MissingExtraError as error:
    print(error)
"""


@pytest.mark.parametrize("missing", ["pytest", "hypothesis"])
def test_what_is_missing_is_named(missing: str) -> None:
    told = subprocess.check_output([sys.executable, "-c", PROGRAM, missing], text=True)
    assert told == ("the test kit needs an extra: pip install 'cqrs-ddd-advanced-core[testing]'\n")


TEST = """
import pytest
from cqrs_ddd_advanced_core.testing import UndoHistoryConformance, given
from cqrs_ddd_advanced_core.testing.samples import AccountOpened, MoneyDeposited, SampleAccount

def test_an_account():
    opened = given(SampleAccount, "a-1", AccountOpened(owner="Ada"))
    opened.when(lambda account: account.deposit(5)).then(MoneyDeposited(amount=5))

class TestMine(UndoHistoryConformance):
    lacks = {"concurrent_transactions": "one connection"}

    @pytest.fixture
    def subject(self):
        pytest.skip("not written yet")
"""


def test_it_works_where_every_mark_has_to_be_known_and_every_warning_is_an_error(
    tmp_path: Path,
) -> None:
    (tmp_path / "test_mine.py").write_text(TEST)
    options = ["-q", "-rs", "-p", "no:asyncio", "-p", "no:cacheprovider", "--strict-markers"]
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "-W", "error", "-k", "account or others_see"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "concurrent_transactions: one connection" in ran.stdout
    assert "1 passed, 1 skipped" in ran.stdout
