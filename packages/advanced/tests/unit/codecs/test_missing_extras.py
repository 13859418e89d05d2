"""Without the extras everything can be imported, and what needs one says so."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
sys.modules["cryptography"] = sys.modules["zstandard"] = None
sys.modules["cryptography.exceptions"] = None
import cqrs_ddd_advanced_core
import cqrs_ddd_advanced_core.adapters.memory
from cqrs_ddd_advanced_core.codecs import *
from cqrs_ddd_core.primitives.exceptions import MissingExtraError

assert PayloadCodecs() is not None
for make in (ZstdCodec, lambda: KeyRing({"a": bytes(32)})):
    try:
        make()
    except MissingExtraError as error:
        print(error)
"""


def test_a_missing_extra_is_named_when_it_is_needed() -> None:
    told = subprocess.check_output([sys.executable, "-c", PROGRAM], text=True).splitlines()
    assert told == [
        "compression needs an extra: pip install 'cqrs-ddd-advanced-core[zstd]'",
        "encryption needs an extra: pip install 'cqrs-ddd-advanced-core[encryption]'",
    ]
