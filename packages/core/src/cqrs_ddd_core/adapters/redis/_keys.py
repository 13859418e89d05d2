"""How keys, values and tags are written in Redis."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from pydantic_core import from_json, to_json

from cqrs_ddd_core.primitives.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Keys", "Stored"]

_is_prefix: Final = re.compile(r"[A-Za-z0-9_.-]+").fullmatch
_PLAIN: Final = b"\0"
_TAGGED: Final = b"\1"
_LENGTH: Final = 4


class Keys:
    """Names of one application in a Redis that others may use as well.

    Args:
        prefix: Of letters, digits, ``_``, ``.`` and ``-``, so that no prefix begins like another
            one with a colon behind it.

    Raises:
        ConfigurationError: The prefix has other characters.
    """

    def __init__(self, prefix: str) -> None:
        if not _is_prefix(prefix):
            msg = f"a prefix of keys is made of letters, digits, '_', '.' and '-', not {prefix!r}"
            raise ConfigurationError(msg)
        self.prefix: str = f"{prefix}:"
        self._value = f"{prefix}:v:".encode()
        self._tag = f"{prefix}:t:".encode()

    def value(self, key: str) -> bytes:
        """Return where a value is kept."""
        return self._value + key.encode(errors="surrogatepass")

    def tag(self, tag: str) -> bytes:
        """Return where the version of a tag is kept."""
        return self._tag + tag.encode(errors="surrogatepass")

    def value_of(self, name: bytes) -> str | None:
        """Return the key of a value from where it is kept."""
        return _rest(name, self._value)

    def tag_of(self, name: bytes) -> str | None:
        """Return the tag from where its version is kept."""
        return _rest(name, self._tag)


class Stored(NamedTuple):
    """A value as it is kept: valid as long as its tags have the versions it was kept with."""

    value: bytes
    tags: Mapping[str, str]

    def dump(self) -> bytes:
        """Return it as bytes."""
        if not self.tags:
            return _PLAIN + self.value
        head = to_json(self.tags)
        return b"".join((_TAGGED, len(head).to_bytes(_LENGTH, "big"), head, self.value))

    @classmethod
    def load(cls, data: object) -> Stored | None:
        """Return it again; ``None`` when there is nothing that can be read."""
        if not isinstance(data, bytes) or data[:1] not in (_PLAIN, _TAGGED):
            return None
        if data[:1] == _PLAIN:
            return cls(data[1:], {})
        begin = 1 + _LENGTH
        end = begin + int.from_bytes(data[1:begin], "big")
        try:
            tags = from_json(data[begin:end])
        except ValueError:
            return None
        return cls(data[end:], tags) if isinstance(tags, dict) else None


def _rest(name: bytes, prefix: bytes) -> str | None:
    if not name.startswith(prefix):
        return None
    try:
        return name[len(prefix) :].decode(errors="surrogatepass")
    except UnicodeDecodeError:
        return None
