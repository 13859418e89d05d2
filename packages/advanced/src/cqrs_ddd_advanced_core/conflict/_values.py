"""Copying and comparing the values that states are made of."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from copy import deepcopy
from typing import Any, TypeAlias, TypeGuard

__all__ = ["ListMerge", "copied", "has_identity", "merge_values", "same", "union"]

#: Merges two lists or tuples into a new one.
ListMerge: TypeAlias = Callable[[Any, Any], Any]


def copied(value: Any) -> Any:
    """Return a copy that shares nothing mutable; mappings of any kind become dictionaries."""
    if isinstance(value, Mapping):
        return {name: copied(item) for name, item in value.items()}
    if is_list(value):
        return type(value)(copied(item) for item in value)
    return deepcopy(value)


def is_list(value: Any) -> TypeGuard[list[Any] | tuple[Any, ...]]:
    """Whether it is a plain list or tuple, as a dumped model has them."""
    return type(value) in (list, tuple)


def same(first: Any, second: Any) -> bool:
    """Whether two values are equal; other than in Python, ``True`` is not 1."""
    return _key(first) == _key(second)


def merge_values(existing: Any, incoming: Any, merge_lists: ListMerge) -> Any:
    """Return a new value: mappings merged name by name, lists as told, else the incoming one."""
    if isinstance(incoming, Mapping):
        known = existing if isinstance(existing, Mapping) else {}
        return _merge_mappings(known, incoming, merge_lists)
    if is_list(incoming):
        return merge_lists(existing if is_list(existing) else [], incoming)
    return copied(incoming)


def _merge_mappings(
    existing: Mapping[Any, Any], incoming: Mapping[Any, Any], merge_lists: ListMerge
) -> dict[Any, Any]:
    merged = copied({name: value for name, value in existing.items() if name not in incoming})
    for name, value in incoming.items():
        merged[name] = merge_values(existing.get(name), value, merge_lists)
    return {name: merged[name] for name in {**existing, **incoming}}


def has_identity(item: Any, identity_key: str | None) -> bool:
    """Whether an item of a list says which one it is: 0 and ``""`` are identities, None is not."""
    return isinstance(item, Mapping) and item.get(identity_key) is not None


def union(
    existing: Iterable[Any],
    incoming: Any,
    identity_key: str | None,
    merge_items: Callable[[Any, Any], Any],
) -> Any:
    """Return the existing items in their order, then those incoming that are not among them.

    Items with one identity are merged where the existing one stands; items without identity are
    the same when their values are.
    """
    merged = [copied(item) for item in existing]
    places: dict[Hashable, int] = {}
    for index, item in enumerate(merged):
        places.setdefault(_item_key(item, identity_key), index)
    for item in incoming:
        index = places.setdefault(_item_key(item, identity_key), len(merged))
        if index == len(merged):
            merged.append({} if has_identity(item, identity_key) else copied(item))
        if has_identity(item, identity_key):
            merged[index] = merge_items(merged[index], item)
    return type(incoming)(merged)


def _item_key(item: Any, identity_key: str | None) -> Hashable:
    if has_identity(item, identity_key):
        return "identity", _key(item[identity_key])
    return "value", _key(item)


def _key(value: Any) -> Hashable:
    """Return something hashable that is equal for equal values only."""
    if isinstance(value, bool):
        return bool, value
    if isinstance(value, Mapping):
        return dict, frozenset((_key(name), _key(item)) for name, item in value.items())
    if is_list(value):
        return list, tuple(_key(item) for item in value)
    if isinstance(value, set | frozenset):
        return set, frozenset(_key(item) for item in value)
    try:
        hash(value)
    except TypeError:
        return _Unhashable(value)
    return value  # type: ignore[no-any-return]


class _Unhashable:
    """Lets a value that cannot be hashed, such as a mutable model, be compared in a dictionary."""

    __slots__ = ("_value",)

    def __init__(self, value: Any) -> None:
        self._value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Unhashable) and bool(self._value == other._value)

    def __hash__(self) -> int:
        return hash(type(self._value))
