"""Topics are checked where they are written, and matched as AMQP does."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cqrs_ddd_core.cqrs.command import Command
from cqrs_ddd_core.domain.events import DomainEvent
from cqrs_ddd_core.ports.outbox import MessageKind
from cqrs_ddd_core.primitives.exceptions import ConfigurationError, MessagingError
from cqrs_ddd_core.testing.samples import awkward_message, new_message
from cqrs_ddd_infrastructure_messaging import (
    TopicError,
    TopicRouter,
    check_pattern,
    check_topic,
    route_to,
    topic_matches,
)


@route_to("parcels.sent")
class RoutedParcelSent(DomainEvent):
    pass


class RoutedParcelReturned(RoutedParcelSent):
    pass


@route_to("parcels.commands")
class SendRoutedParcel(Command):
    pass


def _event(message_type: str) -> str:
    return TopicRouter("parcels").topic_of(new_message(message_type=message_type))


def test_a_decorated_class_is_published_to_its_topic() -> None:
    assert _event("RoutedParcelSent") == "parcels.sent"
    command = new_message(message_type="SendRoutedParcel", kind=MessageKind.COMMAND)
    assert TopicRouter().topic_of(command) == "parcels.commands"


def test_other_types_are_published_under_kind_context_and_type() -> None:
    assert _event("NeverRouted") == "event.parcels.NeverRouted"
    assert TopicRouter().topic_for("Ship", MessageKind.COMMAND) == "command.app.Ship"


def test_a_topic_is_not_inherited_and_not_shared_with_the_other_kind() -> None:
    assert _event("RoutedParcelReturned") == "event.parcels.RoutedParcelReturned"
    assert _event("SendRoutedParcel") == "event.parcels.SendRoutedParcel"


def test_routes_that_are_given_go_first() -> None:
    router = TopicRouter(routes={"RoutedParcelSent": "other", "ParcelSentLongAgo": "parcels.sent"})
    assert router.topic_for("RoutedParcelSent") == "other"
    assert router.topic_for("ParcelSentLongAgo") == "parcels.sent"


def test_any_type_name_has_a_topic() -> None:
    assert check_topic(TopicRouter().topic_of(awkward_message())).startswith("command.app.")


@pytest.mark.parametrize("message_type", ["RoutedParcelSent", "SendRoutedParcel", "Other", "A b.c"])
def test_the_patterns_of_a_type_ask_for_its_topics_in_any_context(message_type: str) -> None:
    """A consumer does not know in which context its publishers are."""
    patterns = TopicRouter("loyalty").patterns_for(message_type)
    for kind in MessageKind:
        topic = TopicRouter("orders").topic_for(message_type, kind)
        assert any(topic_matches(pattern, topic) for pattern in patterns)
        assert not any(topic_matches(pattern, topic + "x") for pattern in patterns)


@pytest.mark.parametrize(
    "topic",
    ["", ".", "a.", ".a", "a..b", "a b", "a.*", "#", "a\n", "ü", "a/b", "a>", "x" * 241],
)
def test_a_topic_that_a_broker_would_misread_is_refused_where_it_is_written(topic: str) -> None:
    for wrong in (
        lambda: check_topic(topic),
        lambda: route_to(topic),
        lambda: TopicRouter(routes={"A": topic}),
        lambda: TopicRouter(topic),
    ):
        with pytest.raises(TopicError):
            wrong()


@pytest.mark.parametrize("pattern", ["", "a.", "a..b", "a*", "a.#b", "**", "a b", "x" * 241])
def test_a_pattern_that_matches_nothing_by_mistake_is_refused(pattern: str) -> None:
    with pytest.raises(TopicError):
        check_pattern(pattern)


def test_a_context_is_one_word() -> None:
    with pytest.raises(TopicError, match="one word"):
        TopicRouter("shop.orders")


def test_a_type_name_too_long_for_a_topic_is_an_error_of_its_message_alone() -> None:
    with pytest.raises(MessagingError):
        _event("x" * 300)


def test_a_type_name_has_one_topic() -> None:
    route_to("parcels.sent")(RoutedParcelSent)
    with pytest.raises(ConfigurationError, match="is routed to 'parcels\\.sent' already"):
        route_to("parcels.gone")(RoutedParcelSent)


def test_only_events_and_commands_have_topics() -> None:
    with pytest.raises(TopicError, match="neither"):
        route_to("a.b")(int)  # type: ignore[type-var]


@pytest.mark.parametrize(
    "pattern, topic, matches",
    [
        ("orders.placed", "orders.placed", True),
        ("orders.placed", "orders", False),
        ("orders.*", "orders.placed", True),
        ("orders.*", "orders", False),
        ("orders.*", "orders.line.added", False),
        ("orders.#", "orders", True),
        ("orders.#", "orders.line.added", True),
        ("orders.#", "ordersx", False),
        ("#", "anything.at.all", True),
        ("#.added", "orders.line.added", True),
        ("#.added", "added", True),
        ("orders.#.added", "orders.added", True),
        ("#.*", "one", True),
        ("*.#.*", "one", False),
        ("*.#.*", "one.two", True),
        ("#.#", "one", True),
    ],
)
def test_patterns_match_as_in_amqp(pattern: str, topic: str, matches: bool) -> None:
    assert topic_matches(check_pattern(pattern), topic) is matches


_words = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=6)
_parts = st.lists(st.sampled_from(["a", "b", "*", "#"]), min_size=1, max_size=6)


@given(_parts, _words)
def test_matching_agrees_with_its_definition(parts: list[str], words: list[str]) -> None:
    assert topic_matches(".".join(parts), ".".join(words)) is _by_definition(parts, words)


def test_matching_takes_no_exponential_time() -> None:
    assert not topic_matches(".".join(["#", "a"] * 50), ".".join(["a"] * 100 + ["b"]))


def _by_definition(parts: Sequence[str], words: Sequence[str]) -> bool:
    if not parts:
        return not words
    if parts[0] == "#":
        return any(_by_definition(parts[1:], words[n:]) for n in range(len(words) + 1))
    return bool(words) and parts[0] in ("*", words[0]) and _by_definition(parts[1:], words[1:])
