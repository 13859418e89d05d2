"""Command handlers that cope with errors that pass and with writers who were faster."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

from typing_extensions import TypeVar

from cqrs_ddd_advanced_core.conflict import (
    ConflictResolutionPolicy,
    ConflictResolver,
    FieldLevelMergeStrategy,
    IMergeStrategy,
)
from cqrs_ddd_advanced_core.cqrs.conflict_behavior import ConflictBehavior, lost_race_of
from cqrs_ddd_advanced_core.cqrs.pipeline import PipelinedCommandHandler
from cqrs_ddd_advanced_core.cqrs.retry_behavior import RETRYABLE, RetryBehavior
from cqrs_ddd_advanced_core.domain.aggregate_mixin import EventSourcedAggregateMixin
from cqrs_ddd_advanced_core.domain.exceptions import (
    EventSourcingConfigurationError,
    InvalidResolutionError,
)
from cqrs_ddd_core.cqrs.command import Command, CommandResponse
from cqrs_ddd_core.domain.aggregate import AggregateRoot
from cqrs_ddd_core.ports.event_store import StreamId
from cqrs_ddd_core.primitives.exceptions import (
    ConfigurationError,
    LockAcquisitionError,
    OptimisticConcurrencyError,
    TransientPersistenceError,
)

if TYPE_CHECKING:
    from cqrs_ddd_core.ports.middleware import IMiddleware
    from cqrs_ddd_core.ports.repository import IRepository

__all__ = ["ConflictCommandHandler", "ResilientCommandHandler", "RetryableCommandHandler"]

C = TypeVar("C", bound=Command[Any])
R = TypeVar("R", default=Any)

_ENVELOPE = frozenset(Command.model_fields)


class RetryableCommandHandler(PipelinedCommandHandler[C, R]):
    """A command handler whose commands are run again after errors that a new try may heal.

    Each try has a unit of work of its own and sees fresh state; the former one was rolled back.

    Attributes:
        max_retries: How often after the first try.
        retry_delay: Seconds before the first retry.
        exponential_backoff: Whether each further wait is twice as long as the one before.
        max_retry_delay: Seconds no wait exceeds.
        jitter: Share of a wait that chance may take away, so that those who lost together do
            not come back together; 0 for none.
        retry_on: Which errors; all others get out at once.
    """

    max_retries: int = 3
    retry_delay: float = 0.1
    exponential_backoff: bool = True
    max_retry_delay: float = 30.0
    jitter: float = 0.5
    retry_on: tuple[type[Exception], ...] = RETRYABLE

    async def process(self, command: C) -> R | CommandResponse[R]:
        return await self._handle_internal(command)

    @abstractmethod
    async def _handle_internal(self, command: C) -> R | CommandResponse[R]:
        """Change something and return the result; may run several times, each on fresh state."""

    def _built_in_behaviors(self) -> tuple[IMiddleware, ...]:
        retry = RetryBehavior(
            max_retries=self.max_retries,
            retry_delay=self.retry_delay,
            exponential_backoff=self.exponential_backoff,
            max_retry_delay=self.max_retry_delay,
            jitter=self.jitter,
            retry_on=self.retry_on,
        )
        return (retry, *super()._built_in_behaviors())


class ConflictCommandHandler(PipelinedCommandHandler[C, R]):
    """A command handler that merges its change into what a faster writer has stored.

    When a command loses an optimistic race, its unit of work is gone. In a fresh one the latest
    state is loaded, ``resolve_conflict`` merges the incoming state into it, and the result is
    saved at the version that was loaded. The stale command is not run again: what else
    ``_handle_internal`` does, such as saving a second aggregate, is not part of a resolution, so
    use this for handlers that change one aggregate, and retries for the others. The conflict is
    raised when the aggregate is gone, is not of the repository's type, or when resolutions lose
    races more than ``max_conflict_rounds`` times; a retry middleware around all commands would
    then run the command again.

    It is for aggregates stored as state. Merging the states of an event-sourced one would leave
    no event that explains the result: use an ``EventConflictPolicy`` or retries.

    Attributes:
        repo: Where the aggregate is loaded from and saved.
        conflict_policy: Who wins. With ``FIRST_WINS`` the conflict is raised; ``CUSTOM`` needs
            a ``resolve_conflict`` of yours.
        conflict_strategy: How states are merged.
        max_conflict_rounds: How many resolutions at most.
    """

    repo: IRepository[Any]
    conflict_policy: ConflictResolutionPolicy = ConflictResolutionPolicy.MERGE
    conflict_strategy: IMergeStrategy = FieldLevelMergeStrategy()
    max_conflict_rounds: int = 3

    def __init__(self, repo: IRepository[Any] | None = None) -> None:
        if repo is not None:
            self.repo = repo

    async def process(self, command: C) -> R | CommandResponse[R]:
        conflict = lost_race_of(command)
        if conflict is None:
            return await self._handle_internal(command)
        return await self._resolve(command, conflict)

    @abstractmethod
    async def _handle_internal(self, command: C) -> R | CommandResponse[R]:
        """Change one aggregate and return the result."""

    async def fetch_latest(self, command: C, target: object) -> AggregateRoot[Any] | None:
        """Return what is stored now; ``None`` when it is gone.

        Args:
            command: The one that lost.
            target: What it lost: the stream of the aggregate.
        """
        if not isinstance(target, StreamId):
            return None
        return await self.repo.get_by_id(_typed_id(command, target.aggregate_id))

    def get_incoming_state(self, command: C) -> Mapping[str, Any]:
        """Return what the command wants by field name: its ``changes``, else its own fields.

        All of its fields count, those with a default too; override it where a default means
        that nothing is to change.
        """
        changes = getattr(command, "changes", None)
        if isinstance(changes, Mapping):
            return changes
        return command.model_dump(exclude=set(_ENVELOPE))

    def resolve_conflict(self, existing: Any, incoming: Any) -> Any:
        """Return the aggregate to save, merged as policy and strategy say; may be async.

        Fields the aggregate does not have are left out, and it keeps its id.

        Args:
            existing: The latest aggregate, which may be changed and returned.
            incoming: What ``get_incoming_state`` returned.
        """
        _refuse_event_sourced(existing)
        strategy = self.conflict_strategy
        if self.conflict_policy is not ConflictResolutionPolicy.MERGE:
            strategy = ConflictResolver(policy=self.conflict_policy)
        state = existing.model_dump()
        merged = strategy.merge(state, incoming)
        known = {name: merged[name] for name in type(existing).model_fields if name in merged}
        return type(existing).model_validate({**state, **known, "id": existing.id})

    async def save_resolved(
        self,
        command: C,  # noqa: ARG002 - for overrides
        resolved: AggregateRoot[Any],
    ) -> R | CommandResponse[R]:
        """Save the merged aggregate and return the command's result, ``None`` if not overridden."""
        await self.repo.save(resolved)
        return None  # type: ignore[return-value]

    async def _resolve(
        self, command: C, conflict: OptimisticConcurrencyError
    ) -> R | CommandResponse[R]:
        existing = await self.fetch_latest(command, conflict.target)
        if existing is None or not _is_target(existing, conflict.target):
            raise conflict
        resolved = self.resolve_conflict(existing, self.get_incoming_state(command))
        if isawaitable(resolved):
            resolved = await resolved
        _take_the_place(existing, resolved)
        return await self.save_resolved(command, resolved)

    def _built_in_behaviors(self) -> tuple[IMiddleware, ...]:
        inner = super()._built_in_behaviors()
        if self.conflict_policy is ConflictResolutionPolicy.FIRST_WINS:
            return inner
        if self.conflict_policy is ConflictResolutionPolicy.CUSTOM and not self._resolves_itself():
            msg = f"{type(self).__name__} says CUSTOM: override resolve_conflict"
            raise ConfigurationError(msg)
        return (ConflictBehavior(max_rounds=self.max_conflict_rounds), *inner)

    def _resolves_itself(self) -> bool:
        return type(self).resolve_conflict is not ConflictCommandHandler.resolve_conflict


