"""A payload whose personal values are encrypted, each with the key of its subject."""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json, to_json

from cqrs_ddd_advanced_core.codecs.exceptions import PayloadTamperedError
from cqrs_ddd_advanced_core.codecs.personal_data import Shredded

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cqrs_ddd_advanced_core.codecs._aes_gcm import Cipher
    from cqrs_ddd_advanced_core.codecs._personal_fields import PersonalPlace
    from cqrs_ddd_advanced_core.codecs.codec import PayloadPlace

__all__ = ["SealedPayload", "SealedValue", "is_sealed", "seal"]

#: Begins what is JSON but for this byte, which is part of no UTF-8 text: no database looks for
#: values in it that are not there in clear.
_SEALED: Final = b"\xc0{"


@dataclass(frozen=True, slots=True)
class SealedValue:
    """An encrypted value.

    Attributes:
        path: Keys and indexes from the top of the payload.
        subject: Whose it is.
        sealed: Nonce, encrypted JSON and tag, as base64.
    """

    path: tuple[str | int, ...]
    subject: str
    sealed: str

    @property
    def field(self) -> str:
        """The path as text, such as ``addresses.0.street``."""
        return ".".join(map(str, self.path))

    def open(self, cipher: Cipher | None, place: PayloadPlace) -> Any:
        """Return the value as JSON values, a marker when there is no cipher any more.

        Raises:
            PayloadTamperedError: It was changed, or belongs to another field or event.
        """
        if cipher is None:
            return Shredded(self.subject)
        try:
            sealed = b64decode(self.sealed, validate=True)
        except ValueError as error:
            msg = f"{self.field} is no base64"
            raise PayloadTamperedError(msg) from error
        return from_json(cipher.decrypt(sealed, _where(place, self.path, self.subject)))


@dataclass(frozen=True, slots=True)
class SealedPayload:
    """What is stored: the payload with ``null`` where personal values were, and these apart."""

    payload: dict[str, Any]
    personal: list[SealedValue]

    @classmethod
    def from_bytes(cls, stored: bytes) -> SealedPayload:
        """Read what ``seal`` wrote.

        Raises:
            PayloadTamperedError: It did not write that.
        """
        try:
            return _adapter.validate_json(stored[1:], strict=True)
        except ValidationError as error:
            msg = f"its personal data cannot be found: {error}"
            raise PayloadTamperedError(msg) from error

    def open(self, ciphers: Mapping[str, Cipher | None], place: PayloadPlace) -> bytes:
        """Return the payload with its values, and with markers for those that were shredded.

        Raises:
            PayloadTamperedError: A value was changed, or belongs to another field or event.
        """
        for value in self.personal:
            opened = value.open(ciphers[value.subject], place)
            if isinstance(opened, Shredded):
                opened = opened.to_json_value()
            self._put(value.path, opened)
        return to_json(self.payload)

    def _put(self, path: tuple[str | int, ...], value: Any) -> None:
        container: Any = self.payload
        try:
            for step in path[:-1]:
                container = container[step]
            container[path[-1]] = value
        except (LookupError, TypeError) as error:
            msg = f"it has no place for {'.'.join(map(str, path))}"
            raise PayloadTamperedError(msg) from error


_adapter: TypeAdapter[SealedPayload] = TypeAdapter(SealedPayload)


def is_sealed(stored: bytes) -> bool:
    """Whether there are encrypted personal values in a payload."""
    return stored.startswith(_SEALED)


def seal(
    document: dict[str, Any],
    values: Iterable[PersonalPlace],
    ciphers: Mapping[str, Cipher],
    place: PayloadPlace,
) -> bytes:
    """Take the personal values out of a payload and return what is stored of it."""
    sealed = []
    for value in values:
        text = to_json(value.container[value.key])
        value.container[value.key] = None
        where = _where(place, value.path, value.subject)
        encrypted = b64encode(ciphers[value.subject].encrypt(text, where)).decode()
        sealed.append({"path": value.path, "subject": value.subject, "sealed": encrypted})
    return _SEALED[:1] + to_json({"personal": sealed, "payload": document})


def _where(place: PayloadPlace, path: tuple[str | int, ...], subject: str) -> bytes:
    """Return what binds a value to its event, its field and its subject."""
    return to_json(["personal", place.tenant_id, place.message_id.hex, path, subject])
