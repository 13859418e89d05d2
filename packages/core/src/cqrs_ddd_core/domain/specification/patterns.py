"""Text patterns, read once from an operator and rendered by every evaluator in its own way."""

from __future__ import annotations

import string
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from cqrs_ddd_core.domain.specification.operators import SpecificationOperator as Op

__all__ = ["WORD_SEPARATORS", "PatternPart", "TextPattern", "Wildcard", "fold", "words"]

#: Characters between the words of a text; every other character belongs to a word.
WORD_SEPARATORS = string.punctuation + string.whitespace

_TO_SPACES = str.maketrans(dict.fromkeys(WORD_SEPARATORS, " "))
_TO_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_FOLDING = frozenset({Op.ICONTAINS, Op.ISTARTS_WITH, Op.IENDS_WITH, Op.ILIKE})
_OPEN_START = frozenset({Op.CONTAINS, Op.ICONTAINS, Op.ENDS_WITH, Op.IENDS_WITH})
_OPEN_END = frozenset({Op.CONTAINS, Op.ICONTAINS, Op.STARTS_WITH, Op.ISTARTS_WITH})


class Wildcard(Enum):
    """What a pattern has besides characters that stand for themselves."""

    ANY_TEXT = "%"
    ANY_CHARACTER = "_"


#: A character that stands for itself, or a wildcard.
PatternPart: TypeAlias = str | Wildcard


def fold(text: str) -> str:
    """Turn A-Z into a-z and nothing else."""
    return text.lower() if text.isascii() else text.translate(_TO_LOWER)


def words(text: str) -> list[str]:
    """Return the folded words of a text: what stands between ASCII punctuation and spaces."""
    return [word for word in fold(text).translate(_TO_SPACES).split(" ") if word]


@dataclass(frozen=True, slots=True)
class TextPattern:
    """What a whole text has to look like.

    Args:
        parts: Single characters and wildcards, folded when ``folded`` is set.
        folded: The text is folded (A-Z to a-z) before it is looked at.
    """

    parts: tuple[PatternPart, ...]
    folded: bool

    @classmethod
    def of(cls, operator: Op, value: str) -> TextPattern:
        r"""Read the pattern of a text operator; in ``like`` a backslash takes the next literally.

        Raises:
            ValueError: A ``like`` pattern ends with a single backslash.
        """
        folded = operator in _FOLDING
        text = fold(value) if folded else value
        if operator in (Op.LIKE, Op.ILIKE):
            return cls(_parse_like(text), folded)
        start = (Wildcard.ANY_TEXT,) if operator in _OPEN_START else ()
        end = (Wildcard.ANY_TEXT,) if operator in _OPEN_END else ()
        return cls((*start, *text, *end), folded)

    def matches(self, text: str) -> bool:
        """Whether the text has this form, in time proportional to text times pattern at worst."""
        return _matches(self.parts, fold(text) if self.folded else text)


def _parse_like(pattern: str) -> tuple[PatternPart, ...]:
    parts: list[PatternPart] = []
    characters = iter(pattern)
    for character in characters:
        if character == "\\":
            literal = next(characters, None)
            if literal is None:
                msg = "the pattern ends with a backslash; write two to mean one"
                raise ValueError(msg)
            parts.append(literal)
        else:
            parts.append(Wildcard(character) if character in "%_" else character)
    return tuple(parts)


def _matches(parts: tuple[PatternPart, ...], text: str) -> bool:
    # Going back to the last % only keeps hostile patterns polynomial; a regex would not be.
    at = place = 0
    retry_at: int | None = None
    retry_place = 0
    while place < len(text):
        part = parts[at] if at < len(parts) else None
        if part is Wildcard.ANY_TEXT:
            at, retry_at, retry_place = at + 1, at + 1, place
        elif part is Wildcard.ANY_CHARACTER or part == text[place]:
            at, place = at + 1, place + 1
        elif retry_at is not None:
            retry_place += 1
            at, place = retry_at, retry_place
        else:
            return False
    return all(part is Wildcard.ANY_TEXT for part in parts[at:])
