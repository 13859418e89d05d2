"""Fields: how a dotted name is read from an object, and what a class declares for it."""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Mapping
from dataclasses import fields as dataclass_fields
from dataclasses import is_dataclass
from functools import lru_cache
from operator import attrgetter
from typing import (
    Annotated,
    Any,
    Literal,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from pydantic import BaseModel

from cqrs_ddd_core.domain.specification.values import FieldKind, kind_of_type
from cqrs_ddd_core.primitives.exceptions import SpecificationValueError, UnknownFieldError

__all__ = ["FieldKinds", "field_kind", "field_reader", "kind_of_annotation", "split_path"]

#: Tells what a field holds and raises ``UnknownFieldError`` for a name that is not declared.
FieldKinds = Callable[[str], FieldKind]

_SEGMENT = re.compile(r"(?!__)[^\W\d][\w-]*")


def split_path(name: str) -> tuple[str, ...]:
    """Return the segments of a dotted field name.

    Raises:
        SpecificationValueError: A segment is no identifier (hyphens are allowed inside) or
            begins with two underscores.
    """
    path = tuple(name.split("."))
    if not all(_SEGMENT.fullmatch(segment) for segment in path):
        raise SpecificationValueError(name, "this is no field name")
    return path


# --- reading ------------------------------------------------------------------------------------


def field_reader(name: str) -> Callable[[object], object]:
    """Return a function that reads the field from a pydantic model, dataclass or mapping.

    Only declared fields are ever read. A name the object's own class does not declare raises
    ``UnknownFieldError``; below the first level and in mappings a missing name reads ``None``,
    as it does in a stored document.
    """
    first, *rest = split_path(name)

    def read(candidate: object) -> object:
        if isinstance(candidate, Mapping):
            value = candidate.get(first)
        else:
            getter = _getter(candidate, first)
            if getter is None:
                raise UnknownFieldError(first, type(candidate).__name__)
            value = getter(candidate)
        for segment in rest:
            value = _step(value, segment)
        return value

    return read


def _step(value: object, segment: str) -> object:
    if value is None:
        return None
    if isinstance(value, Mapping):
        return value.get(segment)
    getter = _getter(value, segment)
    return None if getter is None else getter(value)


def _getter(value: object, name: str) -> Callable[[object], object] | None:
    return _class_getter(type(value), name)  # type: ignore[arg-type]  # a class is hashable


@lru_cache(maxsize=4096)
def _class_getter(owner: type, name: str) -> Callable[[object], object] | None:
    return attrgetter(name) if name in _annotations(owner) else None


@lru_cache(maxsize=1024)
def _annotations(owner: type) -> Mapping[str, object]:
    if issubclass(owner, BaseModel):
        computed = owner.model_computed_fields
        return {name: info.annotation for name, info in owner.model_fields.items()} | {
            name: info.return_type for name, info in computed.items()
        }
    if is_dataclass(owner):
        hints = get_type_hints(owner)
        return {info.name: hints[info.name] for info in dataclass_fields(owner)}
    return {}


# --- declared kinds -----------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def field_kind(owner: type, name: str) -> FieldKind:
    """Return what a pydantic model or dataclass declares for a dotted field name.

    Raises:
        UnknownFieldError: It declares no such field.
    """
    found: set[object] = {owner}
    for segment in split_path(name):
        found = {inner for outer in found for inner in _inner(outer, segment)}
        if not found:
            raise UnknownFieldError(name, owner.__name__)
    return _common_kind(found)


def kind_of_annotation(annotation: object) -> FieldKind:
    """Return what a field with that annotation holds, such as ``Decimal | None``."""
    return _common_kind(_alternatives(annotation))


def _inner(annotation: object, segment: str) -> set[object]:
    base = get_origin(annotation) or annotation
    if base in (Any, object):
        return {Any}
    if isinstance(base, type) and issubclass(base, Mapping):
        return _alternatives((*get_args(annotation), Any, Any)[1])
    if isinstance(annotation, type) and segment in _annotations(annotation):
        return _alternatives(_annotations(annotation)[segment])
    return set()


def _alternatives(annotation: object) -> set[object]:
    """Return the types a value of that annotation may have, without ``None``."""
    origin = get_origin(annotation)
    if origin is Annotated or hasattr(annotation, "__supertype__"):
        return _alternatives(getattr(annotation, "__supertype__", None) or get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return {found for part in get_args(annotation) for found in _alternatives(part)}
    if origin is Literal:
        return {type(value) for value in get_args(annotation)}
    if isinstance(annotation, TypeVar):
        default = getattr(annotation, "__default__", None)
        return _alternatives(default if isinstance(default, type) else annotation.__bound__ or Any)
    return set() if annotation in (None, type(None)) else {annotation}


def _common_kind(annotations: set[object]) -> FieldKind:
    kinds = {_single_kind(annotation) for annotation in annotations}
    if len(kinds) == 1:
        return kinds.pop()
    if kinds and all(kind.family is FieldKind.DECIMAL for kind in kinds):
        return FieldKind.DECIMAL
    json_kinds = {FieldKind.BOOLEAN, FieldKind.INTEGER, FieldKind.FLOAT, FieldKind.TEXT}
    return FieldKind.JSON if kinds and kinds <= json_kinds else FieldKind.OBJECT


def _single_kind(annotation: object) -> FieldKind:
    if annotation in (Any, object):
        return FieldKind.JSON
    return kind_of_type(annotation) if isinstance(annotation, type) else FieldKind.OBJECT
