"""Specifications: conditions that are evaluated in memory and compiled by every adapter."""

from __future__ import annotations

from cqrs_ddd_core.domain.specification.builder import SpecificationBuilder
from cqrs_ddd_core.domain.specification.codec import SpecificationLimits, specification_from_dict
from cqrs_ddd_core.domain.specification.expression import FieldReference, field
from cqrs_ddd_core.domain.specification.fields import (
    FieldKinds,
    field_kind,
    kind_of_annotation,
    split_path,
)
from cqrs_ddd_core.domain.specification.operators import SpecificationOperator
from cqrs_ddd_core.domain.specification.patterns import TextPattern, Wildcard, words
from cqrs_ddd_core.domain.specification.tree import (
    AndSpecification,
    AttributeSpecification,
    NotSpecification,
    OrSpecification,
    Specification,
)
from cqrs_ddd_core.domain.specification.values import FieldKind, canonical

__all__ = [
    "AndSpecification",
    "AttributeSpecification",
    "FieldKind",
    "FieldKinds",
    "FieldReference",
    "NotSpecification",
    "OrSpecification",
    "Specification",
    "SpecificationBuilder",
    "SpecificationLimits",
    "SpecificationOperator",
    "TextPattern",
    "Wildcard",
    "canonical",
    "field",
    "field_kind",
    "kind_of_annotation",
    "specification_from_dict",
    "split_path",
    "words",
]
