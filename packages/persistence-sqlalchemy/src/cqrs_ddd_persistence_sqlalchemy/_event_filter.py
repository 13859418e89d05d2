"""The conditions of an event filter, in SQL."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Dialect, literal_column
from sqlalchemy.dialects import sqlite

from cqrs_ddd_persistence_sqlalchemy.specifications import (
    compile_specification,
    document_fields,
)

if TYPE_CHECKING:
    from sqlalchemy.sql.compiler import SQLCompiler

    from cqrs_ddd_core.ports.event_store import EventFilter
    from cqrs_ddd_core.ports.payload_condition import PayloadCondition
    from cqrs_ddd_persistence_sqlalchemy._postgres_events import PostgresEvents
    from cqrs_ddd_persistence_sqlalchemy._sqlite_events import SQLiteEvents

__all__ = ["filter_conditions"]

_PARAMETER: Final = re.compile(r"\$(\d+)")
_SQLITE: Final = sqlite.dialect(paramstyle="numeric_dollar")
#: The payload as JSON; whether its bytes begin like JSON and are free of escaped code points,
#: among which are some that jsonb refuses.
_PAYLOAD: Final = {
    "postgresql": (
        "convert_from(payload, 'UTF8')::jsonb",
        r"substr(payload, 1, 1) = '\x7b'::bytea AND position('\x5c75'::bytea IN payload) = 0",
    ),
    "sqlite": (
        "CAST(payload AS TEXT)",
        "substr(payload, 1, 1) = x'7b' AND instr(payload, x'5c75') = 0",
    ),
}


def filter_conditions(
    wanted: EventFilter, args: list[Any], sql: PostgresEvents | SQLiteEvents, dialect: Dialect
) -> list[str]:
    """Return the conditions of a filter and append their arguments."""
    conditions: list[str] = []

    def add(condition: str, value: Any) -> None:
        args.append(value)
        conditions.append(condition.format(f"${len(args)}"))

    if wanted.aggregate_types is not None:
        add(f"aggregate_type {sql.any_of('{0}')}", sql.list_argument(wanted.aggregate_types))
    if wanted.event_types is not None:
        add(f"event_type {sql.any_of('{0}')}", sql.list_argument(wanted.event_types))
    if wanted.correlation_id is not None:
        add("correlation_id = {0}", wanted.correlation_id)
    if wanted.occurred_from is not None:
        add("occurred_at >= {0}", wanted.occurred_from)
    if wanted.occurred_until is not None:
        add("occurred_at < {0}", wanted.occurred_until)
    if wanted.metadata:
        add(sql.has_metadata("{0}"), sql.metadata_argument(wanted.metadata))
    conditions += [_payload_condition(condition, args, dialect) for condition in wanted.payload]
    return conditions


def _payload_condition(wanted: PayloadCondition, args: list[Any], dialect: Dialect) -> str:
    # CASE, because a payload that is no JSON must not even be looked at.
    document, is_json = _PAYLOAD[dialect.name]
    event_class = wanted.event_class
    args += [event_class.event_type, event_class.schema_version]
    judged = f"event_type = ${len(args) - 1} AND schema_version = ${len(args)} AND {is_json}"
    fields = document_fields(event_class, literal_column(f"({document})"))
    condition = compile_specification(wanted.specification, fields)
    if dialect.name == "sqlite":
        dialect = _SQLITE
    compiled = condition.compile(dialect=dialect)
    return f"CASE WHEN {judged} THEN {_numbered(compiled, args)} ELSE true END"


def _numbered(compiled: SQLCompiler, args: list[Any]) -> str:
    """Return a compiled condition whose parameters follow those before, and append their values."""
    first = len(args)
    args += [_bound(compiled, name) for name in compiled.positiontup or ()]
    return _PARAMETER.sub(lambda found: f"${first + int(found[1])}", str(compiled))


def _bound(compiled: SQLCompiler, name: str) -> Any:
    parameter, dialect = compiled.binds[name], compiled.dialect
    process = parameter.type.dialect_impl(dialect).bind_processor(dialect)
    return parameter.value if process is None else process(parameter.value)
