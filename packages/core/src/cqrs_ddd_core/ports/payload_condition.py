"""Conditions on the payloads of stored events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import ValidationError

from cqrs_ddd_core.domain.events import ENVELOPE_FIELDS, DomainEvent
from cqrs_ddd_core.domain.specification import field_kind
from cqrs_ddd_core.primitives.exceptions import UnknownFieldError

if TYPE_CHECKING:
    from cqrs_ddd_core.domain.specification import FieldKind, Specification
    from cqrs_ddd_core.ports.event_store import StoredEvent

__all__ = ["PayloadCondition"]


@dataclass(frozen=True, slots=True)
class PayloadCondition:
    """A condition on the payloads of one event class, in the shape the class has today.

    It judges events that are stored under the type name and the schema version of the class, as
    JSON that a database can look into. Other types, older shapes that are upcast when they are
    read, and encoded payloads are not judged.

    Attributes:
        event_class: Whose payloads.
        specification: What the fields of the class have to meet.

    Raises:
        UnknownFieldError: The class has no such field of its own; the envelope is no payload.
        SpecificationValueError: A value does not fit its field.
    """

    event_class: type[DomainEvent]
    specification: Specification

    def __post_init__(self) -> None:
        self.specification.check(self._kind_of)

    def rejects(self, stored: StoredEvent) -> bool:
        """Whether the payload of a stored event tells that it does not match."""
        shape = self.event_class.event_type, self.event_class.schema_version
        if (stored.event_type, stored.schema_version) != shape:
            return False
        try:
            event = self.event_class.model_validate_json(stored.payload_bytes, extra="ignore")
        except ValidationError:
            return False
        return not self.specification.is_satisfied_by(event)

    def _kind_of(self, name: str) -> FieldKind:
        if name in ENVELOPE_FIELDS:
            raise UnknownFieldError(name, f"the payload of {self.event_class.__name__}")
        return field_kind(self.event_class, name)
