"""The upcasting port: payloads of an older shape become payloads of today's shape."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["IUpcasterRegistry", "UpcastPayload"]


class UpcastPayload(NamedTuple):
    """A payload in today's shape.

    Attributes:
        event_type: Type name, which may be another one than that stored.
        schema_version: Version of the shape.
        payload: JSON values.
    """

    event_type: str
    schema_version: int
    payload: dict[str, Any]


class IUpcasterRegistry(Protocol):
    """Knows how payloads of other shapes are read, and how to write older ones."""

    @abstractmethod
    def check(self) -> None:
        """Make sure that every known version leads to one that is read today.

        Raises:
            ConfigurationError: Some version leads nowhere.
        """
        ...

    @abstractmethod
    def has_upcasters(self, event_type: str, schema_version: int) -> bool:
        """Whether a payload of that type and version is to be changed before it is read."""
        ...

    @abstractmethod
    def latest_version(self, event_type: str) -> int | None:
        """Return the version at which a type is read; ``None`` when no upcaster leads to it."""
        ...

    @abstractmethod
    def upcast(
        self, event_type: str, schema_version: int, payload: dict[str, Any]
    ) -> Sequence[UpcastPayload]:
        """Return what a payload is read as today: one payload, several, or none.

        The payload given is not changed, and those returned share nothing with it.

        Raises:
            SerializationError: The payload cannot be changed, or its version is unknown.
        """
        ...

    @abstractmethod
    def downcaster(
        self, event_type: str, source_version: int, target_version: int
    ) -> Callable[[dict[str, Any]], dict[str, Any]]:
        """Return the function that makes a payload of an older shape from one of a newer.

        It does not change the payload it is given, and raises ``SerializationError`` when it
        cannot make one.

        Raises:
            ConfigurationError: Nothing leads from the one version to the other.
        """
        ...
