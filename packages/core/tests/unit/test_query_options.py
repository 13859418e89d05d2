"""Query options: order, pages and cursors, in memory."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cqrs_ddd_core.domain.query_options import Ordering, QueryOptions
from cqrs_ddd_core.domain.specification import SpecificationBuilder, field, field_kind
from cqrs_ddd_core.primitives.exceptions import (
    SpecificationError,
    SpecificationValueError,
    UnknownFieldError,
)
from cqrs_ddd_core.testing.specimens import (
    INJECTIONS,
    Specimen,
    query_options,
    specifications,
    specimens,
)


def test_the_documented_example_works_with_an_unbuilt_builder() -> None:
    options = (
        QueryOptions()
        .with_specification(SpecificationBuilder().where("total", ">", 100))
        .with_ordering("created_at", desc=True)
        .with_pagination(limit=20, offset=0)
    )
    assert options == QueryOptions(
        field("total") > 100, (Ordering("created_at", desc=True),), limit=20
    )


def test_options_do_not_change() -> None:
    options = QueryOptions()
    options.with_ordering("a").with_pagination(limit=1)
    assert options == QueryOptions()


def test_criteria_of_every_form_become_options() -> None:
    condition = field("a") == 1
    assert QueryOptions.of(None) == QueryOptions()
    assert QueryOptions.of(condition) == QueryOptions(condition)
    options = QueryOptions(condition, limit=2)
    assert QueryOptions.of(options) is options


@given(specimens(), query_options())
def test_the_order_of_the_input_does_not_matter(
    items: list[Specimen], options: QueryOptions
) -> None:
    assert options.apply(items) == options.apply(list(reversed(items)))


@given(specimens(), specifications(), query_options(), st.integers(1, 3))
def test_pages_after_cursors_are_the_whole_in_slices(
    items: list[Specimen], specification: Any, options: QueryOptions, size: int
) -> None:
    whole = QueryOptions(specification, options.ordering)
    seen: list[Specimen] = []
    page = whole.with_pagination(limit=size)
    while found := page.apply(items):
        seen += found
        page = page.after_cursor(page.cursor(found[-1]))
    assert seen == whole.apply(items)


def test_what_ties_is_ordered_by_id() -> None:
    items = [{"id": item_id, "a": 1} for item_id in "cab"]
    ordered = QueryOptions().with_ordering("a", desc=True).apply(items)
    assert [item["id"] for item in ordered] == ["a", "b", "c"]
    assert QueryOptions().with_ordering("id", desc=True).keys == (Ordering("id", desc=True),)


def test_ordering_is_spelled_with_a_minus_or_a_keyword() -> None:
    expected = (Ordering("created_at", desc=True), Ordering("total"))
    assert QueryOptions().with_ordering("-created_at", "total").ordering == expected
    spelled = QueryOptions().with_ordering("created_at", desc=True).with_ordering("total")
    assert spelled.ordering == expected
    assert [str(ordering) for ordering in expected] == ["-created_at", "total"]
    assert QueryOptions().with_ordering() == QueryOptions()
    with pytest.raises(SpecificationError, match="not both"):
        QueryOptions().with_ordering("-created_at", desc=True)


def test_a_key_of_several_fields_breaks_ties_in_its_order() -> None:
    rows = [{"order": o, "line": n, "a": 1} for n in (2, 1) for o in "ba"]
    options = QueryOptions().with_key("order", "line").with_ordering("-a")
    assert [(row["order"], row["line"]) for row in options.apply(rows)] == [
        ("a", 1),
        ("a", 2),
        ("b", 1),
        ("b", 2),
    ]
    by_line = options.with_ordering("-line")
    assert [key.field for key in by_line.keys] == ["a", "line", "order"]
    second = by_line.after_cursor(by_line.cursor({"a": 1, "line": 2, "order": "a"}))
    assert [row["order"] for row in second.apply(rows)] == ["b", "a", "b"]


def test_fields_are_chosen_whole_and_by_declared_names() -> None:
    """S-24: what cannot be chosen is refused and not ignored."""
    options = QueryOptions().with_fields("id", "name")
    assert options.pick({"id": 1, "name": "x", "total": 3}) == {"id": 1, "name": "x"}
    assert QueryOptions().pick({"id": 1}) == {"id": 1}
    options.check(partial(field_kind, Specimen))
    with pytest.raises(UnknownFieldError):
        options.with_fields("id", "price").check(partial(field_kind, Specimen))
    with pytest.raises(SpecificationError, match="come whole"):
        options.refuse_fields()


@pytest.mark.parametrize(
    "wrong",
    [
        {"limit": -1},
        {"offset": -1},
        {"after": "x", "offset": 1},
        {"key": ()},
        {"key": ("a", "a")},
        {"key": ("a b",)},
        {"fields": ()},
        {"fields": ("a", "a")},
        {"fields": ("a.b",)},
        {"fields": ("a; --",)},
        {"ordering": (Ordering("a"), Ordering("a", desc=True))},
    ],
)
def test_options_that_mean_nothing_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(SpecificationError):
        QueryOptions(**wrong)


@pytest.mark.parametrize("hostile", [*INJECTIONS, "a desc", "--a", "__class__", "", "-"])
def test_what_is_no_name_is_never_ordered_by(hostile: str) -> None:
    """F53."""
    with pytest.raises(SpecificationValueError):
        QueryOptions().with_ordering(hostile)
    with pytest.raises(SpecificationValueError):
        Ordering(hostile)
    with pytest.raises(SpecificationValueError):
        QueryOptions().with_key(hostile)


def test_a_field_is_ordered_by_once() -> None:
    with pytest.raises(SpecificationError, match="twice"):
        QueryOptions().with_ordering("a").with_ordering("-a")


def test_a_builder_is_a_criterion_too() -> None:
    builder = SpecificationBuilder().where("a", "==", 1)
    assert QueryOptions.of(builder) == QueryOptions(field("a") == 1)
