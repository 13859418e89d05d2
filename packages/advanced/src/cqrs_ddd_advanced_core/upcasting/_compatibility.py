"""Whether everything that was written under one schema can be read under another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from cqrs_ddd_advanced_core.upcasting._schema import Schema, resolve

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["BreakingChange", "breaking_changes"]


class BreakingChange(NamedTuple):
    """What of the old shape is lost in the new one, and in which field."""

    field: str
    reason: str


def breaking_changes(old: Schema, new: Schema) -> list[BreakingChange]:
    """Return why payloads of the old schema cannot all be read under the new one.

    Beyond that no field may go, for somebody may read it.
    """
    return list(_Comparison(old, new).compare("", old, new))


_LOWER = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_UPPER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_INNER = {"items": "[]", "additionalProperties": "{}", "propertyNames": "{key}"}
# Compared each in its own way, or without meaning for the values.
_HANDLED = {
    *_LOWER,
    *_UPPER,
    *_INNER,
    *("type", "format", "enum", "const", "properties", "required", "prefixItems"),
    *("$defs", "default", "discriminator"),
}


_References: TypeAlias = tuple[str | None, str | None]


class _Comparison:
    def __init__(
        self, old: Schema, new: Schema, under_way: frozenset[_References] = frozenset()
    ) -> None:
        self._old, self._new = old, new
        self._under_way = under_way

    def compare(self, field: str, old: Schema, new: Schema) -> Iterator[BreakingChange]:
        news = _branches(new, self._new)
        for branch in _branches(old, self._old):
            changes = [list(self._single(field, branch, other)) for other in news]
            if [] not in changes:
                yield from self._nearest(field, branch, news, changes)

    def _nearest(
        self, field: str, old: Schema, news: list[Schema], changes: list[list[BreakingChange]]
    ) -> list[BreakingChange]:
        if len(changes) == 1:
            return changes[0]
        kind = _kind(resolve(old, self._old))
        kinds = [_kind(resolve(new, self._new)) for new in news]
        same = [found for other, found in zip(kinds, changes, strict=True) if other == kind]
        return min(same, key=len, default=[BreakingChange(field, f"no longer takes {kind}")])

    def _single(self, field: str, old: Schema, new: Schema) -> Iterator[BreakingChange]:
        pair = old.get("$ref"), new.get("$ref")
        if all(pair) and pair in self._under_way:
            # A type that contains itself: what holds outside holds inside.
            return
        inside = _Comparison(self._old, self._new, self._under_way | {pair})
        yield from inside._changes(field, resolve(old, self._old), resolve(new, self._new))

    def _changes(self, field: str, old: Schema, new: Schema) -> Iterator[BreakingChange]:
        if _is_narrower_type(old, new):
            yield BreakingChange(field, f"was {_kind(old)}, is {_kind(new)}")
            return
        for reason in (*_values(old, new), *_limits(old, new), *_others(old, new)):
            yield BreakingChange(field, reason)
        yield from self._properties(field, old, new)
        for keyword, mark in _INNER.items():
            yield from self._inner(f"{field}{mark}", old.get(keyword), new.get(keyword))
        if old.get("additionalProperties") and not _takes_more(new):
            yield BreakingChange(f"{field}{{}}", "was removed")
        for index, items in enumerate(zip(*_tuples(old, new), strict=False)):
            yield from self.compare(f"{field}[{index}]", *items)

    def _properties(self, field: str, old: Schema, new: Schema) -> Iterator[BreakingChange]:
        before, after = old.get("properties", {}), new.get("properties", {})
        if not after and "properties" not in new:
            return
        for name, schema in before.items():
            inner = f"{field}.{name}" if field else name
            if name in after:
                yield from self.compare(inner, schema, after[name])
            else:
                yield BreakingChange(inner, "was removed")
        for name in sorted(set(new.get("required", ())) - set(old.get("required", ()))):
            was = "was optional" if name in before else "is new"
            yield BreakingChange(f"{field}.{name}" if field else name, f"{was}, and required now")

    def _inner(self, field: str, old: Any, new: Any) -> Iterator[BreakingChange]:
        if isinstance(new, dict):
            yield from self.compare(field, old if isinstance(old, dict) else {}, new)


def _branches(schema: Schema, root: Schema) -> list[Schema]:
    resolved = resolve(schema, root)
    branches = resolved.get("anyOf") or resolved.get("oneOf")
    if branches is None:
        return [schema]
    return [inner for branch in branches for inner in _branches(branch, root)]


def _takes_more(schema: Schema) -> bool:
    return "type" not in schema or schema.get("additionalProperties", False) is not False


def _tuples(old: Schema, new: Schema) -> tuple[list[Schema], list[Schema]]:
    return old.get("prefixItems", []), new.get("prefixItems", [])


def _kind(schema: Schema) -> str:
    kind = schema.get("type", "anything")
    return f"{kind} ({schema['format']})" if "format" in schema else str(kind)


def _is_narrower_type(old: Schema, new: Schema) -> bool:
    if "type" not in new or _kind(old) == _kind(new):
        return False
    return (_kind(old), _kind(new)) != ("integer", "number")


def _values(old: Schema, new: Schema) -> Iterator[str]:
    before, after = _listed(old), _listed(new)
    if after is None:
        return
    if before is None:
        yield f"takes {', '.join(map(repr, after))} only"
        return
    if gone := [value for value in before if value not in after]:
        yield f"no longer takes {', '.join(map(repr, gone))}"


def _listed(schema: Schema) -> list[Any] | None:
    return [schema["const"]] if "const" in schema else schema.get("enum")


def _limits(old: Schema, new: Schema) -> Iterator[str]:
    for keywords, is_tighter in ((_LOWER, _is_greater), (_UPPER, _is_less)):
        for keyword in keywords:
            before, after = old.get(keyword), new.get(keyword)
            if after is not None and (before is None or is_tighter(after, before)):
                yield f"has {keyword} {after} now, and had {'none' if before is None else before}"


def _is_greater(value: float, other: float) -> bool:
    return value > other


def _is_less(value: float, other: float) -> bool:
    return value < other


def _others(old: Schema, new: Schema) -> Iterator[str]:
    for keyword in sorted(new.keys() - _HANDLED - {"anyOf", "oneOf"}):
        if new[keyword] != old.get(keyword):
            yield f"has {keyword} {new[keyword]!r} now, and had {old.get(keyword, 'none')!r}"
