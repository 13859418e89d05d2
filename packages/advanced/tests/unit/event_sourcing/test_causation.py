"""Trees of causes for any events there may be."""

from __future__ import annotations

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from cqrs_ddd_advanced_core.event_sourcing import CausationTree, CommandNode, EventNode
from cqrs_ddd_core.ports.event_store import StoredEvent, StreamId
from cqrs_ddd_core.testing.samples import MOMENT


def _stored(number: int, cause: str | None, event_type: str = "Happened") -> StoredEvent:
    return StoredEvent(
        number,
        *StreamId("Order", "o-1"),
        number,
        UUID(int=number),
        event_type,
        1,
        b"{}",
        MOMENT,
        MOMENT,
        "request",
        cause,
    )


@given(st.lists(st.none() | st.integers(1, 12), max_size=12))
def test_every_event_is_in_the_tree_once_whatever_the_causes_say(causes: list[int | None]) -> None:
    stored = [
        _stored(number, None if cause is None else str(UUID(int=cause)))
        for number, cause in enumerate(causes, 1)
    ]
    tree = CausationTree.of("request", stored)
    events = [node.position for _, node in tree.nodes() if isinstance(node, EventNode)]
    assert sorted(events) == [event.position for event in stored]
    for node in (node for _, node in tree.nodes()):
        effects = [effect.position for effect in node.effects]
        assert effects == sorted(effects)
        assert isinstance(node, CommandNode) or all(node.position < e for e in effects)
    assert tree.to_mermaid() == CausationTree.of("request", stored).to_mermaid()
    assert len(tree.to_text().splitlines()) == len(list(tree.nodes()))


def test_a_chain_may_be_longer_than_the_stack() -> None:
    stored = [_stored(1, None)]
    stored += [_stored(n, str(UUID(int=n - 1))) for n in range(2, 5_001)]
    tree = CausationTree.of("request", stored)
    assert max(depth for depth, _ in tree.nodes()) == 4_999
    assert tree.to_mermaid().count("-->") == 4_999


def test_names_cannot_break_out_of_a_drawing() -> None:
    nasty = 'a"]; click n0 "javascript:alert(1)" <b>#`\n end'
    tree = CausationTree.of("request", [_stored(1, nasty, nasty)])
    lines = tree.to_mermaid().splitlines()
    assert len(lines) == 4
    assert [line.count('"') for line in lines] == [0, 2, 2, 0]
    assert "<" not in tree.to_mermaid()
    assert len(tree.to_text().splitlines()) == 2
