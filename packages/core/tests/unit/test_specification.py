"""Specifications: the laws of the tree, its builder, and what it refuses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import IntEnum
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, computed_field

from cqrs_ddd_core.domain.specification import (
    AndSpecification,
    AttributeSpecification,
    FieldKind,
    OrSpecification,
    Specification,
    SpecificationBuilder,
    SpecificationOperator,
    field,
    field_kind,
)
from cqrs_ddd_core.domain.specification.patterns import TextPattern
from cqrs_ddd_core.primitives.exceptions import (
    SpecificationError,
    SpecificationLimitError,
    SpecificationValueError,
    UnknownFieldError,
    UnknownOperatorError,
)
from cqrs_ddd_core.testing.specimens import Specimen, specifications, specimen

# -- laws ------------------------------------------------------------------------------------------


@given(specimen(), specifications(), specifications())
def test_not_of_and_is_or_of_nots(
    item: Specimen, left: Specification, right: Specification
) -> None:
    """De Morgan."""
    assert (~(left & right)).is_satisfied_by(item) is (~left | ~right).is_satisfied_by(item)
    assert (~(left | right)).is_satisfied_by(item) is (~left & ~right).is_satisfied_by(item)


@given(specimen(), specifications())
def test_a_condition_or_its_opposite_is_met_and_never_both(
    item: Specimen, specification: Specification
) -> None:
    assert (specification | ~specification).is_satisfied_by(item)
    assert not (specification & ~specification).is_satisfied_by(item)


@given(specifications())
def test_not_twice_is_the_condition_itself(specification: Specification) -> None:
    assert ~~specification == specification


@given(specimen(), specifications(), specifications(), specifications())
def test_and_or_are_associative(
    item: Specimen, a: Specification, b: Specification, c: Specification
) -> None:
    assert ((a & b) & c) == (a & (b & c))
    assert ((a | b) | c) == (a | (b | c))
    expected = a.is_satisfied_by(item) and b.is_satisfied_by(item) and c.is_satisfied_by(item)
    assert (a & b & c).is_satisfied_by(item) is expected


@given(specimen(), specifications(), specifications(), specifications())
def test_the_builder_says_what_the_operators_say(
    item: Specimen, a: Specification, b: Specification, c: Specification
) -> None:
    built = (
        SpecificationBuilder()
        .add(a)
        .or_group()
        .add(b)
        .not_group()
        .add(a)
        .add(c)
        .end_group()
        .and_group()
        .add(b)
        .add(c)
        .end_group()
        .end_group()
        .build()
    )
    written = a & (b | ~(a & c) | (b & c))
    assert built.is_satisfied_by(item) is written.is_satisfied_by(item)


@given(st.text("aAb%_\\", max_size=8), st.text("aAb%_\\", max_size=8))
def test_a_text_contains_what_python_finds_in_it(text: str, part: str) -> None:
    contains = SpecificationOperator.CONTAINS
    assert TextPattern.of(contains, part).matches(text) is (part in text)
    starts, ends = SpecificationOperator.STARTS_WITH, SpecificationOperator.ENDS_WITH
    assert TextPattern.of(starts, part).matches(text) is text.startswith(part)
    assert TextPattern.of(ends, part).matches(text) is text.endswith(part)


def test_a_hostile_pattern_takes_no_exponential_time() -> None:
    pattern = TextPattern.of(SpecificationOperator.LIKE, "%a" * 30 + "%b")
    assert not pattern.matches("a" * 2_000)


# -- building --------------------------------------------------------------------------------------


def test_the_documented_example_builds() -> None:
    spec = (
        SpecificationBuilder()
        .where("customer_id", "==", "cust_123")
        .where("status", "in", ["pending", "confirmed"])
        .where("total", ">", 100)
    )
    assert spec.build() == (
        (field("customer_id") == "cust_123")
        & field("status").in_(["pending", "confirmed"])
        & (field("total") > 100)
    )


def test_both_signs_of_equality_are_one_operator() -> None:
    builder = SpecificationBuilder()
    assert builder.where("a", "==", 1).build() == AttributeSpecification(
        "a", SpecificationOperator.EQUAL, 1
    )
    assert SpecificationOperator.parse("==") is SpecificationOperator.parse("=")


def test_a_builder_without_conditions_is_met_by_everything() -> None:
    assert SpecificationBuilder().build().is_satisfied_by({})


def test_a_builder_goes_on_after_it_was_built() -> None:
    builder = SpecificationBuilder().where("a", "=", 1)
    first = builder.build()
    second = builder.where("b", "=", 2).build()
    assert first == (field("a") == 1)
    assert second == (field("a") == 1) & (field("b") == 2)


@pytest.mark.parametrize(
    "builder, reason",
    [
        (SpecificationBuilder().or_group().where("a", "=", 1), "still open"),
        (SpecificationBuilder().not_group(), "still open"),
    ],
)
def test_an_open_group_is_refused(builder: SpecificationBuilder, reason: str) -> None:
    with pytest.raises(SpecificationError, match=reason):
        builder.build()


def test_a_group_that_was_never_opened_or_never_filled_cannot_end() -> None:
    with pytest.raises(SpecificationError, match="without a group"):
        SpecificationBuilder().end_group()
    with pytest.raises(SpecificationError, match="no conditions"):
        SpecificationBuilder().or_group().end_group()


def test_a_thousand_conditions_stay_one_level_deep() -> None:
    specification: Specification = field("a") == 0
    for number in range(1, 5_000):
        specification = specification | (field("a") == number)
    assert isinstance(specification, OrSpecification)
    assert len(specification.parts) == 5_000
    assert specification.is_satisfied_by({"a": 4_999})


def test_true_and_one_are_different_conditions() -> None:
    """C-13: equal specifications may share a cached result."""
    assert (field("a") == True) != (field("a") == 1)  # noqa: E712 - they build specifications
    assert (field("a") == 1) == (field("a") == 1.0)
    assert hash(field("a") == 1) == hash(
        AttributeSpecification("a", SpecificationOperator.EQUAL, 1)
    )


def test_specifications_are_immutable() -> None:
    leaf = field("a").in_([1, 2])
    with pytest.raises(AttributeError):
        leaf.value = 3  # type: ignore[attr-defined]
    assert isinstance(leaf, AttributeSpecification)
    assert leaf.value == (1, 2)


# -- reading ---------------------------------------------------------------------------------------


@dataclass
class Line:
    product: str
    quantity: int


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Basket(BaseModel):
    lines: list[Line] = []
    first: Line | None = None
    level: Level = Level.LOW
    limit: int | float | None = None
    payment: Line | Specimen | None = None
    _secret: str = "s"

    @computed_field  # type: ignore[prop-decorator]
    @property
    def size(self) -> int:
        return len(self.lines)

    @property
    def hidden(self) -> int:
        return 1


@pytest.mark.parametrize(
    "candidate",
    [
        Basket(first=Line("tea", 2)),
        {"first": {"product": "tea", "quantity": 2}},
        {"first": Line("tea", 2)},
    ],
)
def test_models_dataclasses_and_mappings_are_read_alike(candidate: object) -> None:
    specification = (field("first.product") == "tea") & (field("first.quantity") > 1)
    assert specification.is_satisfied_by(candidate)
    assert not (field("first.quantity") > 2).is_satisfied_by(candidate)


def test_enums_are_their_values_and_computed_fields_are_fields() -> None:
    basket = Basket(level=Level.HIGH)
    assert (field("level") == Level.HIGH).is_satisfied_by(basket)
    assert (field("level") == 2).is_satisfied_by(basket)
    assert (field("size") == 0).is_satisfied_by(basket)


@pytest.mark.parametrize(
    "name", ["model_fields", "hidden", "_secret", "copy", "nothing", "first_", "model_config"]
)
def test_only_declared_fields_are_read(name: str) -> None:
    """F54: a name is never an attribute look-up."""
    with pytest.raises(UnknownFieldError):
        (field(name) == 1).is_satisfied_by(Basket())
    with pytest.raises(UnknownFieldError):
        field_kind(Basket, name)


def test_below_the_first_level_a_missing_name_is_null() -> None:
    basket = Basket(payment=Line("tea", 1))
    for name in ("payment.nothing", "payment.count", "payment.product.upper"):
        assert field(name).is_(SpecificationOperator.IS_NULL).is_satisfied_by(basket)


@pytest.mark.parametrize(
    "name, kind",
    [
        ("lines", FieldKind.OBJECT),
        ("first", FieldKind.OBJECT),
        ("first.product", FieldKind.TEXT),
        ("level", FieldKind.INTEGER),
        ("limit", FieldKind.DECIMAL),
        ("payment.count", FieldKind.INTEGER),
        ("payment.address.city", FieldKind.TEXT),
        ("payment.details.any.thing", FieldKind.JSON),
        ("payment.at", FieldKind.INSTANT),
        ("size", FieldKind.INTEGER),
    ],
)
def test_a_class_declares_the_kinds_of_its_fields(name: str, kind: FieldKind) -> None:
    assert field_kind(Basket, name) is kind


@pytest.mark.parametrize("name", ["lines.product", "first.nothing", "level.value", "size.real"])
def test_a_path_that_leads_nowhere_is_refused(name: str) -> None:
    with pytest.raises(UnknownFieldError):
        field_kind(Basket, name)


def test_a_time_without_a_zone_counts_as_utc() -> None:
    naive = datetime(2024, 1, 1)  # noqa: DTZ001 - the case in question
    assert (field("at") == datetime(2024, 1, 1, tzinfo=UTC)).is_satisfied_by({"at": naive})
    assert (field("at") == naive).is_satisfied_by({"at": datetime(2024, 1, 1, tzinfo=UTC)})


@pytest.mark.parametrize(
    "value, other",
    [
        (1, True),
        ("1", 1),
        (date(2024, 1, 1), datetime(2024, 1, 1, tzinfo=UTC)),
        (UUID(int=1), str(UUID(int=1))),
        ([], 1),
        (float("nan"), 1),
    ],
)
def test_other_kinds_are_never_equal_and_have_no_order(value: object, other: Any) -> None:
    candidate: Mapping[str, object] = {"a": value}
    for specification in (
        field("a") == other,
        field("a") >= other,
        field("a") <= other,
        field("a").in_([other]),
    ):
        assert not specification.is_satisfied_by(candidate)
    assert (field("a") != other).is_satisfied_by(candidate)


# -- refusing --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "operator, value",
    [
        ("=", None),
        ("=", {"$ne": None}),
        ("=", ["a"]),
        ("=", b"a"),
        ("=", object()),
        ("=", float("inf")),
        ("=", float("nan")),
        ("=", Decimal("NaN")),
        ("=", Decimal("1E+5000")),
        ("=", 2**63),
        ("=", "a\x00b"),
        ("=", "\ud800"),
        ("in", "abc"),
        ("in", 1),
        ("in", [None]),
        ("in", [1, "a"]),
        ("in", [1, True]),
        ("in", [["a"]]),
        ("between", [1]),
        ("between", [1, 2, 3]),
        ("between", None),
        ("contains", 1),
        ("like", "a\\"),
        ("fts", "..."),
        ("is_null", 1),
        ("is_not_null", False),
    ],
)
def test_a_value_that_means_nothing_is_refused(operator: str, value: object) -> None:
    """F53: an object is never a value."""
    with pytest.raises(SpecificationValueError, match="'a'"):
        SpecificationBuilder().where("a", operator, value)


@pytest.mark.parametrize(
    "operator", ["", "===", "$ne", "regex", "EQ", "=; DROP TABLE x", "__eq__", "and", "or"]
)
def test_an_operator_outside_the_list_is_refused(operator: str) -> None:
    """M-10: never taken for equality."""
    with pytest.raises(UnknownOperatorError, match="use one of"):
        SpecificationBuilder().where("a", operator, 1)


@pytest.mark.parametrize(
    "name",
    [
        *("", ".", "a.", ".a", "a..b", "__class__", "a.__dict__", "a b", "a'b", 'a"b', "a)b"),
        *("$where", "a[0]", "0", "a.0", "a;b", "a\nb", "a\x00", "-a", "a->>b", "a%s"),
    ],
)
def test_a_name_that_is_no_field_name_is_refused(name: str) -> None:
    """F53, F54."""
    with pytest.raises(SpecificationValueError):
        field(name) == 1  # noqa: B015 - it builds a specification


def test_too_much_is_refused() -> None:
    with pytest.raises(SpecificationLimitError):
        field("a").in_(range(10_001))
    with pytest.raises(SpecificationLimitError):
        field("a") == "x" * 10_001  # noqa: B015 - as above


def test_everything_and_nothing_have_a_form() -> None:
    assert AndSpecification(()).is_satisfied_by({})
    assert not OrSpecification(()).is_satisfied_by({})
