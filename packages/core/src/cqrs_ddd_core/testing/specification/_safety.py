"""Names and values of strangers do no harm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cqrs_ddd_core.domain.query_options import QueryOptions
from cqrs_ddd_core.domain.specification import AttributeSpecification, field
from cqrs_ddd_core.domain.specification import SpecificationOperator as Op
from cqrs_ddd_core.primitives.exceptions import (
    SpecificationError,
    SpecificationValueError,
    UnknownFieldError,
)
from cqrs_ddd_core.testing.specification._suite import SpecificationSubject, SpecificationSuite
from cqrs_ddd_core.testing.specimens import INJECTIONS, Address, Specimen

if TYPE_CHECKING:
    from cqrs_ddd_core.domain.specification import Specification

__all__ = ["SafetyTests"]


class SafetyTests(SpecificationSuite):
    @pytest.mark.parametrize("hostile", INJECTIONS)
    async def test_a_hostile_value_is_only_a_value(
        self, subject: SpecificationSubject, hostile: str
    ) -> None:
        """S-22, F53."""
        hostile_row = Specimen(id="h", name=hostile, address=Address(city=hostile))
        await subject.store([hostile_row, Specimen(id="x", name="x", details={"size": "x"})])
        pattern = hostile.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        for specification in (
            field("name") == hostile,
            field("address.city").in_([hostile]),
            field("name").is_(Op.CONTAINS, hostile),
            field("name").is_(Op.LIKE, pattern),
            field("name").is_(Op.BETWEEN, (hostile, hostile)),
        ):
            assert await subject.find(QueryOptions(specification)) == ["h"], specification
        assert await subject.find(QueryOptions(field("details.size") == hostile)) == []
        assert await subject.find(QueryOptions()) == ["h", "x"]

    @pytest.mark.parametrize("hostile", [*INJECTIONS, "__class__", "details.__class__", "a b", ""])
    async def test_a_hostile_field_name_is_refused(
        self, subject: SpecificationSubject, hostile: str
    ) -> None:
        """F53, F54."""
        for name in (hostile, f"details.{hostile}"):
            with pytest.raises(SpecificationError):
                await subject.find(QueryOptions(AttributeSpecification(name, Op.EQUAL, "x")))
            with pytest.raises(SpecificationError):
                await subject.find(QueryOptions().with_ordering(name))

    async def test_an_undeclared_field_is_refused(self, subject: SpecificationSubject) -> None:
        """S-24: never ignored."""
        await subject.store([Specimen(id="a")])
        for name in ("nothing", "model_fields", "name.length"):
            with pytest.raises(UnknownFieldError):
                await subject.find(QueryOptions(field(name) == "x"))
            with pytest.raises(UnknownFieldError):
                await subject.find(QueryOptions().with_ordering(name))

    @pytest.mark.parametrize(
        "specification",
        [
            field("total") == "100",
            field("name") > 5,
            field("at") == "2024-01-01T00:00:00Z",
            field("active") == 1,
            field("count") == True,  # noqa: E712 - it builds a specification
            field("total").is_(Op.CONTAINS, "1"),
            field("tags") == "a",
        ],
    )
    async def test_a_value_its_field_can_never_hold_is_refused(
        self, subject: SpecificationSubject, specification: Specification
    ) -> None:
        with pytest.raises(SpecificationValueError):
            await subject.find(QueryOptions(specification))

    @pytest.mark.parametrize("name", ["details.size", "tags", "address"])
    async def test_a_field_without_order_is_refused_in_an_order(
        self, subject: SpecificationSubject, name: str
    ) -> None:
        with pytest.raises(SpecificationValueError):
            await subject.find(QueryOptions().with_ordering(name))
