"""Where upcasters lead to, seen without running them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cqrs_ddd_advanced_core.domain.exceptions import UpcasterRegistrationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from cqrs_ddd_advanced_core.upcasting._step import Node, Step

__all__ = ["ReadingPlan", "descend", "plan_reading", "reachable"]


class ReadingPlan(NamedTuple):
    """How every known version is read.

    Attributes:
        steps: What is changed before it is read.
        latest: The version at which a type is read, for types that a step leads to.
        types: All types that are known.
    """

    steps: Mapping[Node, Step]
    latest: Mapping[str, int]
    types: frozenset[str]

    def final_nodes(self, node: Node) -> set[Node]:
        """Return what a payload of that version is read as; none when it is dropped."""
        return {one for one in reachable(self.steps, [node]) if one not in self.steps}

    def knows(self, node: Node) -> bool:
        """Whether a version is read, be it as it is; so is every one of a type without steps."""
        event_type, version = node
        is_known = node in self.steps or self.latest.get(event_type) == version
        return is_known or event_type not in self.types


def plan_reading(up: Mapping[Node, Step], down: Mapping[Node, Step]) -> ReadingPlan:
    """Return how every known version is read.

    Raises:
        UpcasterRegistrationError: Some version leads nowhere; all of them are named.
    """
    latest = _latest_versions(up)
    for event_type, lowest in _latest_versions(down, pick=min).items():
        latest.setdefault(event_type, lowest)
    # A downcaster of a version that is read here serves writing.
    newer = {node: step for node, step in down.items() if node[1] > latest[node[0]]}
    steps = {**up, **newer}
    dead_ends = sorted({*_dead_ends(up), *(set(_targets(newer)) - steps.keys() - latest.items())})
    if dead_ends:
        listed = ", ".join(f"{event_type!r} version {version}" for event_type, version in dead_ends)
        raise UpcasterRegistrationError("the registry", f"has no upcaster of {listed}")
    types = {event_type for event_type, _ in (*_nodes(up), *_nodes(down))}
    return ReadingPlan(steps, latest, frozenset(types))


def reachable(steps: Mapping[Node, Step], start: Iterable[Node]) -> set[Node]:
    """Return all versions that a payload of the versions given passes through, these included."""
    seen: set[Node] = set()
    todo = list(start)
    while todo:
        node = todo.pop()
        if node not in seen:
            seen.add(node)
            todo += steps[node].targets.items() if node in steps else ()
    return seen


def descend(down: Mapping[Node, Step], node: Node, version: int) -> Iterator[Step]:
    """Yield the steps that lead from a version of a type down to an older one, or towards it."""
    event_type, current = node
    while current > version and (event_type, current) in down:
        step = down[event_type, current]
        yield step
        current = step.targets[event_type]


def _latest_versions(
    steps: Mapping[Node, Step], pick: Callable[[int, int], int] = max
) -> dict[str, int]:
    latest: dict[str, int] = {}
    for event_type, version in set(_targets(steps)) - steps.keys():
        latest[event_type] = pick(version, latest.get(event_type, version))
    return latest


def _dead_ends(up: Mapping[Node, Step]) -> Iterator[Node]:
    """Yield the versions that lead nowhere though their types have later ones."""
    known: dict[str, set[int]] = {}
    for event_type, version in _nodes(up):
        known.setdefault(event_type, set()).add(version)
    # Types that others become need not have begun at 1.
    for event_type in known.keys() - _entered(up):
        known[event_type].add(1)
    for event_type, versions in known.items():
        passed = ((event_type, version) for version in versions - {max(versions)})
        yield from (node for node in passed if node not in up)


def _nodes(steps: Mapping[Node, Step]) -> Iterator[Node]:
    yield from steps
    yield from _targets(steps)


def _targets(steps: Mapping[Node, Step]) -> Iterator[Node]:
    for step in steps.values():
        yield from step.targets.items()


def _entered(steps: Mapping[Node, Step]) -> set[str]:
    return {
        target for (source, _), step in steps.items() for target in step.targets if target != source
    }
