"""What the pages show on SQLite works on PostgreSQL when only the address is changed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tools.pages import find_pages, read_page, run_page
from tools.uv import ROOT

ADDRESS = re.compile(r"sqlite:///\w+\.db")
SHOWS_SQLITE_MESSAGES = {"errors.md"}


def pages() -> list[str]:
    found = [path for path in find_pages() if ADDRESS.search(path.read_text(encoding="utf-8"))]
    return [str(path.relative_to(ROOT)) for path in found if path.name not in SHOWS_SQLITE_MESSAGES]


@pytest.mark.parametrize("name", pages())
def test_a_page_prints_the_same_on_postgresql(
    name: str, postgres_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.md"
    page.write_text(ADDRESS.sub(postgres_database, (ROOT / name).read_text(encoding="utf-8")))
    monkeypatch.chdir(tmp_path)
    assert run_page(read_page(page)) == []
