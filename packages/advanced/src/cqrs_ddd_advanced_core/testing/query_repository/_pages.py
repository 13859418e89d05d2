"""Pages, streams, keys of several columns, chosen fields."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cqrs_ddd_advanced_core.queries import QueryRepository
from cqrs_ddd_advanced_core.testing.query_repository._suite import (
    LINES,
    Line,
    QueryRepositorySubject,
    QuerySuite,
    for_every_example,
)
from cqrs_ddd_core.domain.query_options import QueryOptions
from cqrs_ddd_core.domain.specification import SpecificationBuilder, field
from cqrs_ddd_core.primitives.exceptions import (
    CursorMismatchError,
    SpecificationError,
    SpecificationValueError,
    UnknownFieldError,
)

__all__ = ["PageTests"]

_lines = st.lists(
    st.builds(
        Line,
        st.sampled_from(["o-1", "o-2", "O-1", "ö"]),
        st.integers(-2, 2),
        st.none() | st.sampled_from(["", "a", "A", "ä"]),
        st.sampled_from([Decimal(0), Decimal("0.5"), Decimal(-1)]),
    ),
    max_size=12,
    unique_by=lambda one: (one.order_id, one.line),
)
_orderings = st.lists(
    st.sampled_from(["note", "price", "line", "order_id"]), unique=True, max_size=4
).flatmap(
    lambda names: st.tuples(*(st.sampled_from([name, f"-{name}"]) for name in names)).map(list)
)


@dataclass(frozen=True)
class _Price:
    price: Decimal


class PageTests(QuerySuite):
    @for_every_example
    @given(items=_lines, ordering=_orderings, size=st.integers(1, 4))
    async def test_a_key_of_several_columns_breaks_ties(
        self,
        subject: QueryRepositorySubject,
        items: list[Line],
        ordering: list[str],
        size: int,
    ) -> None:
        lines = await subject.fill_lines(items)
        options = QueryOptions().with_ordering(*ordering).with_pagination(limit=size)
        expected = QueryOptions().with_key(*LINES.key).with_ordering(*ordering).apply(items)
        found: list[Line] = []
        cursor: str | None = None
        while True:
            page = await lines.page(options.after_cursor(cursor))
            found += page.items
            cursor = page.next_cursor
            if cursor is None:
                break
        assert found == expected
        streamed = QueryOptions().with_ordering(*ordering)
        assert [line async for line in lines.stream(streamed, batch_size=size)] == expected

    async def test_a_page_says_whether_more_follow_and_how_many_there_are(
        self, subject: QueryRepositorySubject
    ) -> None:
        lines = await subject.fill_lines(Line("o", number) for number in range(5))
        options = QueryOptions(field("line") > 0).with_pagination(limit=2)
        first = await lines.page(options, with_total=True)
        assert ([line.line for line in first], first.has_more, first.total) == ([1, 2], True, 4)
        last = await lines.page(options.after_cursor(first.next_cursor), with_total=True)
        assert ([line.line for line in last], last.has_more, last.total) == ([3, 4], False, 4)
        assert last.next_cursor is None
        assert (await lines.page(field("line") > 9)).items == []
        with pytest.raises(SpecificationError, match="room"):
            await lines.page(options.with_pagination(limit=0))

    async def test_rows_added_and_removed_meanwhile_move_no_other_row(
        self, subject: QueryRepositorySubject
    ) -> None:
        lines = await subject.fill_lines(Line("o", number) for number in range(0, 10, 2))
        options = QueryOptions().with_ordering("-line").with_pagination(limit=2)
        first = await lines.page(options)
        assert [line.line for line in first] == [8, 6]
        # The row the cursor stands for is gone, one came before it and one behind it.
        await subject.fill_lines(Line("o", number) for number in (9, 8, 5, 4, 2, 0))
        second = await lines.page(options.after_cursor(first.next_cursor))
        assert [line.line for line in second] == [5, 4]

    async def test_a_cursor_of_another_order_or_condition_is_refused(
        self, subject: QueryRepositorySubject
    ) -> None:
        lines = await subject.fill_lines([Line("o", 1), Line("o", 2)])
        options = QueryOptions().with_ordering("price").with_pagination(limit=1)
        cursor = (await lines.page(options)).next_cursor
        for other in (
            QueryOptions(limit=1),
            QueryOptions(limit=1).with_ordering("-price"),
            QueryOptions(field("line") > 0, limit=1).with_ordering("price"),
        ):
            with pytest.raises(CursorMismatchError):
                await lines.page(other.after_cursor(cursor))

    async def test_the_documented_query_works(self, subject: QueryRepositorySubject) -> None:
        lines = await subject.fill_lines(
            Line("o", number, "ab"[number % 2], Decimal(number)) for number in range(5)
        )
        spec = SpecificationBuilder().where("note", "==", "a").where("price", ">", 0)
        options = (
            QueryOptions()
            .with_specification(spec)
            .with_ordering("price", desc=True)
            .with_pagination(limit=20, offset=0)
        )
        assert [line.line for line in await lines.query(options)] == [4, 2]
        assert [line.line for line in await lines.query(spec)] == [2, 4]
        assert await lines.first(options.with_ordering("line")) == Line("o", 4, "a", Decimal(4))
        assert await lines.first(field("price") > 9) is None

    async def test_a_stream_ends_at_its_limit_and_begins_at_its_offset(
        self, subject: QueryRepositorySubject
    ) -> None:
        lines = await subject.fill_lines(Line("o", number) for number in range(9))
        options = QueryOptions().with_pagination(limit=5, offset=2)
        assert [line.line async for line in lines.stream(options, batch_size=2)] == [2, 3, 4, 5, 6]
        whole = [line.line async for line in lines.stream(batch_size=3)]
        assert whole == list(range(9))
        with pytest.raises(SpecificationError):
            await anext(lines.stream(batch_size=0))

    async def test_chosen_fields_come_as_rows(self, subject: QueryRepositorySubject) -> None:
        """S-24: an unknown or a part of a field is refused, and so is a choice for objects."""
        lines = await subject.fill_lines([Line("o", 1, "x"), Line("o", 2)])
        chosen = QueryOptions(field("line") > 0).with_ordering("-line").with_fields("note")
        assert await lines.rows(chosen) == [{"note": None}, {"note": "x"}]
        assert list((await lines.rows())[0]) == list(LINES.columns)
        with pytest.raises(UnknownFieldError):
            await lines.rows(QueryOptions().with_fields("note", "prize"))
        with pytest.raises(SpecificationError, match="rows"):
            await lines.query(chosen)

    async def test_objects_with_fewer_fields_are_read_in_any_order(
        self, subject: QueryRepositorySubject
    ) -> None:
        lines = await subject.fill_lines(
            Line("o", number, price=Decimal(number % 2)) for number in range(3)
        )
        prices: QueryRepository[_Price] = lines.read_as(_Price)
        options = QueryOptions().with_ordering("-line").with_pagination(limit=2)
        page = await prices.page(options)
        assert page.items == [_Price(Decimal(0)), _Price(Decimal(1))]
        assert (await prices.page(options.after_cursor(page.next_cursor))).items == [
            _Price(Decimal(0))
        ]

    async def test_what_has_no_order_is_not_ordered_by(
        self, subject: QueryRepositorySubject
    ) -> None:
        specimens = await subject.fill_specimens([])
        for name in ("details", "details.size", "tags", "address.city"):
            with pytest.raises(SpecificationValueError):
                await specimens.query(QueryOptions().with_ordering(name))
