"""Where the personal values of an event are, and whether they are declared so that it works."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Final,
    ForwardRef,
    Literal,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from pydantic import BaseModel, RootModel, ValidationError
from typing_extensions import is_typeddict

from cqrs_ddd_advanced_core.codecs.exceptions import (
    PersonalDataDefinitionError,
    SubjectMissingError,
)
from cqrs_ddd_advanced_core.codecs.personal_data import PersonalData, Shredded
from cqrs_ddd_core.domain.events import ENVELOPE_FIELDS

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

__all__ = ["PersonalPlace", "check_definition", "find_personal", "holds_personal_data"]

_REMEDY: Final = (
    "it has to be a whole field of a pydantic model, such as names: Personal[list[str]]"
)
_LISTS: Final = (list, tuple, set, frozenset, deque)


@dataclass(frozen=True, slots=True)
class PersonalPlace:
    """A personal value inside the JSON of an event.

    Attributes:
        container: The object it stands in.
        key: Its key there.
        path: The way to it from the top.
        subject: Whose it is.
    """

    container: dict[str, Any]
    key: str
    path: tuple[str | int, ...]
    subject: str


@dataclass(frozen=True, slots=True)
class _Field:
    """A field that is personal data, or has some in it."""

    name: str
    #: The names it may have in JSON.
    keys: tuple[str, ...]
    personal: PersonalData | None


def find_personal(
    document: dict[str, Any], event: BaseModel, aggregate_id: str | None
) -> Iterator[PersonalPlace]:
    """Yield the personal values of an event that are there and not shredded already.

    Args:
        document: The payload as JSON values.
        event: The same payload as an object, which knows what its parts are.
        aggregate_id: The subject of values that name no other.

    Raises:
        SubjectMissingError: Nobody can tell whose one of them is.
    """
    yield from _Search(type(event), document, aggregate_id).inside(document, event, ())


class _Search:
    """Walks through the JSON and the object at the same time."""

    def __init__(
        self, event_class: type[BaseModel], document: dict[str, Any], aggregate_id: str | None
    ) -> None:
        self._event_class = event_class
        self._document = document
        self._aggregate_id = aggregate_id

    def inside(
        self, node: object, value: object, path: tuple[str | int, ...]
    ) -> Iterator[PersonalPlace]:
        """Yield what is personal in a value."""
        if isinstance(value, RootModel):
            value = value.root
        if isinstance(node, dict) and isinstance(value, BaseModel):
            yield from self._in_model(node, value, path)
        elif isinstance(node, dict) and isinstance(value, Mapping):
            for (key, child), item in zip(node.items(), value.values(), strict=False):
                yield from self.inside(child, item, (*path, key))
        elif isinstance(node, list) and isinstance(value, _LISTS):
            for index, (child, item) in enumerate(zip(node, value, strict=False)):
                yield from self.inside(child, item, (*path, index))

    def _in_model(
        self, node: dict[str, Any], model: BaseModel, path: tuple[str | int, ...]
    ) -> Iterator[PersonalPlace]:
        for field in _fields(type(model)):
            key = next((key for key in field.keys if key in node), None)
            if key is None:
                continue
            if field.personal is None:
                yield from self.inside(node[key], getattr(model, field.name), (*path, key))
            elif node[key] is not None and not Shredded.is_json_value(node[key]):
                subject = self._subject(field, node, type(model))
                yield PersonalPlace(node, key, (*path, key), subject)

    def _subject(self, field: _Field, node: dict[str, Any], model: type[BaseModel]) -> str:
        name = None if field.personal is None else field.personal.subject
        subject: Any
        if name is None:
            source, subject = "an aggregate", self._aggregate_id
        else:
            source = f"its field {name!r}"
            owner, place = (
                (model, node) if name in model.model_fields else (self._event_class, self._document)
            )
            subject = next((place[key] for key in _keys(owner, name) if key in place), None)
        if isinstance(subject, bool) or not isinstance(subject, str | int) or subject == "":
            raise SubjectMissingError(self._event_class.__name__, field.name, source)
        return str(subject)


@cache
def holds_personal_data(model: type[BaseModel]) -> bool:
    """Whether there is personal data in a model, or anywhere in its parts.

    Raises:
        PersonalDataDefinitionError: Some is declared where it cannot be found.
    """
    return any(_personal_fields(part) for part in _parts(model))


def check_definition(event_class: type[BaseModel]) -> None:
    """Refuse an event whose personal data could not be protected, or not be read once shredded.

    Raises:
        PersonalDataDefinitionError: With the reason.
    """
    for part in _parts(event_class):
        if holds_personal_data(part):
            _check_serialization(part)
        for name, personal in _personal_fields(part).items():
            _check_subject(part, name, personal.subject, event_class)
            _check_marker(part, name)


@cache
def _fields(model: type[BaseModel]) -> tuple[_Field, ...]:
    personal = _personal_fields(model)
    return tuple(
        _Field(name, _keys(model, name), personal.get(name))
        for name, field in model.model_fields.items()
        if name in personal
        or any(map(holds_personal_data, _models_in(field.annotation, model, name)))
    )


def _keys(model: type[BaseModel], name: str) -> tuple[str, ...]:
    field = model.model_fields[name]
    return tuple(key for key in (name, field.serialization_alias, field.alias) if key is not None)


def _parts(model: type[BaseModel]) -> list[type[BaseModel]]:
    """Return a model and all models in it."""
    found = {model: None}
    todo = [model]
    while todo:
        part = todo.pop()
        part.model_rebuild()
        personal = _personal_fields(part)
        for name, field in part.model_fields.items():
            if name not in personal:
                new = [m for m in _models_in(field.annotation, part, name) if m not in found]
                found.update(dict.fromkeys(new))
                todo += new
    return list(found)


def _personal_fields(model: type[BaseModel]) -> dict[str, PersonalData]:
    found = {name: _personal(field) for name, field in model.model_fields.items()}
    return {name: personal for name, personal in found.items() if personal is not None}


def _personal(field: FieldInfo) -> PersonalData | None:
    annotation, metadata = field.annotation, list(field.metadata)
    if get_origin(annotation) in (Union, UnionType):
        members = [member for member in get_args(annotation) if member is not NoneType]
        # Personal[str] | None, whose None is not encrypted.
        if len(members) == 1 and get_origin(members[0]) is Annotated:
            metadata += get_args(members[0])[1:]
    return next((item for item in metadata if isinstance(item, PersonalData)), None)


def _models_in(annotation: Any, owner: type, name: str) -> Iterator[type[BaseModel]]:
    """Yield the models a type is made of.

    Raises:
        PersonalDataDefinitionError: There is personal data in it that belongs to no field of one.
    """
    for part in _classes_in(annotation, owner, name):
        if issubclass(part, BaseModel):
            yield part
        elif is_dataclass(part) or is_typeddict(part) or hasattr(part, "_fields"):
            for inner, hint in get_type_hints(part, include_extras=True).items():
                if any(map(holds_personal_data, _models_in(hint, part, inner))):
                    raise _misplaced(part, inner, _REMEDY)


def _classes_in(annotation: Any, owner: type, name: str) -> Iterator[type]:
    annotation = getattr(annotation, "__value__", annotation)
    if isinstance(annotation, ForwardRef | str):
        raise _misplaced(owner, name, f"{annotation!r} is not defined, so nobody can look into it")
    if get_origin(annotation) is Annotated:
        annotation, *metadata = get_args(annotation)
        if any(isinstance(item, PersonalData) for item in metadata):
            raise _misplaced(owner, name, _REMEDY)
    if get_origin(annotation) is None and isinstance(annotation, type):
        yield annotation
    if get_origin(annotation) is not Literal:
        for part in get_args(annotation):
            yield from _classes_in(part, owner, name)


def _check_serialization(model: type[BaseModel]) -> None:
    decorators = model.__pydantic_decorators__
    if issubclass(model, RootModel) and _personal_fields(model):
        raise _misplaced(model, "root", "make it a field of a model")
    if decorators.model_serializers or (decorators.computed_fields and _personal_fields(model)):
        msg = (
            f"{model.__qualname__} has personal data, and a model serializer or a computed field "
            "that could store it in clear: leave that out"
        )
        raise PersonalDataDefinitionError(msg)


def _check_subject(
    model: type[BaseModel], name: str, subject: str | None, event_class: type[BaseModel]
) -> None:
    if subject is None:
        return
    owner = model if subject in model.model_fields else event_class
    if subject not in owner.model_fields or subject in ENVELOPE_FIELDS:
        raise _misplaced(
            model, name, f"there is no field {subject!r} in the payload that could say whose it is"
        )
    if subject in _personal_fields(owner):
        raise _misplaced(model, name, f"{subject!r} says whose it is, and cannot be encrypted")


def _check_marker(model: type[BaseModel], name: str) -> None:
    """Refuse a field that does not take a marker, for it could not be read once it is shredded."""
    keys = _keys(model, name)
    remedy = (
        "it does not take Shredded(...): put constraints before PersonalData, or write "
        "Personal[str] = Field(...), and let validators pass markers on"
    )
    try:
        markers = dict.fromkeys(keys, Shredded("subject"))
        model.model_validate(markers, extra="ignore", by_alias=True, by_name=True)
    except ValidationError as error:
        if any(found["loc"][:1] in [(key,) for key in keys] for found in error.errors()):
            raise _misplaced(model, name, remedy) from error
    except (AttributeError, TypeError) as error:
        raise _misplaced(model, name, remedy) from error


def _misplaced(owner: type, name: str, reason: str) -> PersonalDataDefinitionError:
    return PersonalDataDefinitionError(f"personal data in {owner.__qualname__}.{name}: {reason}")
