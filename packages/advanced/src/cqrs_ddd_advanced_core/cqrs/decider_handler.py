"""The command handler of a decider: nothing is left to write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from cqrs_ddd_advanced_core.cqrs.handlers import RetryableCommandHandler
from cqrs_ddd_core.cqrs.command import Command
from cqrs_ddd_core.primitives.exceptions import HandlerRegistrationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cqrs_ddd_advanced_core.domain import DecidedAggregate, Decider
    from cqrs_ddd_advanced_core.event_sourcing import EventSourcedRepository
    from cqrs_ddd_core.cqrs.registry import HandlerRegistry
    from cqrs_ddd_core.domain.events import DomainEvent

__all__ = ["DeciderHandler"]

C = TypeVar("C", bound=Command[Any])
S = TypeVar("S")
E = TypeVar("E", bound="DomainEvent")


class DeciderHandler(RetryableCommandHandler[C, S], Generic[C, S, E]):
    """Handles all commands of a decider: load or start, decide, save; the result is the new state.

    Guarantee (G1, G2): what was decided is appended at exactly the version it was decided on. A
    command that lost the race is decided again on fresh state, in a unit of work of its own, as
    often as ``max_retries`` says.

    Args:
        repository: Of the aggregate that ``aggregate_of`` made of the decider.
        id_of: Returns the id of the aggregate a command is for.
    """

    def __init__(
        self,
        repository: EventSourcedRepository[DecidedAggregate[C, S, E]],
        *,
        id_of: Callable[[C], object],
    ) -> None:
        self._repository = repository
        self._id_of = id_of

    def register(self, registry: HandlerRegistry) -> None:
        """Let it serve every command that the decider's ``decide`` is annotated with.

        Raises:
            HandlerRegistrationError: The annotation names no commands, or one is served already.
        """
        command_types = self._decider.command_types
        if not command_types or Command in command_types:
            msg = (
                "decide() is not annotated with its commands: annotate it, or register this "
                "handler for each with register_command_handler"
            )
            raise HandlerRegistrationError(msg)
        for command_type in command_types:
            registry.register_command_handler(command_type, self)

    async def _handle_internal(self, command: C) -> S:
        decided = await self._repository.get_or_blank(self._id_of(command))
        decided.execute(command)
        await self._repository.save(decided)
        return decided.state

    @property
    def _decider(self) -> Decider[C, S, E]:
        return self._repository.aggregate_type.decider
