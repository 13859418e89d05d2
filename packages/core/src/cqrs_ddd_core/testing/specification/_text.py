"""Text is searched literally, and ordered by code point."""

from __future__ import annotations

import pytest

from cqrs_ddd_core.domain.query_options import QueryOptions
from cqrs_ddd_core.domain.specification import SpecificationOperator as Op
from cqrs_ddd_core.domain.specification import field
from cqrs_ddd_core.testing.specification._suite import SpecificationSubject, SpecificationSuite
from cqrs_ddd_core.testing.specimens import Specimen

__all__ = ["TextTests"]


class TextTests(SpecificationSuite):
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
