"""The catalogue of event schemas, which tells that a change would break stored events."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from cqrs_ddd_advanced_core.upcasting._compatibility import breaking_changes
from cqrs_ddd_advanced_core.upcasting._schema import Schema, payload_schema
from cqrs_ddd_advanced_core.upcasting.registry import UpcasterRegistry
from cqrs_ddd_core.cqrs.event_serializer import EventSerializer
from cqrs_ddd_core.primitives.exceptions import ConfigurationError, SchemaVersionError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cqrs_ddd_core.domain.event_registry import EventTypeRegistry

__all__ = ["CatalogueComparison", "SchemaCatalogue", "SchemaProblem"]


class SchemaProblem(NamedTuple):
    """Why stored events of a version could no longer be read.

    Attributes:
        event_type: Type name.
        schema_version: Version of the stored events.
        field: Where in the payload; empty when it concerns all of it.
        reason: What is wrong.
    """

    event_type: str
    schema_version: int
    field: str
    reason: str


class CatalogueComparison(NamedTuple):
    """What a comparison found.

    Attributes:
        problems: Changes that break stored events; ordered by type and version.
        outdated: Files that ``update`` writes because they are missing or say something else.
    """

    problems: tuple[SchemaProblem, ...]
    outdated: tuple[Path, ...]


class _Entry(NamedTuple):
    event_type: str
    schema_version: int
    payload: Schema


class SchemaCatalogue:
    """A folder with the JSON Schema of every event type and version, kept under version control.

    Under one version everything that was ever written has to stay readable: a field may be added
    when it has a default, and what a field takes may be widened. Everything else needs a raised
    ``schema_version`` and an upcaster. The files depend on the shapes alone.

    Args:
        directory: The folder; it may be missing as long as nothing was written.
    """

    def __init__(self, directory: Path | str) -> None:
        self._directory = Path(directory)

    def compare(
        self, registry: EventTypeRegistry, upcasters: UpcasterRegistry | None = None
    ) -> CatalogueComparison:
        """Compare the events of today with the catalogue, and write nothing.

        Raises:
            ConfigurationError: A file cannot be read, a field has no JSON Schema, or registry
                and upcasters do not fit each other.
        """
        # What would be refused at start-up is refused here.
        EventSerializer(registry, upcasters)
        reading = _Reading(registry, upcasters or UpcasterRegistry())
        problems = [problem for entry in self._entries() for problem in reading.problems(entry)]
        outdated = [path for path, text in self._files(registry) if _text_of(path) != text]
        return CatalogueComparison(tuple(problems), tuple(outdated))

    def update(
        self, registry: EventTypeRegistry, upcasters: UpcasterRegistry | None = None
    ) -> CatalogueComparison:
        """Compare, and when nothing is broken write what is new.

        Raises:
            ConfigurationError: See ``compare``.
        """
        comparison = self.compare(registry, upcasters)
        if not comparison.problems:
            self._directory.mkdir(parents=True, exist_ok=True)
            for path, text in self._files(registry):
                if path in comparison.outdated:
                    path.write_text(text, encoding="utf-8", newline="\n")
        return comparison

    def _entries(self) -> list[_Entry]:
        return sorted(
            (_read_entry(path) for path in self._directory.glob("*.json")), key=lambda e: e[:2]
        )

    def _files(self, registry: EventTypeRegistry) -> Iterator[tuple[Path, str]]:
        for event_type in registry.registered_types():
            event_class = registry.get(event_type)
            # Under another name it is an alias, and nothing new is stored under that.
            if event_type == event_class.event_type:
                version = event_class.schema_version
                entry = _Entry(event_type, version, payload_schema(event_class))
                name = f"{quote(event_type, safe='')}.v{version}.json"
                yield self._directory / name, _write_entry(entry)


class _Reading:
    """How entries of a catalogue are read today."""

    def __init__(self, registry: EventTypeRegistry, upcasters: UpcasterRegistry) -> None:
        self._registry = registry
        self._upcasters = upcasters

    def problems(self, entry: _Entry) -> Iterator[SchemaProblem]:
        node = entry.event_type, entry.schema_version
        if self._is_today(*node):
            schema = payload_schema(self._registry.get(entry.event_type))
            for change in breaking_changes(entry.payload, schema):
                yield SchemaProblem(*node, *change)
        elif reason := self._dead_end(*node):
            yield SchemaProblem(*node, "", reason)

    def _is_today(self, event_type: str, schema_version: int) -> bool:
        if event_type not in self._registry:
            return False
        return self._registry.get(event_type).schema_version == schema_version

    def _dead_end(self, event_type: str, schema_version: int) -> str | None:
        try:
            ends = self._upcasters.leads_to(event_type, schema_version)
        except SchemaVersionError:
            ends = frozenset({(event_type, schema_version)})
        missing = [
            f"{name!r} version {version}"
            for name, version in sorted(ends)
            if not self._is_today(name, version)
        ]
        if not missing:
            return None
        return f"no class reads {', '.join(missing)}: register an upcaster from it"


def _read_entry(path: Path) -> _Entry:
    try:
        return _Entry(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        msg = f"{path} is no file of a schema catalogue: {error}"
        raise ConfigurationError(msg) from error


def _write_entry(entry: _Entry) -> str:
    return json.dumps(entry._asdict(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _text_of(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None
