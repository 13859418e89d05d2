"""The names of the specification room that programs use, under the path they expect."""

from __future__ import annotations

from cqrs_ddd_core.domain.specifications import (
    AndSpecification,
    AttributeSpecification,
    NotSpecification,
    OrSpecification,
    Specification,
    SpecificationBuilder,
    SpecificationLimits,
    SpecificationOperator,
    field,
    specification_from_dict,
)

__all__ = [
    "AndSpecification",
    "AttributeSpecification",
    "NotSpecification",
    "OrSpecification",
    "Specification",
    "SpecificationBuilder",
    "SpecificationLimits",
    "SpecificationOperator",
    "field",
    "specification_from_dict",
]
