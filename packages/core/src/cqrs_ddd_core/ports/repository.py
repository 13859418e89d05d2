"""The repository port: aggregates in and out, whole, by id."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from cqrs_ddd_core.domain.aggregate import AggregateRoot
    from cqrs_ddd_core.domain.query_options import QueryOptions
    from cqrs_ddd_core.domain.specification import Specification

__all__ = ["IRepository"]

T = TypeVar("T", bound="AggregateRoot[Any]")


class IRepository(Protocol[T]):
    """Stores aggregates of one type.

    Every call belongs to the current unit of work when there is one, sees what it has written,
    and vanishes with its rollback; outside one each call is a transaction of its own. What is
    returned is a copy: changing it changes nothing until it is saved. All calls see the tenant
    of the current context only.
    """

    @abstractmethod
    async def get(self, entity_id: Any) -> T:
        """Return the aggregate with that id.

        Raises:
            EntityNotFoundError: There is none; use ``get_by_id`` where that is no error.
        """
        ...

    @abstractmethod
    async def get_by_id(self, entity_id: Any) -> T | None:
        """Return the aggregate with that id, or ``None``."""
        ...

    @abstractmethod
    async def save(self, entity: T) -> None:
        """Write a new or changed aggregate and hand its events to the unit of work.

        The aggregate's version grows by one.

        Raises:
            OptimisticConcurrencyError: Somebody saved, deleted or created it meanwhile.
        """
        ...

    @abstractmethod
    async def delete(self, entity: T) -> None:
        """Remove an aggregate and hand its events to the unit of work.

        Raises:
            OptimisticConcurrencyError: Somebody saved or deleted it meanwhile.
        """
        ...

    @abstractmethod
    async def exists(self, entity_id: Any) -> bool:
        """Whether there is an aggregate with that id."""
        ...

    @abstractmethod
    async def search(self, criteria: Specification | QueryOptions | None = None) -> Sequence[T]:
        """Return the aggregates that satisfy the criteria, ordered as it says, else by id.

        Raises:
            UnknownFieldError: An aggregate has no such field.
            SpecificationValueError: A value does not fit its field, or the field has no order.
            CursorError: The cursor is none, or belongs to another order or condition.
            SpecificationError: Single fields were asked for: aggregates come whole.
        """
        ...

    @abstractmethod
    async def count(self, specification: Specification | None = None) -> int:
        """Return how many aggregates satisfy the specification."""
        ...

    @abstractmethod
    def stream(
        self, specification: Specification | None = None, *, batch_size: int = 500
    ) -> AsyncIterator[T]:
        """Yield the aggregates that satisfy the specification in id order, batch by batch."""
        ...
