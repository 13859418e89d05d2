"""A stored event is a value, also when parts of it are made when somebody asks for them."""

from __future__ import annotations

import copy
import pickle
from dataclasses import FrozenInstanceError, asdict, replace
from typing import Any

import pytest

from cqrs_ddd_core.ports.event_store import StoredEvent, StreamId
from cqrs_ddd_core.primitives.id_generator import new_id
from cqrs_ddd_core.testing.samples import MOMENT

EVENT_ID = new_id()
LATE: dict[str, Any] = {
    "_aggregate_type": "Order",
    "_aggregate_id": "o-1",
    "_metadata": '{"user_id": "u-1"}',
}


def complete() -> StoredEvent:
    stream, metadata = StreamId("Order", "o-1"), {"user_id": "u-1"}
    return StoredEvent(
        7, stream, 1, EVENT_ID, "Placed", 1, b'{"a":1}', MOMENT, MOMENT, metadata=metadata
    )


def late() -> StoredEvent:
    """Return the same event as an adapter makes it that does not call the constructor."""
    whole, event = complete(), StoredEvent.__new__(StoredEvent)
    for name in StoredEvent.__dataclass_fields__.keys() - {"stream", "metadata"}:
        object.__setattr__(event, name, getattr(whole, name))
    for name, value in LATE.items():
        object.__setattr__(event, name, value)
    return event


def test_how_an_event_was_made_makes_no_difference() -> None:
    assert late() == complete()
    assert repr(late()) == repr(complete())
    assert asdict(late()) == asdict(complete())
    assert (late().aggregate_type, late().aggregate_id) == ("Order", "o-1")
    assert replace(late(), position=8) == replace(complete(), position=8) != late()


@pytest.mark.parametrize("make", [complete, late])
def test_an_event_can_be_copied_and_pickled(make: Any) -> None:
    assert copy.copy(make()) == copy.deepcopy(make()) == complete()
    assert pickle.loads(pickle.dumps(make())) == complete()  # noqa: S301 - its own


@pytest.mark.parametrize("name", ["stream", "metadata", "payload"])
def test_a_part_is_made_once(name: str) -> None:
    event = late()
    assert getattr(event, name) is getattr(event, name)


def test_an_event_never_changes() -> None:
    with pytest.raises(FrozenInstanceError):
        late().position = 8  # type: ignore[misc]


def test_an_unknown_attribute_is_none_of_an_event() -> None:
    with pytest.raises(AttributeError, match="'StoredEvent' has no attribute 'colour'"):
        late().colour  # type: ignore[attr-defined]  # noqa: B018
