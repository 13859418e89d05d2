"""Events for analysts: ranges of the feed as Parquet or Arrow files."""

from cqrs_ddd_advanced_core.export.columns import PayloadColumn, PayloadColumns
from cqrs_ddd_advanced_core.export.exceptions import ExportDirectoryError, ExportValueError
from cqrs_ddd_advanced_core.export.exporter import ExportProgress, ExportSummary, export_events

__all__ = [
    "ExportDirectoryError",
    "ExportProgress",
    "ExportSummary",
    "ExportValueError",
    "PayloadColumn",
    "PayloadColumns",
    "export_events",
]
