"""Personal values of events encrypted on the way in, and decrypted on the way out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ValidationError
from pydantic_core import from_json

from cqrs_ddd_advanced_core.codecs._personal_fields import (
    check_definition,
    find_personal,
    holds_personal_data,
)
from cqrs_ddd_advanced_core.codecs._sealed_payload import SealedPayload, is_sealed, seal
from cqrs_ddd_advanced_core.codecs.exceptions import (
    PayloadCodecError,
    PersonalDataDefinitionError,
    SubjectKeyMissingError,
)
from cqrs_ddd_core.domain.events import DomainEvent
from cqrs_ddd_core.primitives.exceptions import EventPayloadError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from cqrs_ddd_advanced_core.codecs._aes_gcm import Cipher
    from cqrs_ddd_advanced_core.codecs._personal_fields import PersonalPlace
    from cqrs_ddd_advanced_core.codecs.codec import PayloadPlace
    from cqrs_ddd_advanced_core.codecs.subject_keys import SubjectKeys
    from cqrs_ddd_core.domain.event_registry import EventTypeRegistry

__all__ = ["PersonalDataCodec"]


class PersonalDataCodec:
    """Encrypts the fields of events that are marked as ``PersonalData``, each for its subject.

    What is stored says the subject of every value, so reading needs no class. A value can be
    read in its own event and field only. A shredded one is read as ``Shredded``; a value that is
    ``None`` or a marker is not encrypted.

    An append that races with a shred of its subject either raises ``SubjectShreddedError`` or
    counts as done before it: what it wrote is then read as markers.

    Args:
        registry: The event classes, which say what is personal data. A type with personal data
            that is not registered is refused.
        keys: The keys of the subjects.
        older_classes: Classes of shapes that are still written while old processes run, with the
            ``event_type`` and ``schema_version`` of those.

    Raises:
        PersonalDataDefinitionError: A registered event declares personal data in a way that
            cannot be protected, or could not be read back as a marker.
    """

    def __init__(
        self,
        registry: EventTypeRegistry,
        keys: SubjectKeys,
        *,
        older_classes: Iterable[type[DomainEvent]] = (),
    ) -> None:
        self._registry = registry
        self._keys = keys
        self._older = {(old.event_type, old.schema_version): old for old in older_classes}
        self._classes: dict[tuple[str, int], type[DomainEvent] | None] = {}
        for event_class in (*map(registry.get, registry.registered_types()), *self._older.values()):
            check_definition(event_class)

    @property
    def keys(self) -> SubjectKeys:
        """The keys of the subjects."""
        return self._keys

    @property
    def event_types(self) -> frozenset[str]:
        """The names of the event types that hold personal data today."""
        older = {event_type for event_type, _ in self._older}
        return frozenset(
            name
            for name in (*self._registry.registered_types(), *older)
            if name in older or holds_personal_data(self._registry.get(name))
        )

    async def protect(
        self, payloads: Sequence[bytes], places: Sequence[PayloadPlace]
    ) -> list[bytes]:
        """Return payloads with their personal values encrypted.

        Raises:
            SubjectShreddedError: The subject of a value was shredded.
            SubjectMissingError: Nobody can tell whose a value is.
            EventPayloadError: A payload does not fit its class.
            PersonalDataDefinitionError: The type is not registered.
        """
        found = [self._find(*item) for item in zip(payloads, places, strict=True)]
        subjects = {value.subject for _, values in found for value in values}
        ciphers = await self._keys.for_writing(subjects) if subjects else {}
        return [
            seal(document, values, ciphers, place) if values else payload
            for payload, place, (document, values) in zip(payloads, places, found, strict=True)
        ]

    async def reveal(
        self, payloads: Sequence[bytes | PayloadCodecError], places: Sequence[PayloadPlace]
    ) -> list[bytes | PayloadCodecError]:
        """Return payloads with their personal values, and why where that cannot be.

        The keys of all of them are looked up at once. An error is passed on as it is.
        """
        sealed = [_read(payload) for payload in payloads]
        subjects = {value.subject for item in _whole(sealed) for value in item.personal}
        ciphers = await self._keys.for_reading(subjects) if subjects else {}
        return [
            _open(item, ciphers, place) if isinstance(item, SealedPayload) else item
            for item, place in zip(sealed, places, strict=True)
        ]

    async def values_of(
        self, subject: str, payload: bytes, place: PayloadPlace
    ) -> list[tuple[str, Any]]:
        """Return the fields of a subject in a stored payload, with their values or markers.

        Raises:
            PayloadCodecError: They cannot be read.
        """
        if not is_sealed(payload):
            return []
        values = [
            value
            for value in SealedPayload.from_bytes(payload).personal
            if value.subject == subject
        ]
        ciphers = await self._keys.for_reading([subject]) if values else {}
        if values and subject not in ciphers:
            raise SubjectKeyMissingError(subject)
        return [(value.field, value.open(ciphers[subject], place)) for value in values]

    def _find(
        self, payload: bytes, place: PayloadPlace
    ) -> tuple[dict[str, Any], list[PersonalPlace]]:
        event_class = self._class_of(place) if place.is_event else None
        if event_class is None:
            if is_sealed(payload):
                reason = "begins like one whose personal data is encrypted, and is no JSON"
                raise EventPayloadError(place.type_name, reason)
            return {}, []
        try:
            # As it will be read: by the names of fields as well as by their aliases.
            event = event_class.model_validate_json(
                payload, extra="ignore", by_alias=True, by_name=True
            )
        except ValidationError as error:
            # Neither with the values nor with the cause that quotes them: they are personal.
            fields = sorted({str(one["loc"][0]) for one in error.errors() if one["loc"]})
            reason = (
                "does not fit its class, so its personal data cannot be found: look at "
                f"{', '.join(fields) or 'all of it'}"
            )
            raise EventPayloadError(place.type_name, reason) from None
        document = from_json(payload)
        return document, list(find_personal(document, event, place.aggregate_id))

    def _class_of(self, place: PayloadPlace) -> type[DomainEvent] | None:
        """Return the class of a payload, ``None`` when it holds no personal data."""
        key = place.type_name, place.schema_version
        if key not in self._classes:
            self._classes[key] = self._find_class(*key)
        return self._classes[key]

    def _find_class(self, event_type: str, schema_version: int) -> type[DomainEvent] | None:
        older = self._older.get((event_type, schema_version))
        if older is not None:
            return older
        is_registered = event_type in self._registry
        candidates = [self._registry.get(event_type)] if is_registered else _named(event_type)
        event_class = next(filter(holds_personal_data, candidates), None)
        if event_class is None:
            return None
        if not is_registered:
            msg = f"{event_type!r} has personal data: register its class with the event registry"
            raise PersonalDataDefinitionError(msg)
        if schema_version != event_class.schema_version:
            msg = (
                f"nobody knows what is personal data in version {schema_version} of "
                f"{event_type!r}: give PersonalDataCodec(..., older_classes=[...]) a class of it"
            )
            raise PersonalDataDefinitionError(msg)
        check_definition(event_class)
        return event_class


def _named(event_type: str) -> Iterator[type[DomainEvent]]:
    """Yield the event classes there are with a type name."""
    todo: list[type[DomainEvent]] = [DomainEvent]
    while todo:
        event_class = todo.pop()
        todo += event_class.__subclasses__()
        if event_class.event_type == event_type:
            yield event_class


def _read(payload: bytes | PayloadCodecError) -> SealedPayload | bytes | PayloadCodecError:
    if isinstance(payload, PayloadCodecError) or not is_sealed(payload):
        return payload
    try:
        return SealedPayload.from_bytes(payload)
    except PayloadCodecError as error:
        return error


def _whole(items: Iterable[object]) -> Iterator[SealedPayload]:
    return (item for item in items if isinstance(item, SealedPayload))


def _open(
    sealed: SealedPayload, ciphers: Mapping[str, Cipher | None], place: PayloadPlace
) -> bytes | PayloadCodecError:
    for value in sealed.personal:
        if value.subject not in ciphers:
            return SubjectKeyMissingError(value.subject)
    try:
        return sealed.open(ciphers, place)
    except PayloadCodecError as error:
        return error
