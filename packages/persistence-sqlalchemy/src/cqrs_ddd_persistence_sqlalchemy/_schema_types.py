"""What the tables are made of, for both databases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import JSON, DateTime, MetaData, Text, TypeDecorator
from sqlalchemy.dialects.postgresql import JSONB

from cqrs_ddd_persistence_sqlalchemy._dialect import from_datetime, to_datetime

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Dialect
    from sqlalchemy.types import TypeEngine

__all__ = ["JSON_TYPE", "UTCDateTime", "metadata"]

#: All tables of this package.
metadata = MetaData()

JSON_TYPE: Final = JSON().with_variant(JSONB(), "postgresql")


class UTCDateTime(TypeDecorator["datetime"]):
    """An aware datetime on both databases; SQLite keeps UTC text that sorts by time."""

    impl: TypeEngine[Any] | type[TypeEngine[Any]] = DateTime(timezone=True)
    cache_ok: bool | None = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the type of the column."""
        return dialect.type_descriptor(Text() if _is_sqlite(dialect) else DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """Return what the driver is given."""
        return from_datetime(value) if value is not None and _is_sqlite(dialect) else value

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Return an aware datetime."""
        return value if value is None else to_datetime(value)


def _is_sqlite(dialect: Dialect) -> bool:
    return dialect.name == "sqlite"
