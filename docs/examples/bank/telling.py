"""Plain text for a story: headings, sentences, tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

__all__ = ["chapter", "say", "show_table"]


def chapter(title: str) -> None:
    print(f"\n{title}\n{'-' * len(title)}")


def say(text: str) -> None:
    print(text)


def show_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows under their columns; amounts stand to the right."""
    cells = [[_text(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    numeric = [all(_is_number(row[index]) for row in cells) for index in range(len(columns))]
    for line in [list(columns), ["-" * width for width in widths], *cells]:
        padded = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, numeric, strict=True)
        ]
        print(f"  {'  '.join(padded)}".rstrip())


def _text(value: object) -> str:
    return f"{value:,.2f}" if isinstance(value, Decimal) else str(value)


def _is_number(text: str) -> bool:
    return bool(text) and not text.strip("0123456789,.-")
