"""A state comes back exactly, or is not kept."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any, ClassVar, Generic, TypeVar
from uuid import UUID

import pytest
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, computed_field, field_validator

from cqrs_ddd_advanced_core.domain import EventSourcedAggregateMixin
from cqrs_ddd_advanced_core.snapshots.codec import SnapshotCodec
from cqrs_ddd_core import AggregateRoot
from cqrs_ddd_core.domain import Entity, ValueObject
from cqrs_ddd_core.primitives.exceptions import DomainError, SerializationError
from cqrs_ddd_core.testing.samples import AWKWARD_TEXT, MOMENT, new_order

T = TypeVar("T")


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Mode(Enum):
    FAST = "fast"
    SAFE = "safe"


class Money(ValueObject):
    amount: Decimal
    currency: str = "EUR"


class Line(Entity[int]):
    price: Money


class Everything(EventSourcedAggregateMixin, AggregateRoot[UUID]):
    money: Money | None = None
    lines: list[Line] = Field(default_factory=list)
    by_name: dict[str, Money] = Field(default_factory=dict)
    by_id: dict[UUID, int] = Field(default_factory=dict)
    tags: set[str] = Field(default_factory=set)
    prices: frozenset[Money] = frozenset()
    pair: tuple[int, Decimal] = (0, Decimal(0))
    level: Level = Level.LOW
    mode: Mode = Mode.SAFE
    moment: datetime = MOMENT
    day: date = date(2026, 2, 28)
    span: timedelta = timedelta(microseconds=1)
    either: int | str = 0
    ratio: float = 0.1
    aliased: str = Field(default="", alias="wireName")
    note: str = ""

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)


class Box(EventSourcedAggregateMixin, AggregateRoot[int], Generic[T]):
    content: T


def restored(aggregate: AggregateRoot[Any]) -> Any:
    codec: SnapshotCodec[Any] = SnapshotCodec(type(aggregate))
    return codec.load(codec.dump(aggregate))


def fingerprint(aggregate_class: type[AggregateRoot[Any]]) -> str:
    return SnapshotCodec(aggregate_class).fingerprint


def test_every_type_of_value_comes_back_exactly() -> None:
    everything = Everything(
        id=UUID(int=7),
        money=Money(amount=Decimal("1234567890123456789.10")),
        lines=[Line(id=3, price=Money(amount=Decimal("0.10"), currency=AWKWARD_TEXT))],
        by_name={AWKWARD_TEXT: Money(amount=Decimal("1E+3"))},
        by_id={UUID(int=2**128 - 1): 2**70},
        tags={"a", "", AWKWARD_TEXT},
        prices=frozenset({Money(amount=Decimal(1)), Money(amount=Decimal(2))}),
        pair=(1, Decimal("1.00")),
        level=Level.HIGH,
        mode=Mode.FAST,
        moment=datetime(2026, 1, 1, 0, 0, 0, 1, tzinfo=UTC),
        span=timedelta(days=-3, microseconds=5),
        either="7",
        ratio=1e-17,
        aliased="x",
        note=AWKWARD_TEXT,
    )
    back = restored(everything)
    assert back.__dict__ == everything.__dict__
    assert back.lines[0].price == everything.lines[0].price
    assert str(back.by_name[AWKWARD_TEXT].amount) == "1E+3"
    assert type(back.either) is str


@pytest.mark.parametrize("aggregate_id", ["", AWKWARD_TEXT, "7", 7, 2**70, UUID(int=7)])
def test_an_id_comes_back_in_its_type(aggregate_id: str | UUID | int) -> None:
    class Thing(AggregateRoot[type(aggregate_id)]):  # type: ignore[misc]
        pass

    back = restored(Thing.model_validate({"id": aggregate_id}))
    assert back.id == aggregate_id
    assert type(back.id) is type(aggregate_id)


def test_a_snapshot_has_no_version_and_no_events_of_its_own() -> None:
    order = new_order()
    order.set_version(9)
    back = restored(order)
    assert (back.version, back.raised_events()) == (0, ())


def test_generic_classes_restore_the_type_they_were_given() -> None:
    assert restored(Box[Decimal](id=1, content=Decimal("1.10"))).content == Decimal("1.10")
    assert restored(Box[list[Money]](id=1, content=[Money(amount=Decimal(1))])).content == [
        Money(amount=Decimal(1))
    ]
    assert fingerprint(Box[int]) != fingerprint(Box[str])


def test_what_is_computed_or_cached_is_no_part_of_the_state() -> None:
    class Invoice(AggregateRoot[str]):
        net: Decimal

        @computed_field  # type: ignore[prop-decorator]
        @property
        def gross(self) -> Decimal:
            return self.net * 2

    codec = SnapshotCodec(Invoice)
    state = codec.dump(Invoice(id="i", net=Decimal("1.5")))
    assert state == b'{"aggregate":{"id":"i","net":"1.5"}}'
    assert codec.load(state).gross == 3


class Secretive(AggregateRoot[str]):
    _total: Decimal = PrivateAttr(default=Decimal(0))
    _seen: set[UUID] = PrivateAttr(default_factory=set)
    __hidden: int = PrivateAttr(default=0)

    def see(self) -> None:
        self._total, self._seen, self.__hidden = Decimal("1.10"), {UUID(int=1)}, 4

    def seen(self) -> tuple[Decimal, set[UUID], int]:
        return self._total, self._seen, self.__hidden


def test_private_attributes_are_state_as_well() -> None:
    secretive = Secretive(id="s")
    secretive.see()
    assert restored(secretive).seen() == (Decimal("1.10"), {UUID(int=1)}, 4)


def test_a_private_attribute_whose_type_says_too_little_is_refused() -> None:
    class Vague(AggregateRoot[str]):
        _total: Any = PrivateAttr(default=0)

    vague = Vague(id="v")
    assert restored(vague)._total == 0
    vague._total = Decimal(1)
    with pytest.raises(SerializationError, match="_total would come back different"):
        restored(vague)


def test_a_value_that_would_lose_its_type_is_refused() -> None:
    class Loose(AggregateRoot[str]):
        data: Any = None

    assert restored(Loose(id="l", data={"a": [1, None, "x"]})).data == {"a": [1, None, "x"]}
    for lossy in (Decimal("1.10"), (1, 2), {1}, MOMENT):
        with pytest.raises(SerializationError, match="data would come back different"):
            restored(Loose(id="l", data=lossy))


def test_a_subclass_in_a_field_of_its_base_class_is_refused() -> None:
    class Shape(BaseModel):
        pass

    class Circle(Shape):
        radius: int

    class Drawing(AggregateRoot[str]):
        shape: Shape

    with pytest.raises(SerializationError, match="shape would come back different"):
        restored(Drawing(id="d", shape=Circle(radius=1)))


def test_what_gets_lost_inside_of_other_entities_is_refused_as_well() -> None:
    class Note(Entity[int]):
        data: Any = None
        _draft: str = PrivateAttr(default="")

    class Notebook(AggregateRoot[str]):
        notes: list[Note] = Field(default_factory=list)
        by_name: dict[str, tuple[Note, ...]] = Field(default_factory=dict)

    drafted = Note(id=1)
    drafted._draft = "lost"
    assert restored(Notebook(id="n", notes=[Note(id=1, data="x")])).notes[0].data == "x"
    for lossy in (Note(id=1, data=Decimal("1.10")), drafted):
        with pytest.raises(SerializationError, match="notes would come back different"):
            restored(Notebook(id="n", notes=[lossy]))
        with pytest.raises(SerializationError, match="by_name would come back different"):
            restored(Notebook(id="n", by_name={"a": (lossy,)}))


def test_a_validator_that_changes_what_it_has_made_is_refused() -> None:
    class User(AggregateRoot[str]):
        password: str

        @field_validator("password")
        @classmethod
        def _hash(cls, value: str) -> str:
            return f"hash({value})"

    with pytest.raises(SerializationError, match="password would come back different"):
        restored(User(id="u", password="secret"))


def test_a_field_that_is_left_out_of_json_is_refused_unless_it_has_its_default() -> None:
    class Half(AggregateRoot[str]):
        cached: int = Field(default=0, exclude=True)

    assert restored(Half(id="h")).cached == 0
    with pytest.raises(SerializationError, match="cached would come back different"):
        restored(Half(id="h", cached=1))


def test_a_value_that_was_never_valid_is_refused() -> None:
    order = new_order()
    order.lines.append("no line")  # type: ignore[arg-type]
    with pytest.raises(SerializationError, match="cannot be written"):
        restored(order)


def test_a_required_field_without_value_is_refused() -> None:
    with pytest.raises(SerializationError, match="content"):
        restored(Box[int].blank(1))


@pytest.mark.parametrize("state", [b"", b"null", b"{", b'{"aggregate":{"id":"i"}}', b"\xff"])
def test_a_state_the_class_does_not_accept_is_an_error(state: bytes) -> None:
    with pytest.raises(SerializationError):
        SnapshotCodec(Box[int]).load(state)


def test_whatever_a_validator_raises_is_the_same_error() -> None:
    class Strict(AggregateRoot[str]):
        limit: int = 0

        @field_validator("limit")
        @classmethod
        def _check(cls, value: int) -> int:
            if value > 1:
                msg = "too much"
                raise DomainError(msg)
            return value

    with pytest.raises(SerializationError, match="too much"):
        SnapshotCodec(Strict).load(b'{"aggregate":{"id":"s","limit":2}}')


# --- fingerprints


def _account(**fields: Any) -> type[AggregateRoot[Any]]:
    """A class as another version of the program might have it."""
    annotations = {name: annotation for name, (annotation, _) in fields.items()}
    defaults = {name: default for name, (_, default) in fields.items()}
    namespace = {"__annotations__": annotations, "__module__": __name__, **defaults}
    return type("Account", (AggregateRoot[str],), namespace)


BALANCE = {"balance": (Decimal, Decimal(0))}


def test_the_same_shape_has_the_same_fingerprint() -> None:
    assert fingerprint(_account(**BALANCE)) == fingerprint(_account(**BALANCE))


@pytest.mark.parametrize(
    "fields",
    [
        {**BALANCE, "owner": (str, "")},
        {"credit": (Decimal, Decimal(0))},
        {"balance": (int, 0)},
        {"balance": (Decimal | None, Decimal(0))},
        {"balance": (Decimal, Decimal(1))},
        {**BALANCE, "title": (str, "")},
        {**BALANCE, "_private": (int, 0)},
    ],
    ids=["new", "renamed", "type", "optional", "default", "a field called title", "private"],
)
def test_another_shape_has_another_fingerprint(fields: dict[str, Any]) -> None:
    assert fingerprint(_account(**fields)) != fingerprint(_account(**BALANCE))


def test_nested_models_and_enums_belong_to_the_shape() -> None:
    def inner(**fields: Any) -> type[AggregateRoot[Any]]:
        namespace = {"__annotations__": fields, "__module__": __name__}
        return _account(inner=(type("Inner", (BaseModel,), namespace), ...))

    assert fingerprint(inner(a=int)) == fingerprint(inner(a=int))
    assert fingerprint(inner(a=int)) != fingerprint(inner(a=str))
    assert fingerprint(inner(title=int)) != fingerprint(inner(description=int))
    small, big = (Enum("Size", names) for names in ("S M", "S M L"))
    assert fingerprint(_account(size=(small, ...))) != fingerprint(_account(size=(big, ...)))


def test_words_about_the_shape_do_not_belong_to_it() -> None:
    documented = _account(balance=(Decimal, Field(Decimal(0), description="Money.", title="B")))
    documented.__doc__ = "An account."
    documented.model_rebuild(force=True)
    assert fingerprint(documented) == fingerprint(_account(**BALANCE))


def test_a_class_can_say_that_its_meaning_has_changed() -> None:
    class Old(AggregateRoot[str]):
        pass

    class New(Old):
        snapshot_version: ClassVar[int] = 2

    New.__name__ = "Old"
    assert fingerprint(Old) != fingerprint(New)


def test_what_has_no_json_schema_has_a_fingerprint_nevertheless() -> None:
    class Plain:
        pass

    class Odd(AggregateRoot[str]):
        model_config = ConfigDict(arbitrary_types_allowed=True)
        plain: Plain | None = None

    assert fingerprint(Odd)
    assert restored(Odd(id="o")).plain is None
    with pytest.raises(SerializationError):
        restored(Odd(id="o", plain=Plain()))
