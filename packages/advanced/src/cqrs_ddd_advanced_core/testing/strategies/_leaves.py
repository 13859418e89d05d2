"""Values of the types that have no parts: numbers, texts, moments."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from math import ceil, floor
from types import NoneType
from typing import TYPE_CHECKING, Any, Final, cast
from uuid import UUID

from hypothesis import strategies as st
from pydantic import AwareDatetime, NaiveDatetime
from pydantic.fields import FieldInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from hypothesis.strategies import SearchStrategy

    Limits = Mapping[str, Any]

__all__ = ["FEW", "JSON", "LEAVES", "limits_in"]

_LIMITS: Final = (
    *("ge", "gt", "le", "lt", "multiple_of", "max_digits", "decimal_places"),
    *("min_length", "max_length", "pattern"),
)
#: How many items a collection has at most, if nobody says so.
FEW: Final = 5
_MUCH: Final = 10**15
_PLACES: Final = 6
_CHARACTERS: Final = st.characters(exclude_categories=["Cs"])  # surrogates are no text
_TEXTS: Final = st.text(_CHARACTERS)
_EARLIEST: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - the zone is given to the strategy
_LATEST: Final = datetime(2100, 1, 1)  # noqa: DTZ001
_YEARS: Final = timedelta(days=3650)

JSON: Final[SearchStrategy[Any]] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _TEXTS,
    lambda inner: st.lists(inner, max_size=FEW) | st.dictionaries(_TEXTS, inner, max_size=FEW),
    max_leaves=FEW,
)


def limits_in(metadata: Iterable[Any]) -> Limits:
    """Return the constraints in the metadata of a field or of ``Annotated``, by name."""
    found: dict[str, Any] = {}
    for one in metadata:
        if isinstance(one, FieldInfo):
            found |= limits_in(one.metadata)
        elif getattr(one, "__is_annotated_types_grouped_metadata__", False):
            found |= limits_in(one)
        else:
            values = {name: getattr(one, name, None) for name in _LIMITS}
            found |= {name: value for name, value in values.items() if value is not None}
    return found


def _bounds(limits: Limits) -> tuple[Any, Any]:
    return limits.get("ge", limits.get("gt")), limits.get("le", limits.get("lt"))


def _inside(values: SearchStrategy[Any], limits: Limits) -> SearchStrategy[Any]:
    """Leave out the bounds that do not count themselves."""
    if "gt" in limits:
        values = values.filter(lambda value: value > limits["gt"])
    if "lt" in limits:
        values = values.filter(lambda value: value < limits["lt"])
    return values


def _integers(limits: Limits) -> SearchStrategy[int]:
    low, high = _bounds(limits)
    step = _step(limits)
    return _inside(
        st.integers(*_counts(low, high, step)).map(lambda count: int(count * step)), limits
    )


def _floats(limits: Limits) -> SearchStrategy[float]:
    low, high = _bounds(limits)
    if "multiple_of" in limits:
        step = _step(limits)
        counts = st.integers(*_counts(low, high, step))
        return _inside(counts.map(lambda count: float(count * step)), limits)
    return _inside(st.floats(low, high, allow_nan=False, allow_infinity=False), limits)


def _decimals(limits: Limits) -> SearchStrategy[Decimal]:
    steps = [Decimal(str(limits["multiple_of"]))] if "multiple_of" in limits else _places(limits)
    choices = (_multiples_of(step, *_decimal_counts(limits, step)) for step in steps)
    return _inside(st.one_of(*choices), limits)


def _multiples_of(step: Decimal, first: int, last: int) -> SearchStrategy[Decimal]:
    if first > last:
        return st.nothing()
    return st.integers(first, last).map(lambda count: count * step)


def _places(limits: Limits) -> list[Decimal]:
    most = min(limits.get("max_digits", _PLACES), limits.get("decimal_places", _PLACES))
    return [Decimal(1).scaleb(-places) for places in range(most + 1)]


def _decimal_counts(limits: Limits, step: Decimal) -> tuple[int, int]:
    low, high = _bounds(limits)
    most = _MUCH + sum(abs(bound) for bound in (low, high) if bound is not None)
    if "max_digits" in limits:
        most = (10 ** limits["max_digits"] - 1) * step
    lowest = -most if low is None else max(low, -most)
    highest = most if high is None else min(high, most)
    return cast("tuple[int, int]", _counts(lowest, highest, Fraction(step)))


def _step(limits: Limits) -> Fraction:
    return Fraction(str(limits.get("multiple_of", 1)))


def _counts(low: Any, high: Any, step: Fraction) -> tuple[int | None, int | None]:
    """Return how often a step fits below the bounds."""
    first = None if low is None else ceil(Fraction(low) / step)
    return first, None if high is None else floor(Fraction(high) / step)


def _texts(limits: Limits) -> SearchStrategy[str]:
    least, most = limits.get("min_length", 0), limits.get("max_length")
    if "pattern" not in limits:
        return st.text(_CHARACTERS, min_size=least, max_size=most)
    matching = st.from_regex(limits["pattern"], alphabet=_CHARACTERS)
    return matching.filter(lambda text: least <= len(text) and (most is None or len(text) <= most))


def _bytes(limits: Limits) -> SearchStrategy[bytes]:
    # Pydantic writes bytes as UTF-8.
    return _texts(limits).map(str.encode)


def _moments(
    between: Callable[[Any, Any], SearchStrategy[Any]], earliest: Any, latest: Any
) -> Callable[[Limits], SearchStrategy[Any]]:
    def within(limits: Limits) -> SearchStrategy[Any]:
        low, high = (_without_zone(bound) for bound in _bounds(limits))
        found = between(earliest if low is None else low, latest if high is None else high)
        return _inside(found, limits)

    return within


def _without_zone(bound: Any) -> Any:
    if isinstance(bound, datetime) and bound.tzinfo is not None:
        return bound.astimezone(UTC).replace(tzinfo=None)
    return bound


def _aware(earliest: datetime, latest: datetime) -> SearchStrategy[datetime]:
    return st.datetimes(earliest, latest, timezones=st.just(UTC))


LEAVES: Final[dict[Any, Callable[[Limits], SearchStrategy[Any]]]] = {
    Any: lambda _: JSON,
    object: lambda _: JSON,
    None: lambda _: st.none(),
    NoneType: lambda _: st.none(),
    bool: lambda _: st.booleans(),
    int: _integers,
    float: _floats,
    Decimal: _decimals,
    str: _texts,
    bytes: _bytes,
    UUID: lambda _: st.uuids(),
    datetime: _moments(_aware, _EARLIEST, _LATEST),
    AwareDatetime: _moments(_aware, _EARLIEST, _LATEST),
    NaiveDatetime: _moments(st.datetimes, _EARLIEST, _LATEST),
    date: _moments(st.dates, _EARLIEST.date(), _LATEST.date()),
    time: _moments(st.times, time.min, time.max),
    timedelta: _moments(st.timedeltas, -_YEARS, _YEARS),
}
