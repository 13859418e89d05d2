"""Query options as clients send them: closed names, limited size, nothing ignored."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cqrs_ddd_core.domain import QueryOptions, field, query_options_from_dict
from cqrs_ddd_core.domain.query_request import QueryLimits, query_options_to_dict
from cqrs_ddd_core.primitives.exceptions import (
    SpecificationError,
    SpecificationLimitError,
    UnknownFieldError,
)
from cqrs_ddd_core.testing.specimens import INJECTIONS, Specimen, query_options, specimens

FIELDS = {"total": Decimal, "name": str, "created_at": str}
SPECIMEN_FIELDS = {name: info.annotation for name, info in Specimen.model_fields.items()}


def test_everything_a_client_may_say_is_read() -> None:
    data = {
        "where": {"field": "total", "op": ">", "value": "99.90"},
        "order": ["-created_at", "total"],
        "limit": 5,
        "after": "x",
        "fields": ["name"],
    }
    assert query_options_from_dict(data, fields=FIELDS) == (
        QueryOptions(field("total") > Decimal("99.90"))
        .with_ordering("-created_at", "total")
        .with_pagination(limit=5, after="x")
        .with_fields("name")
    )


def test_there_always_is_a_limit() -> None:
    assert query_options_from_dict({}, fields=FIELDS) == QueryOptions(limit=20)
    limits = QueryLimits(page=9, default_page=3, offset=4)
    everything = {"offset": 4, "limit": None, "order": None, "where": None, "fields": None}
    assert query_options_from_dict(everything, fields=FIELDS, limits=limits) == QueryOptions(
        limit=3, offset=4
    )


@given(specimens(), query_options())
def test_what_is_written_reads_the_same(items: list[Specimen], options: QueryOptions) -> None:
    options = options if options.limit is not None else options.with_pagination(limit=9)
    data = json.loads(json.dumps(query_options_to_dict(options)))
    assert query_options_from_dict(data, fields=SPECIMEN_FIELDS) == options
    assert query_options_from_dict(data, fields=SPECIMEN_FIELDS).apply(items) == options.apply(
        items
    )


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        [],
        "x",
        {"page": 1},
        {"key": ["name"]},
        {"order": "total"},
        {"order": [1]},
        {"order": ["total", "-total"]},
        {"limit": "5"},
        {"limit": True},
        {"limit": -1},
        {"limit": 1.5},
        {"offset": -1},
        {"after": 5},
        {"after": "x", "offset": 1},
        {"fields": "name"},
        {"fields": []},
        {"fields": ["name", "name"]},
        {"where": "total > 1"},
        {"where": {"field": "total", "op": ">", "value": "x"}},
    ],
    ids=str,
)
def test_what_has_another_shape_is_refused(wrong: Any) -> None:
    with pytest.raises(SpecificationError):
        query_options_from_dict(wrong, fields=FIELDS)


@pytest.mark.parametrize("part", ["limit", "offset", "order"])
def test_more_than_the_limits_is_refused(part: str) -> None:
    asked: dict[str, Any] = {"limit": 101, "offset": 10_001, "order": ["total"] * 6}
    with pytest.raises(SpecificationLimitError):
        query_options_from_dict({part: asked[part]}, fields=FIELDS)


@pytest.mark.parametrize("hostile", [*INJECTIONS, "price", "__class__", "", "-", "--total"])
def test_names_of_strangers_are_looked_up_and_nowhere_else(hostile: str) -> None:
    """S-24, F53."""
    for data in (
        {"order": [hostile]},
        {"order": [f"-{hostile}"]},
        {"fields": [hostile]},
        {"where": {"field": hostile, "op": "=", "value": "x"}},
    ):
        with pytest.raises(UnknownFieldError):
            query_options_from_dict(data, fields=FIELDS)
    with pytest.raises(SpecificationError):
        query_options_from_dict({hostile: 1}, fields=FIELDS)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), st.lists))
def test_nothing_but_a_specific_error_comes_of_nonsense(nonsense: Any) -> None:
    with pytest.raises(SpecificationError):
        query_options_from_dict(nonsense, fields=FIELDS)
    for part in ("where", "order", "limit", "offset", "after", "fields"):
        try:
            options = query_options_from_dict({part: nonsense}, fields=FIELDS)
        except SpecificationError:
            continue
        assert options.limit is not None
