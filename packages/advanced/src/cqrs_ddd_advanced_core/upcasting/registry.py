"""The registry of upcasters: which version of which type becomes what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from cqrs_ddd_advanced_core.domain.exceptions import UpcasterRegistrationError
from cqrs_ddd_advanced_core.upcasting._graph import descend, plan_reading, reachable
from cqrs_ddd_advanced_core.upcasting._step import Payload, as_json, step_of
from cqrs_ddd_advanced_core.upcasting.upcaster import (
    EventDowncaster,
    EventSplitter,
    EventUpcaster,
)
from cqrs_ddd_core.ports.upcasting import IUpcasterRegistry, UpcastPayload
from cqrs_ddd_core.primitives.exceptions import SchemaVersionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from cqrs_ddd_advanced_core.upcasting._graph import ReadingPlan
    from cqrs_ddd_advanced_core.upcasting._step import AnyUpcaster, Node, Step

__all__ = ["UpcasterRegistry"]

F = TypeVar("F", bound="Callable[[dict[str, Any]], dict[str, Any]]")


class UpcasterRegistry(IUpcasterRegistry):
    """Reads payloads of older shapes, step by step, and writes them for older processes.

    Upcasters may be registered in any order. Duplicates and cycles are refused at once, gaps by
    ``check``, which ``register_all``, ``EventSerializer``, ``MessageRegistry`` and the first use
    call.

    Every upcaster gets JSON values of its own, as if its source had been stored: what it does to
    them reaches neither the store nor another upcaster, and a chain gives the same whether it
    runs at once or in parts.

    Args:
        upcasters: Those to register at once.

    Raises:
        UpcasterRegistrationError: One of them cannot be registered, or they leave a gap.
    """

    def __init__(self, upcasters: Iterable[AnyUpcaster] = ()) -> None:
        self._up: dict[Node, Step] = {}
        self._down: dict[Node, Step] = {}
        # Made by the first use, and again after a registration.
        self._plan: ReadingPlan | None = None
        self.register_all(upcasters)

    def register(self, upcaster: AnyUpcaster) -> None:
        """Add an upcaster, a splitter or a downcaster.

        Raises:
            UpcasterRegistrationError: It makes no sense, its source has one already, or it would
                lead in a circle.
        """
        step = step_of(upcaster)
        steps = self._down if isinstance(upcaster, EventDowncaster) else self._up
        name = type(upcaster).__name__
        event_type, version = step.source
        if step.source in steps:
            reason = f"is the second one of {event_type!r} version {version}"
            raise UpcasterRegistrationError(name, reason)
        if steps is self._up and step.source in reachable(steps, step.targets.items()):
            reason = f"would lead {event_type!r} version {version} back to itself"
            raise UpcasterRegistrationError(name, reason)
        steps[step.source] = step
        self._plan = None

    def register_all(self, upcasters: Iterable[AnyUpcaster]) -> None:
        """Add several, and make sure that every version leads to one that is read today.

        Raises:
            UpcasterRegistrationError: One of them cannot be registered, or they leave a gap.
        """
        for upcaster in upcasters:
            self.register(upcaster)
        self.check()

    def upcaster(
        self,
        event_type: str,
        *,
        source_version: int,
        target_version: int | None = None,
        target_type: str | None = None,
    ) -> Callable[[F], F]:
        """Register a function as an upcaster, as a decorator.

        Args:
            event_type: Type name of what it is given; of a command, its ``command_type``.
            source_version: Version of what it is given.
            target_version: Version of what it returns; the next one when not given.
            target_type: Type name of what it returns; the same when not given.

        Raises:
            UpcasterRegistrationError: See ``register``.
        """
        wanted = {"target_version": target_version, "target_type": target_type}
        given = {name: value for name, value in wanted.items() if value is not None}

        def decorate(function: F) -> F:
            attributes = {
                "event_type": event_type,
                "source_version": source_version,
                "upcast": staticmethod(function),
                **given,
            }
            self.register(type(function.__name__, (EventUpcaster,), attributes)())
            return function

        return decorate

    def rename(
        self, old: str, new: str, *, source_version: int, target_version: int | None = None
    ) -> None:
        """Read events of one type as another; the shape stays, and so does its version.

        Args:
            old: Type name that events are stored under.
            new: Type name they are read as.
            source_version: Version of the old type. Versions before it need upcasters to it.
            target_version: Version of the new type; the same number when not given.

        Raises:
            UpcasterRegistrationError: See ``register``.
        """
        version = source_version if target_version is None else target_version
        decorate = self.upcaster(
            old, source_version=source_version, target_version=version, target_type=new
        )
        decorate(_unchanged)

    def drop(self, event_type: str, *, source_version: int) -> None:
        """Read events of a type as nothing at all.

        Args:
            event_type: Type name.
            source_version: Version of it. Versions before it need upcasters to it.

        Raises:
            UpcasterRegistrationError: See ``register``.
        """
        attributes = {
            "event_type": event_type,
            "source_version": source_version,
            "targets": {},
            "split": staticmethod(_nothing),
        }
        self.register(type("drop", (EventSplitter,), attributes)())

    def check(self) -> None:
        """Make sure that every version leads to one that is read today.

        A type begins at version 1, unless events of other types become it.

        Raises:
            UpcasterRegistrationError: Some version leads nowhere; all of them are named.
        """
        self._planned()

    def chain_for(self, event_type: str) -> tuple[AnyUpcaster, ...]:
        """Return the upcasters and splitters of a type, that of the oldest version first."""
        steps = sorted(source for source in self._up if source[0] == event_type)
        return tuple(self._up[source].upcaster for source in steps)

    def registered_event_types(self) -> tuple[str, ...]:
        """Return the types that have upcasters or splitters, sorted."""
        return tuple(sorted({event_type for event_type, _ in self._up}))

    def stored_types(self, event_type: str) -> frozenset[str]:
        """Return the names under which events may be stored that are read as this type today.

        For readers that ask a store for events of some types only.
        """
        return frozenset(
            {event_type}
            | {node[0] for node in self._up if event_type in dict(self.leads_to(*node))}
        )

    def leads_to(self, event_type: str, schema_version: int) -> frozenset[tuple[str, int]]:
        """Return the types and versions that a payload is read as today; none when it is dropped.

        Raises:
            SchemaVersionError: The version is unknown, and nothing leads on from it.
        """
        node = event_type, schema_version
        return frozenset(self._planned(node).final_nodes(node))

    def has_upcasters(self, event_type: str, schema_version: int) -> bool:
        return (event_type, schema_version) in self._planned().steps

    def latest_version(self, event_type: str) -> int | None:
        return self._planned().latest.get(event_type)

    def upcast(
        self, event_type: str, schema_version: int, payload: dict[str, Any]
    ) -> Sequence[UpcastPayload]:
        """Return what a payload is read as today: one payload, several, or none.

        Those returned are JSON values and share nothing with the one given, which is not changed.
        One of today's version is returned as it is, and so is one of a type without upcasters.

        Raises:
            SchemaVersionError: The version is unknown, and nothing leads on from it.
            UpcastingError: An upcaster failed.
        """
        steps = self._planned((event_type, schema_version)).steps
        return tuple(_follow(UpcastPayload(event_type, schema_version, as_json(payload)), steps))

    def downcaster(
        self, event_type: str, source_version: int, target_version: int
    ) -> Callable[[dict[str, Any]], dict[str, Any]]:
        steps = list(descend(self._down, (event_type, source_version), target_version))
        reached = steps[-1].targets[event_type] if steps else source_version
        if reached != target_version:
            reason = f"has no downcaster of {event_type!r} from version {reached}"
            raise UpcasterRegistrationError("the registry", f"{reason} to {target_version}")

        def downcast(payload: Payload) -> Payload:
            payload = as_json(payload)
            for step in steps:
                [(_, _, payload)] = step.run(payload)
            return payload

        return downcast

    def _planned(self, node: Node | None = None) -> ReadingPlan:
        plan = self._plan
        if plan is None:
            plan = self._plan = plan_reading(self._up, self._down)
        if node is not None and not plan.knows(node):
            raise SchemaVersionError(*node, plan.latest.get(node[0]))
        return plan


def _follow(start: UpcastPayload, steps: Mapping[Node, Step]) -> Iterator[UpcastPayload]:
    todo = [start]
    while todo:
        current = todo.pop()
        step = steps.get((current.event_type, current.schema_version))
        if step is None:
            yield current
        else:
            todo += reversed(step.run(current.payload))


def _unchanged(data: Payload) -> Payload:
    return data


def _nothing(data: Payload) -> tuple[()]:
    del data
    return ()
