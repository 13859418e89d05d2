"""Queries: questions that change nothing, and their answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypeVar

from cqrs_ddd_core.primitives.id_generator import new_id

__all__ = ["Query", "QueryResponse"]

R = TypeVar("R", default=Any)
# Covariant, so that the place where an answer is used does not change the type of the question.
R_co = TypeVar("R_co", default=Any, covariant=True)


class Query(BaseModel, Generic[R_co]):
    """A question; ``R`` is the type of its answer. Not finding anything is an answer.

    Attributes:
        query_type: Name in caches, metrics and registries; the class name unless set.
        query_id: Tells this asking from others.
        correlation_id: Shared by all work of one request; taken from the context when not given.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False
    )

    query_type: ClassVar[str] = "Query"

    query_id: UUID = Field(default_factory=new_id)
    correlation_id: str | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "query_type" not in cls.__dict__:
            cls.query_type = cls.__name__.partition("[")[0]


@dataclass(slots=True)
class QueryResponse(Generic[R]):
    """The answer to a query.

    Attributes:
        result: What the handler returned.
        execution_time_ms: How long answering took, in milliseconds.
        query_id: Id of the query.
        from_cache: Whether the answer was taken from a cache.
    """

    result: R
    execution_time_ms: float = field(default=0.0, kw_only=True)
    query_id: UUID | None = field(default=None, kw_only=True)
    from_cache: bool = field(default=False, kw_only=True)
