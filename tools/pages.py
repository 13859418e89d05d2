"""Read the documentation's pages and run the Python they show."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import io
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from types import ModuleType

from tools.uv import ROOT

SNIPPETS = ROOT / "docs" / "snippets"
OUTPUT_MARK = "<!-- output -->"
PACKAGE = "cqrs_ddd_"

FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w*)[^\n]*\n(?P<body>.*?)^(?P=indent)```",
    re.MULTILINE | re.DOTALL,
)
INCLUDE = re.compile(r'^--8<-- "(?P<name>[^"]+)"$', re.MULTILINE)
INLINE_PATH = re.compile(rf"`(?P<path>{PACKAGE}\w+(?:\.\w+)+)`")


@dataclass(frozen=True)
class Block:
    """One fenced block of a page, and what the page says it prints."""

    line: int
    language: str
    code: str
    output: str | None = None


@dataclass(frozen=True)
class Page:
    """A page of Markdown with its blocks in order."""

    path: Path
    text: str
    blocks: tuple[Block, ...]

    @property
    def programs(self) -> list[Block]:
        """The blocks of Python, which run in this order in one namespace."""
        return [block for block in self.blocks if block.language == "python"]


@dataclass(frozen=True)
class Mismatch:
    """A block that printed something else than its page shows."""

    line: int
    expected: str
    printed: str


def find_pages() -> list[Path]:
    """Return every page whose code has to run."""
    found = [ROOT / "README.md", *ROOT.glob("packages/*/README.md"), *ROOT.glob("docs/**/*.md")]
    return sorted(path for path in found if path.exists())


def read_page(path: Path) -> Page:
    """Read a page; an included snippet counts as part of it."""
    text = path.read_text(encoding="utf-8")
    fences = list(FENCE.finditer(text))
    blocks = [_block(text, *pair) for pair in zip_longest(fences, fences[1:])]
    return Page(path, text, tuple(blocks))


def _block(text: str, fence: re.Match[str], following: re.Match[str] | None) -> Block:
    code = INCLUDE.sub(_snippet, inspect.cleandoc("\n" + fence["body"]))
    line = text.count("\n", 0, fence.start("body")) + 1
    between = text[fence.end() : following.start()] if following else ""
    shown = following["body"] if following and between.strip() == OUTPUT_MARK else None
    output = inspect.cleandoc("\n" + shown) if shown is not None else None
    return Block(line, fence["language"], code, output)


def _snippet(include: re.Match[str]) -> str:
    return (SNIPPETS / include["name"]).read_text(encoding="utf-8").rstrip()


def run_page(page: Page) -> list[Mismatch]:
    """Run the page's Python in one namespace; return where its output differs."""
    with _main_module() as module, asyncio.Runner() as runner:
        return [
            Mismatch(block.line, block.output, printed)
            for block in page.programs
            for printed in [_run(block, page.path, module, runner)]
            if block.output is not None and printed != block.output
        ]


@contextlib.contextmanager
def _main_module() -> Iterator[ModuleType]:
    """Make a program's `if __name__ == "__main__"` hold, and its classes resolvable by name."""
    module, previous = ModuleType("__main__"), sys.modules["__main__"]
    sys.modules["__main__"] = module
    try:
        yield module
    finally:
        sys.modules["__main__"] = previous


def _run(block: Block, path: Path, module: ModuleType, runner: asyncio.Runner) -> str:
    # Empty lines in front make a traceback name the line of the page.
    source = "\n" * (block.line - 1) + block.code
    code = compile(source, str(path), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        result = eval(code, module.__dict__)  # noqa: S307 - our own pages
        if inspect.iscoroutine(result):
            runner.run(result)
    return "\n".join(line.rstrip() for line in printed.getvalue().rstrip().splitlines())


def shown_paths(page: Page) -> set[str]:
    """Return every import path of ours that the page shows, in code or in its text."""
    prose = FENCE.sub("", page.text)
    paths = {match["path"] for match in INLINE_PATH.finditer(prose)}
    for block in page.programs:
        paths.update(_imports(ast.parse(block.code)))
    return paths


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.startswith(PACKAGE))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE):
            yield from (f"{node.module}.{name.name}" for name in node.names)
