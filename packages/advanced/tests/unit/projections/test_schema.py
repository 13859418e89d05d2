"""What rows look like, and fair shares of checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from cqrs_ddd_advanced_core.domain.projection_exceptions import ProjectionDefinitionError
from cqrs_ddd_advanced_core.ports import (
    CheckpointKey,
    ProjectionColumn,
    ProjectionSchema,
    RowChange,
    fair_share,
)


class Colour(StrEnum):
    RED = "red"


class Address(BaseModel):
    city: str


@dataclass
class CustomerValue:
    customer: UUID
    name: str
    since: date
    address: Address
    colour: Colour | None
    scores: Mapping[str, int]
    last_at: datetime | None = None
    orders: int = 0
    total: Decimal = Decimal(0)
    tags: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)


class Counter(BaseModel):
    id: str
    n: int = 0
    extra: dict[str, Any] = Field(default_factory=dict)


def test_a_dataclass_tells_columns_and_defaults() -> None:
    schema = ProjectionSchema.of(CustomerValue, key="customer", indexes=[("name",)])
    assert (schema.name, schema.key) == ("customer_value", ("customer",))
    assert {name: (one.type, one.nullable) for name, one in schema.columns.items()} == {
        "customer": (UUID, False),
        "name": (str, False),
        "since": (date, False),
        "address": (dict, False),
        "colour": (str, True),
        "scores": (dict, False),
        "last_at": (datetime, True),
        "orders": (int, False),
        "total": (Decimal, False),
        "tags": (list, False),
        "notes": (list, False),
    }
    defaults = {name: one.default for name, one in schema.columns.items()}
    assert (defaults["orders"], defaults["total"], defaults["notes"]) == (0, Decimal(0), [])
    assert (defaults["name"], defaults["last_at"]) == (None, None)


def test_a_model_tells_columns_and_defaults() -> None:
    schema = ProjectionSchema.of(Counter, key=("id", "n"), name="counters")
    assert (schema.name, schema.key) == ("counters", ("id", "n"))
    assert [one.default for one in schema.columns.values()] == [None, 0, {}]


def test_a_row_is_made_with_defaults() -> None:
    schema = ProjectionSchema.of(Counter, key="id")
    made = RowChange(("a",), 1, 1, adds={"n": 2}).make(schema, None)
    assert made == {"id": "a", "n": 2, "extra": {}}


@pytest.mark.parametrize(
    "definition",
    [
        {"name": "Items"},
        {"name": "1items"},
        {"name": "x" * 42},
        {"columns": {"id": ProjectionColumn(str), "Name": ProjectionColumn(str)}},
        {"columns": {"id": ProjectionColumn(str), "what": ProjectionColumn(object)}},
        {"columns": {"id": ProjectionColumn(str, nullable=True)}},
        {"key": ()},
        {"key": ("unknown",)},
        {"indexes": [("unknown",)]},
    ],
)
def test_what_cannot_be_a_table_is_refused(definition: dict[str, Any]) -> None:
    good: dict[str, Any] = {
        "name": "items",
        "columns": {"id": ProjectionColumn(str)},
        "key": ("id",),
    }
    ProjectionSchema(**good)
    with pytest.raises(ProjectionDefinitionError):
        ProjectionSchema(**{**good, **definition})


owners = st.sampled_from(["a", "b", "c"])
checkpoints = st.builds(CheckpointKey, st.sampled_from(["x", "y"]), st.just(1), st.integers(0, 3))


@given(wants=st.dictionaries(owners, st.sets(checkpoints, min_size=1), min_size=1))
def test_shares_settle_with_nothing_idle_and_nothing_taken_twice(
    wants: dict[str, set[CheckpointKey]],
) -> None:
    held: dict[CheckpointKey, str] = {}
    for _ in range(4):
        for owner in sorted(wants):
            share = set(fair_share(owner, held=held, wants=wants))
            assert share <= wants[owner]
            assert all(held.get(key, owner) == owner for key in share)
            held = {key: who for key, who in held.items() if who != owner}
            held |= dict.fromkeys(share, owner)
    assert held.keys() == set().union(*wants.values())
    settled = {owner: set(fair_share(owner, held=held, wants=wants)) for owner in wants}
    assert settled == {owner: {key for key, who in held.items() if who == owner} for owner in wants}


@given(st.integers(1, 12), st.integers(1, 4))
def test_owners_of_the_same_keys_have_about_as_many(keys: int, owners: int) -> None:
    wanted = [CheckpointKey("x", 1, number) for number in range(keys)]
    wants = {str(owner): wanted for owner in range(owners)}
    held: dict[CheckpointKey, str] = {}
    for _ in range(owners + 1):
        for owner in wants:
            share = fair_share(owner, held=held, wants=wants)
            held = {key: who for key, who in held.items() if who != owner}
            held |= dict.fromkeys(share, owner)
    counts = [list(held.values()).count(owner) for owner in wants]
    assert max(counts) - min(counts) <= 1
