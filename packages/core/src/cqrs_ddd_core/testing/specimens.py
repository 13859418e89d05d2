"""What specifications are tried on: awkward objects, and the specifications and pages to try."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from hypothesis import strategies as st
from pydantic import BaseModel

from cqrs_ddd_core.domain.query_options import QueryOptions
from cqrs_ddd_core.domain.specification import AttributeSpecification, Specification, words
from cqrs_ddd_core.domain.specification import SpecificationOperator as Op

__all__ = [
    "INJECTIONS",
    "Address",
    "Colour",
    "Specimen",
    "query_options",
    "specifications",
    "specimen",
    "specimens",
]

#: Values and names that would do harm where they became a part of a statement.
INJECTIONS = (
    "x'] OR true OR payload ?| ARRAY['y",
    "a'] || pg_sleep(5) --",
    "' OR '1'='1",
    "'; DROP TABLE specimens; --",
    "\"}'); DROP TABLE specimens; --",
    "$where",
    "{$ne: null}",
    "%s %(name)s :name ? $1 {a}",
    "\\",
    "\\'",
)


class Colour(StrEnum):
    RED = "red"
    BLUE = "Blue"


class Address(BaseModel):
    city: str | None = None


class Specimen(BaseModel):
    """One object with every kind of field, each of which may be missing."""

    id: str
    name: str | None = None
    colour: Colour | None = None
    total: Decimal | None = None
    score: float | None = None
    count: int | None = None
    active: bool | None = None
    at: datetime | None = None
    day: date | None = None
    reference: UUID | None = None
    address: Address | None = None
    tags: list[str] = []
    details: dict[str, Any] = {}


# Wildcards of LIKE and GLOB, quotes, both cases, a combining mark, and two characters whose order
# differs between code points and UTF-16.
_CHARACTERS = "aAbBzZ09%_\\*?[]^-!.{}'\"$ \tßäÄéE\u0301日\uff5e\U0001f4bf"
_TEXTS = st.text(_CHARACTERS, max_size=5)
_MONEY = st.decimals(min_value=-9999, max_value=9999, places=2) | st.sampled_from(
    [
        Decimal(text)
        for text in ("0", "-0.00", "9.5", "9.50", "10", "1E+2", "100.0", "-1E-7", "1E-7")
    ]
)
_FLOATS = st.floats(-1e6, 1e6).map(lambda number: round(number, 3)) | st.sampled_from(
    [0.1, 0.1 + 0.2, 0.3, 1e22, -1e-9, 5e-324, 1.7976931348623157e308]
)
_INTEGERS = st.integers(-5, 5) | st.sampled_from([2**31, -(2**31), 2**53 + 1, 2**63 - 1, -(2**63)])
_ZONES = st.sampled_from(
    [UTC, timezone(timedelta(hours=2)), timezone(-timedelta(hours=9, minutes=30))]
)
_MILLENNIUM = datetime(2000, 1, 1)  # noqa: DTZ001 - the zones are drawn
_TIMES = st.datetimes(
    _MILLENNIUM, _MILLENNIUM + timedelta(days=99), timezones=_ZONES
) | st.sampled_from(
    [
        datetime(2000, 2, 29, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(2000, 2, 29, 23, 59, 59, 999_500, tzinfo=UTC),
        datetime(2000, 3, 1, 2, tzinfo=timezone(timedelta(hours=2))),
        datetime(2000, 3, 1, tzinfo=UTC),
        datetime(2000, 3, 1, 0, 0, 0, 1, tzinfo=UTC),
    ]
)
_DAYS = st.dates(date(1999, 12, 30), date(2000, 1, 2)) | st.sampled_from([date.min, date.max])
_UUIDS = st.sampled_from([UUID(int=number) for number in (0, 9, 10, 2**127, 2**128 - 1)])
_COLOURS = st.sampled_from(Colour)
_PLAIN_NUMBERS = st.sampled_from([0, 1, -1, 2, 10, 0.5, 1.0, 1.5, 10.25])
_JSON = st.one_of(_TEXTS, _PLAIN_NUMBERS, st.booleans(), st.none(), st.just([]), st.just(["a"]))


def specimen() -> st.SearchStrategy[Specimen]:
    """Return single specimens."""
    return st.builds(
        Specimen,
        id=st.text("abAB-", min_size=1, max_size=3),
        name=st.none() | _TEXTS,
        colour=st.none() | _COLOURS,
        total=st.none() | _MONEY,
        score=st.none() | _FLOATS,
        count=st.none() | _INTEGERS,
        active=st.none() | st.booleans(),
        at=st.none() | _TIMES,
        day=st.none() | _DAYS,
        reference=st.none() | _UUIDS,
        address=st.none() | st.builds(Address, city=st.none() | _TEXTS),
        tags=st.lists(_TEXTS, max_size=2),
        details=st.dictionaries(st.sampled_from(["size", "the-label"]), _JSON)
        | st.builds(lambda value: {"inner": {"size": value}}, _JSON),
    )


def specimens() -> st.SearchStrategy[list[Specimen]]:
    """Return a few specimens with different ids, out of order."""
    return st.lists(specimen(), max_size=8, unique_by=lambda one: one.id)


# --- specifications -------------------------------------------------------------------------------

_COMPARED: dict[str, st.SearchStrategy[Any]] = {
    "id": st.text("abAB-", max_size=3),
    "name": _TEXTS,
    "total": _MONEY | _INTEGERS | st.sampled_from([9.5, 0.1]),
    "score": _FLOATS | st.sampled_from([0, 1, Decimal("0.1"), Decimal("0.3")]),
    "count": _INTEGERS | st.sampled_from([2.5, Decimal("-0.5"), Decimal("1E+30"), 1.0]),
    "active": st.booleans(),
    "at": _TIMES,
    "day": _DAYS,
    "reference": _UUIDS,
    "address.city": _TEXTS,
    "details.size": _PLAIN_NUMBERS,
    "details.the-label": _TEXTS,
    "details.inner.size": st.booleans(),
}
_ORDERABLE = ["id", "name", "total", "score", "count", "active", "at", "day", "reference"]
_SEARCHED = ["id", "name", "address.city", "details.the-label", "details.size"]
_NULLABLE = [*_COMPARED, "colour", "address", "tags", "details", "details.inner"]


def _comparisons(name: str, values: st.SearchStrategy[Any]) -> st.SearchStrategy[Specification]:
    signs = [Op.EQUAL, Op.NOT_EQUAL, Op.GREATER, Op.GREATER_OR_EQUAL, Op.LESS, Op.LESS_OR_EQUAL]
    return st.one_of(
        st.builds(AttributeSpecification, st.just(name), st.sampled_from(signs), values),
        _memberships(name, values),
        st.builds(AttributeSpecification, st.just(name), st.just(Op.BETWEEN), _pairs(values)),
    )


def _memberships(name: str, values: st.SearchStrategy[Any]) -> st.SearchStrategy[Specification]:
    operators = st.sampled_from([Op.IN, Op.NOT_IN])
    some = st.lists(values, max_size=3)
    return st.builds(AttributeSpecification, st.just(name), operators, some)


def _pairs(values: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, Any]]:
    return st.tuples(values, values)


def _searches() -> st.SearchStrategy[Specification]:
    plain = [Op.CONTAINS, Op.STARTS_WITH, Op.ENDS_WITH]
    folded = [Op.ICONTAINS, Op.ISTARTS_WITH, Op.IENDS_WITH]
    names = st.sampled_from(_SEARCHED)
    patterns = _TEXTS.filter(lambda text: not text.endswith("\\"))
    return st.one_of(
        st.builds(AttributeSpecification, names, st.sampled_from(plain + folded), _TEXTS),
        st.builds(AttributeSpecification, names, st.sampled_from([Op.LIKE, Op.ILIKE]), patterns),
        st.builds(AttributeSpecification, names, st.just(Op.FTS), _TEXTS.filter(words)),
    )


def specifications() -> st.SearchStrategy[Specification]:
    """Return trees of every operator over the fields of a specimen."""
    leaves = st.one_of(
        *(_comparisons(name, values) for name, values in _COMPARED.items()),
        _memberships("colour", _COLOURS),
        _searches(),
        st.builds(
            AttributeSpecification,
            st.sampled_from(_NULLABLE),
            st.sampled_from([Op.IS_NULL, Op.IS_NOT_NULL]),
        ),
    )
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.builds(lambda left, right: left & right, inner, inner),
            st.builds(lambda left, right: left | right, inner, inner),
            inner.map(lambda one: ~one),
        ),
        max_leaves=6,
    )


def query_options() -> st.SearchStrategy[QueryOptions]:
    """Return orders and pages of everything."""
    orderings = st.dictionaries(st.sampled_from(_ORDERABLE), st.booleans(), max_size=3)
    return st.builds(_options, orderings, st.none() | st.integers(0, 4), st.integers(0, 3))


def _options(orderings: dict[str, bool], limit: int | None, offset: int) -> QueryOptions:
    options = QueryOptions(limit=limit, offset=offset)
    for name, desc in orderings.items():
        options = options.with_ordering(name, desc=desc)
    return options
