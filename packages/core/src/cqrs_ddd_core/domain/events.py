"""Domain events: immutable facts in the past tense, in an envelope that says where they belong."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from cqrs_ddd_core.primitives.clock import utc_now
from cqrs_ddd_core.primitives.id_generator import new_id

if TYPE_CHECKING:
    from cqrs_ddd_core.correlation import MessageContext

__all__ = ["ENVELOPE_FIELDS", "DomainEvent", "enrich_event", "locate_event"]


class DomainEvent(BaseModel):
    """Something that happened to an aggregate.

    Subclass it in the past tense and add the fields that tell the whole story. The fields below
    are the envelope: they are filled in on the way and are not part of the stored payload.

    Attributes:
        event_type: Name under which the event is stored; the class name unless set in the class.
            Set it before renaming a class whose events are stored already.
        schema_version: Version of the payload's shape, raised when an upcaster is added.
        event_id: Unique for ever, UUIDv7.
        occurred_at: When it happened, aware UTC.
        aggregate_id: Id of the aggregate that raised it, as text.
        aggregate_type: Type name of that aggregate.
        correlation_id: Shared by everything one request did.
        causation_id: Id of the command or event that led to this one.
        metadata: Open keys with JSON values, such as the acting user.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False
    )

    event_type: ClassVar[str] = "DomainEvent"
    schema_version: ClassVar[int] = 1

    event_id: UUID = Field(default_factory=new_id)
    occurred_at: datetime = Field(default_factory=utc_now)
    aggregate_id: str | None = None
    aggregate_type: str | None = None
    correlation_id: str | None = None
    causation_id: str | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "event_type" not in cls.__dict__:
            cls.event_type = cls.__name__


#: Fields that are stored beside the payload, not in it.
ENVELOPE_FIELDS = frozenset(DomainEvent.model_fields)


def locate_event(event: DomainEvent, aggregate_type: str, aggregate_id: str) -> None:
    """Say which aggregate raised the event, unless it says so itself."""
    # A frozen model is completed in place: a copy costs more than building the event did.
    fields = event.__dict__
    if fields["aggregate_id"] is None:
        fields["aggregate_id"] = aggregate_id
    if fields["aggregate_type"] is None:
        fields["aggregate_type"] = aggregate_type


def enrich_event(event: DomainEvent, context: MessageContext) -> None:
    """Write the ids of the work under way into an event; ids it already has are kept."""
    fields = event.__dict__
    if fields["correlation_id"] is None:
        fields["correlation_id"] = context.correlation_id
    if fields["causation_id"] is None:
        fields["causation_id"] = context.causation_id
    metadata = fields["metadata"]
    if context.user_id is not None and "user_id" not in metadata:
        fields["metadata"] = metadata = {**metadata, "user_id": context.user_id}
    if context.traceparent is not None and "traceparent" not in metadata:
        fields["metadata"] = {**metadata, "traceparent": context.traceparent}
