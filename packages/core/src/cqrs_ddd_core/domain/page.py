"""Pages: a part of an answer, and where the next one begins."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar, cast

__all__ = ["Page"]

T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A part of an answer.

    Attributes:
        items: What is on the page, in the order asked for.
        next_cursor: For ``QueryOptions.after_cursor``; ``None`` on the last page.
        total: How many there are on all pages, where that was asked for.
    """

    items: Sequence[T]
    next_cursor: str | None = None
    total: int | None = None

    @property
    def has_more(self) -> bool:
        """Whether another page follows."""
        return self.next_cursor is not None

    def map(self, function: Callable[[T], U]) -> Page[U]:
        """Return the page with every item turned into something else."""
        changed = replace(cast("Page[Any]", self), items=[function(item) for item in self.items])
        return cast("Page[U]", changed)

    def __iter__(self) -> Iterator[T]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)
