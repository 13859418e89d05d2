"""The validator port: say what is wrong with a message before its handler runs."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["IValidator", "ValidationResult"]


@dataclass(frozen=True, slots=True)
class ValidationResult:
    """What a validator found.

    Attributes:
        errors: Messages per field; empty when the message is valid.
    """

    errors: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def is_valid(self) -> bool:
        """Whether nothing was found."""
        return not self.errors

    def merge(self, other: ValidationResult) -> ValidationResult:
        """Return both findings together."""
        merged = dict(self.errors)
        for name, found in other.errors.items():
            merged[name] = merged.get(name, ()) + found
        return ValidationResult(merged)


class IValidator(Protocol):
    """Checks messages; may ask a database."""

    @abstractmethod
    async def validate(self, message: Any) -> ValidationResult:
        """Return what is wrong with the message, all of it."""
        ...
