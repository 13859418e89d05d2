"""Events as Arrow columns, and the two file formats; from the library ``pyarrow``."""

from __future__ import annotations

from contextlib import suppress
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Literal, TypeAlias
from uuid import UUID

from pydantic_core import to_json

from cqrs_ddd_advanced_core.export._values import PayloadReader
from cqrs_ddd_advanced_core.export.exceptions import ExportValueError
from cqrs_ddd_core.primitives.exceptions import MissingExtraError

try:
    import pyarrow as pa
    from pyarrow import ipc, parquet
except ImportError as error:
    raise MissingExtraError("exporting events", "cqrs-ddd-advanced-core", "arrow") from error

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from cqrs_ddd_advanced_core.export.columns import PayloadColumn, PayloadColumns
    from cqrs_ddd_core.ports.event_store import StoredEvent

__all__ = ["EventTable", "FileFormat", "TableWriter", "read_schema"]

FileFormat: TypeAlias = Literal["parquet", "arrow"]

_INSTANT: Final = pa.timestamp("us", "UTC")
#: Names as in ``ENVELOPE_COLUMNS``; ids are text, as they are in correlations and logs.
_ENVELOPE: Final = (
    pa.field("position", pa.int64(), nullable=False),
    pa.field("tenant_id", pa.string(), nullable=False),
    pa.field("aggregate_type", pa.string(), nullable=False),
    pa.field("aggregate_id", pa.string(), nullable=False),
    pa.field("version", pa.int64(), nullable=False),
    pa.field("event_id", pa.string(), nullable=False),
    pa.field("event_type", pa.string(), nullable=False),
    pa.field("schema_version", pa.int32(), nullable=False),
    pa.field("occurred_at", _INSTANT, nullable=False),
    pa.field("recorded_at", _INSTANT, nullable=False),
    pa.field("correlation_id", pa.string()),
    pa.field("causation_id", pa.string()),
    pa.field("metadata", pa.string(), nullable=False),
    pa.field("payload", pa.string(), nullable=False),
)
_TYPES: Final[Mapping[type, Any]] = {
    bool: pa.bool_(),
    int: pa.int64(),
    float: pa.float64(),
    str: pa.string(),
    datetime: _INSTANT,
    date: pa.date32(),
    UUID: pa.string(),
    dict: pa.string(),
}
#: A row group is written early when its rows take so many bytes of memory.
_FULL: Final = 64 * 1024 * 1024


class EventTable:
    """Makes rows of events.

    Args:
        tenant_id: Whose events.
        columns: What is read from payloads, if anything.
        metadata: What the file says of itself.
    """

    def __init__(
        self, tenant_id: str, columns: PayloadColumns | None, metadata: Mapping[str, str]
    ) -> None:
        self._tenant_id = tenant_id
        self._reader = None if columns is None else PayloadReader(columns)
        more = {} if columns is None else columns.by_name
        fields = [pa.field(name, _type_of(column)) for name, column in more.items()]
        self.schema: Any = pa.schema([*_ENVELOPE, *fields], metadata=dict(metadata))

    def rows(self, events: Sequence[StoredEvent]) -> Any:
        """Return a record batch with a row for each event.

        Raises:
            ExportValueError: A value does not fit its column.
        """
        values = [*_envelope(self._tenant_id, events)]
        if self._reader is not None:
            values += self._reader.read(events).values()
        arrays = [
            pa.array(column, field.type) for column, field in zip(values, self.schema, strict=True)
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)


def _envelope(tenant_id: str, events: Sequence[StoredEvent]) -> list[list[Any]]:
    return [
        [event.position for event in events],
        [tenant_id] * len(events),
        [event.stream.aggregate_type for event in events],
        [event.stream.aggregate_id for event in events],
        [event.version for event in events],
        [str(event.event_id) for event in events],
        [event.event_type for event in events],
        [event.schema_version for event in events],
        [event.occurred_at for event in events],
        [event.recorded_at for event in events],
        [event.correlation_id for event in events],
        [event.causation_id for event in events],
        [to_json(event.metadata).decode() for event in events],
        [_payload(event) for event in events],
    ]


def _payload(event: StoredEvent) -> str:
    try:
        return event.payload_bytes.decode()
    except UnicodeDecodeError:
        reason = "it is encoded; export through the EncodedEventStore that decodes it"
        raise ExportValueError(event.position, event.event_type, "payload", reason) from None


def _type_of(column: PayloadColumn) -> Any:
    if column.type is Decimal:
        return pa.decimal128(column.precision, column.scale)
    return _TYPES[column.type]


class TableWriter:
    """Writes record batches to a file, a row group at a time.

    Args:
        file: Where to; it is not closed.
        schema: Of the batches.
        file_format: Which format.
        row_group_size: How many rows a group has at most.
    """

    def __init__(
        self, file: BinaryIO, schema: Any, file_format: FileFormat, row_group_size: int
    ) -> None:
        self._schema = schema
        self._row_group_size = row_group_size
        self._batches: list[Any] = []
        self._rows = self._bytes = 0
        self._writer: Any
        if file_format == "parquet":
            self._writer = parquet.ParquetWriter(file, schema, compression="zstd")
        else:
            options = ipc.IpcWriteOptions(compression="zstd")
            self._writer = ipc.new_file(file, schema, options=options)

    def add(self, batch: Any) -> None:
        """Add rows; full groups are written."""
        self._batches.append(batch)
        self._rows += batch.num_rows
        self._bytes += batch.nbytes
        if self._rows >= self._row_group_size or self._bytes >= _FULL:
            self._flush()

    def close(self) -> None:
        """Write what is left, and the end of the file."""
        self._flush()
        self._writer.close()

    def abort(self) -> None:
        """Give up; the file is of no use."""
        with suppress(Exception):
            self._writer.close()

    def _flush(self) -> None:
        batches, self._batches = self._batches, []
        self._rows = self._bytes = 0
        if batches:
            table = pa.Table.from_batches(batches, self._schema)
            self._writer.write_table(table.combine_chunks(), self._row_group_size)


def read_schema(path: Path, file_format: str) -> Any:
    """Return the schema of a file that was written before."""
    if file_format == "parquet":
        return parquet.read_schema(path)
    with pa.memory_map(str(path)) as source, ipc.open_file(source) as reader:
        return reader.schema
