"""Commands: requests to change something, and what comes back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Generic
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypeVar

from cqrs_ddd_core.domain.events import DomainEvent
from cqrs_ddd_core.primitives.id_generator import new_id
from cqrs_ddd_core.primitives.result import Result

if TYPE_CHECKING:
    from cqrs_ddd_core.ports.locking import ResourceIdentifier

__all__ = ["COMMAND_ENVELOPE_FIELDS", "Command", "CommandResponse", "to_response"]

R = TypeVar("R", default=None)
# Covariant, so that the place where a result is used does not change the type of the command.
R_co = TypeVar("R_co", default=None, covariant=True)


class Command(BaseModel, Generic[R_co]):
    """A request to change something, named in the imperative; ``R`` is what its handler returns.

    Attributes:
        command_type: Name under which it is stored and sent; the class name unless set.
        schema_version: Version of its shape, raised when an upcaster is added.
        command_id: The idempotency key. Give your own to make repeats of one request harmless.
        correlation_id: Shared by all work of one request; taken from the context when not given.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False
    )

    command_type: ClassVar[str] = "Command"
    schema_version: ClassVar[int] = 1

    command_id: UUID = Field(default_factory=new_id)
    correlation_id: str | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "command_type" not in cls.__dict__:
            cls.command_type = cls.__name__.partition("[")[0]

    def get_critical_resources(self) -> Sequence[ResourceIdentifier]:
        """Return what the concurrency guard locks while the command is handled; nothing here."""
        return ()


#: Fields that say which command it is, and that no change of its shape concerns.
COMMAND_ENVELOPE_FIELDS = frozenset(Command.model_fields)


@dataclass(slots=True)
class CommandResponse(Generic[R]):
    """What a command brought about.

    A handler may return it to add events that belong to no saved aggregate; mostly it returns
    the bare result and the mediator builds the response.

    Attributes:
        result: What the handler returned.
        events: Every event of the unit of work, once it has committed.
        success: ``False`` when the handler returned a failed ``Result`` and was rolled back.
        command_id: Id of the command.
        position: Position of the last event stored; give it to a query to read your own writes.
        replayed: Whether the command was handled before and this is the recorded outcome.
    """

    result: R
    events: Sequence[DomainEvent] = ()
    success: bool = True
    command_id: UUID | None = field(default=None, kw_only=True)
    position: int | None = field(default=None, kw_only=True)
    replayed: bool = field(default=False, kw_only=True)


def to_response(result: Any, command: Command[Any]) -> CommandResponse[Any]:
    """Return what a handler returned as the response to its command."""
    if isinstance(result, CommandResponse):
        response = result
        response.command_id = command.command_id
        result = response.result
    else:
        response = CommandResponse(result, command_id=command.command_id)
    if isinstance(result, Result) and result.is_failure:
        response.success = False
    return response
