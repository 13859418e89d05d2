"""Without the extra the test kit says what to install."""

from __future__ import annotations

import subprocess
import sys

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
