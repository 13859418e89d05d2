"""What holds for every chain of upcasters and every payload."""

from __future__ import annotations

from copy import deepcopy
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cqrs_ddd_advanced_core.upcasting import EventDowncaster, UpcasterRegistry

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
payloads = st.dictionaries(st.sampled_from("abcd"), json_values)


def _rename(data: dict[str, Any]) -> dict[str, Any]:
    return {("z" if key == "a" else key): value for key, value in data.items()}


def _exact(data: dict[str, Any]) -> dict[str, Any]:
    return {**data, "price": Decimal("1.10") + len(data)}


def _mutate(data: dict[str, Any]) -> dict[str, Any]:
    for value in data.values():
        if isinstance(value, list):
            value.append(len(value))
        elif isinstance(value, dict):
            value["seen"] = True
    return data


def _nest(data: dict[str, Any]) -> dict[str, Any]:
    return {"before": dict(data), "again": data}


changes = st.lists(st.sampled_from([_rename, _exact, _mutate, _nest]), min_size=1, max_size=5)


def _registry(chain: list[Any]) -> UpcasterRegistry:
    registry = UpcasterRegistry()
    for version, change in enumerate(chain, start=1):
        registry.upcaster("E", source_version=version)(change)
    return registry


def _read(registry: UpcasterRegistry, version: int, payload: dict[str, Any]) -> dict[str, Any]:
    [upcast] = registry.upcast("E", version, payload)
    return upcast.payload


@given(changes, st.data(), payloads)
def test_a_chain_at_once_gives_the_same_as_in_two_parts(
    chain: list[Any], data: st.DataObject, payload: dict[str, Any]
) -> None:
    middle = data.draw(st.integers(1, len(chain)))
    at_once = _read(_registry(chain), 1, payload)
    # What a process of an older release would have stored in between.
    stored = _read(_registry(chain[:middle]), 1, payload)
    assert _read(_registry(chain), middle + 1, stored) == at_once


@given(changes, payloads)
def test_upcasting_never_changes_its_input(chain: list[Any], payload: dict[str, Any]) -> None:
    before = deepcopy(payload)
    result = _read(_registry(chain), 1, payload)
    assert payload == before
    _mutate(result)
    assert payload == before


@given(changes, payloads)
def test_upcasting_the_latest_version_changes_nothing(
    chain: list[Any], payload: dict[str, Any]
) -> None:
    registry = _registry(chain)
    latest = registry.latest_version("E")
    assert latest == len(chain) + 1
    once = _read(registry, 1, payload)
    assert _read(registry, latest, once) == once
    assert _read(registry, latest, payload) == payload


@given(payloads)
def test_a_downcaster_that_undoes_an_upcaster_gives_the_payload_back(
    payload: dict[str, Any],
) -> None:
    class Unnest(EventDowncaster):
        event_type = "E"
        source_version = 2

        def downcast(self, data: dict[str, Any]) -> dict[str, Any]:
            again: dict[str, Any] = data["again"]
            return again

    registry = _registry([_nest])
    registry.register(Unnest())
    today = _read(registry, 1, payload)
    older = registry.downcaster("E", 2, 1)(today)
    assert older == payload
    assert _read(registry, 1, older) == today


@given(st.permutations(range(1, 6)))
def test_the_order_of_registration_does_not_matter(order: list[int]) -> None:
    registry = UpcasterRegistry()
    for version in order:
        registry.upcaster("E", source_version=version)(
            lambda data, version=version: {"path": [*data.get("path", []), version]}
        )
    assert _read(registry, 1, {}) == {"path": [1, 2, 3, 4, 5]}
