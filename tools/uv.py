"""Find the uv that set this environment up."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def find_uv() -> str | None:
    """Return the uv to call: the one running us, on the path, or fetched by make."""
    private = ROOT / ".tools" / "uv" / "bin" / "uv"
    return (
        os.environ.get("UV") or shutil.which("uv") or (str(private) if private.exists() else None)
    )
