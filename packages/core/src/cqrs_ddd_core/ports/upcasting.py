"""The upcasting port: payloads of an older shape become payloads of today's shape."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    """Knows how payloads of older shapes are read."""

    @abstractmethod
    def has_upcasters(self, event_type: str, schema_version: int) -> bool:
        """Whether a payload of that type and version is to be changed before it is read."""
        ...

    @abstractmethod
    def latest_version(self, event_type: str) -> int | None:
        """Return the version the upcasters of a type lead to; ``None`` when it has none."""
        ...

    @abstractmethod
    def upcast(
        self, event_type: str, schema_version: int, payload: dict[str, Any]
    ) -> Sequence[UpcastPayload]:
        """Return what a payload is read as today: one payload, several, or none.

        The payload given is not changed.
        """
        ...
