"""What every evaluator of specifications must do: what evaluation in memory does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cqrs_ddd_core.domain.query_options import QueryOptions
from cqrs_ddd_core.domain.specification import AttributeSpecification, SpecificationBuilder, field
from cqrs_ddd_core.domain.specification import SpecificationOperator as Op
from cqrs_ddd_core.primitives.exceptions import (
    SpecificationError,
    SpecificationValueError,
    UnknownFieldError,
)
from cqrs_ddd_core.testing.conformance import Conformance
from cqrs_ddd_core.testing.specimens import (
    INJECTIONS,
    Address,
    Colour,
    Specimen,
    query_options,
    specifications,
    specimens,
)

if TYPE_CHECKING:
    from cqrs_ddd_core.domain.specification import Specification

__all__ = ["SpecificationConformance", "SpecificationSubject"]

_property = settings(
    max_examples=50,
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,  # every example stores its own specimens
        HealthCheck.differing_executors,  # one suite is run by several classes
        HealthCheck.too_slow,
    ],
)


@dataclass(frozen=True)
class SpecificationSubject:
    """An evaluator with a place to store specimens.

    Args:
        store: Keeps these specimens and no others.
        find: Returns the ids of what the options select, in their order.
    """

    store: Callable[[Sequence[Specimen]], Awaitable[None]]
    find: Callable[[QueryOptions], Awaitable[list[str]]]


class SpecificationConformance(Conformance):
    """Every evaluator agrees with evaluation in memory.

    A fraction that needs more digits than a float asks for ``exact_decimals``.
    """

    @pytest.fixture
    def subject(self) -> SpecificationSubject:
        raise NotImplementedError("yield a SpecificationSubject")

    # -- in general ---------------------------------------------------------------------------

    @_property
    @given(items=specimens(), wanted=st.lists(specifications(), min_size=1, max_size=6))
    async def test_it_selects_what_is_satisfied_in_memory(
        self, subject: SpecificationSubject, items: list[Specimen], wanted: list[Specification]
    ) -> None:
        await subject.store(items)
        for specification in wanted:
            options = QueryOptions(specification)
            assert await subject.find(options) == _ids(options.apply(items)), specification

    @_property
    @given(items=specimens(), wanted=st.lists(query_options(), min_size=1, max_size=4))
    async def test_it_orders_and_pages_as_in_memory(
        self, subject: SpecificationSubject, items: list[Specimen], wanted: list[QueryOptions]
    ) -> None:
        await subject.store(items)
        for options in wanted:
            assert await subject.find(options) == _ids(options.apply(items)), options

    @_property
    @given(items=specimens(), options=query_options(), size=st.integers(1, 3))
    async def test_pages_after_cursors_show_everything_once_and_in_order(
        self, subject: SpecificationSubject, items: list[Specimen], options: QueryOptions, size: int
    ) -> None:
        await subject.store(items)
        by_id = {item.id: item for item in items}
        everything = QueryOptions(ordering=options.ordering)
        seen: list[str] = []
        page = everything.with_pagination(limit=size)
        while found := await subject.find(page):
            seen += found
            page = page.with_pagination(limit=size, after=page.cursor(by_id[found[-1]]))
        assert seen == _ids(everything.apply(items))

    # -- null ---------------------------------------------------------------------------------

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

    # -- text ---------------------------------------------------------------------------------

    @pytest.mark.parametrize(
        "operator, value, expected",
        [
            (Op.CONTAINS, "0%", "a"),
            (Op.CONTAINS, "100", "ab"),
            (Op.CONTAINS, "_", "c"),
            (Op.CONTAINS, "\\", "d"),
            (Op.CONTAINS, "*", "e"),
            (Op.CONTAINS, "[", "f"),
            (Op.CONTAINS, "'", "g"),
            (Op.CONTAINS, "", "abcdefghi"),
            (Op.CONTAINS, "WOOL", "c"),
            (Op.ICONTAINS, "WOOL", "bc"),
            (Op.ICONTAINS, "ÄPFEL", "h"),
            (Op.ICONTAINS, "äPFEL", "i"),
            (Op.STARTS_WITH, "100", "ab"),
            (Op.STARTS_WITH, "%", ""),
            (Op.ISTARTS_WITH, "A_B", "c"),
            (Op.ENDS_WITH, "wool", "b"),
            (Op.IENDS_WITH, "WOOL", "bc"),
            (Op.LIKE, "100%", "ab"),
            (Op.LIKE, "100\\%%", "a"),
            (Op.LIKE, "a_b%", "cdefg"),
            (Op.LIKE, "a\\_b%", "c"),
            (Op.LIKE, "a\\\\b", "d"),
            (Op.LIKE, "A%", ""),
            (Op.ILIKE, "A_B", "defg"),
            (Op.LIKE, "_pfel", "i"),
            (Op.LIKE, "", ""),
        ],
    )
    async def test_text_is_searched_literally_where_it_is_no_wildcard(
        self, subject: SpecificationSubject, operator: Op, value: str, expected: str
    ) -> None:
        """S-23."""
        names = ["100% x", "100 wool", "a_b WOOL", "a\\b", "a*b", "a[b", "a'b", "ÄPFEL", "äpfel"]
        await subject.store(
            [
                Specimen(id=item_id, name=name)
                for item_id, name in zip("abcdefghi", names, strict=True)
            ]
        )
        assert await subject.find(QueryOptions(field("name").is_(operator, value))) == list(
            expected
        )

    @pytest.mark.parametrize(
        "value, expected",
        [
            ("new york", "ab"),
            ("YORK new", "ab"),
            ("yorker", "c"),
            ("york", "ab"),
            ("ork", ""),
            ("käse", "d"),
            ("KäSE 12", "d"),
            ("1", ""),
        ],
    )
    async def test_full_text_finds_whole_words_in_any_order(
        self, subject: SpecificationSubject, value: str, expected: str
    ) -> None:
        names = ["New York", "in York (new)!", "new yorker", "käse-12"]
        await subject.store(
            [Specimen(id=item_id, name=name) for item_id, name in zip("abcd", names, strict=True)]
        )
        assert await subject.find(QueryOptions(field("name").is_(Op.FTS, value))) == list(expected)

    async def test_text_is_ordered_by_code_point(self, subject: SpecificationSubject) -> None:
        names = [
            "",
            " ",
            "-a",
            "A",
            "B",
            "_",
            "a",
            "aa",
            "b",
            "z",
            "Ä",
            "ä",
            "日",
            "\uff5e",
            "\U0001f4bf",
        ]
        await subject.store([Specimen(id=f"i{hash(name)}", name=name) for name in reversed(names)])
        for index, name in enumerate(names):
            found = await subject.find(QueryOptions(field("name") < name))
            assert set(found) == {f"i{hash(smaller)}" for smaller in names[:index]}
        ordered = await subject.find(QueryOptions().with_ordering("name"))
        assert ordered == [f"i{hash(name)}" for name in names]

    # -- values -------------------------------------------------------------------------------

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
            (field("active") != True, "bcd"),  # noqa: E712
            (field("colour") == Colour.BLUE, "a"),
            (field("colour") == "Blue", "a"),
            (field("colour") == "green", ""),
            (field("colour") != "green", "abcd"),
            (field("colour").in_(["green", "red"]), "b"),
            (field("details.size") == 1, "a"),
            (field("details.size") == "1", "b"),
            (field("details.size") == True, "c"),  # noqa: E712
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

    @pytest.mark.needs("exact_decimals")
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

    # -- safety -------------------------------------------------------------------------------

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


def _ids(found: list[Specimen]) -> list[str]:
    return [item.id for item in found]
