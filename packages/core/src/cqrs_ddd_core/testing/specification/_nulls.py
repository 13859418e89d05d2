"""A missing value is equal to none, and less than none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cqrs_ddd_core.domain.query_options import QueryOptions
from cqrs_ddd_core.domain.specification import SpecificationBuilder, field
from cqrs_ddd_core.domain.specification import SpecificationOperator as Op
from cqrs_ddd_core.testing.specification._suite import SpecificationSubject, SpecificationSuite
from cqrs_ddd_core.testing.specimens import Address, Specimen

if TYPE_CHECKING:
    from cqrs_ddd_core.domain.specification import Specification

__all__ = ["NullTests"]


class NullTests(SpecificationSuite):
    @pytest.mark.parametrize(
        "specification, expected",
        [
            (field("name") == "a", "a"),
            (field("name") != "a", "bn"),
            (field("name") > "", "ab"),
            (field("name") <= "z", "ab"),
            (~(field("name") > "a"), "an"),
            (~(field("name") <= "z"), "n"),
            (field("name").in_(["a", "b"]), "ab"),
            (field("name").is_(Op.NOT_IN, ["a"]), "bn"),
            (field("name").in_([]), ""),
            (field("name").is_(Op.NOT_IN, []), "abn"),
            (field("name").is_(Op.LIKE, "%"), "ab"),
            (~field("name").is_(Op.CONTAINS, "a"), "bn"),
            (field("name").is_(Op.IS_NULL), "n"),
            (~field("name").is_(Op.IS_NOT_NULL), "n"),
            ((field("name") == "a") | ~(field("name") == "a"), "abn"),
            ((field("name") > "a") & ~(field("name") > "a"), ""),
            (field("address.city").is_(Op.IS_NULL), "bn"),
            (field("address.city") != "a", "bn"),
            (field("address").is_(Op.IS_NULL), "n"),
            (field("details.size") != 1, "bn"),
            (field("details.size").is_(Op.IS_NULL), "n"),
            (SpecificationBuilder().build(), "abn"),
        ],
    )
    async def test_a_missing_value_is_equal_to_none_and_less_than_none(
        self, subject: SpecificationSubject, specification: Specification, expected: str
    ) -> None:
        await subject.store(
            [
                Specimen(id="a", name="a", address=Address(city="a"), details={"size": 1}),
                Specimen(id="b", name="b", address=Address(), details={"size": "1"}),
                Specimen(id="n", details={"size": None}),
            ]
        )
        assert await subject.find(QueryOptions(specification)) == list(expected)

    @pytest.mark.parametrize("desc, expected", [(False, "nmab"), (True, "banm")])
    async def test_a_missing_value_is_the_smallest_in_an_order(
        self, subject: SpecificationSubject, *, desc: bool, expected: str
    ) -> None:
        names = {"a": "a", "b": "b", "n": None, "m": None}
        await subject.store([Specimen(id=item_id, name=name) for item_id, name in names.items()])
        options = QueryOptions().with_ordering("name", desc=desc).with_ordering("id", desc=True)
        assert await subject.find(options) == list(expected)
