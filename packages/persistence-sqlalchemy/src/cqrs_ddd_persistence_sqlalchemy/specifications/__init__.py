"""Specifications and query options compiled to SQLAlchemy."""

from __future__ import annotations

from cqrs_ddd_persistence_sqlalchemy.specifications.compiler import (
    apply_query_options,
    compile_ordering,
    compile_specification,
)
from cqrs_ddd_persistence_sqlalchemy.specifications.fields import (
    ColumnField,
    DocumentField,
    SQLField,
    SQLFields,
    column_fields,
    document_fields,
    word_index,
)

__all__ = [
    "ColumnField",
    "DocumentField",
    "SQLField",
    "SQLFields",
    "apply_query_options",
    "column_fields",
    "compile_ordering",
    "compile_specification",
    "document_fields",
    "word_index",
]
