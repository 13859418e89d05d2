"""A change that would break stored events is found before it is deployed."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import pytest
from pydantic import BaseModel, ConfigDict, Field, create_model

from cqrs_ddd_advanced_core.domain.exceptions import UpcasterRegistrationError
from cqrs_ddd_advanced_core.upcasting import SchemaCatalogue, SchemaProblem, UpcasterRegistry
from cqrs_ddd_core.domain import DomainEvent, EventTypeRegistry
from cqrs_ddd_core.primitives.exceptions import ConfigurationError


def _event(name: str = "Placed", version: int = 1, /, **fields: Any) -> type[DomainEvent]:
    typed: dict[str, Any] = {
        key: value if isinstance(value, tuple) else (value, ...) for key, value in fields.items()
    }
    made = create_model(name, __base__=DomainEvent, **typed)
    made.schema_version = version
    return made


def _registry(*events: type[DomainEvent]) -> EventTypeRegistry:
    return EventTypeRegistry(events)


@pytest.fixture
def catalogue(tmp_path: Path) -> SchemaCatalogue:
    return SchemaCatalogue(tmp_path / "schemas")


def _changes(
    catalogue: SchemaCatalogue, before: dict[str, Any], after: dict[str, Any]
) -> list[str]:
    """Return what is wrong with other fields under the same version."""
    assert catalogue.update(_registry(_event(**before))).problems == ()
    found = catalogue.compare(_registry(_event(**after)))
    assert {problem[:2] for problem in found.problems} <= {("Placed", 1)}
    return [f"{problem.field} {problem.reason}" for problem in found.problems]


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Red(Enum):
    RED = "red"


class Line(BaseModel):
    sku: str
    price: Decimal


class LineWithTax(Line):
    tax: Decimal


class LineWithNote(Line):
    note: str = ""


class Short(BaseModel):
    sku: str


class Tree(BaseModel):
    name: str
    children: list[Tree] = []
    parent: Tree | None = None


class OtherTree(BaseModel):
    name: int
    children: list[OtherTree] = []
    parent: OtherTree | None = None


class Card(BaseModel):
    kind: Literal["card"]
    number: str


class Cash(BaseModel):
    kind: Literal["cash"]


class CardWithOwner(Card):
    owner: str


PAYMENT: Any = Card | Cash
OPTIONAL_TEXT: Any = str | None
TEXT_OR_NUMBER: Any = str | int


@pytest.mark.parametrize(
    "before, after, problem",
    [
        ({"a": int, "b": int}, {"a": int}, "b was removed"),
        ({"a": int}, {"z": (int, 0)}, "a was removed"),
        ({"a": int}, {"a": int, "b": int}, "b is new, and required now"),
        ({"a": (int, 0)}, {"a": int}, "a was optional, and required now"),
        ({"a": int}, {"a": str}, "a was integer, is string"),
        ({"a": float}, {"a": int}, "a was number, is integer"),
        ({"a": str}, {"a": datetime}, "a was string, is string (date-time)"),
        ({"a": datetime}, {"a": date}, "a was string (date-time), is string (date)"),
        ({"a": UUID}, {"a": str}, "a was string (uuid), is string"),
        ({"a": str}, {"a": Decimal}, "a no longer takes string"),
        ({"a": Decimal}, {"a": float}, "a was string (decimal), is number"),
        ({"a": OPTIONAL_TEXT}, {"a": str}, "a was null, is string"),
        ({"a": TEXT_OR_NUMBER}, {"a": str}, "a was integer, is string"),
        ({"a": Any}, {"a": str}, "a was anything, is string"),
        ({"a": Colour}, {"a": Red}, "a no longer takes 'blue'"),
        ({"a": str}, {"a": Colour}, "a takes 'red', 'blue' only"),
        ({"a": Literal["x", "y"]}, {"a": Literal["x"]}, "a no longer takes 'y'"),
        ({"a": int}, {"a": (int, Field(ge=1))}, "a has minimum 1 now, and had none"),
        (
            {"a": (str, Field(max_length=9))},
            {"a": (str, Field(max_length=8))},
            "a has maxLength 8 now, and had 9",
        ),
        (
            {"a": str},
            {"a": (str, Field(pattern="^x"))},
            "a has pattern '^x' now, and had 'none'",
        ),
        ({"a": Decimal}, {"a": (Decimal, Field(max_digits=3))}, "a has max_digits 3 now"),
        ({"a": list[int]}, {"a": list[str]}, "a[] was integer, is string"),
        ({"a": list[int]}, {"a": dict[str, int]}, "a was array, is object"),
        ({"a": dict[str, int]}, {"a": dict[str, str]}, "a{} was integer, is string"),
        ({"a": dict[Colour, int]}, {"a": dict[Red, int]}, "a{key} no longer takes 'blue'"),
        ({"a": dict[str, str]}, {"a": Short}, "a{} was removed"),
        ({"a": tuple[int, str]}, {"a": tuple[int, int]}, "a[1] was string, is integer"),
        ({"a": tuple[int]}, {"a": tuple[int, int]}, "a has minItems 2 now, and had 1"),
        ({"a": Line}, {"a": Short}, "a.price was removed"),
        ({"a": Line}, {"a": LineWithTax}, "a.tax is new, and required now"),
        ({"a": list[Line]}, {"a": list[LineWithTax]}, "a[].tax is new, and required now"),
        ({"a": Tree}, {"a": OtherTree}, "a.name was string, is integer"),
        (
            {"a": (PAYMENT, Field(discriminator="kind"))},
            {"a": (CardWithOwner | Cash, Field(discriminator="kind"))},
            "a.owner is new, and required now",
        ),
        ({"a": PAYMENT}, {"a": Cash}, "a.number was removed"),
    ],
)
def test_a_breaking_change_under_one_version_is_named(
    catalogue: SchemaCatalogue, before: dict[str, Any], after: dict[str, Any], problem: str
) -> None:
    found = _changes(catalogue, before, after)
    assert any(one.startswith(problem) for one in found), found


@pytest.mark.parametrize(
    "before, after",
    [
        ({"a": int}, {"a": int, "b": (int, 0)}),
        ({"a": int}, {"a": int, "b": (list[Line], Field(default_factory=list))}),
        ({"a": int}, {"a": (int, 0)}),
        ({"a": int}, {"a": float}),
        ({"a": str}, {"a": OPTIONAL_TEXT}),
        ({"a": str}, {"a": TEXT_OR_NUMBER}),
        ({"a": str}, {"a": Any}),
        ({"a": Red}, {"a": Colour}),
        ({"a": Colour}, {"a": str}),
        ({"a": (int, Field(ge=1, lt=9))}, {"a": int}),
        ({"a": (str, Field(min_length=3))}, {"a": (str, Field(min_length=2))}),
        ({"a": (str, Field(pattern="^x"))}, {"a": str}),
        ({"a": Line}, {"a": LineWithNote}),
        ({"a": dict[Red, int]}, {"a": dict[str, int]}),
        ({"a": list[Line]}, {"a": list[LineWithNote]}),
        ({"a": Tree}, {"a": (Tree, Field(description="of life"))}),
        ({"a": Card}, {"a": PAYMENT}),
        ({"a": (int, Field(title="A"))}, {"a": (int, Field(title="B", examples=[1]))}),
        ({"a": (int, Field(alias="x"))}, {"a": int}),
    ],
)
def test_what_keeps_stored_events_readable_passes(
    catalogue: SchemaCatalogue, before: dict[str, Any], after: dict[str, Any]
) -> None:
    assert _changes(catalogue, before, after) == []


def test_the_same_events_change_nothing(catalogue: SchemaCatalogue) -> None:
    registry = _registry(_event(tree=Tree, line=Line, amount=Decimal, payment=PAYMENT))
    assert len(catalogue.update(registry).outdated) == 1
    assert catalogue.update(registry) == ((), ())


def test_a_field_that_was_added_is_remembered(catalogue: SchemaCatalogue) -> None:
    added = _registry(_event(a=int, note=(str, "")))
    assert _changes(catalogue, {"a": int}, {"a": int, "note": (str, "")}) == []
    assert [path.name for path in catalogue.update(added).outdated] == ["Placed.v1.json"]
    found = catalogue.update(_registry(_event(a=int)))
    assert found.problems == (SchemaProblem("Placed", 1, "note", "was removed"),)


def test_nothing_is_written_when_something_is_broken(
    catalogue: SchemaCatalogue, tmp_path: Path
) -> None:
    catalogue.update(_registry(_event(a=int)))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.json")}
    assert catalogue.update(_registry(_event(a=str), _event("Paid"))).problems
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.json")} == before


def test_comparing_writes_nothing(catalogue: SchemaCatalogue, tmp_path: Path) -> None:
    found = catalogue.compare(_registry(_event(a=int)))
    assert [path.name for path in found.outdated] == ["Placed.v1.json"]
    assert list(tmp_path.iterdir()) == []


def test_files_depend_on_the_shapes_alone(tmp_path: Path) -> None:
    first, second = SchemaCatalogue(tmp_path / "1"), SchemaCatalogue(tmp_path / "2")
    turned = create_model("Line", price=(Decimal, ...), sku=(str, ...))
    first.update(_registry(_event("A", b=int, a=Line), _event("B")))
    second.update(_registry(_event("B"), _event("A", a=turned, b=(int, Field(description="b")))))
    files = [
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in "12"
    ]
    assert files[0].keys() == files[1].keys() == {"A.v1.json", "B.v1.json"}
    # The order of the definition is no part of the shape.
    assert files[0] == files[1]


def test_a_name_with_any_sign_has_a_file(catalogue: SchemaCatalogue) -> None:
    event = _event(a=int)
    event.event_type = "shop/orders: placed"
    registry = _registry(event)
    [path] = catalogue.update(registry).outdated
    assert path.name == "shop%2Forders%3A%20placed.v1.json"
    assert catalogue.compare(registry) == ((), ())


def test_a_default_that_is_no_json_is_still_a_default(catalogue: SchemaCatalogue) -> None:
    assert _changes(catalogue, {}, {"a": (Any, object())}) == []


def test_a_field_that_json_schema_cannot_describe_is_refused(catalogue: SchemaCatalogue) -> None:
    class Opaque:
        pass

    class Placed(DomainEvent):
        model_config = ConfigDict(arbitrary_types_allowed=True)

        a: Opaque

    with pytest.raises(ConfigurationError, match=r"Placed has a field of a type without JSON"):
        catalogue.compare(_registry(Placed))


# --- versions ------------------------------------------------------------------------------------


def _upcasters() -> UpcasterRegistry:
    registry = UpcasterRegistry()
    registry.upcaster("Placed", source_version=1)(lambda data: data)
    return registry


def test_any_change_passes_with_a_raised_version_and_an_upcaster(
    catalogue: SchemaCatalogue, tmp_path: Path
) -> None:
    catalogue.update(_registry(_event(a=int)))
    found = catalogue.update(_registry(_event("Placed", 2, a=str)), _upcasters())
    assert found.problems == ()
    names = {path.name for path in tmp_path.rglob("*.json")}
    assert names == {"Placed.v1.json", "Placed.v2.json"}
    assert catalogue.compare(_registry(_event("Placed", 2, a=str)), _upcasters()) == ((), ())


def test_a_raised_version_without_an_upcaster_is_refused(catalogue: SchemaCatalogue) -> None:
    catalogue.update(_registry(_event(a=int)))
    found = catalogue.update(_registry(_event("Placed", 2, a=str)))
    [problem] = found.problems
    assert problem == SchemaProblem(
        "Placed", 1, "", "no class reads 'Placed' version 1: register an upcaster from it"
    )


def test_an_event_that_is_gone_is_refused_until_something_reads_it(
    catalogue: SchemaCatalogue,
) -> None:
    catalogue.update(_registry(_event("Made", a=int), _event("Viewed")))
    today = _registry(_event(a=int))
    assert [p.event_type for p in catalogue.compare(today).problems] == ["Made", "Viewed"]
    upcasters = UpcasterRegistry()
    upcasters.rename("Made", "Placed", source_version=1)
    upcasters.drop("Viewed", source_version=1)
    assert catalogue.compare(today, upcasters).problems == ()


def test_an_alias_reads_what_was_stored_under_the_old_name(catalogue: SchemaCatalogue) -> None:
    catalogue.update(_registry(_event("Made", a=int)))
    placed = _event(a=int)
    today = _registry(placed)
    today.register_alias("Made", placed)
    assert [path.name for path in catalogue.update(today).outdated] == ["Placed.v1.json"]
    other = _event(a=str)
    today = _registry(other)
    today.register_alias("Made", other)
    assert [p.event_type for p in catalogue.compare(today).problems] == ["Made", "Placed"]


def test_a_lowered_version_is_refused(catalogue: SchemaCatalogue) -> None:
    catalogue.update(_registry(_event("Placed", 2, a=int)), _upcasters())
    [problem] = catalogue.compare(_registry(_event(a=int))).problems
    assert (problem.schema_version, problem.field) == (2, "")


def test_a_rename_to_a_version_that_no_class_has_is_refused(catalogue: SchemaCatalogue) -> None:
    catalogue.update(_registry(_event("Made", a=int)))
    upcasters = UpcasterRegistry()
    upcasters.rename("Made", "Gone", source_version=1)
    [problem] = catalogue.compare(_registry(_event(a=int)), upcasters).problems
    assert problem.reason.startswith("no class reads 'Gone' version 1")


def test_what_is_refused_at_start_up_is_refused_here(catalogue: SchemaCatalogue) -> None:
    upcasters = UpcasterRegistry()
    upcasters.upcaster("Placed", source_version=2)(lambda data: data)
    with pytest.raises(UpcasterRegistrationError, match="'Placed' version 1"):
        catalogue.compare(_registry(_event()), upcasters)
    with pytest.raises(ConfigurationError, match="lead to version 2"):
        catalogue.compare(_registry(_event()), _upcasters())


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"event_type": "A"}', "not json"])
def test_a_file_that_is_none_of_the_catalogue_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(ConfigurationError, match=r"x\.json is no file of a schema catalogue"):
        SchemaCatalogue(tmp_path).compare(_registry())
