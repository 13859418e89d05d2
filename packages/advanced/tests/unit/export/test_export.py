"""Exported files hold exactly the feed, once, whatever range is asked for and however often."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import dataset, ipc, parquet
from pydantic_core import to_json

from cqrs_ddd_advanced_core.codecs import AesGcmCodec, EncodedEventStore, PayloadCodecs, ZstdCodec
from cqrs_ddd_advanced_core.codecs.key_ring import KeyRing
from cqrs_ddd_advanced_core.export import (
    ExportDirectoryError,
    ExportProgress,
    ExportValueError,
    export_events,
)
from cqrs_ddd_advanced_core.export.columns import ENVELOPE_COLUMNS
from cqrs_ddd_core.adapters.memory import InMemoryDatabase, InMemoryEventStore
from cqrs_ddd_core.correlation import message_context
from cqrs_ddd_core.ports.event_store import EventFilter, IEventStore, NewEvent, StreamId
from cqrs_ddd_core.primitives.exceptions import ConfigurationError
from cqrs_ddd_core.testing.samples import AWKWARD_TEXT, new_event, new_stream

Format = Literal["parquet", "arrow"]
FORMATS: Sequence[Format] = ("parquet", "arrow")


def read(path: Path) -> list[dict[str, Any]]:
    """All rows of a directory, by position."""
    files = [file for file in path.iterdir() if not file.name.startswith(".")]
    kind = files[0].suffix[1:]
    table = dataset.dataset(path, format="parquet" if kind == "parquet" else "ipc").to_table()
    rows: list[dict[str, Any]] = table.sort_by("position").to_pylist()
    return rows


async def feed(store: IEventStore, event_filter: EventFilter | None = None) -> list[dict[str, Any]]:
    """The rows there should be."""
    return [
        {
            "position": event.position,
            "tenant_id": "",
            "aggregate_type": event.aggregate_type,
            "aggregate_id": event.aggregate_id,
            "version": event.version,
            "event_id": str(event.event_id),
            "event_type": event.event_type,
            "schema_version": event.schema_version,
            "occurred_at": event.occurred_at,
            "recorded_at": event.recorded_at,
            "correlation_id": event.correlation_id,
            "causation_id": event.causation_id,
            "metadata": to_json(event.metadata).decode(),
            "payload": event.payload_bytes.decode(),
        }
        async for event in store.read_all(event_filter=event_filter)
    ]


def names(path: Path) -> list[str]:
    return sorted(file.name for file in path.iterdir())


def empty_store() -> InMemoryEventStore:
    return InMemoryEventStore(InMemoryDatabase())


async def filled(events: int) -> InMemoryEventStore:
    store = empty_store()
    for number in range(events):
        await store.append(
            StreamId("Order", str(number % 7)),
            [replace(new_event(), event_type="Placed" if number % 3 else "Shipped")],
        )
    return store


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=5,
)
moments = st.datetimes(
    min_value=datetime(1, 1, 3),  # noqa: DTZ001
    max_value=datetime(9999, 12, 29),  # noqa: DTZ001
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=-11, minutes=-30))]),
)
new_events = st.builds(
    NewEvent,
    event_id=st.uuids(),
    event_type=st.sampled_from(["Placed", AWKWARD_TEXT]),
    payload=st.dictionaries(texts, json_values, max_size=3).map(to_json),
    occurred_at=moments,
    schema_version=st.integers(1, 2**31 - 1),
    correlation_id=st.none() | texts,
    causation_id=st.none() | st.uuids().map(str),
    metadata=st.dictionaries(texts, json_values, max_size=2),
)


@pytest.mark.parametrize("file_format", FORMATS)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(events=st.lists(new_events, min_size=1, max_size=12, unique_by=lambda event: event.event_id))
async def test_what_is_read_back_is_the_feed(
    tmp_path_factory: pytest.TempPathFactory, file_format: Format, events: list[NewEvent]
) -> None:
    store, path = empty_store(), tmp_path_factory.mktemp("export")
    for number, event in enumerate(events):
        await store.append(StreamId("Order", AWKWARD_TEXT[number % 3 :]), [event])
    summary = await export_events(
        store, path, format=file_format, batch_size=3, row_group_size=4, events_per_file=5
    )
    assert read(path) == await feed(store)
    assert summary.events == len(events)
    assert summary.up_to_position == await store.get_latest_position()
    assert summary.bytes == sum(file.stat().st_size for file in summary.files)


@pytest.mark.parametrize("file_format", FORMATS)
async def test_a_sink_gets_one_file_and_stays_open(file_format: Format) -> None:
    store, sink = await filled(30), io.BytesIO()
    summary = await export_events(store, sink, format=file_format, batch_size=7, events_per_file=10)
    assert summary.bytes == sink.tell()
    assert summary.files == ()
    reader = pa.BufferReader(sink.getvalue())
    table = (
        parquet.read_table(reader) if file_format == "parquet" else ipc.open_file(reader).read_all()
    )
    assert table.to_pylist() == await feed(store)
    assert table.column_names == list(ENVELOPE_COLUMNS)
    assert table.schema.field("occurred_at").type == pa.timestamp("us", "UTC")


async def test_a_sink_without_events_is_a_file_without_rows() -> None:
    sink = io.BytesIO()
    await export_events(empty_store(), sink)
    assert parquet.read_table(pa.BufferReader(sink.getvalue())).num_rows == 0


async def test_a_raw_sink_that_takes_parts_gets_everything() -> None:
    class Slow(io.BytesIO):
        def write(self, data: Any, /) -> int:
            return super().write(bytes(data)[:5])

    store, sink = await filled(10), Slow()
    await export_events(store, sink)
    assert parquet.read_table(pa.BufferReader(sink.getvalue())).num_rows == 10


async def test_only_the_asked_for_range_is_exported(tmp_path: Path) -> None:
    store = await filled(20)
    summary = await export_events(
        store, tmp_path, after_position=4, up_to_position=15, batch_size=4
    )
    assert [row["position"] for row in read(tmp_path)] == list(range(5, 16))
    assert [file.name for file in summary.files] == [
        "events-0000000000000000005-0000000000000000015.parquet"
    ]
    assert (summary.after_position, summary.up_to_position) == (4, 15)


async def test_nothing_beyond_what_has_settled_is_promised(tmp_path: Path) -> None:
    store = await filled(3)
    assert (await export_events(store, tmp_path, up_to_position=1000)).up_to_position == 3
    await store.append(new_stream(), [new_event()])
    assert (await export_events(store, tmp_path)).after_position == 3
    assert read(tmp_path) == await feed(store)


async def test_events_that_come_meanwhile_are_left_for_the_next_export(tmp_path: Path) -> None:
    store = await filled(10)

    class Growing(InMemoryEventStore):
        async def read_page(self, *args: Any, **options: Any) -> Any:
            await store.append(new_stream(), [new_event()])
            return await store.read_page(*args, **options)

    growing = Growing(InMemoryDatabase())
    growing.get_latest_position = store.get_latest_position  # type: ignore[method-assign]
    summary = await export_events(growing, tmp_path, batch_size=4)
    assert (summary.events, summary.up_to_position) == (10, 10)


async def test_a_filter_leaves_events_out_and_the_files_still_cover_them(tmp_path: Path) -> None:
    store = await filled(20)
    wanted = EventFilter(event_types=frozenset({"Shipped"}))
    await export_events(store, tmp_path, event_filter=wanted, batch_size=2, events_per_file=3)
    assert read(tmp_path) == await feed(store, wanted)
    await store.append(new_stream(), [replace(new_event(), event_type="Placed")])
    summary = await export_events(store, tmp_path, event_filter=wanted)
    assert (summary.events, summary.after_position, summary.files) == (0, 20, ())


async def test_an_export_goes_on_where_the_last_one_ended(tmp_path: Path) -> None:
    store = await filled(5)
    await export_events(store, tmp_path)
    for _ in range(4):
        await store.append(new_stream(), [new_event()])
        await export_events(store, tmp_path)
    assert (await export_events(store, tmp_path)).events == 0
    assert read(tmp_path) == await feed(store)
    assert len(names(tmp_path)) == 5 + len([".events.lock"])


async def test_files_have_about_the_size_that_was_asked_for(tmp_path: Path) -> None:
    store = await filled(25)
    summary = await export_events(store, tmp_path, batch_size=5, events_per_file=10)
    assert [parquet.read_metadata(file).num_rows for file in summary.files] == [10, 10, 5]


async def test_row_groups_have_the_size_that_was_asked_for(tmp_path: Path) -> None:
    store = await filled(25)
    (file,) = (await export_events(store, tmp_path, batch_size=5, row_group_size=10)).files
    found = parquet.read_metadata(file)
    assert [found.row_group(n).num_rows for n in range(found.num_row_groups)] == [10, 10, 5]


async def test_an_export_that_fails_leaves_whole_files_only(tmp_path: Path) -> None:
    store = await filled(20)

    def fail(progress: ExportProgress) -> None:
        if progress.events == 10:
            raise RuntimeError("full")

    with pytest.raises(RuntimeError, match="full"):
        await export_events(store, tmp_path, batch_size=2, events_per_file=4, progress=fail)
    assert [row["position"] for row in read(tmp_path)] == list(range(1, 9))
    assert [name for name in names(tmp_path) if name.startswith(".")] == [".events.lock"]
    await export_events(store, tmp_path)
    assert read(tmp_path) == await feed(store)


async def test_what_a_crash_left_behind_counts_for_nothing(tmp_path: Path) -> None:
    store = await filled(5)
    (tmp_path / ".events.unfinished").write_bytes(b"PAR1 half a file")
    await export_events(store, tmp_path)
    assert read(tmp_path) == await feed(store)


async def test_two_exports_do_not_write_to_one_directory(tmp_path: Path) -> None:
    store = await filled(5)
    refused: list[str] = []

    class Meddling(InMemoryEventStore):
        async def read_page(self, *args: Any, **options: Any) -> Any:
            with pytest.raises(ExportDirectoryError, match="another export") as caught:
                await export_events(store, tmp_path)
            refused.append(str(caught.value))
            return await store.read_page(*args, **options)

    meddling = Meddling(InMemoryDatabase())
    meddling.get_latest_position = store.get_latest_position  # type: ignore[method-assign]
    await export_events(meddling, tmp_path)
    assert refused
    assert read(tmp_path) == await feed(store)


async def test_a_range_is_not_exported_twice_into_one_directory(tmp_path: Path) -> None:
    store = await filled(5)
    await export_events(store, tmp_path)
    with pytest.raises(ExportDirectoryError, match="up to position 5 already"):
        await export_events(store, tmp_path, after_position=2)


@pytest.mark.parametrize(
    "other",
    [
        {"format": "arrow"},
        {"columns": {"note": str}},
        {"event_filter": EventFilter(event_types=frozenset({"Placed"}))},
    ],
    ids=["format", "columns", "filter"],
)
async def test_a_directory_is_not_continued_otherwise(
    tmp_path: Path, other: Mapping[str, Any]
) -> None:
    store = await filled(5)
    await export_events(store, tmp_path)
    with pytest.raises(ExportDirectoryError, match="another format, tenant, filter"):
        await export_events(store, tmp_path, **other)


async def test_each_tenant_exports_its_own_events(tmp_path: Path) -> None:
    store = empty_store()
    for tenant in ("acme", "globex"):
        with message_context(tenant_id=tenant):
            await store.append(StreamId("Order", tenant), [new_event()])
    with message_context(tenant_id="acme"):
        await export_events(store, tmp_path)
    assert [(row["tenant_id"], row["aggregate_id"]) for row in read(tmp_path)] == [("acme", "acme")]
    with (
        message_context(tenant_id="globex"),
        pytest.raises(ExportDirectoryError, match="another format, tenant, filter"),
    ):
        await export_events(store, tmp_path)


async def test_encoded_payloads_are_exported_decoded(tmp_path: Path) -> None:
    raw = empty_store()
    codecs = PayloadCodecs(
        [ZstdCodec(min_size=0), AesGcmCodec(KeyRing({"1": b"k" * 32}, current="1"))]
    )
    store = EncodedEventStore(raw, codecs)
    payload = to_json({"note": AWKWARD_TEXT * 20})
    await store.append(new_stream(), [replace(new_event(), payload=payload)])
    await export_events(store, tmp_path, columns={"note": str})
    (row,) = read(tmp_path)
    assert (row["payload"], row["note"]) == (payload.decode(), AWKWARD_TEXT * 20)
    with pytest.raises(ExportValueError, match="export through the EncodedEventStore"):
        await export_events(raw, tmp_path / "raw")


async def test_progress_says_how_far_it_has_come(tmp_path: Path) -> None:
    seen: list[ExportProgress] = []
    await export_events(
        await filled(10), tmp_path, after_position=2, batch_size=3, progress=seen.append
    )
    assert [(one.events, one.position) for one in seen] == [(3, 5), (6, 8), (8, 10)]
    assert {(one.after_position, one.up_to_position) for one in seen} == {(2, 10)}


@pytest.mark.parametrize(
    "options",
    [{"format": "csv"}, {"batch_size": 0}, {"row_group_size": 0}, {"after_position": -1}],
    ids=str,
)
async def test_options_that_cannot_be_are_refused(
    tmp_path: Path, options: Mapping[str, Any]
) -> None:
    with pytest.raises(ConfigurationError, match="export"):
        await export_events(empty_store(), tmp_path, **options)
