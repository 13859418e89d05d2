"""Query options: order, pages and cursors, in memory."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cqrs_ddd_core.domain.query_options import Ordering, QueryOptions
from cqrs_ddd_core.domain.specification import SpecificationBuilder, field
from cqrs_ddd_core.primitives.exceptions import SpecificationError, SpecificationValueError
from cqrs_ddd_core.testing.specimens import Specimen, query_options, specifications, specimens


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
        page = page.with_pagination(limit=size, after=page.cursor(found[-1]))
    assert seen == whole.apply(items)


def test_what_ties_is_ordered_by_id() -> None:
    items = [{"id": item_id, "a": 1} for item_id in "cab"]
    ordered = QueryOptions().with_ordering("a", desc=True).apply(items)
    assert [item["id"] for item in ordered] == ["a", "b", "c"]
    assert QueryOptions().with_ordering("id", desc=True).keys == (Ordering("id", desc=True),)


@pytest.mark.parametrize(
    "wrong",
    [
        {"limit": -1},
        {"offset": -1},
        {"after": ("x",), "offset": 1},
        {"after": ()},
        {"after": ("x", "y")},
        {"ordering": (Ordering("a"),), "after": ("x",)},
    ],
)
def test_pages_that_mean_nothing_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(SpecificationError):
        QueryOptions(**wrong)


def test_a_field_is_ordered_by_once_and_by_its_name() -> None:
    with pytest.raises(SpecificationError, match="twice"):
        QueryOptions().with_ordering("a").with_ordering("a", desc=True)
    for name in ("-a", "a desc", "a; DROP TABLE x", "__class__", ""):
        with pytest.raises(SpecificationValueError):
            QueryOptions().with_ordering(name)
