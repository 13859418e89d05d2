"""Specifications: conditions that are evaluated in memory and compiled by every adapter."""

from __future__ import annotations

from cqrs_ddd_core.domain.specifications.builder import SpecificationBuilder
from cqrs_ddd_core.domain.specifications.codec import SpecificationLimits, specification_from_dict
from cqrs_ddd_core.domain.specifications.expression import FieldReference, field
from cqrs_ddd_core.domain.specifications.fields import (
    FieldKinds,
    field_kind,
    kind_of_annotation,
    split_path,
)
from cqrs_ddd_core.domain.specifications.operators import SpecificationOperator
from cqrs_ddd_core.domain.specifications.patterns import TextPattern, Wildcard, words
from cqrs_ddd_core.domain.specifications.tree import (
    AndSpecification,
    AttributeSpecification,
    NotSpecification,
    OrSpecification,
    Specification,
)
from cqrs_ddd_core.domain.specifications.values import FieldKind, canonical

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
