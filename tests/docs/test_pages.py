from __future__ import annotations

import pkgutil
from pathlib import Path

import pytest

from tools.pages import Page, find_pages, read_page, run_page, shown_paths
from tools.uv import ROOT

PAGES = [read_page(path) for path in find_pages()]
PATHS = sorted({path for page in PAGES for path in shown_paths(page)})


def name(page: Page) -> str:
    return str(page.path.relative_to(ROOT))


@pytest.mark.parametrize("page", [page for page in PAGES if page.programs], ids=name)
def test_a_page_runs_and_prints_what_it_shows(
    page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_page(page) == []


@pytest.mark.parametrize("path", PATHS)
def test_an_import_path_shown_in_a_page_leads_somewhere(path: str) -> None:
    assert pkgutil.resolve_name(path) is not None
