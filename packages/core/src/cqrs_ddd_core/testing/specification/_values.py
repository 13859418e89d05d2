"""Values compare by what they mean."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from cqrs_ddd_core.domain.query_options import QueryOptions
from cqrs_ddd_core.domain.specification import SpecificationOperator as Op
from cqrs_ddd_core.domain.specification import field
from cqrs_ddd_core.testing.conformance import needs
from cqrs_ddd_core.testing.specification._suite import SpecificationSubject, SpecificationSuite
from cqrs_ddd_core.testing.specimens import Colour, Specimen

if TYPE_CHECKING:
    from cqrs_ddd_core.domain.specification import Specification

__all__ = ["ValueTests"]


class ValueTests(SpecificationSuite):
    @pytest.mark.parametrize(
        "specification, expected",
        [
            (field("total") == 100, "ac"),
            (field("total") == Decimal("100.000"), "ac"),
            (field("total") == 9.5, "b"),
            (field("total") > 10, "ac"),
            (field("total") < Decimal("9.51"), "bd"),
            (field("total").is_(Op.BETWEEN, (Decimal("-1.5"), 100)), "abcd"),
            (field("total").in_([100, Decimal("-1.5")]), "acd"),
            (field("at") == datetime(2024, 2, 29, 23, 30, tzinfo=UTC), "ab"),
            (field("at") > datetime(2024, 2, 29, 23, 30, tzinfo=UTC), "cd"),
            (field("at") < datetime(2024, 2, 29, 23, 30, 0, 2, tzinfo=UTC), "abc"),
            (field("active") == True, "a"),  # noqa: E712 - it builds a specification
            (field("active") != True, "bcd"),  # noqa: E712 - as above
            (field("colour") == Colour.BLUE, "a"),
            (field("colour") == "Blue", "a"),
            (field("colour") == "green", ""),
            (field("colour") != "green", "abcd"),
            (field("colour").in_(["green", "red"]), "b"),
            (field("details.size") == 1, "a"),
            (field("details.size") == "1", "b"),
            (field("details.size") == True, "c"),  # noqa: E712 - as above
            (field("details.size") >= 0, "a"),
            (field("details.inner.size") == 1.0, "d"),
        ],
    )
    async def test_values_compare_by_what_they_mean(
        self, subject: SpecificationSubject, specification: Specification, expected: str
    ) -> None:
        def moment(text: str) -> datetime:
            return datetime.fromisoformat(text)

        rows: list[dict[str, Any]] = [
            {"total": "100.00", "at": moment("2024-02-29T23:30:00+00:00"), "active": True},
            {"total": "9.50", "at": moment("2024-03-01T01:30:00+02:00"), "active": False},
            {"total": "1E+2", "at": moment("2024-02-29T23:30:00.000001+00:00")},
            {"total": "-1.5", "at": moment("2024-02-29T23:30:00.000002+00:00")},
        ]
        sizes: list[dict[str, Any]] = [
            {"details": {"size": 1}, "colour": Colour.BLUE},
            {"details": {"size": "1"}, "colour": Colour.RED},
            {"details": {"size": True}},
            {"details": {"inner": {"size": 1}}},
        ]
        await subject.store(
            [
                Specimen.model_validate({"id": item_id, **row, **size})
                for item_id, row, size in zip("abcd", rows, sizes, strict=True)
            ]
        )
        assert await subject.find(QueryOptions(specification)) == list(expected)

    @needs("exact_decimals")
    async def test_decimals_of_any_length_compare_exactly(
        self, subject: SpecificationSubject
    ) -> None:
        """Money never becomes a float."""
        texts = ["-1E+40", "-123456789012345678901234.5", "-0.1000000000000000000001", "-0.1"]
        texts += ["0", "1E-30", "0.1", "0.1000000000000000000001", "9", "10", "99.99", "100"]
        texts += ["123456789012345678901234.5", "123456789012345678901234.51", "1E+40"]
        totals = [Decimal(text) for text in texts]
        await subject.store(
            [Specimen(id=f"{place:02}", total=total) for place, total in enumerate(totals)]
        )
        ids = [f"{place:02}" for place in range(len(totals))]
        for place, total in enumerate(totals):
            assert await subject.find(QueryOptions(field("total") == total)) == [ids[place]]
            assert await subject.find(QueryOptions(field("total") < total)) == ids[:place]
        descending = QueryOptions().with_ordering("total", desc=True)
        assert await subject.find(descending) == ids[::-1]

    async def test_many_values_fit_in_one_list(self, subject: SpecificationSubject) -> None:
        await subject.store([Specimen(id="a", count=4_999), Specimen(id="b", count=5_000)])
        assert await subject.find(QueryOptions(field("count").in_(range(5_000)))) == ["a"]
