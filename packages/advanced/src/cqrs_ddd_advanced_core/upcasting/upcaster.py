"""Upcasters: payloads of one version made into payloads of another."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["CommandUpcaster", "EventDowncaster", "EventSplitter", "EventUpcaster"]


class EventUpcaster(ABC):
    """Makes a payload of one version into one of a later version, and of another type if need be.

    Attributes:
        event_type: Type name of what it is given.
        source_version: Version of what it is given.
        target_version: Version of what it returns: the next one, unless the class that sets
            ``source_version`` sets this too.
        target_type: Type name of what it returns: the same, unless the class that sets
            ``event_type`` sets this too.
    """

    event_type: ClassVar[str]
    source_version: ClassVar[int]
    target_version: ClassVar[int]
    target_type: ClassVar[str]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # What a base class made of its own source is wrong for another source.
        own = cls.__dict__
        if "source_version" in own and "target_version" not in own:
            cls.target_version = _following(cls.source_version, 1)
        if "event_type" in own and "target_type" not in own:
            cls.target_type = cls.event_type

    @abstractmethod
    def upcast(self, data: dict[str, Any]) -> dict[str, Any]:
        """Return the payload in the new shape.

        Args:
            data: JSON values, this upcaster's own copy. What is returned is written as JSON
                before anyone reads it, so decimals and dates may stand in it.
        """
        ...


class CommandUpcaster(EventUpcaster):
    """Makes a command of one version into one of a later version; its ids stay as they are.

    Attributes:
        command_type: Type name of what it is given; ``event_type`` follows it.
    """

    command_type: ClassVar[str]
    event_type: ClassVar[str]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        if "command_type" in cls.__dict__:
            cls.event_type = cls.command_type
        super().__init_subclass__(**kwargs)


class EventSplitter(ABC):
    """Makes one event into several, or into none.

    Attributes:
        event_type: Type name of what it is given.
        source_version: Version of what it is given.
        targets: The version of each type it may return.
    """

    event_type: ClassVar[str]
    source_version: ClassVar[int]
    targets: ClassVar[Mapping[str, int]]

    @abstractmethod
    def split(self, data: dict[str, Any]) -> Iterable[tuple[str, dict[str, Any]]]:
        """Return type names with payloads, in the order in which the events are to be read.

        Args:
            data: JSON values, this splitter's own copy.
        """
        ...


class EventDowncaster(ABC):
    """Makes a payload of one version into one of an older version.

    New processes write with it what old ones can read, and old ones read with it what new ones
    have written.

    Attributes:
        event_type: Type name.
        source_version: Version of what it is given.
        target_version: Version of what it returns: the one before, unless the class that sets
            ``source_version`` sets this too.
    """

    event_type: ClassVar[str]
    source_version: ClassVar[int]
    target_version: ClassVar[int]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = cls.__dict__
        if "source_version" in own and "target_version" not in own:
            cls.target_version = _following(cls.source_version, -1)

    @abstractmethod
    def downcast(self, data: dict[str, Any]) -> dict[str, Any]:
        """Return the payload in the older shape.

        Args:
            data: JSON values, this downcaster's own copy.
        """
        ...


def _following(version: Any, step: int) -> Any:
    # What is no number is refused at registration, which says what is wrong.
    return version + step if isinstance(version, int) else version
