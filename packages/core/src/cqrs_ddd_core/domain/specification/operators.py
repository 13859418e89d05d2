"""The closed list of operators a specification may use."""

from __future__ import annotations

from enum import StrEnum

from cqrs_ddd_core.primitives.exceptions import UnknownOperatorError

__all__ = [
    "COLLECTION_OPERATORS",
    "NULL_OPERATORS",
    "TEXT_OPERATORS",
    "SpecificationOperator",
]


class SpecificationOperator(StrEnum):
    """How a field is compared with a value; ``"=="`` is read as ``"="``.

    Operators that begin with ``i`` take A-Z and a-z for equal and compare every other letter
    exactly: it is the only folding that all databases agree on.
    """

    EQUAL = "="
    NOT_EQUAL = "!="
    GREATER = ">"
    GREATER_OR_EQUAL = ">="
    LESS = "<"
    LESS_OR_EQUAL = "<="
    IN = "in"
    NOT_IN = "not_in"
    BETWEEN = "between"
    CONTAINS = "contains"
    ICONTAINS = "icontains"
    STARTS_WITH = "starts_with"
    ISTARTS_WITH = "istarts_with"
    ENDS_WITH = "ends_with"
    IENDS_WITH = "iends_with"
    LIKE = "like"
    ILIKE = "ilike"
    FTS = "fts"
    IS_NULL = "is_null"
    IS_NOT_NULL = "is_not_null"

    @classmethod
    def parse(cls, text: str) -> SpecificationOperator:
        """Return the operator of that name.

        Raises:
            UnknownOperatorError: There is none.
        """
        try:
            return cls("=" if text == "==" else text)
        except ValueError:
            raise UnknownOperatorError(str(text), cls) from None


#: They take no value.
NULL_OPERATORS = frozenset({SpecificationOperator.IS_NULL, SpecificationOperator.IS_NOT_NULL})

#: They take several values.
COLLECTION_OPERATORS = frozenset(
    {SpecificationOperator.IN, SpecificationOperator.NOT_IN, SpecificationOperator.BETWEEN}
)

#: They look inside a text.
TEXT_OPERATORS = frozenset(
    {
        SpecificationOperator.CONTAINS,
        SpecificationOperator.ICONTAINS,
        SpecificationOperator.STARTS_WITH,
        SpecificationOperator.ISTARTS_WITH,
        SpecificationOperator.ENDS_WITH,
        SpecificationOperator.IENDS_WITH,
        SpecificationOperator.LIKE,
        SpecificationOperator.ILIKE,
        SpecificationOperator.FTS,
    }
)
