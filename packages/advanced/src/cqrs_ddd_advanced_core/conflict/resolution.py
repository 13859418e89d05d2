"""How the stored state and the state of a writer who came too late become one."""

from __future__ import annotations

from abc import abstractmethod
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from cqrs_ddd_advanced_core.conflict._values import (
    copied,
    has_identity,
    merge_values,
    same,
    union,
)
from cqrs_ddd_advanced_core.domain.exceptions import MergeConflictError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "DeepMergeStrategy",
    "FieldLevelMergeStrategy",
    "IMergeStrategy",
    "LastWinsStrategy",
    "TimestampLastWinsStrategy",
    "UnionListMergeStrategy",
]

#: A state by field name, as ``aggregate.model_dump()`` returns it.
State: TypeAlias = "Mapping[str, Any]"

_ABSENT = object()


class IMergeStrategy(Protocol):
    """Merges two states by field name; keeps nothing, so that one instance serves all.

    The inputs are never changed and the result shares nothing mutable with them. Merging the
    same incoming state once more changes nothing.
    """

    @abstractmethod
    def merge(self, existing: State, incoming: State) -> dict[str, Any]:
        """Return the merged state.

        Args:
            existing: What is stored.
            incoming: What the later writer wants; fields it leaves out it does not care about.

        Raises:
            MergeConflictError: The strategy cannot decide.
        """
        ...


class LastWinsStrategy(IMergeStrategy):
    """The incoming state replaces the existing one, whole."""

    def merge(self, existing: State, incoming: State) -> dict[str, Any]:  # noqa: ARG002 - the port
        return dict(copied(incoming))


class FieldLevelMergeStrategy(IMergeStrategy):
    """Each field of the incoming state replaces the existing one's, whole.

    Given the ``base`` that the incoming state was made from, it is a three-way merge: a field
    that the later writer did not change keeps its existing value, and one that both changed to
    different values is a conflict. Without it nobody can tell, and the incoming value wins.

    Args:
        ignore_conflicts: The incoming value wins where both changed a field.
        include_fields: Only these may be changed.
        exclude_fields: These may not.
    """

    def __init__(
        self,
        *,
        ignore_conflicts: bool = False,
        include_fields: Iterable[str] | None = None,
        exclude_fields: Iterable[str] | None = None,
    ) -> None:
        self._ignore_conflicts = ignore_conflicts
        self._included = None if include_fields is None else frozenset(include_fields)
        self._excluded = frozenset(exclude_fields or ())

    def merge(self, existing: State, incoming: State, base: State | None = None) -> dict[str, Any]:
        """Return the merged state.

        Args:
            existing: What is stored.
            incoming: What the later writer wants.
            base: What the later writer had read.

        Raises:
            MergeConflictError: Both changed a field since ``base``.
        """
        changes = {name: value for name, value in incoming.items() if self._may_change(name)}
        if base is not None:
            changes = _changed_since(base, changes)
            if not self._ignore_conflicts:
                _refuse_collisions(base, existing, changes)
        return {**copied(existing), **copied(changes)}

    def _may_change(self, name: str) -> bool:
        return name not in self._excluded and (self._included is None or name in self._included)


class DeepMergeStrategy(IMergeStrategy):
    """Merges nested states field by field, and lists item by item where items have an identity.

    Items with the same identity are merged in place, others are added at the end; none are
    removed, for nobody can tell a removed item from one that was not there yet. A list without
    identities is replaced, or gets the items it lacks when ``append_lists`` is set; items without
    identity are told apart by value. Where types differ, the incoming value wins.

    Args:
        append_lists: Whether lists without identities keep their existing items.
        list_identity_key: The field that says which item of a list it is; ``None`` when none
            does.
    """

    def __init__(self, *, append_lists: bool = False, list_identity_key: str | None = "id") -> None:
        self._append_lists = append_lists
        self._identity_key = list_identity_key

    def merge(self, existing: State, incoming: State) -> dict[str, Any]:
        return dict(self._merge(existing, incoming))

    def _merge(self, existing: Any, incoming: Any) -> Any:
        return merge_values(existing, incoming, self._merge_lists)

    def _merge_lists(self, existing: Any, incoming: Any) -> Any:
        if self._append_lists or self._have_identities((*existing, *incoming)):
            return union(existing, incoming, self._identity_key, self._merge)
        return copied(incoming)

    def _have_identities(self, items: Iterable[Any]) -> bool:
        return any(has_identity(item, self._identity_key) for item in items)


class TimestampLastWinsStrategy(IMergeStrategy):
    """The state with the later timestamp wins, whole; at equal times the existing one.

    Args:
        timestamp_field: Holds a datetime, its ISO text, or a number.
        fallback_to_incoming: Which state wins when one has no timestamp: the incoming one, or
            the existing one.
    """

    def __init__(
        self, timestamp_field: str = "modified_at", *, fallback_to_incoming: bool = False
    ) -> None:
        self._field = timestamp_field
        self._fallback_to_incoming = fallback_to_incoming

    def merge(self, existing: State, incoming: State) -> dict[str, Any]:
        return dict(copied(incoming if self._is_later(existing, incoming) else existing))

    def _is_later(self, existing: State, incoming: State) -> bool:
        stored, new = self._time_of(existing), self._time_of(incoming)
        if stored is None or new is None:
            return self._fallback_to_incoming
        try:
            return bool(new > stored)
        except TypeError as error:
            reason = f"{stored!r} and {new!r} cannot be compared: {error}"
            raise MergeConflictError([self._field], reason) from error

    def _time_of(self, state: State) -> Any:
        value = state.get(self._field)
        if not isinstance(value, str):
            return value
        try:
            return datetime.fromisoformat(value)
        except ValueError as error:
            raise MergeConflictError([self._field], f"{value!r} is no ISO timestamp") from error


class UnionListMergeStrategy(IMergeStrategy):
    """Lists keep their items and get those they lack; every other incoming value wins.

    An incoming item replaces the existing one of the same identity, whole; items without
    identity are told apart by value. Lists in nested states are merged as well.

    Args:
        identity_key: The field that says which item of a list it is.
    """

    def __init__(self, identity_key: str = "id") -> None:
        self._merge_lists = partial(
            union, identity_key=identity_key, merge_items=lambda _, item: copied(item)
        )

    def merge(self, existing: State, incoming: State) -> dict[str, Any]:
        return dict(merge_values(existing, incoming, self._merge_lists))


def _changed_since(base: State, state: State) -> dict[str, Any]:
    return {
        name: value for name, value in state.items() if not same(value, base.get(name, _ABSENT))
    }


def _refuse_collisions(base: State, existing: State, changes: State) -> None:
    theirs = _changed_since(base, existing)
    # A field they removed was changed by them too.
    theirs.update({name: _ABSENT for name in base if name not in existing})
    both = sorted(
        name for name, value in changes.items() if name in theirs and not same(value, theirs[name])
    )
    if both:
        raise MergeConflictError(both, "both sides changed it since the base")
