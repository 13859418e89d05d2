"""The purchases whose commands were answered: one id to a line."""

from __future__ import annotations

from pathlib import Path


def answered(file: Path) -> set[str]:
    """Return the ids; a line that was cut off by a kill is no answer."""
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return {line for line in lines if len(line) == 36}
