"""Specifications as client input: what comes back is what was sent, and nothing else gets in."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given

from cqrs_ddd_core.domain.specification import (
    Specification,
    SpecificationLimits,
    field,
    specification_from_dict,
)
from cqrs_ddd_core.primitives.exceptions import (
    SpecificationError,
    SpecificationLimitError,
    SpecificationValueError,
    UnknownFieldError,
    UnknownOperatorError,
)
from cqrs_ddd_core.testing.specimens import INJECTIONS, Colour, Specimen, specifications, specimen

FIELDS: dict[str, Any] = {
    "id": str,
    "name": str | None,
    "colour": Colour,
    "total": Decimal | None,
    "score": float,
    "count": int,
    "active": bool,
    "at": datetime,
    "day": date,
    "reference": UUID,
    "address.city": str,
    "address": dict,
    "tags": list,
    "details": dict,
    "details.size": Any,
    "details.the-label": Any,
    "details.inner": Any,
    "details.inner.size": Any,
}


def _read(data: object, **limits: int) -> Specification:
    return specification_from_dict(data, fields=FIELDS, limits=SpecificationLimits(**limits))


def _leaf(name: str, op: str, value: object) -> dict[str, object]:
    return {"field": name, "op": op, "value": value}


def _nested(depth: int) -> dict[str, object]:
    data = _leaf("name", "=", "x")
    for _ in range(depth):
        data = {"op": "not", "conditions": [data]}
    return data


def _own_types(specification: Specification) -> bool:
    # An integer field also compares with 2.5, but a client says integers.
    try:
        specification_from_dict(specification.to_dict(), fields=FIELDS)
    except SpecificationValueError as error:
        return error.field not in ("count", "score")
    return True


@given(specifications().filter(_own_types), specimen())
def test_a_specification_survives_the_way_through_json(
    specification: Specification, item: Specimen
) -> None:
    received = _read(json.loads(json.dumps(specification.to_dict())), depth=50)
    assert received.is_satisfied_by(item) is specification.is_satisfied_by(item)
    assert _read(received.to_dict(), depth=50) == received


def test_values_get_the_types_of_their_fields() -> None:
    data = {
        "op": "and",
        "conditions": [
            _leaf("total", ">=", "99.90"),
            _leaf("total", "<", 200),
            _leaf("at", ">", "2024-02-29T12:00:00+02:00"),
            _leaf("day", "between", ["2024-01-01", "2024-12-31"]),
            _leaf("reference", "in", [str(UUID(int=7))]),
            _leaf("colour", "=", "red"),
            {"op": "not", "conditions": [{"field": "name", "op": "is_null"}]},
        ],
    }
    expected = (
        (field("total") >= Decimal("99.90"))
        & (field("total") < 200)
        & (field("at") > datetime.fromisoformat("2024-02-29T12:00:00+02:00"))
        & field("day").is_(_operator("between"), [date(2024, 1, 1), date(2024, 12, 31)])
        & field("reference").in_([UUID(int=7)])
        & (field("colour") == Colour.RED)
        & ~field("name").is_(_operator("is_null"))
    )
    assert _read(data) == expected


def _operator(text: str) -> Any:
    return text


@pytest.mark.parametrize(
    "name",
    [*INJECTIONS, "", "password", "name.__class__", "__class__", "Name", " name", "address."],
)
def test_an_undeclared_field_is_refused(name: str) -> None:
    """F53, F54: the map is the only place where a name is looked up."""
    with pytest.raises(UnknownFieldError):
        _read(_leaf(name, "=", "x"))


@pytest.mark.parametrize(
    "op", [*INJECTIONS, "", "regex", "$where", "__eq__", "json_has_any", "AND"]
)
def test_an_unknown_operator_is_refused(op: str) -> None:
    """F53, M-10."""
    with pytest.raises(UnknownOperatorError):
        _read(_leaf("name", op, "x"))


@pytest.mark.parametrize(
    "name, op, value",
    [
        ("name", "=", {"$ne": None}),
        ("name", "=", {"$gt": ""}),
        ("name", "=", ["x"]),
        ("name", "=", None),
        ("name", "=", 5),
        ("name", "=", True),
        ("name", "in", "xyz"),
        ("name", "in", {"$nin": []}),
        ("name", "in", [{"$ne": 1}]),
        ("name", "in", [["x"]]),
        ("name", "contains", {"$regex": ".*"}),
        ("name", "=", "a\x00"),
        ("name", "is_null", {"$exists": False}),
        ("count", "=", "5"),
        ("count", "=", 2.5),
        ("count", "=", True),
        ("count", "=", 2**63),
        ("count", "contains", "5"),
        ("total", "=", "abc"),
        ("total", "=", "NaN"),
        ("total", "=", "1E+999999999"),
        ("total", "=", False),
        ("score", "=", float("nan")),
        ("score", "=", float("inf")),
        ("active", "=", 1),
        ("active", "=", "true"),
        ("at", "=", "yesterday"),
        ("at", "=", 1_700_000_000),
        ("day", "=", "2024-02-30"),
        ("reference", "=", "x"),
        ("tags", "=", "x"),
        ("address", "=", "x"),
        ("total", "between", ["1", "2", "3"]),
        ("details.size", "=", {"$ne": 1}),
    ],
)
def test_a_value_of_another_type_is_refused(name: str, op: str, value: object) -> None:
    """F53: an operator dictionary is never a value, and nothing is coerced."""
    with pytest.raises(SpecificationValueError, match=name):
        _read(_leaf(name, op, value))


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        "name = 1",
        {},
        {"op": 1, "field": "name", "value": "x"},
        {"op": None},
        {"op": ["and"]},
        {"op": "and", "conditions": {}},
        {"op": "and", "conditions": "name"},
        {"op": "and", "conditions": [None]},
        {"op": "and", "conditions": [], "$where": "1"},
        {"op": "not", "conditions": []},
        {"op": "not", "conditions": [_leaf("name", "=", "x"), _leaf("name", "=", "y")]},
        {"op": "nor", "conditions": [_leaf("name", "=", "x")]},
        {"op": "=", "conditions": [_leaf("name", "=", "x")]},
        {**_leaf("name", "=", "x"), "registry": "os.system"},
        {**_leaf("name", "=", "x"), "value_type": "builtins.eval"},
        {"op": "=", "field": ["name"], "value": "x"},
    ],
)
def test_another_shape_is_refused(data: object) -> None:
    with pytest.raises(SpecificationError):
        _read(data)


def _wide() -> dict[str, object]:
    return {"op": "or", "conditions": [_leaf("name", "=", "x")] * 1_000}


def _bushy() -> dict[str, object]:
    data: dict[str, object] = _leaf("name", "=", "x")
    for _ in range(7):
        data = {"op": "and", "conditions": [data] * 10}
    return data


@pytest.mark.parametrize(
    "make",
    [
        lambda: _nested(9),
        lambda: _nested(100_000),
        _wide,
        _bushy,
        lambda: _leaf("name", "in", ["x"] * 1_001),
        lambda: _leaf("name", "=", "x" * 1_001),
    ],
    ids=["deep", "bomb", "wide", "bushy", "many values", "long text"],
)
def test_too_much_is_refused_before_it_is_read(make: Callable[[], dict[str, object]]) -> None:
    """F53: a depth bomb ends at the limit, not at the interpreter's recursion limit."""
    with pytest.raises(SpecificationLimitError):
        _read(make())


def test_limits_are_the_callers_choice() -> None:
    assert _read(_nested(9), depth=9).to_dict() == _nested(9)
    with pytest.raises(SpecificationLimitError):
        _read(_nested(2), depth=1)
    with pytest.raises(SpecificationLimitError):
        _read(_nested(2), conditions=2)
