"""Projectors say which event changes which rows; what cannot work is refused when registered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from cqrs_ddd_advanced_core.adapters.memory import InMemoryProjectionStore
from cqrs_ddd_advanced_core.domain.projection_exceptions import (
    ProjectionDefinitionError,
    UnknownProjectionError,
)
from cqrs_ddd_advanced_core.ports import ProjectionColumn, ProjectionSchema
from cqrs_ddd_advanced_core.projections import (
    FunctionProjector,
    Projector,
    ProjectorRegistry,
    projects,
)
from cqrs_ddd_core.domain import DomainEvent, EventTypeRegistry

if TYPE_CHECKING:
    from cqrs_ddd_advanced_core.projections import ProjectionRows

TABLE = ProjectionSchema("items", {"id": ProjectionColumn(str)}, ("id",))


class Added(DomainEvent):
    item: str


class Removed(DomainEvent):
    item: str


class RemovedByForce(Removed):
    pass


class Items(Projector):
    name = "items"
    tables = (TABLE,)

    @projects
    def added(self, event: Added, rows: ProjectionRows) -> None:
        rows.put("items", {"id": event.item})

    @projects(Removed)
    async def removed(self, event: Any, rows: ProjectionRows) -> None:
        rows.delete("items", event.item)


def nothing(event: Added, rows: ProjectionRows) -> None:
    """Change nothing."""


def test_marks_and_annotations_tell_the_events() -> None:
    items = Items()
    assert items.handlers() == {Added: items.added, Removed: items.removed}


def test_one_method_may_handle_several_events() -> None:
    class Both(Items):
        @projects
        def added(self, event: Added | Removed, rows: ProjectionRows) -> None:
            """Change nothing."""

        removed = None  # type: ignore[assignment]

    class Named(Items):
        @projects(Added, Removed)
        def added(self, event: Any, rows: ProjectionRows) -> None:
            """Change nothing."""

        removed = None  # type: ignore[assignment]

    for projector in (Both(), Named()):
        assert projector.handlers() == {Added: projector.added, Removed: projector.added}


def test_a_subclass_may_replace_a_handler() -> None:
    class Silent(Items):
        @projects
        def added(self, event: Added, rows: ProjectionRows) -> None:
            """Change nothing."""

    silent = Silent()
    assert silent.handlers()[Added] == silent.added


def test_two_handlers_of_one_event_are_refused() -> None:
    class Twice(Items):
        @projects
        def again(self, event: Added, rows: ProjectionRows) -> None:
            """Change nothing."""

    with pytest.raises(ProjectionDefinitionError, match="two handlers of Added"):
        ProjectorRegistry([Twice()])


def test_a_handler_takes_event_and_rows() -> None:
    def alone(event: Added) -> None:
        """Change nothing."""

    with pytest.raises(ProjectionDefinitionError, match="the event and the rows"):
        FunctionProjector("items", {Added: alone}, tables=[TABLE])  # type: ignore[dict-item]


def test_a_handler_is_for_an_event_class() -> None:
    class Numbers(Items):
        @projects
        def added(self, event: int, rows: ProjectionRows) -> None:  # type: ignore[override]
            """Change nothing."""

    with pytest.raises(ProjectionDefinitionError, match="no event class"):
        Numbers().handlers()
    with pytest.raises(ProjectionDefinitionError, match="no event class"):
        FunctionProjector("items", {str: nothing}, tables=[])  # type: ignore[dict-item]


def test_an_annotation_that_cannot_be_resolved_is_explained() -> None:
    class Local(DomainEvent):
        pass

    class Lost(Projector):
        name = "lost"

        @projects
        def happened(self, event: Local, rows: ProjectionRows) -> None:
            """Change nothing."""

    with pytest.raises(ProjectionDefinitionError, match=r"@projects\(TheEvent\)"):
        Lost().handlers()


def test_a_projector_without_handlers_is_refused() -> None:
    class Idle(Projector):
        name = "idle"

    with pytest.raises(ProjectionDefinitionError, match="no event at all"):
        ProjectorRegistry([Idle()])


@pytest.mark.parametrize("name", ["", "1st", "a b", "é", "x" * 101])
def test_a_name_that_cannot_be_one_is_refused(name: str) -> None:
    with pytest.raises(ProjectionDefinitionError, match="names no projection"):
        ProjectorRegistry([FunctionProjector(name, {Added: nothing}, tables=[TABLE])])


@pytest.mark.parametrize("numbers", [{"version": 0}, {"partitions": 0}])
def test_numbers_that_make_no_sense_are_refused(numbers: dict[str, int]) -> None:
    with pytest.raises(ProjectionDefinitionError, match="items"):
        ProjectorRegistry([FunctionProjector("items", {Added: nothing}, tables=[TABLE], **numbers)])  # type: ignore[arg-type]


def test_a_name_is_taken_once() -> None:
    registry = ProjectorRegistry([Items()])
    with pytest.raises(ProjectionDefinitionError, match="registered already"):
        registry.register(Items())


def test_a_table_has_one_writer() -> None:
    registry = ProjectorRegistry([Items()])
    other = FunctionProjector("other", {Added: nothing}, tables=[TABLE])
    with pytest.raises(ProjectionDefinitionError, match="both write 'items'"):
        registry.register(other)
    assert registry.register(other, store=InMemoryProjectionStore()) is other


def test_a_table_is_listed_once() -> None:
    twice = FunctionProjector("twice", {Added: nothing}, tables=[TABLE, TABLE])
    with pytest.raises(ProjectionDefinitionError, match="lists a table twice"):
        ProjectorRegistry([twice])


def test_what_is_registered_is_found() -> None:
    store = InMemoryProjectionStore()
    registry = ProjectorRegistry([Items()], store=store)
    found = registry.get("items")
    assert (found.name, found.version, found.store) == ("items", 1, store)
    assert list(registry.projections()) == [found]
    assert ("items" in registry, "other" in registry) == (True, False)
    with pytest.raises(UnknownProjectionError, match="there is items"):
        registry.get("other")


def test_without_a_store_rows_are_kept_in_memory() -> None:
    assert isinstance(ProjectorRegistry().store, InMemoryProjectionStore)


def test_only_events_of_handled_types_are_asked_for() -> None:
    found = ProjectorRegistry([Items()]).get("items")
    assert found.event_filter.event_types == frozenset({"Added", "Removed"})


def test_former_names_and_derived_events_are_asked_for_too() -> None:
    events = EventTypeRegistry([Added, Removed, RemovedByForce])
    events.register_alias("ItemAdded", Added)
    found = ProjectorRegistry([Items()], event_registry=events).get("items")
    assert found.event_filter.event_types == frozenset(
        {"Added", "ItemAdded", "Removed", "RemovedByForce"}
    )


def test_an_event_that_cannot_be_read_cannot_be_handled() -> None:
    with pytest.raises(ProjectionDefinitionError, match="Removed, which the event registry lacks"):
        ProjectorRegistry([Items()], event_registry=EventTypeRegistry([Added]))
