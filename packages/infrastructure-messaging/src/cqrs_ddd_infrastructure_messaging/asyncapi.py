"""An AsyncAPI document of what an application publishes and consumes."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from inspect import cleandoc
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from cqrs_ddd_core.ports.outbox import MessageKind
from cqrs_ddd_core.primitives.exceptions import ConfigurationError
from cqrs_ddd_infrastructure_messaging._headers import header_text
from cqrs_ddd_infrastructure_messaging._schemas import HEADERS_SCHEMA, JSONObject, payload_schemas
from cqrs_ddd_infrastructure_messaging.routing import TopicRouter

if TYPE_CHECKING:
    from cqrs_ddd_core.cqrs.command import Command
    from cqrs_ddd_core.cqrs.message_registry import MessageRegistry
    from cqrs_ddd_core.domain.event_registry import EventTypeRegistry
    from cqrs_ddd_core.domain.events import DomainEvent

__all__ = ["ConsumerDescription", "TopologyDescription", "asyncapi_document", "asyncapi_json"]

_TRAIT = "#/components/messageTraits/envelope"
# What a key may not hold, by the AsyncAPI specification.
_NO_KEY = re.compile(r"[^A-Za-z0-9._-]")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerDescription:
    """What one consumer receives.

    Attributes:
        message_types: Type names of events and commands.
        description: What it does with them, in a sentence.
        bindings: AsyncAPI operation bindings, by protocol.
    """

    message_types: Collection[str]
    description: str = ""
    bindings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TopologyDescription:
    """How an application is connected, in the words of no broker; transports fill in the bindings.

    Attributes:
        servers: AsyncAPI server objects by name, such as
            ``{"production": {"host": "rabbit.example.com", "protocol": "amqps"}}``; no
            credentials.
        publishes: Type names it publishes; all that are registered when not given.
        consumers: What it consumes, by consumer name.
        channel_bindings: AsyncAPI channel bindings, by protocol.
        publish_bindings: AsyncAPI operation bindings of publishing, by protocol.
    """

    servers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    publishes: Collection[str] | None = None
    consumers: Mapping[str, ConsumerDescription] = field(default_factory=dict)
    channel_bindings: Mapping[str, Any] = field(default_factory=dict)
    publish_bindings: Mapping[str, Any] = field(default_factory=dict)


def asyncapi_document(
    title: str,
    version: str,
    *,
    description: str = "",
    events: EventTypeRegistry | None = None,
    commands: MessageRegistry | None = None,
    router: TopicRouter | None = None,
    topology: TopologyDescription | None = None,
) -> JSONObject:
    """Describe an application in AsyncAPI 3.0, the same on every call.

    Args:
        title: Name of the application.
        version: Version of its interface.
        description: What it is, in CommonMark.
        events: The events it knows.
        commands: The commands it knows.
        router: Their topics; give ``routes`` to it for events of other contexts.
        topology: What it publishes and consumes, and where; by default it publishes everything.

    Raises:
        ConfigurationError: A type name is registered nowhere, a field has no JSON Schema, or a
            server's host holds credentials.
    """
    topology = topology or TopologyDescription()
    known = _messages(events, commands, router or TopicRouter())
    published = _pick(known, topology.publishes, "the application publishes")
    consumed = {
        name: _pick(known, consumer.message_types, f"consumer {name!r} receives")
        for name, consumer in sorted(topology.consumers.items())
    }
    used = sorted({*published, *(message for picked in consumed.values() for message in picked)})
    document = {
        "asyncapi": "3.0.0",
        "info": {"title": title, "version": version, "description": description},
        "defaultContentType": "application/json",
        "servers": _servers(topology),
        "channels": _channels(used, topology),
        "operations": _publishing(published, topology) | _consuming(consumed, topology),
        "components": _components(used),
    }
    return {key: value for key, value in document.items() if value}


def asyncapi_json(document: Mapping[str, Any]) -> str:
    """Return a document as text to keep beside the code, for a diff to show what changed."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


class _Message(NamedTuple):
    topic: str
    key: str
    name: str
    kind: MessageKind
    schema_version: int
    model: type[DomainEvent | Command[Any]]


