"""Cursors: exact, bound to one order and condition, harmless in the hands of strangers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from base64 import urlsafe_b64encode
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import to_json

from cqrs_ddd_core.domain.cursor import _fingerprint, read_cursor, write_cursor
from cqrs_ddd_core.domain.query_options import Ordering, QueryOptions
from cqrs_ddd_core.domain.specification import Specification, field, field_kind
from cqrs_ddd_core.primitives.exceptions import (
    CursorError,
    CursorMismatchError,
    SpecificationError,
    SpecificationValueError,
)
from cqrs_ddd_core.testing.specimens import INJECTIONS, Specimen, specimen

BY_NAME = QueryOptions(field("total") > 5).with_ordering("name", "-total").with_pagination(limit=2)
ITEM = Specimen(id="s-1", name="x", total=Decimal("9.50"))

_keys = (Ordering("a"), Ordering("b"))
_values = st.one_of(
    st.none(),
    st.booleans(),
    st.text(st.characters(codec="utf-8")),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.datetimes(timezones=st.just(UTC)),
    st.dates(),
    st.uuids(),
)


@given(_values, _values)
def test_a_cursor_keeps_every_value_and_its_type(left: Any, right: Any) -> None:
    text = write_cursor(_keys, None, (left, right))
    assert re.fullmatch("[A-Za-z0-9_-]+", text)
    read = read_cursor(text, _keys, None)
    assert read == (left, right)
    assert [type(value) for value in read] == [type(left), type(right)]


def test_times_of_other_zones_are_the_same_place() -> None:
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    texts = {
        write_cursor((Ordering("a"),), None, (time,))
        for time in (noon, noon.astimezone(timezone(timedelta(hours=5))), noon.replace(tzinfo=None))
    }
    assert len(texts) == 1


@pytest.mark.parametrize("value", [b"x", [1], {"a": 1}])
def test_what_has_no_order_has_no_cursor(value: object) -> None:
    with pytest.raises(SpecificationValueError, match="no place in an order"):
        write_cursor((Ordering("a"),), None, (value,))


@pytest.mark.parametrize(
    "other",
    [
        QueryOptions(field("total") > 5).with_ordering("name", "total"),
        QueryOptions(field("total") > 5).with_ordering("name"),
        QueryOptions(field("total") > 5).with_ordering("-total", "name"),
        QueryOptions(field("total") > 6).with_ordering("name", "-total"),
        QueryOptions(field("total") >= 5).with_ordering("name", "-total"),
        QueryOptions().with_ordering("name", "-total"),
        QueryOptions(field("total") > 5).with_ordering("name", "-total").with_key("reference"),
    ],
)
def test_a_cursor_of_another_order_or_condition_is_refused(other: QueryOptions) -> None:
    cursor = BY_NAME.cursor(ITEM)
    assert BY_NAME.after_cursor(cursor).apply([ITEM]) == []
    with pytest.raises(CursorMismatchError):
        other.after_cursor(cursor).check(partial(field_kind, Specimen))
    with pytest.raises(CursorMismatchError):
        other.after_cursor(cursor).apply([ITEM])


def test_the_page_size_may_change_from_page_to_page() -> None:
    cursor = BY_NAME.cursor(ITEM)
    assert BY_NAME.with_pagination(limit=50, after=cursor).apply([ITEM]) == []


def test_the_order_of_parts_and_list_values_is_no_other_condition() -> None:
    one, other = field("name").in_(["a", "b"]), field("total") > 5
    cursor = QueryOptions(one & other).cursor(ITEM)
    turned = other & field("name").in_(["b", "a"])
    assert QueryOptions(turned).after_cursor(cursor).apply([]) == []


def test_a_cursor_is_the_same_in_every_process() -> None:
    """A set gives its values in another order wherever hashes of texts are seeded anew."""
    program = (
        "from cqrs_ddd_core.domain import QueryOptions, field\n"
        "options = QueryOptions(field('name').in_({'a', 'b', 'c', 'd', 'e'}))\n"
        "print(options.cursor({'id': 1}))"
    )
    written = {
        subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(written) == 1


@pytest.mark.parametrize(
    "hostile",
    [
        "",
        "x",
        "é",
        "AAAA",
        "A" * 200_000,
        *INJECTIONS,
        *(
            urlsafe_b64encode(content).decode().rstrip("=")
            for content in (
                b"[]",
                b"{}",
                b"null",
                b"[2,3,4]",
                b"[1,2]",
                b"\x80\x04K\x01.",
                b"[" * 50_000,
                b"[NaN,1,2]",
                b"9" * 10_000,
            )
        ),
    ],
    ids=lambda text: text[:20],
)
def test_what_is_no_cursor_is_refused(hostile: str) -> None:
    """F53."""
    with pytest.raises(CursorError):
        BY_NAME.after_cursor(hostile).check(partial(field_kind, Specimen))


@pytest.mark.parametrize(
    "values",
    [
        [],
        ["x"],
        ["x", "1", "id", "more"],
        ["x", [], "id"],
        ["x", {}, "id"],
        ["x", {"n": "NaN"}, "id"],
        ["x", {"n": "sNaN"}, "id"],
        ["x", {"n": "Infinity"}, "id"],
        ["x", {"n": "1E+999999999"}, "id"],
        ["x", {"n": None}, "id"],
        ["x", {"p": "os.system"}, "id"],
        ["x", {"t": "0001-01-01T00:00:00+23:00"}, "id"],
        ["x", {"u": 5}, "id"],
        ["x", "total is a number", "id"],
        [5, {"n": "1"}, "id"],
        ["x", True, "id"],
        ["x" * 20_000, {"n": "1"}, "id"],
        ["a\x00b", {"n": "1"}, "id"],
    ],
    ids=lambda values: str(values)[:30],
)
def test_values_that_do_not_fit_are_refused(values: list[Any]) -> None:
    with pytest.raises(SpecificationError):
        BY_NAME.after_cursor(_forged(BY_NAME, values)).check(partial(field_kind, Specimen))


def test_a_forged_cursor_only_reaches_another_place_of_the_same_order() -> None:
    items = [Specimen(id=one, name=one, total=Decimal(9)) for one in "abc"]
    hidden = Specimen(id="d", name="d", total=Decimal(1))
    forged = _forged(BY_NAME, ["a' OR '1'='1", {"n": "0"}, ""])
    found = BY_NAME.after_cursor(forged).apply([*items, hidden])
    assert [item.id for item in found] == ["b", "c"]


@given(specimen(), st.binary(max_size=12), st.integers(0, 60))
def test_a_damaged_cursor_is_refused_or_means_a_place(
    item: Specimen, noise: bytes, place: int
) -> None:
    cursor = BY_NAME.cursor(item)
    damaged = cursor[:place] + urlsafe_b64encode(noise).decode().rstrip("=") + cursor[place + 2 :]
    options = BY_NAME.after_cursor(damaged)
    try:
        options.check(partial(field_kind, Specimen))
    except SpecificationError:
        return
    assert options.apply([item]) in ([], [item])


def _forged(options: QueryOptions, values: list[Any]) -> str:
    """Return a cursor with the right fingerprint and other values."""
    content = to_json([1, _fingerprint(options.keys, options.specification), values])
    return urlsafe_b64encode(content).decode().rstrip("=")


def test_a_cursor_of_every_kind_of_field_goes_on_behind_its_object() -> None:
    item = Specimen(
        id="i",
        name="n",
        total=Decimal("1.10"),
        score=0.1,
        count=2**63 - 1,
        active=False,
        at=datetime(2026, 1, 1, tzinfo=UTC),
        day=date(2026, 1, 1),
        reference=UUID(int=5),
    )
    for name in ("name", "total", "score", "count", "active", "at", "day", "reference", "colour"):
        for text in (name, f"-{name}"):
            options = QueryOptions().with_ordering(text)
            after = options.after_cursor(options.cursor(item))
            behind = item.model_copy(update={"id": "j"})
            before = item.model_copy(update={"id": "h"})
            assert after.apply([before, item, behind]) == [behind]


def test_a_condition_behind_a_cursor_names_the_bound_an_index_begins_at() -> None:
    options = QueryOptions().with_ordering("-total")
    after = options.after_cursor(options.cursor(ITEM))
    bound: Specification = field("total") <= Decimal("9.50")
    assert bound.to_dict() in after.beyond_cursor(lambda _: False).to_dict()["conditions"]