class ResilientCommandHandler(ConflictCommandHandler[C, R], RetryableCommandHandler[C, R]):
    """A command handler that retries transient errors and merges version conflicts.

    A transient error while a conflict is being resolved repeats the resolution, not the command.
    """

    retry_on: tuple[type[Exception], ...] = (LockAcquisitionError, TransientPersistenceError)


def _typed_id(command: Command[Any], aggregate_id: str) -> Any:
    """Return an aggregate's id in the type the command has it in; text when it has it not."""
    values = (getattr(command, name) for name in type(command).model_fields)
    return next((value for value in values if str(value) == aggregate_id), aggregate_id)


def _is_target(existing: AggregateRoot[Any], target: object) -> bool:
    stream = StreamId(existing.aggregate_type, str(existing.id))
    return target == stream or not isinstance(target, StreamId)


def _refuse_event_sourced(existing: object) -> None:
    if isinstance(existing, EventSourcedAggregateMixin):
        msg = (
            f"{type(existing).__name__} is event-sourced, and a merged state would have no events "
            "that explain it: give its repository a conflict_policy=EventConflictPolicy(), retry "
            "the command with RetryableCommandHandler, or raise events on the existing aggregate "
            "in resolve_conflict and return it"
        )
        raise EventSourcingConfigurationError(msg)


def _take_the_place(existing: AggregateRoot[Any], resolved: object) -> None:
    if resolved is existing:
        return
    _refuse_event_sourced(existing)
    if type(resolved) is not type(existing) or resolved.id != existing.id:
        wanted = f"{type(existing).__name__} {existing.id!r}"
        reason = f"resolve_conflict returned {resolved!r}, not the merged {wanted}"
        raise InvalidResolutionError(wanted, reason)
    resolved.set_version(existing.version)
