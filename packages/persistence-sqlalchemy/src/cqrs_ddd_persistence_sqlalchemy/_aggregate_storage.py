"""What a repository needs of the place where its aggregates are stored."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from sqlalchemy.exc import SQLAlchemyError

from cqrs_ddd_core.domain.aggregate import AggregateRoot
from cqrs_ddd_core.primitives.exceptions import ConfigurationError
from cqrs_ddd_persistence_sqlalchemy._errors import translate

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy import Select

    from cqrs_ddd_persistence_sqlalchemy.specifications import SQLFields

__all__ = ["AggregateStorage", "refuse_lost_fields", "translated"]

T = TypeVar("T", bound=AggregateRoot[Any])


class AggregateStorage(ABC, Generic[T]):
    """Writes and reads single rows; every call is one statement.

    Attributes:
        fields: What can be searched for.
    """

    fields: SQLFields

    @abstractmethod
    async def find(self, tenant_id: str, entity_id: object) -> T | None:
        """Return the aggregate with that id."""

    @abstractmethod
    async def find_version(self, tenant_id: str, entity_id: object) -> int:
        """Return the stored version; 0 when there is none."""

    @abstractmethod
    async def insert(self, tenant_id: str, entity: T) -> bool:
        """Write a new row with version 1; ``False`` when the id is taken."""

    @abstractmethod
    async def update(self, tenant_id: str, entity: T) -> bool:
        """Write the row if it has the aggregate's version still, and raise it by one."""

    @abstractmethod
    async def delete(self, tenant_id: str, entity: T) -> bool:
        """Remove the row if it has the aggregate's version still."""

    @abstractmethod
    def select(self, tenant_id: str) -> Select[Any]:
        """Return a SELECT of all rows, in the columns that ``load`` reads."""

    @abstractmethod
    def load(self, row: Sequence[Any]) -> T:
        """Return the aggregate of a row.

        Raises:
            SerializationError: The row does not fit the class.
        """


@contextmanager
def translated() -> Iterator[None]:
    """Let errors of SQLAlchemy leave the block as errors of the toolkit."""
    try:
        yield
    except SQLAlchemyError as error:
        raise translate(error) from error


def refuse_lost_fields(aggregate_class: type[AggregateRoot[Any]], exclude: Collection[str]) -> None:
    """Refuse fields that are not stored although an aggregate cannot be read without them.

    Raises:
        ConfigurationError: There are such fields.
    """
    lost = [
        name
        for name, field in aggregate_class.model_fields.items()
        if (field.exclude or name in exclude) and field.is_required()
    ]
    if lost:
        msg = (
            f"{aggregate_class.__name__} cannot be read back: {', '.join(lost)} would not be "
            "stored and has no default; store it or give it a default"
        )
        raise ConfigurationError(msg)
