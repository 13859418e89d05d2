"""Merge strategies by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from cqrs_ddd_advanced_core.conflict.resolution import (
    DeepMergeStrategy,
    FieldLevelMergeStrategy,
    LastWinsStrategy,
    TimestampLastWinsStrategy,
    UnionListMergeStrategy,
)
from cqrs_ddd_core.primitives.exceptions import ConfigurationError

if TYPE_CHECKING:
    from cqrs_ddd_advanced_core.conflict.resolution import IMergeStrategy

__all__ = ["MergeStrategyRegistry", "StrategyFactory"]

#: Makes a strategy of its options: mostly its class.
StrategyFactory: TypeAlias = "Callable[..., IMergeStrategy]"


class MergeStrategyRegistry:
    """Maps names, as configuration files have them, to merge strategies; empty when made."""

    def __init__(self) -> None:
        self._factories: dict[str, StrategyFactory] = {}

    @classmethod
    def get_stock_registry(cls) -> MergeStrategyRegistry:
        """Return a new registry of ``last_wins``, ``field``, ``deep``, ``timestamp``, ``union``."""
        registry = cls()
        registry.register("last_wins", LastWinsStrategy)
        registry.register("field", FieldLevelMergeStrategy)
        registry.register("deep", DeepMergeStrategy)
        registry.register("timestamp", TimestampLastWinsStrategy)
        registry.register("union", UnionListMergeStrategy)
        return registry

    def register(self, name: str, factory: StrategyFactory) -> None:
        """Give a strategy a name; the same pair again changes nothing.

        Raises:
            ConfigurationError: The name is taken.
        """
        if self._factories.setdefault(name, factory) is not factory:
            msg = f"the merge strategy {name!r} is registered already; give this one another name"
            raise ConfigurationError(msg)

    def get(self, name: str) -> StrategyFactory:
        """Return what makes the strategy of that name.

        Raises:
            ConfigurationError: There is none.
        """
        try:
            return self._factories[name]
        except KeyError:
            known = ", ".join(sorted(self._factories)) or "none"
            msg = f"no merge strategy is called {name!r}; registered: {known}"
            raise ConfigurationError(msg) from None

    def create(self, name: str, **options: Any) -> IMergeStrategy:
        """Return a new strategy of that name.

        Raises:
            ConfigurationError: There is none, or it does not take these options.
        """
        factory = self.get(name)
        try:
            return factory(**options)
        except TypeError as error:
            msg = f"the merge strategy {name!r} cannot be made with {options}: {error}"
            raise ConfigurationError(msg) from error
