"""Query options from client input: declared fields, pages of limited size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cqrs_ddd_core.domain.query_options import QueryOptions
from cqrs_ddd_core.domain.specification import SpecificationLimits, specification_from_dict
from cqrs_ddd_core.primitives.exceptions import (
    SpecificationError,
    SpecificationLimitError,
    UnknownFieldError,
)

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["QueryLimits", "query_options_from_dict", "query_options_to_dict"]

_PARTS = {"where", "order", "limit", "offset", "after", "fields"}


@dataclass(frozen=True, slots=True)
class QueryLimits:
    """How much one client may ask.

    Args:
        page: Objects on a page at most.
        default_page: Objects on a page when the client does not say.
        offset: Objects skipped at most, for the database reads them all; cursors have no limit.
        order: Fields to order by at most.
        condition: How much the condition may ask.
    """

    page: int = 100
    default_page: int = 20
    offset: int = 10_000
    order: int = 5
    condition: SpecificationLimits = field(default_factory=SpecificationLimits)


def query_options_from_dict(
    data: object, *, fields: Mapping[str, Any], limits: QueryLimits | None = None
) -> QueryOptions:
    """Read query options that a client sent as JSON.

    All parts may be left out: ``{"where": {...}, "order": ["-created_at", "total"], "limit": 20,
    "offset": 0, "after": "<cursor>", "fields": ["id", "total"]}``. ``where`` is what
    ``specification_from_dict`` reads. The options always have a limit.

    Args:
        data: Parsed JSON.
        fields: The fields a client may filter and order by and choose, with their types, such as
            ``{"total": Decimal}``.
        limits: How much one client may ask.

    Raises:
        UnknownFieldError: A field is not among ``fields``.
        SpecificationLimitError: It asks for more than the limits.
        SpecificationError: It has another shape than described, or means nothing.
    """
    asked, limits = _checked_shape(data), limits or QueryLimits()
    order = _names(asked, "order")
    if len(order) > limits.order:
        msg = f"a query may be ordered by {limits.order} fields"
        raise SpecificationLimitError(msg)
    _check_known([name.removeprefix("-") for name in order], fields)
    options = QueryOptions(
        limit=_count(asked, "limit", limits.default_page, limits.page),
        offset=_count(asked, "offset", 0, limits.offset),
        after=_cursor(asked),
    ).with_ordering(*order)
    if asked.get("fields") is not None:
        chosen = _names(asked, "fields")
        _check_known(chosen, fields)
        options = options.with_fields(*chosen)
    if asked.get("where") is None:
        return options
    where = specification_from_dict(asked["where"], fields=fields, limits=limits.condition)
    return options.with_specification(where)


def query_options_to_dict(options: QueryOptions) -> dict[str, Any]:
    """Return options as JSON-able data for ``query_options_from_dict``; the key is not part."""
    data: dict[str, Any] = {
        "where": options.specification.to_dict() if options.specification else None,
        "order": [str(ordering) for ordering in options.ordering] or None,
        "limit": options.limit,
        "offset": options.offset or None,
        "after": options.after,
        "fields": None if options.fields is None else list(options.fields),
    }
    return {name: value for name, value in data.items() if value is not None}


def _checked_shape(data: object) -> Mapping[str, Any]:
    if not isinstance(data, Mapping):
        msg = f"query options are an object, not {type(data).__name__}"
        raise SpecificationError(msg)
    other = sorted(str(name) for name in data.keys() - _PARTS)
    if other:
        msg = f"unknown keys {', '.join(other)}; query options have {', '.join(sorted(_PARTS))}"
        raise SpecificationError(msg)
    return data


def _names(asked: Mapping[str, Any], part: str) -> list[str]:
    names = asked.get(part)
    if names is None:
        return []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        msg = f"{part!r} is a list of field names"
        raise SpecificationError(msg)
    return names


def _check_known(names: Collection[str], fields: Mapping[str, Any]) -> None:
    for name in names:
        if name not in fields:
            raise UnknownFieldError(name, "this query")


def _count(asked: Mapping[str, Any], part: str, default: int, most: int) -> int:
    value = asked.get(part)
    if value is None:
        return default
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        msg = f"{part!r} is a number of objects"
        raise SpecificationError(msg)
    if value > most:
        msg = f"{part!r} may be {most} at most"
        raise SpecificationLimitError(msg)
    return value


def _cursor(asked: Mapping[str, Any]) -> str | None:
    cursor = asked.get("after")
    if cursor is None or isinstance(cursor, str):
        return cursor
    msg = "'after' is the cursor of the page before, a text"
    raise SpecificationError(msg)
