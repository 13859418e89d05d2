"""The outcome of a use case as a value, for callers who prefer a result to an exception."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Generic

from typing_extensions import TypeVar

from cqrs_ddd_core.primitives.exceptions import ConfigurationError, ValidationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Result", "ResultStatus"]

T = TypeVar("T")


class ResultStatus(StrEnum):
    """How a use case ended."""

    SUCCESS = "success"
    FAILURE = "failure"
    VALIDATION_ERROR = "validation_error"


@dataclass(frozen=True, slots=True)
class Result(Generic[T]):
    """Success with data, failure with a reason, or messages per field.

    A command handler that returns a failed result rolls its unit of work back.

    Attributes:
        status: Success, failure or validation error.
        error: Why it failed; ``None`` on success.
        errors: Messages per field; empty unless the status is a validation error.
    """

    status: ResultStatus
    value: T | None = None
    error: str | None = None
    errors: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def success(cls, data: T) -> Result[T]:
        """Return a success that carries ``data``."""
        return cls(ResultStatus.SUCCESS, data)

    @classmethod
    def failure(cls, error: str) -> Result[Any]:
        """Return a failure with a reason a person can read."""
        return Result(ResultStatus.FAILURE, error=error)

    @classmethod
    def validation_error(cls, errors: Mapping[str, str | Iterable[str]]) -> Result[Any]:
        """Return a validation error with one message or several per field."""
        listed = {
            name: [found] if isinstance(found, str) else list(found)
            for name, found in errors.items()
        }
        summary = ValidationError(listed)
        return Result(ResultStatus.VALIDATION_ERROR, error=str(summary), errors=listed)

    @property
    def is_success(self) -> bool:
        """Whether the use case succeeded."""
        return self.status is ResultStatus.SUCCESS

    @property
    def is_failure(self) -> bool:
        """Whether the use case failed, for whatever reason."""
        return self.status is not ResultStatus.SUCCESS

    @property
    def data(self) -> T:
        """The data of a success.

        Raises:
            ConfigurationError: The result is a failure; look at ``error`` and ``errors`` instead.
        """
        if self.is_failure:
            msg = f"a failed result has no data: {self.error}"
            raise ConfigurationError(msg)
        return self.value  # type: ignore[return-value]
