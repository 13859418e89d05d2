"""Keys that were read, for a while."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from cqrs_ddd_advanced_core.codecs._aes_gcm import Cipher

__all__ = ["KeyCache", "SubjectId"]

#: Tenant and subject.
SubjectId: TypeAlias = tuple[str, str]


class KeyCache:
    """Remembers committed keys for some seconds since the moment before they were read.

    Args:
        seconds: How long.
        max_entries: How many at most; the oldest are forgotten.
    """

    def __init__(self, seconds: float, max_entries: int) -> None:
        self._seconds = seconds
        self._max_entries = max_entries
        self._entries: OrderedDict[SubjectId, tuple[Cipher, float]] = OrderedDict()

    def get(self, key: SubjectId, now: float) -> Cipher | None:
        """Return a key that may still be used."""
        entry = self._entries.get(key)
        if entry is None or now >= entry[1]:
            return None
        return entry[0]

    def put(self, key: SubjectId, cipher: Cipher, read_at: float) -> None:
        """Remember a key, from the moment before it was read on."""
        self._entries.pop(key, None)
        self._entries[key] = cipher, read_at + self._seconds
        while len(self._entries) > self._max_entries:
            self._entries.popitem(last=False)

    def forget(self, key: SubjectId) -> None:
        """Forget a key."""
        self._entries.pop(key, None)
