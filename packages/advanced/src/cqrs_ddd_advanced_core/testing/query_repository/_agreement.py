"""Whatever is asked, the answer is that of memory."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cqrs_ddd_advanced_core.testing.query_repository._suite import (
    QueryRepositorySubject,
    QuerySuite,
    for_every_example,
    ids_of,
)
from cqrs_ddd_core.domain.query_options import QueryOptions
from cqrs_ddd_core.domain.specification import Specification, field
from cqrs_ddd_core.domain.specification import SpecificationOperator as Op
from cqrs_ddd_core.testing.specimens import (
    Address,
    Specimen,
    query_options,
    specifications,
    specimens,
)

__all__ = ["AgreementTests"]

_NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class AgreementTests(QuerySuite):
    @for_every_example
    @given(items=specimens(), wanted=st.lists(specifications(), min_size=1, max_size=6))
    async def test_it_finds_what_is_satisfied_in_memory(
        self,
        subject: QueryRepositorySubject,
        items: list[Specimen],
        wanted: list[Specification],
    ) -> None:
        repository = await subject.fill_specimens(items)
        for specification in wanted:
            expected = ids_of(QueryOptions(specification).apply(items))
            assert ids_of(await repository.query(specification)) == expected, specification
            assert await repository.count(specification) == len(expected), specification
            assert await repository.exists(specification) is bool(expected), specification

    @for_every_example
    @given(items=specimens(), wanted=st.lists(query_options(), min_size=1, max_size=4))
    async def test_it_orders_and_pages_as_in_memory(
        self, subject: QueryRepositorySubject, items: list[Specimen], wanted: list[QueryOptions]
    ) -> None:
        repository = await subject.fill_specimens(items)
        for options in wanted:
            assert ids_of(await repository.query(options)) == ids_of(options.apply(items)), options

    @for_every_example
    @given(
        items=specimens(),
        specification=specifications(),
        options=query_options(),
        size=st.integers(1, 3),
    )
    async def test_pages_behind_cursors_are_the_pages_at_offsets(
        self,
        subject: QueryRepositorySubject,
        items: list[Specimen],
        specification: Specification,
        options: QueryOptions,
        size: int,
    ) -> None:
        repository = await subject.fill_specimens(items)
        asked = QueryOptions(specification, options.ordering, limit=size)
        expected = ids_of(QueryOptions(specification, options.ordering).apply(items))
        cursor: str | None = None
        for offset in range(0, len(expected) + 1, size):
            page = await repository.page(asked.after_cursor(cursor))
            skipped = asked.with_pagination(limit=size, offset=offset)
            assert ids_of(page) == expected[offset : offset + size]
            assert ids_of(await repository.query(skipped)) == ids_of(page)
            assert page.has_more is (offset + size < len(expected))
            cursor = page.next_cursor
            if cursor is None:
                break

    @for_every_example
    @given(items=specimens())
    async def test_what_is_read_is_what_was_written(
        self, subject: QueryRepositorySubject, items: list[Specimen]
    ) -> None:
        repository = await subject.fill_specimens(items)
        found = await repository.get_many([item.id for item in items])
        assert list(found.values()) == items
        for item in items:
            for name, value in vars(item).items():
                assert isinstance(getattr(found[item.id], name), type(value)), name

    @pytest.mark.parametrize(
        "specification, expected",
        [
            (field("total") == Decimal("0.1"), "a"),
            (field("total") == Decimal("0.10000000000000000001"), "b"),
            (field("total") > Decimal("0.1"), "bc"),
            (field("total") == Decimal("12345678901234567890.123456789"), "c"),
            (field("total") >= Decimal("12345678901234567890.12345679"), ""),
            (field("total").is_(Op.BETWEEN, (0, Decimal("0.1"))), "a"),
        ],
    )
    async def test_decimals_are_exact_to_the_last_digit(
        self, subject: QueryRepositorySubject, specification: Specification, expected: str
    ) -> None:
        totals = ["0.100", "0.10000000000000000001", "12345678901234567890.123456789"]
        repository = await subject.fill_specimens(
            Specimen(id=one, total=Decimal(total)) for one, total in zip("abc", totals, strict=True)
        )
        assert ids_of(await repository.query(specification)) == list(expected)

    async def test_instants_are_compared_whatever_zone_they_are_written_in(
        self, subject: QueryRepositorySubject
    ) -> None:
        west, east = timezone(-timedelta(hours=9, minutes=30)), timezone(timedelta(hours=14))
        repository = await subject.fill_specimens(
            [
                Specimen(id="a", at=_NOON.astimezone(east)),
                Specimen(id="b", at=_NOON + timedelta(microseconds=1)),
                Specimen(id="c", at=(_NOON - timedelta(hours=1)).astimezone(west)),
                Specimen(id="d"),
            ]
        )
        for moment in (_NOON, _NOON.astimezone(west), _NOON.replace(tzinfo=None)):
            assert ids_of(await repository.query(field("at") == moment)) == ["a"]
            assert ids_of(await repository.query(field("at") > moment)) == ["b"]
            assert ids_of(await repository.query(field("at") < moment)) == ["c"]
        assert ids_of(await repository.query(QueryOptions().with_ordering("-at"))) == list("bacd")

    @pytest.mark.parametrize(
        "specification, expected",
        [
            (field("details.size") == 5, "a"),
            (field("details.size") == 5.0, "a"),
            (field("details.size") == "5", "b"),
            (field("details.size") == True, "c"),  # noqa: E712 - it builds a specification
            (field("details.size") != 5, "bcde"),
            (field("details.size").is_(Op.IS_NULL), "de"),
            (field("details.inner.the-label").is_(Op.ICONTAINS, "É'%"), "e"),
            (field("details.inner.the-label").is_(Op.FTS, "100 É"), "e"),
            (field("details.size.deeper").is_(Op.IS_NOT_NULL), ""),
            (field("address.city") == "Ü", "a"),
            (field("tags").is_(Op.IS_NOT_NULL), "abcde"),
        ],
    )
    async def test_a_path_leads_into_json(
        self, subject: QueryRepositorySubject, specification: Specification, expected: str
    ) -> None:
        label = {"inner": {"the-label": "x É'% 100"}}
        repository = await subject.fill_specimens(
            [
                Specimen(id="a", details={"size": 5}, address=Address(city="Ü")),
                Specimen(id="b", details={"size": "5"}, address=Address()),
                Specimen(id="c", details={"size": True}),
                Specimen(id="d", details={"size": None}),
                Specimen(id="e", details=label),
            ]
        )
        assert ids_of(await repository.query(specification)) == list(expected)

    @pytest.mark.parametrize(
        "value, expected",
        [
            ("red shoe", "abe"),
            ("SHOE Red", "abe"),
            ("shoes", "c"),
            ("sho", ""),
            ("größe", "d"),
            ("GRÖSSE", ""),
            ("42", "abd"),
            ("x" * 300, "f"),
            ("x" * 299, ""),
            ("x" * 300 + " tail", "f"),
            ("it", "g"),
            ("日本語", "g"),
            ("日本", ""),
            # Only ASCII ends a word.
            ("東京", ""),
            ("東京\u3000大阪", "g"),
        ],
        ids=lambda value: value[:12],
    )
    async def test_full_text_finds_whole_words_in_any_order(
        self, subject: QueryRepositorySubject, value: str, expected: str
    ) -> None:
        """The column has an index for it where the database offers one."""
        names = [
            "Red shoe, size 42",
            "shoe (red)-42",
            "red shoes",
            "Größe/42",
            "\tRED\nshoe\r",
            "x" * 300 + " tail",
            "it's 日本語, 東京\u3000大阪",
        ]
        repository = await subject.fill_specimens(
            Specimen(id=one, name=name) for one, name in zip("abcdefg", names, strict=True)
        )
        found = await repository.query(field("name").is_(Op.FTS, value))
        assert ids_of(found) == list(expected)