def _messages(
    events: EventTypeRegistry | None, commands: MessageRegistry | None, router: TopicRouter
) -> list[_Message]:
    # By the names that classes have today: those of old ones are registered as well.
    event_classes = {events.get(name) for name in events.registered_types()} if events else set()
    command_classes = set(commands.commands.values()) if commands else set()
    return sorted(
        [_message(one.event_type, MessageKind.EVENT, one, router) for one in event_classes]
        + [_message(one.command_type, MessageKind.COMMAND, one, router) for one in command_classes]
    )


def _message(
    name: str,
    kind: MessageKind,
    model: type[DomainEvent | Command[Any]],
    router: TopicRouter,
) -> _Message:
    topic, key = router.topic_for(name, kind), f"{kind}.{_key(name)}"
    return _Message(topic, key, name, kind, model.schema_version, model)


def _pick(known: list[_Message], names: Collection[str] | None, who: str) -> list[_Message]:
    if names is None:
        return known
    missing = set(names) - {message.name for message in known}
    if missing:
        msg = f"{who} {sorted(missing)}, registered neither as events nor as commands"
        raise ConfigurationError(msg)
    return [message for message in known if message.name in names]


def _servers(topology: TopologyDescription) -> JSONObject:
    for name, server in topology.servers.items():
        if "@" in str(server.get("host", "")):
            msg = f"the host of server {name!r} holds credentials, and the document is for others"
            raise ConfigurationError(msg)
    return {_key(name): dict(server) for name, server in sorted(topology.servers.items())}


def _channels(messages: list[_Message], topology: TopologyDescription) -> JSONObject:
    bindings = {"bindings": dict(topology.channel_bindings)} if topology.channel_bindings else {}
    return {
        topic: {
            "address": topic,
            "messages": {one.key: {"$ref": f"#/components/messages/{one.key}"} for one in of_topic},
            **bindings,
        }
        for topic, of_topic in _by_topic(messages)
    }


def _publishing(messages: list[_Message], topology: TopologyDescription) -> JSONObject:
    return {
        f"publish.{topic}": _operation("send", topic, of_topic, topology.publish_bindings)
        for topic, of_topic in _by_topic(messages)
    }


def _consuming(consumed: Mapping[str, list[_Message]], topology: TopologyDescription) -> JSONObject:
    operations = {}
    for name, messages in consumed.items():
        consumer = topology.consumers[name]
        for topic, of_topic in _by_topic(messages):
            operation = _operation("receive", topic, of_topic, consumer.bindings)
            about = {"title": name, "description": consumer.description}
            operation |= {key: value for key, value in about.items() if value}
            operations[f"consume.{_key(name)}.{topic}"] = operation
    return operations


def _operation(
    action: str, topic: str, messages: list[_Message], bindings: Mapping[str, Any]
) -> JSONObject:
    channel = f"#/channels/{topic}"
    operation = {
        "action": action,
        "channel": {"$ref": channel},
        "messages": [{"$ref": f"{channel}/messages/{one.key}"} for one in messages],
        "bindings": dict(bindings),
    }
    return {key: value for key, value in operation.items() if value}


def _components(messages: list[_Message]) -> JSONObject:
    references, schemas = payload_schemas([message.model for message in messages])
    trait = {
        "contentType": "application/json",
        "headers": HEADERS_SCHEMA,
        "correlationId": {"location": "$message.header#/ce-correlationid"},
    }
    return {
        "messages": {one.key: _describe(one, references[one.model]) for one in messages},
        "messageTraits": {"envelope": trait},
        "schemas": schemas,
    }


def _describe(message: _Message, payload: JSONObject) -> JSONObject:
    fixed = {
        "ce-type": header_text(message.name),
        "ce-kind": message.kind.value,
        "ce-schemaversion": str(message.schema_version),
    }
    return {
        "name": message.name,
        "title": message.name,
        "summary": _first_line(message.model),
        "tags": [{"name": message.kind.value}],
        "headers": {
            "type": "object",
            "properties": {name: {"const": value} for name, value in fixed.items()},
        },
        "payload": payload,
        "traits": [{"$ref": _TRAIT}],
    }


def _first_line(model: type[Any]) -> str:
    return cleandoc(model.__doc__ or model.__name__).partition("\n")[0]


def _by_topic(messages: list[_Message]) -> list[tuple[str, list[_Message]]]:
    return [(topic, list(group)) for topic, group in groupby(messages, lambda one: one.topic)]


def _key(name: str) -> str:
    return _NO_KEY.sub(lambda found: f"-{ord(found[0]):x}-", name)
