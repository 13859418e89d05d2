"""A stored event is a value, also when parts of it are read when somebody asks for them."""

from __future__ import annotations

import copy
import pickle

import pytest

from cqrs_ddd_core.ports.event_store import StoredEvent, StreamId
from cqrs_ddd_core.primitives.id_generator import new_id
from cqrs_ddd_core.testing.samples import MOMENT

EVENT = StoredEvent(
    position=7,
    aggregate_type="Order",
    aggregate_id="o-1",
    version=1,
    event_id=new_id(),
    event_type="Placed",
    schema_version=1,
    payload_bytes=b'{"a":1}',
    occurred_at=MOMENT,
    recorded_at=MOMENT,
    metadata_json='{"user_id": "u-1"}',
)


def fresh() -> StoredEvent:
    return StoredEvent._make(EVENT)


def test_its_parts_are_read_from_what_is_stored() -> None:
    assert fresh().stream == StreamId("Order", "o-1")
    assert fresh().payload == {"a": 1}
    assert fresh().metadata == {"user_id": "u-1"}
    assert EVENT._replace(metadata_json=None).metadata == {}


@pytest.mark.parametrize("name", ["metadata", "payload"])
def test_a_part_is_read_once(name: str) -> None:
    event = fresh()
    assert getattr(event, name) is getattr(event, name)


@pytest.mark.parametrize("name", ["metadata", "payload"])
def test_what_was_read_makes_no_difference(name: str) -> None:
    event = fresh()
    assert getattr(event, name)
    assert event == fresh()
    assert hash(event) == hash(fresh())


def test_what_was_read_does_not_stay_with_another_event() -> None:
    event = fresh()
    assert event.payload == {"a": 1}
    assert event._replace(payload_bytes=b"{}").payload == {}


def test_an_event_can_be_copied_and_pickled() -> None:
    event = fresh()
    assert event.payload == {"a": 1}
    assert copy.copy(event) == copy.deepcopy(event) == event
    assert pickle.loads(pickle.dumps(event)) == event  # noqa: S301 - its own


@pytest.mark.parametrize("name", ["position", "stream"])
def test_an_event_never_changes(name: str) -> None:
    with pytest.raises(AttributeError):
        setattr(fresh(), name, None)
