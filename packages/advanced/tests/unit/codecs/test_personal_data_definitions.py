"""Personal data that cannot be protected, or not be read back, is refused when declared."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, NamedTuple

import pytest
from pydantic import (
    BaseModel,
    Field,
    RootModel,
    ValidationError,
    computed_field,
    field_validator,
    model_serializer,
)
from typing_extensions import TypedDict

from cqrs_ddd_advanced_core.adapters.memory import InMemorySubjectKeyStore
from cqrs_ddd_advanced_core.codecs import (
    KeyRing,
    Personal,
    PersonalData,
    PersonalDataCodec,
    Shredded,
    SubjectKeys,
)
from cqrs_ddd_advanced_core.codecs.exceptions import PersonalDataDefinitionError
from cqrs_ddd_core import DomainEvent, EventTypeRegistry

KEYS = SubjectKeys(InMemorySubjectKeyStore(), KeyRing({"k": KeyRing.generate_key()}))


def declare(*event_classes: type[DomainEvent]) -> PersonalDataCodec:
    registry = EventTypeRegistry()
    for event_class in event_classes:
        registry.register(event_class)
    return PersonalDataCodec(registry, KEYS)


class TestShredded:
    def test_it_is_false_and_says_what_it_is(self) -> None:
        marker = Shredded("c-1")
        assert not marker
        assert str(marker) == f"{marker}" == "[shredded]"
        assert marker.subject == "c-1"
        assert marker == Shredded("c-1") != Shredded("c-2")
        assert len({marker, Shredded("c-1")}) == 1
        with pytest.raises(AttributeError):
            marker.subject = "other"  # type: ignore[misc]

    def test_it_is_written_as_json_and_read_back(self) -> None:
        event = Awkward(name=Shredded("c-1"), born=Shredded("c-1"), extras=Shredded("c-1"))
        text = event.model_dump_json()
        assert '"name":{"$shredded":"c-1"}' in text
        assert Awkward.model_validate_json(text) == event
        assert Awkward.model_validate(event.model_dump()) == event

    def test_values_are_read_as_what_they_are(self) -> None:
        event = Awkward.model_validate_json(
            '{"name": "anna", "born": "2000-02-29", "extras": {"$shredded": 1}, "total": "1.10"}'
        )
        assert (event.name, event.born, event.total) == ("anna", date(2000, 2, 29), Decimal("1.10"))
        assert event.extras == {"$shredded": 1}

    def test_an_event_with_personal_data_has_a_json_schema(self) -> None:
        for mode in ("validation", "serialization"):
            schema = Awkward.model_json_schema(mode=mode)
            assert {"type": "string"} in schema["properties"]["name"]["oneOf"]


class Awkward(DomainEvent):
    name: Personal[str]
    born: Personal[date]
    extras: Personal[dict[str, Any]]
    total: Personal[Decimal] | None = None


def test_a_field_needs_room_for_a_marker() -> None:
    with pytest.raises(PersonalDataDefinitionError, match=r"\| Shredded, or Personal"):

        class Wrong(DomainEvent):
            name: Annotated[str, PersonalData()]


def test_types_with_personal_data_are_known() -> None:
    class Passenger(BaseModel):
        name: Personal[str]

    class Booked(DomainEvent):
        by_seat: dict[str, list[Passenger | None]]

    class Boarded(DomainEvent):
        count: int

    assert declare(Awkward, Booked, Boarded).event_types == {"Awkward", "Booked"}


class Constrained(DomainEvent):
    name: Annotated[str | Shredded, PersonalData(), Field(max_length=80)]


class Validated(DomainEvent):
    name: Personal[str]

    @field_validator("name")
    @classmethod
    def _lower(cls, value: Any) -> Any:
        return value.lower()


class Refusing(DomainEvent):
    name: Personal[str]

    @field_validator("name")
    @classmethod
    def _only_text(cls, value: Any) -> Any:
        if not isinstance(value, str):
            msg = "text only"
            raise ValueError(msg)
        return value


@pytest.mark.parametrize("event_class", [Constrained, Validated, Refusing])
def test_a_field_that_refuses_a_marker_is_refused(event_class: type[DomainEvent]) -> None:
    with pytest.raises(PersonalDataDefinitionError, match=r"\.name: it does not take Shredded"):
        declare(event_class)


class Inside(DomainEvent):
    assigned: Personal[str] = Field("", max_length=3)
    annotated: Annotated[str | Shredded, Field(max_length=3), PersonalData()] = ""
    inner: Personal[Annotated[str, Field(max_length=3)]] = ""
    number: Personal[int] = Field(4, gt=3)


@pytest.mark.parametrize(
    "name, value", [("assigned", "long"), ("annotated", "long"), ("inner", "long"), ("number", 3)]
)
def test_constraints_hold_for_values_only(name: str, value: object) -> None:
    declare(Inside)
    marker = Shredded("customer")
    assert getattr(Inside.model_validate({name: marker}), name) == marker
    with pytest.raises(ValidationError):
        Inside.model_validate({name: value})


class InList(DomainEvent):
    names: list[Personal[str]]


class Pair(NamedTuple):
    name: Personal[str]


class InTuple(DomainEvent):
    pair: Pair


@dataclass
class Record:
    name: Personal[str]


class InDataclass(DomainEvent):
    records: list[Record]


class Typed(TypedDict):
    name: Personal[str]


class InTypedDict(DomainEvent):
    typed: Typed


class InRoot(DomainEvent):
    name: RootModel[Personal[str]]


class OneOfMany(DomainEvent):
    value: Personal[str] | int | list[str]


@pytest.mark.parametrize(
    "event_class, remedy",
    [
        (InList, r"names: Personal\[list\[str\]\]"),
        (OneOfMany, "whole field"),
        (InTuple, "whole field of a pydantic model"),
        (InDataclass, "whole field of a pydantic model"),
        (InTypedDict, "whole field of a pydantic model"),
        (InRoot, "make it a field of a model"),
    ],
)
def test_personal_data_that_would_be_missed_is_refused(
    event_class: type[DomainEvent], remedy: str
) -> None:
    with pytest.raises(PersonalDataDefinitionError, match=remedy):
        declare(event_class)


class UnknownSubject(DomainEvent):
    name: Annotated[str | Shredded, PersonalData(subject="customer_id")]


class EnvelopeSubject(DomainEvent):
    name: Annotated[str | Shredded, PersonalData(subject="aggregate_id")]


class PersonalSubject(DomainEvent):
    email: Personal[str]
    name: Annotated[str | Shredded, PersonalData(subject="email")]


@pytest.mark.parametrize(
    "event_class, reason",
    [
        (UnknownSubject, "no field 'customer_id'"),
        (EnvelopeSubject, "no field 'aggregate_id' in the payload"),
        (PersonalSubject, "'email' says whose it is, and cannot be encrypted"),
    ],
)
def test_a_subject_that_nobody_can_tell_is_refused(
    event_class: type[DomainEvent], reason: str
) -> None:
    with pytest.raises(PersonalDataDefinitionError, match=reason):
        declare(event_class)


class Computed(DomainEvent):
    name: Personal[str]

    @computed_field  # type: ignore[prop-decorator]
    @property
    def shouted(self) -> str:
        return str(self.name).upper()


class Flat(BaseModel):
    name: Personal[str]

    @model_serializer
    def _flatten(self) -> str:
        return str(self.name)


class Serialized(DomainEvent):
    flat: Flat


@pytest.mark.parametrize("event_class", [Computed, Serialized])
def test_what_could_store_it_in_clear_is_refused(event_class: type[DomainEvent]) -> None:
    with pytest.raises(PersonalDataDefinitionError, match="in clear"):
        declare(event_class)
