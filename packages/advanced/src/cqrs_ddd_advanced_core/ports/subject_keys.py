"""The subject keys port: one key for the personal data of each person, until it is shredded."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime

__all__ = ["ISubjectKeyStore", "SubjectKey"]


@dataclass(frozen=True, slots=True)
class SubjectKey:
    """The key of one subject, as it is stored.

    Attributes:
        subject: Whose personal data it encrypts.
        wrapped_key: The key, encrypted by a master key; ``None`` once it is shredded.
        created_at: When it was made, aware UTC.
        shredded_at: When it was shredded, aware UTC; ``None`` while it is in use.
    """

    subject: str
    wrapped_key: bytes | None
    created_at: datetime
    shredded_at: datetime | None = None


class ISubjectKeyStore(Protocol):
    """Keeps one wrapped key per subject, and remembers for good which ones were shredded.

    Guarantees: of several writers that propose a key for a new subject, one wins and all of them
    get that one; a shredded subject never has a key again. Inside a unit of work of the same
    database everything commits or vanishes with it; outside of one each call is a transaction of
    its own. All calls see the tenant of the current context only.
    """

    @abstractmethod
    async def find(self, subjects: Collection[str]) -> dict[str, SubjectKey]:
        """Return what is stored of these subjects, shredded ones included, in one look-up.

        A subject that nothing is stored of is left out.
        """
        ...

    @abstractmethod
    async def get_or_create(self, proposed: Mapping[str, bytes]) -> dict[str, SubjectKey]:
        """Return what is stored of each subject, after storing proposed keys where nothing was.

        Another unit of work that has just proposed a key for the same subject is waited for.

        Args:
            proposed: The wrapped key each subject gets if nothing is stored of it.
        """
        ...

    @abstractmethod
    async def shred(self, subject: str) -> bool:
        """Remove the key of a subject for good and remember that; an unknown subject too.

        Returns:
            Whether it was done now; ``False`` if it had been done before.
        """
        ...
