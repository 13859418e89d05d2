"""Streaming a range of the feed into files."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Literal, TypeAlias

from pydantic_core import to_json

from cqrs_ddd_advanced_core.export._directory import ExportDirectory
from cqrs_ddd_advanced_core.export.columns import PayloadColumns
from cqrs_ddd_advanced_core.export.exceptions import ExportDirectoryError
from cqrs_ddd_core.correlation import get_context
from cqrs_ddd_core.primitives.exceptions import ConfigurationError, MissingExtraError

try:
    from cqrs_ddd_advanced_core.export._arrow import EventTable, read_schema
    from cqrs_ddd_advanced_core.export._output import DirectoryTarget, Output, SinkTarget
except MissingExtraError as _error:
    _missing: MissingExtraError | None = _error
else:
    _missing = None

if TYPE_CHECKING:
    from cqrs_ddd_advanced_core.export._output import Target
    from cqrs_ddd_advanced_core.export.columns import PayloadColumn
    from cqrs_ddd_core.ports.event_store import EventFilter, IEventStore, StoredEvent

__all__ = ["ExportProgress", "ExportSummary", "export_events"]

#: What the name of a file has room for, and a position cannot exceed.
_LAST: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class ExportProgress:
    """How far an export has come.

    Attributes:
        events: How many were exported.
        position: Everything up to here was looked at.
        after_position: Where the export began.
        up_to_position: Where it will end.
    """

    events: int
    position: int
    after_position: int
    up_to_position: int


@dataclass(frozen=True, slots=True)
class ExportSummary:
    """What an export did.

    Attributes:
        events: How many were exported.
        bytes: Size of what was written.
        after_position: Only events behind this position.
        up_to_position: Only events up to this position; the next export goes on behind it.
        files: The new files of the directory by position; none without events.
    """

    events: int
    bytes: int
    after_position: int
    up_to_position: int
    files: tuple[Path, ...] = ()


_OnProgress: TypeAlias = Callable[[ExportProgress], None]


async def export_events(
    event_store: IEventStore,
    target: str | Path | BinaryIO,
    *,
    after_position: int | None = None,
    up_to_position: int | None = None,
    event_filter: EventFilter | None = None,
    format: Literal["parquet", "arrow"] = "parquet",  # noqa: A002 - what else to call it
    columns: PayloadColumns | Mapping[str, type | PayloadColumn] | None = None,
    batch_size: int = 1000,
    row_group_size: int = 50_000,
    events_per_file: int = 1_000_000,
    progress: _OnProgress | None = None,
) -> ExportSummary:
    """Export events of the current tenant in position order, one row for each.

    A path names a directory, which gets files such as ``events-<first>-<last>.parquet``, with the
    positions they cover, both inclusive. A file has its name only when all of it is on the disk,
    so a crash leaves no half file that counts, and the next export goes on behind the last whole
    one. One export at a time writes to a directory. Anything with ``write`` gets one file.

    It ends where everything had settled when it began: the same range has the same rows whenever
    it is exported, and nothing can appear in it later. Memory holds one row group.

    Every file has the columns of ``ENVELOPE_COLUMNS``: ids are text, times are microseconds of
    UTC, metadata and payload are JSON text, the payload exactly as stored. Through an
    ``EncodedEventStore`` it is decoded, so personal data is in clear: keep the files as secret.

    Args:
        event_store: Where from.
        target: A directory, or a binary file open for writing, which stays open.
        after_position: Only events behind this position. When not given: where the directory
            ends, or the beginning.
        up_to_position: Only events up to this position, and never beyond what has settled.
        event_filter: Only events that meet it.
        format: ``"parquet"``, or ``"arrow"``, the file format of Arrow's IPC (Feather version 2);
            both compressed with Zstandard.
        columns: Values of payloads as columns of their own; ``PayloadColumns.of`` takes them from
            event classes, with exact decimals.
        batch_size: How many events are read at once.
        row_group_size: How many rows a row group has at most; fewer when they are large.
        events_per_file: About how many events a file of a directory has; what a crash loses.
        progress: Called after every batch.

    Raises:
        ExportDirectoryError: The directory has a part of the range already, has files that were
            exported otherwise, or another export writes to it.
        ExportValueError: A value does not fit its column.
        ConfigurationError: A number is out of range.
        MissingExtraError: The extra ``arrow`` is not installed.
    """
    if _missing is not None:
        raise _missing
    _check(format, after_position or 0, batch_size, row_group_size, events_per_file)
    if columns is not None and not isinstance(columns, PayloadColumns):
        columns = PayloadColumns(columns)
    tenant_id = get_context().tenant_id
    description = {"cqrs_ddd.tenant": tenant_id, "cqrs_ddd.filter": _describe(event_filter)}
    table = EventTable(tenant_id, columns, description)
    # Before anything else: who waits for the lock or the disk exports no other range.
    settled = await event_store.get_latest_position()
    up_to = settled if up_to_position is None else min(up_to_position, settled)

    async def run(into: Target, after: int, limit: int | None) -> ExportSummary:
        output = Output(
            into,
            table,
            format,
            row_group_size=row_group_size,
            events_per_file=limit,
            first_position=after + 1,
        )
        pages = _pages(event_store, after, up_to, event_filter, batch_size)
        return await _write(output, pages, after, max(after, up_to), progress)

    if not isinstance(target, str | Path):
        return await run(SinkTarget(target), after_position or 0, None)
    directory = ExportDirectory(Path(target))
    with directory.locked():
        after = _begin(directory, table.schema, format, after_position)
        return await run(DirectoryTarget(directory, format), after, events_per_file)


async def _write(
    output: Output,
    pages: AsyncIterator[tuple[list[StoredEvent], int]],
    after: int,
    up_to: int,
    progress: _OnProgress | None,
) -> ExportSummary:
    try:
        async for events, position in pages:
            await output.add(events, position)
            if progress is not None:
                progress(ExportProgress(output.events, position, after, up_to))
        await output.finish(up_to)
    finally:
        output.abort()
    return ExportSummary(output.events, output.bytes, after, up_to, tuple(output.files))


async def _pages(
    store: IEventStore, after: int, up_to: int, event_filter: EventFilter | None, limit: int
) -> AsyncIterator[tuple[list[StoredEvent], int]]:
    """Yield events up to a position, and how far was looked for them."""
    while after < up_to:
        page = await store.read_page(after, limit=limit, event_filter=event_filter)
        after = up_to if page.is_last else min(page.position, up_to)
        yield [event for event in page.events if event.position <= up_to], after


def _check(file_format: str, after: int, *counts: int) -> None:
    if file_format not in {"parquet", "arrow"}:
        msg = f"events are exported as 'parquet' or 'arrow', not as {file_format!r}"
        raise ConfigurationError(msg)
    if min(counts) < 1 or not 0 <= after <= _LAST:
        msg = "an export needs sizes of at least 1 and a position that is not negative"
        raise ConfigurationError(msg)


def _begin(
    directory: ExportDirectory, schema: Any, file_format: str, after_position: int | None
) -> int:
    """Return the position behind which a directory goes on."""
    files = directory.files()
    if not files:
        return after_position or 0
    last = files[-1]
    if last.file_format != file_format or not _is_same(
        read_schema(last.path, last.file_format), schema
    ):
        reason = f"{last.path.name} is of another format, tenant, filter or set of columns"
        raise ExportDirectoryError(directory.path, reason)
    if after_position is None:
        return last.last_position
    if after_position < last.last_position:
        reason = f"it has events up to position {last.last_position} already"
        raise ExportDirectoryError(directory.path, reason)
    return after_position


def _is_same(found: Any, wanted: Any) -> bool:
    has = found.metadata or {}
    return bool(found.equals(wanted)) and wanted.metadata.items() <= has.items()


def _describe(event_filter: EventFilter | None) -> str:
    """Return the same text for the same filter, in every process."""
    if event_filter is None:
        return ""
    one = event_filter
    return to_json(
        {
            "aggregate_types": None if one.aggregate_types is None else sorted(one.aggregate_types),
            "event_types": None if one.event_types is None else sorted(one.event_types),
            "correlation_id": one.correlation_id,
            "occurred_from": one.occurred_from,
            "occurred_until": one.occurred_until,
            "metadata": None if one.metadata is None else sorted(one.metadata.items()),
            "payload": [repr(condition) for condition in one.payload],
        }
    ).decode()
