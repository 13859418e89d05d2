"""Who wins when two writers changed the same thing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, TypeAlias

from cqrs_ddd_advanced_core.conflict._values import copied
from cqrs_ddd_advanced_core.conflict.resolution import IMergeStrategy, LastWinsStrategy
from cqrs_ddd_core.primitives.exceptions import ConfigurationError

__all__ = ["ConflictResolutionPolicy", "ConflictResolver", "CustomResolution"]

#: Gets the existing and the incoming state and returns the merged one.
CustomResolution: TypeAlias = Callable[[Mapping[str, Any], Mapping[str, Any]], Mapping[str, Any]]


class ConflictResolutionPolicy(Enum):
    """Who wins a conflict."""

    #: What is stored stays; the later writer is refused.
    FIRST_WINS = "first_wins"
    #: The later writer's values replace what is stored.
    LAST_WINS = "last_wins"
    #: A merge strategy decides.
    MERGE = "merge"
    #: A function of yours decides.
    CUSTOM = "custom"


class ConflictResolver(IMergeStrategy):
    """Makes one state of two, by a policy.

    Args:
        strategy: Decides for ``MERGE``, which is the policy when a strategy is given.
        policy: Who wins.
        custom: Decides for ``CUSTOM``, which is the policy when it is given.

    Raises:
        ConfigurationError: The policy lacks what it needs, or is given what it would not use.
    """

    def __init__(
        self,
        strategy: IMergeStrategy | None = None,
        *,
        policy: ConflictResolutionPolicy | None = None,
        custom: CustomResolution | None = None,
    ) -> None:
        default = ConflictResolutionPolicy.CUSTOM if custom else ConflictResolutionPolicy.MERGE
        self._policy = policy or default
        self._custom = custom
        self._strategy = strategy
        self._check()

    @property
    def policy(self) -> ConflictResolutionPolicy:
        """Who wins."""
        return self._policy

    def merge(self, existing: Mapping[str, Any], incoming: Mapping[str, Any]) -> dict[str, Any]:
        """Return the state the policy makes of both; for ``FIRST_WINS`` the existing one."""
        if self._policy is ConflictResolutionPolicy.FIRST_WINS:
            return dict(copied(existing))
        if self._custom is not None:
            return dict(copied(self._custom(copied(existing), copied(incoming))))
        return (self._strategy or LastWinsStrategy()).merge(existing, incoming)

    def _check(self) -> None:
        needs = {
            ConflictResolutionPolicy.MERGE: (True, False),
            ConflictResolutionPolicy.CUSTOM: (False, True),
        }.get(self._policy, (False, False))
        if (self._strategy is not None, self._custom is not None) != needs:
            msg = (
                f"the policy {self._policy.name} does not fit what was given: MERGE takes a "
                "strategy, CUSTOM a function as custom=, FIRST_WINS and LAST_WINS neither"
            )
            raise ConfigurationError(msg)
