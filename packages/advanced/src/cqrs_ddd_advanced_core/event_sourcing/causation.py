"""Which command or event led to which."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

from cqrs_ddd_advanced_core.event_sourcing.audit_trail import moment_text, one_line

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from cqrs_ddd_core.ports.event_store import StoredEvent, StreamId

__all__ = ["CausationNode", "CausationTree", "CommandNode", "EventNode"]

_MERMAID: Final = str.maketrans({'"': "#quot;", "#": "#35;", "<": "#lt;", ">": "#gt;", "`": "#96;"})


@dataclass(frozen=True, slots=True, eq=False)
class CommandNode:
    """A message that events name as their cause and that is none of these events.

    Mostly a command, which is not stored itself; also an event of another correlation.
    """

    message_id: str
    effects: list[EventNode] = field(default_factory=list, repr=False)

    @property
    def label(self) -> str:
        """What it is called in a drawing."""
        return one_line(f"command {self.message_id}")


@dataclass(frozen=True, slots=True, eq=False)
class EventNode:
    """A stored event and the events it led to."""

    event_id: UUID
    event_type: str
    stream: StreamId
    version: int
    position: int
    occurred_at: datetime
    effects: list[EventNode] = field(default_factory=list, repr=False)

    @property
    def label(self) -> str:
        """What it is called in a drawing."""
        return one_line(f"{self.event_type} ({self.stream} #{self.version})")


CausationNode: TypeAlias = CommandNode | EventNode


@dataclass(frozen=True, slots=True)
class CausationTree:
    """Everything that came of one request, in the order of the event store.

    Attributes:
        correlation_id: Of the request.
        roots: Commands, and events nothing is known to have caused.
    """

    correlation_id: str
    roots: list[CausationNode]

    @classmethod
    def of(cls, correlation_id: str, stored: Iterable[StoredEvent]) -> CausationTree:
        """Build the tree of events given in position order."""
        roots: list[CausationNode] = []
        known: dict[str, CausationNode] = {}
        for event in stored:
            node = _event_node(event)
            cause = event.causation_id
            if cause is None:
                roots.append(node)
            else:
                # Only what came before can be a cause, so that there is never a circle.
                if cause not in known:
                    known[cause] = CommandNode(cause)
                    roots.append(known[cause])
                known[cause].effects.append(node)
            known.setdefault(str(event.event_id), node)
        return cls(correlation_id, roots)

    def nodes(self) -> Iterator[tuple[int, CausationNode]]:
        """Yield every node with its depth, each before its effects."""
        # Not recursive: a chain of causes may be longer than Python's stack.
        waiting: list[tuple[int, CausationNode]] = [(0, root) for root in reversed(self.roots)]
        while waiting:
            depth, node = waiting.pop()
            yield depth, node
            waiting += [(depth + 1, effect) for effect in reversed(node.effects)]

    def to_text(self) -> str:
        """Return the tree as indented lines."""
        return "\n".join("  " * depth + _line(node) for depth, node in self.nodes())

    def to_mermaid(self) -> str:
        """Return the tree as a Mermaid flowchart; the same tree gives the same text."""
        names = {node: f"n{index}" for index, (_, node) in enumerate(self.nodes())}
        boxes = [f"    {name}{_box(node)}" for node, name in names.items()]
        arrows = [
            f"    {name} --> {names[effect]}"
            for node, name in names.items()
            for effect in node.effects
        ]
        return "\n".join(["flowchart TD", *boxes, *arrows])


def _event_node(event: StoredEvent) -> EventNode:
    return EventNode(
        event.event_id,
        event.event_type,
        event.stream,
        event.version,
        event.position,
        event.occurred_at,
    )


def _line(node: CausationNode) -> str:
    if isinstance(node, CommandNode):
        return node.label
    return f"[{moment_text(node.occurred_at)}] {node.label}"


def _box(node: CausationNode) -> str:
    text = f'"{node.label.translate(_MERMAID)}"'
    return f"([{text}])" if isinstance(node, CommandNode) else f"[{text}]"
