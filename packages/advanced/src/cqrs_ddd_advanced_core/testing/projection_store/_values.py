"""Which values go into which columns, and come back as they were."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import pytest

from cqrs_ddd_advanced_core.domain.projection_exceptions import ProjectionValueError
from cqrs_ddd_advanced_core.testing.projection_store._suite import (
    EVERYTHING,
    VALUES,
    ProjectionStoreSuite,
    apply,
    change,
)
from cqrs_ddd_core.testing.samples import MOMENT

if TYPE_CHECKING:
    from cqrs_ddd_advanced_core.ports.projection_store import IProjectionStore

__all__ = ["ValueTests"]


class _Colour(StrEnum):
    RED = "red"


class _Size(IntEnum):
    LARGE = 3


_MAYBE: Final = {name.replace("some_", "maybe_"): value for name, value in VALUES.items()}


class ValueTests(ProjectionStoreSuite):
    """Which values go into which columns."""

    async def test_values_come_back_as_they_were(self, store: IProjectionStore) -> None:
        values = {**VALUES, **_MAYBE}
        assert await _kept(store, values) == values

    async def test_nothing_comes_back_as_nothing(self, store: IProjectionStore) -> None:
        values = {**VALUES, **dict.fromkeys(_MAYBE)}
        assert await _kept(store, values) == values

    @pytest.mark.parametrize(
        "values",
        [
            {"some_str": "", "some_bytes": b"", "some_dict": {}, "some_list": []},
            {"some_int": -(2**63), "some_float": -1e300, "some_decimal": Decimal("-0.00001")},
            {"some_bool": False, "some_int": 0, "some_float": 0.0, "some_decimal": Decimal(0)},
            {"some_datetime": datetime(1, 1, 2, tzinfo=UTC), "some_date": date(1, 1, 1)},
            {"some_datetime": datetime(9999, 12, 30, 23, 59, 59, 999_999, tzinfo=UTC)},
        ],
    )
    async def test_the_edges_are_kept(
        self, store: IProjectionStore, values: dict[str, Any]
    ) -> None:
        kept = await _kept(store, {**VALUES, **values})
        assert {name: kept[name] for name in values} == values

    async def test_types_that_fit_become_those_of_the_columns(
        self, store: IProjectionStore
    ) -> None:
        paris = timezone(timedelta(hours=1))
        kept = await _kept(
            store,
            {
                **VALUES,
                "some_int": _Size.LARGE,
                "some_float": 3,
                "some_decimal": 3,
                "some_str": _Colour.RED,
                "some_datetime": MOMENT.astimezone(paris),
                "some_list": ("a", "b"),
            },
        )
        names = ("some_int", "some_float", "some_decimal", "some_str", "some_datetime", "some_list")
        found = [kept[name] for name in names]
        assert found == [3, 3.0, Decimal(3), "red", MOMENT, ["a", "b"]]
        assert [type(value) for value in found] == [int, float, Decimal, str, datetime, list]
        assert kept["some_datetime"].utcoffset() == timedelta(0)

    @pytest.mark.parametrize(
        "column, value",
        [
            ("some_bool", 1),
            ("some_int", True),
            ("some_int", 1.0),
            ("some_int", "1"),
            ("some_int", 2**63),
            ("some_float", "1.0"),
            ("some_float", float("nan")),
            ("some_float", float("inf")),
            ("some_decimal", 0.1),
            ("some_decimal", Decimal("NaN")),
            ("some_str", 1),
            ("some_str", "a\0b"),
            ("some_str", "\ud800"),
            ("some_bytes", "text"),
            ("some_datetime", MOMENT.replace(tzinfo=None)),
            ("some_datetime", MOMENT.date()),
            ("some_date", MOMENT),
            ("some_uuid", str(UUID(int=1))),
            ("some_dict", [1]),
            ("some_list", {"a": 1}),
            ("some_dict", {"a": object()}),
            ("some_str", None),
            ("some_dict", None),
        ],
    )
    async def test_a_value_that_does_not_fit_is_refused(
        self, store: IProjectionStore, column: str, value: Any
    ) -> None:
        with pytest.raises(ProjectionValueError, match=column):
            await apply(store, change(1, 1, **{**VALUES, column: value}), schema=EVERYTHING)
        assert await store.count(EVERYTHING) == 0

    async def test_a_new_row_needs_what_has_no_default(self, store: IProjectionStore) -> None:
        with pytest.raises(ProjectionValueError, match="customer"):
            await apply(store, change(1, adds={"lines": 1}))

    async def test_a_key_that_does_not_fit_is_refused(self, store: IProjectionStore) -> None:
        for key in (1, None):
            with pytest.raises(ProjectionValueError, match="id"):
                await apply(store, change(1, key, customer="Ada"))

    async def test_what_was_given_can_be_changed_later(self, store: IProjectionStore) -> None:
        values = {**VALUES, "some_list": [1], "some_dict": {"a": [1]}}
        await apply(store, change(1, 1, **values), schema=EVERYTHING)
        values["some_list"].append(2)
        values["some_dict"]["a"].append(2)
        for _ in range(2):
            row = (await store.fetch(EVERYTHING, [(1,)]))[1,]
            assert (row["some_list"], row["some_dict"]) == ([1], {"a": [1]})
            row["some_list"].append(3)
            row["some_dict"]["a"].append(3)


async def _kept(store: IProjectionStore, values: dict[str, Any]) -> dict[str, Any]:
    await apply(store, change(1, 1, **values), schema=EVERYTHING)
    row = (await store.fetch(EVERYTHING, [(1,)]))[1,]
    return {name: row[name] for name in values}
