"""The snippet of the requirements on conflict resolution runs as it is written there."""

from __future__ import annotations

from typing import Any

SNIPPET = """
from cqrs_ddd_advanced_core.conflict import DeepMergeStrategy

strategy = DeepMergeStrategy(
    list_identity_key="id",  # Merge lists by ID
    append_lists=False,
)

existing = {
    "customer": {"name": "John"},
    "items": [{"id": 1, "qty": 2}],
}
incoming = {
    "customer": {"email": "john@example.com"},
    "items": [{"id": 1, "qty": 3}],  # Same ID, update qty
}

merged = strategy.merge(existing, incoming)
"""


def test_the_snippet_gives_its_documented_result() -> None:
    names: dict[str, Any] = {}
    exec(SNIPPET, names)  # noqa: S102 - the example of the requirements
    assert names["merged"] == {
        "customer": {"name": "John", "email": "john@example.com"},
        "items": [{"id": 1, "qty": 3}],
    }
    assert names["existing"] == {"customer": {"name": "John"}, "items": [{"id": 1, "qty": 2}]}
