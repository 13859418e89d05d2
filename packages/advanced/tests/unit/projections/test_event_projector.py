"""Quick views in memory."""

from __future__ import annotations

from typing import Any

import pytest

from cqrs_ddd_advanced_core.domain.projection_exceptions import ProjectionDefinitionError
from cqrs_ddd_advanced_core.projections import EventProjector
from cqrs_ddd_core import DomainEvent
from cqrs_ddd_core.testing.conformance import Veto


class UserCreated(DomainEvent):
    email: str


class UserDeleted(DomainEvent):
    email: str


def _add(event: UserCreated, users: list[str] | None) -> list[str]:
    return [*(users or []), event.email]


@pytest.fixture
def projector() -> EventProjector:
    projector = EventProjector()
    projector.register_projector(UserCreated, _add)
    return projector


def test_events_are_folded_by_key(projector: EventProjector) -> None:
    assert projector.get_projection("active") is None
    projector.project("active", UserCreated(email="a"))
    assert projector.project("active", UserCreated(email="b")) == ["a", "b"]
    projector.project("other", UserCreated(email="c"))
    assert projector.get_projection("active") == ["a", "b"]
    assert projector.get_projection("other") == ["c"]


def test_types_may_be_named(projector: EventProjector) -> None:
    projector.register_projector(
        "UserDeleted", lambda event, users: [one for one in users if one != event.email]
    )
    projector.project("active", UserCreated(email="a"))
    assert projector.project("active", UserDeleted(email="a")) == []


def test_an_event_without_function_changes_nothing(projector: EventProjector) -> None:
    assert projector.project("active", UserDeleted(email="a"), ["x"]) == ["x"]
    assert projector.get_projection("active") is None
    projector.project("active", UserCreated(email="a"))
    assert projector.project("active", UserDeleted(email="a"), ["x"]) == ["a"]


def test_an_initial_value_is_not_shared() -> None:
    projector, initial = EventProjector(), {"count": 0}

    def count(_: UserCreated, projection: dict[str, int]) -> dict[str, int]:
        projection["count"] += 1
        return projection

    projector.register_projector(UserCreated, count)
    for key in ("a", "b"):
        assert projector.project(key, UserCreated(email=""), initial) == {"count": 1}
    assert initial == {"count": 0}


def test_a_function_that_raises_changes_nothing(projector: EventProjector) -> None:
    def fail(_: Any, __: Any) -> Any:
        raise Veto

    projector.register_projector(UserDeleted, fail)
    projector.project("active", UserCreated(email="a"))
    with pytest.raises(Veto):
        projector.project("active", UserDeleted(email="a"))
    assert projector.get_projection("active") == ["a"]


def test_clearing_keeps_the_functions(projector: EventProjector) -> None:
    projector.project("active", UserCreated(email="a"))
    projector.clear()
    assert projector.get_projection("active") is None
    assert projector.project("active", UserCreated(email="b")) == ["b"]


def test_a_second_function_is_refused(projector: EventProjector) -> None:
    projector.register_projector(UserCreated, _add)
    with pytest.raises(ProjectionDefinitionError, match="'UserCreated' has a function already"):
        projector.register_projector(UserCreated, lambda event, users: users)
