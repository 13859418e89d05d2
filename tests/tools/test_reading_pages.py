from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from tools.pages import Page, read_page, run_page, shown_paths


def page(folder: Path, text: str) -> Page:
    path = folder / "page.md"
    path.write_text(dedent(text))
    return read_page(path)


def test_blocks_share_a_namespace_and_may_await(tmp_path: Path) -> None:
    shown = page(
        tmp_path,
        """
        ```python
        import asyncio
        async def double(x: int) -> int: return 2 * x
        ```
        then
        ```python
        print(await double(21))
        ```
        <!-- output -->
        ```text
        42
        ```
        """,
    )
    assert run_page(shown) == []


def test_a_program_may_run_its_own_event_loop(tmp_path: Path) -> None:
    shown = page(
        tmp_path,
        """
        ```python
        import asyncio
        async def main() -> None: print("ran")
        if __name__ == "__main__": asyncio.run(main())
        ```
        <!-- output -->
        ```text
        ran
        ```
        """,
    )
    assert run_page(shown) == []


def test_another_output_than_shown_is_reported_with_its_line(tmp_path: Path) -> None:
    shown = page(
        tmp_path,
        """
        ```python
        print("two")
        ```
        <!-- output -->
        ```text
        one
        ```
        """,
    )
    (mismatch,) = run_page(shown)
    assert (mismatch.line, mismatch.expected, mismatch.printed) == (3, "one", "two")


def test_an_error_names_the_line_of_the_page(tmp_path: Path) -> None:
    shown = page(tmp_path, "\n\n```python\nraise ValueError\n```\n")
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the line is what matters
        run_page(shown)
    assert caught.traceback[-1].lineno == 3  # counted from 0


def test_import_paths_are_found_in_code_and_in_text(tmp_path: Path) -> None:
    shown = page(
        tmp_path,
        """
        See `cqrs_ddd_core.ports`, not `os.path`.
        ```python
        from cqrs_ddd_core.domain import Entity, ValueObject
        import os
        ```
        """,
    )
    assert shown_paths(shown) == {
        "cqrs_ddd_core.ports",
        "cqrs_ddd_core.domain.Entity",
        "cqrs_ddd_core.domain.ValueObject",
    }
