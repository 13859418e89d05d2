"""Topics: under which name a message is published, and which names a consumer asks for."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from itertools import accumulate
from operator import or_
from typing import TYPE_CHECKING, Any, TypeVar

from cqrs_ddd_core.cqrs.command import Command
from cqrs_ddd_core.domain.events import DomainEvent
from cqrs_ddd_core.ports.outbox import MessageKind
from cqrs_ddd_infrastructure_messaging.exceptions import TopicError

if TYPE_CHECKING:
    from cqrs_ddd_core.ports.outbox import OutboxMessage

__all__ = ["TopicRouter", "check_pattern", "check_topic", "route_to", "topic_matches"]

M = TypeVar("M", bound=type[DomainEvent] | type[Command[Any]])

# Words that every broker takes: no wildcard, no separator, no space.
_is_topic = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*").fullmatch
_is_pattern = re.compile(r"([A-Za-z0-9_-]+|\*|#)(\.([A-Za-z0-9_-]+|\*|#))*").fullmatch
_NO_WORD = re.compile(r"[^A-Za-z0-9_-]")
# An AMQP routing key has 255 bytes; transports add a word of their own.
_LONGEST = 240

# By type name, which is all of a class that travels.
_routes: dict[tuple[MessageKind, str], str] = {}


def route_to(topic: str) -> Callable[[M], M]:
    """Publish the events or commands of a class to a topic; a class decorator.

    The topic belongs to the type name. Subclasses have topics of their own.

    Args:
        topic: Words of letters, digits, ``_`` and ``-`` with dots between, such as
            ``orders.placed``.

    Raises:
        TopicError: It is not written like that, the class is no event or command, or its type
            name has another topic already.
    """
    check_topic(topic)

    def decorate(message_class: M) -> M:
        key = _key_of(message_class)
        if _routes.setdefault(key, topic) != topic:
            msg = f"{key[0]} {key[1]!r} is routed to {_routes[key]!r} already, not to {topic!r}"
            raise TopicError(msg)
        return message_class

    return decorate


class TopicRouter:
    """Says to which topic a message is published.

    That is the topic given here, else the one of ``route_to``, else
    ``<kind>.<context>.<type name>``, such as ``event.orders.OrderPlaced``.

    Args:
        context: Name of the bounded context that publishes, one word.
        routes: Topics by type name that go before those of ``route_to``; for types that have no
            class here, or had another name before.

    Raises:
        TopicError: The context is no word, or a topic is not written as it must be.
    """

    def __init__(self, context: str = "app", *, routes: Mapping[str, str] | None = None) -> None:
        if "." in check_topic(context):
            msg = f"the context {context!r} must be one word, for it is one word of a topic"
            raise TopicError(msg)
        self._context = context
        self._routes = {name: check_topic(topic) for name, topic in (routes or {}).items()}

    @property
    def context(self) -> str:
        """Name of the bounded context that publishes."""
        return self._context

    def topic_of(self, message: OutboxMessage) -> str:
        """Return the topic a message is published to.

        Raises:
            TopicError: Its type name is too long for a topic.
        """
        return self.topic_for(message.message_type, message.kind)

    def topic_for(self, message_type: str, kind: MessageKind = MessageKind.EVENT) -> str:
        """Return the topic of a type name.

        Raises:
            TopicError: The type name is too long for a topic.
        """
        topic = self._known(message_type, kind)
        return topic or check_topic(f"{kind}.{self._context}.{_word(message_type)}")

    def patterns_for(self, message_type: str) -> list[str]:
        """Return what a consumer binds to for the events and commands of a type name.

        Where no topic is known here, that is its own topic in any context. Messages whose
        publisher alone knows their topic have to be bound by it.

        Raises:
            TopicError: The type name is too long for a topic.
        """
        patterns = (
            self._known(message_type, kind) or check_pattern(f"{kind}.*.{_word(message_type)}")
            for kind in MessageKind
        )
        return list(dict.fromkeys(patterns))

    def _known(self, message_type: str, kind: MessageKind) -> str | None:
        return self._routes.get(message_type) or _routes.get((kind, message_type))


def check_topic(topic: str) -> str:
    """Return the topic.

    Raises:
        TopicError: It is not made of words with dots between, or longer than 240 characters.
    """
    if not _is_topic(topic) or len(topic) > _LONGEST:
        msg = (
            f"{topic!r} is no topic: write words of letters, digits, '_' and '-' with dots "
            f"between, {_LONGEST} characters at most"
        )
        raise TopicError(msg)
    return topic


def check_pattern(pattern: str) -> str:
    """Return the pattern of topics.

    Raises:
        TopicError: One of its words is neither a word of a topic nor ``*`` nor ``#``, or it is
            longer than 240 characters.
    """
    if not _is_pattern(pattern) or len(pattern) > _LONGEST:
        msg = (
            f"{pattern!r} is no pattern of topics: write words with dots between, '*' for any one "
            f"word and '#' for any number of words, {_LONGEST} characters at most"
        )
        raise TopicError(msg)
    return pattern


def topic_matches(pattern: str, topic: str) -> bool:
    """Whether a pattern asks for a topic, by the rules of AMQP's topic exchange.

    ``*`` stands for exactly one word and ``#`` for any number of words, none included. It takes
    time in proportion to pattern and topic, whatever they are.
    """
    words = topic.split(".")
    # Whether the words of the pattern so far match the first n words of the topic.
    matched = [True] + [False] * len(words)
    for part in pattern.split("."):
        if part == "#":
            matched = list(accumulate(matched, or_))
        else:
            fits = (part in ("*", word) for word in words)
            matched = [False, *(before and fit for before, fit in zip(matched, fits, strict=False))]
    return matched[-1]


def _key_of(message_class: object) -> tuple[MessageKind, str]:
    if isinstance(message_class, type) and issubclass(message_class, DomainEvent):
        return MessageKind.EVENT, message_class.event_type
    if isinstance(message_class, type) and issubclass(message_class, Command):
        return MessageKind.COMMAND, message_class.command_type
    msg = f"only events and commands have topics, and {message_class!r} is neither"
    raise TopicError(msg)


def _word(message_type: str) -> str:
    return _NO_WORD.sub("_", message_type)
