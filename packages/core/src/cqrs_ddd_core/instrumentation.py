"""Hooks: code of others that is told what happens, by name."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any, NamedTuple, Protocol, TypeAlias

__all__ = ["HookPredicate", "HookRegistry", "InstrumentationHook"]

_logger = logging.getLogger(__name__)

#: Decides, from an operation's name and details, whether a hook is told.
HookPredicate: TypeAlias = Callable[[str, Mapping[str, Any]], bool]


class InstrumentationHook(Protocol):
    """An async function, or an object with async ``__call__``, that watches operations."""

    @abstractmethod
    async def __call__(self, operation: str, details: Mapping[str, Any], /) -> None:
        """Take note of an operation such as ``command:executed``."""
        ...


class _Registration(NamedTuple):
    hook: InstrumentationHook
    operations: str
    predicate: HookPredicate | None
    priority: int


class HookRegistry:
    """Tells hooks about operations, those of higher priority first, then as registered.

    It is a plain object that the application passes around, so that hooks registered in one task
    are seen by all (C-14). Hooks only watch: what one raises is logged and counted, and changes
    nothing for the operation.
    """

    def __init__(self) -> None:
        self._registrations: list[_Registration] = []
        self._matching: dict[str, tuple[_Registration, ...]] = {}
        self._failures = 0

    @property
    def failures(self) -> int:
        """How often a hook or its predicate has raised so far."""
        return self._failures

    def register(
        self,
        hook: InstrumentationHook,
        *,
        operations: str = "*",
        predicate: HookPredicate | None = None,
        priority: int = 0,
    ) -> Callable[[], None]:
        """Tell a hook about operations whose name matches.

        Args:
            hook: What is called.
            operations: A name or a pattern with ``*`` and ``?``, such as ``command:*``.
            predicate: Asked each time, when the name matches.
            priority: Higher ones are told first.

        Returns:
            A function that takes the hook out again.
        """
        registration = _Registration(hook, operations, predicate, priority)
        self._registrations.append(registration)
        self._matching.clear()

        def unregister() -> None:
            if registration in self._registrations:
                self._registrations.remove(registration)
                self._matching.clear()

        return unregister

    def watches(self, operation: str) -> bool:
        """Whether any hook may want to know of the operation."""
        return bool(self._find(operation))

    async def notify(self, operation: str, details: Mapping[str, Any]) -> None:
        """Tell the hooks, one after the other, what happened."""
        for registration in self._find(operation):
            try:
                if registration.predicate is None or registration.predicate(operation, details):
                    await registration.hook(operation, details)
            except Exception:
                self._failures += 1
                _logger.exception("a hook failed at %s", operation)

    def _find(self, operation: str) -> tuple[_Registration, ...]:
        found = self._matching.get(operation)
        if found is None:
            matching = [
                one for one in self._registrations if fnmatchcase(operation, one.operations)
            ]
            matching.sort(key=lambda one: -one.priority)
            found = self._matching[operation] = tuple(matching)
        return found
